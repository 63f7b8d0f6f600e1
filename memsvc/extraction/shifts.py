"""Assertions that tell of a change, whatever it is about, and what they may be the end of.

"The Paper Lanterns replaced Ash Meridian" ends what names Ash Meridian, "my money sits at Fjord Bank now" may end what
names another bank, and who says "my ring size is 54" said before in the same words that it is 52. No list of attributes
is needed for that. Whether both speak of the same is for their meaning to say: what is found here is a condition.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from memsvc.extraction import selection, trimming
from memsvc.extraction.changes import former, is_outright
from memsvc.extraction.echoes import restated
from memsvc.extraction.entities import find_entities
from memsvc.extraction.grammar import Parse, parse
from memsvc.extraction.model import Fact, Said
from memsvc.extraction.patterns import words_of
from memsvc.extraction.people import KIN, PLURALS, cast_of
from memsvc.extraction.sentences import quoted, sentences
from memsvc.extraction.signals import is_intended, is_passing, tells_change, tells_now
from memsvc.extraction.stating import in_full
from memsvc.extraction.tokens import Token, tokenize
from memsvc.extraction.typed import CASED, TYPES
from memsvc.extraction.words import word_set
from memsvc.text.analysis import STOP_WORDS, analyze, fold

_SHORTEST, _LONGEST = 6, 240
# The words are certain, what they are about is not read.
CONFIDENCE = 0.5
# Kinds of values that are told by their form, the more special first; names are read by another rule.
_KINDS = ("email", "money", "when", "date", "measure", "phone", "code")
_VALUE = re.compile("|".join(f"(?P<{kind}>(?{'-' if kind in CASED else ''}i:{TYPES[kind]}))" for kind in _KINDS))

Value = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Assertion:
    """Characters [start, end) of a turn that state something of its speaker, his things, or what they name.

    `values` are (kind, value), folded, without what it says is over; `about` those that it is told of ("Atlas", "my dog
    Biscuit"); `frame` the index terms without them; `ended` the terms of each value that it says is over. `changes`: it
    tells of a change, `now`: that it is so by now; `lasts`: it tells of one thing as it is, so that another value in
    the same words leaves no room for it; `corrects`: it takes something back that was said; `own`: it is of "I", "my".
    """

    start: int
    end: int
    text: str
    terms: frozenset[str]
    frame: frozenset[str]
    values: frozenset[Value]
    about: frozenset[Value]
    ended: tuple[frozenset[str], ...]
    changes: bool
    now: bool
    lasts: bool
    corrects: bool
    own: bool


def assertions(said: Said) -> list[Assertion]:
    """What a turn states; none of an assistant's words, of questions, wishes, quotations and what is only repeated."""
    if said.role == "assistant":
        return []
    echoed = restated(said.content)
    found: list[Assertion] = []
    taken_back: Assertion | None = None
    for first, last in sentences(said.content):
        left, right = trimming.trim(said.content[first:last], [said.listener or ""])
        start, end = first + left, first + right
        if not _SHORTEST <= end - start <= _LONGEST or any(one <= start < other for one, other in echoed):
            continue
        text = said.content[start:end]
        told = None if "?" in said.content[start:last] else _read(text, start)
        if told is not None and taken_back is not None:
            # "I got my bike wrong. It's a Brompton": what is so instead is in the next sentence.
            found.pop()
            told = _joined(said.content, taken_back, told)
        taken_back = told if told is not None and _CORRECTS.match(text) and not told.values - told.about else None
        if told is not None:
            found.append(told)
    return found


def _joined(content: str, first: Assertion, then: Assertion) -> Assertion:
    return replace(
        then,
        start=first.start,
        text=content[first.start : then.end],
        terms=first.terms | then.terms,
        frame=first.frame | then.frame,
        ended=(*first.ended, *then.ended),
        changes=True,
        corrects=True,
    )


def fact_of(said: Said, told: Assertion) -> Fact:
    """The assertion as a fact that no key is known of."""
    cast = cast_of(said)
    text, times = in_full(said, cast, told.text, dated=True)
    return Fact(
        kind="fact",
        text=text,
        start=told.start,
        end=told.end,
        subject=fold(cast.speaker),
        attribute="",
        value=fold(text),
        when=times[0].interval if times else None,
        entities=find_entities(text),
        confidence=CONFIDENCE,
    )


def names(old: Assertion, new: Assertion) -> bool:
    """Whether `new` says that a thing is over which `old` names, or has all values of `old` and another one beside."""
    if not new.changes or not _of_the_same(old, new) or _end_alike(old, new):
        return False
    if any(terms <= old.terms for terms in new.ended):
        return True
    kinds = {kind for kind, _ in new.values - old.values}
    was = [(kind, value) for kind, value in old.values - old.about if kind in kinds]
    return bool(was) and all(_terms({one}) <= new.terms for one in was) and not set(was) <= new.about


def _end_alike(old: Assertion, new: Assertion) -> bool:
    """Both tell of one change."""
    return any(one <= other or other <= one for one in old.ended for other in new.ended)


def differs(old: Assertion, new: Assertion) -> bool:
    """Whether both give one value of one kind, another each; without a word of change, only if in the same words."""
    if not _of_the_same(old, new) or old.terms == new.terms:
        return False
    if new.corrects:
        return True
    before, after = ([kind for kind, _ in one - other] for one, other in _both_ways(old.values, new.values))
    if not before and not after:
        return new.now and old.lasts and new.lasts and _differ_in_words(old.terms, new.terms)
    if new.changes:
        return sum(before.count(kind) == after.count(kind) == 1 for kind in {*before, *after}) == 1
    return (
        old.frame == new.frame and bool(new.frame) and old.lasts and new.lasts and before == after and len(after) == 1
    )


def _differ_in_words(old: frozenset[str], new: frozenset[str]) -> bool:
    """Whether both say the same but for a word or two."""
    return len(old & new) >= _SHARED and all(1 <= len(one) <= _SHARED for one in (old - new, new - old - _CHANGE_TERMS))


def _both_ways(one: frozenset[Value], other: frozenset[Value]) -> Iterator[tuple[frozenset[Value], frozenset[Value]]]:
    yield one, other
    yield other, one


def _of_the_same(old: Assertion, new: Assertion) -> bool:
    """What one is told of stands in the other."""
    return _terms(old.about) <= new.terms and _terms(new.about) <= old.terms


def _terms(values: Collection[Value]) -> frozenset[str]:
    return frozenset(term for _, value in values for term in analyze(value))


def _read(text: str, start: int) -> Assertion | None:
    if quoted(text) or selection.is_unreal(text) or is_passing(text) or is_intended(text):
        return None
    tokens = tokenize(trimming.with_subject(text), [])
    parsed = parse(tokens)
    ended = () if _FINISHED.search(text) else tuple(_over(text))
    corrects = _CORRECTS.match(text) is not None
    changes = bool(ended) or corrects or tells_change(text) or _SHIFTED.search(text) is not None
    if not tokens or not _is_state(tokens, parsed, changes=changes, ended=bool(ended), corrects=corrects):
        return None
    values = frozenset(value for value in _values(text) if not any(_terms({value}) <= over for over in ended))
    terms = frozenset(analyze(text))
    return Assertion(
        start=start,
        end=start + len(text),
        text=text,
        terms=terms,
        frame=terms - _terms(values),
        values=values,
        about=frozenset(_about(text, tokens, parsed)),
        ended=ended,
        changes=changes,
        now=tells_now(text),
        lasts=_lasts(text, parsed),
        corrects=corrects,
        own=_OWN.search(text) is not None,
    )


def _lasts(text: str, parsed: Parse | None) -> bool:
    if parsed is None:
        return _LABEL.match(text) is not None
    is_present = parsed.form == "present" or not _PRESENT.isdisjoint(parsed.auxiliaries)
    return is_present and parsed.base not in _SEVERAL and _OF_MANY.search(text) is None


def _over(text: str) -> Iterator[frozenset[str]]:
    for value in former(text):
        terms = frozenset(analyze(value))
        shown = value[1:] if text.startswith(value) else value
        is_clear = len(terms) > 1 or is_outright(text) or re.search(r"[A-Z\d]", shown)
        if is_clear and terms and not terms <= _EMPTY:
            yield terms


def _is_state(tokens: Sequence[Token], parsed: Parse | None, *, changes: bool, ended: bool, corrects: bool) -> bool:
    """Whether it tells how something is, or that it changed, and not what was done or is thought."""
    if parsed is None:
        return tokens[0].low not in _OTHERS
    if corrects:
        return True
    if parsed.is_modal or parsed.person == "second" or tokens[parsed.subject].low in _OTHERS:
        return False
    if parsed.base in _FLEETING:
        return ended
    is_past = parsed.form == "past" and tokens[parsed.verb].low != parsed.base  # "we shut at five" is present too
    return not is_past or changes or parsed.base in ("be", "have")


def _about(text: str, tokens: Sequence[Token], parsed: Parse | None) -> Iterator[Value]:
    """Whom or what beside the speaker it tells of: "Atlas", "gate 7", "my sister"; "Kofi is my best friend" of none."""
    if parsed is None:
        label = _LABEL.match(text)
        yield from _values(label.group()) if label else ()
        return
    subject = tokens[parsed.subject : parsed.subject_end]
    if any(token.low in _MY for token in tokens[parsed.rest :]):
        return
    named = list(_values(" ".join(token.text for token in subject)))
    kin = (token.low for token in subject[:4] if token.low in KIN or token.low in PLURALS)
    yield from named or (("kin", word) for word in kin)


def _values(text: str) -> Iterator[Value]:
    low = fold(text)
    named: list[tuple[int, int]] = []
    for entity in find_entities(text):
        name = entity.removeprefix("the ").removesuffix("'s")
        begins = low.startswith(entity) and (entity.endswith("ing") or entity.split("'")[0] in STOP_WORDS)
        if name not in _NO_NAMES and not begins:
            named += [match.span() for match in re.finditer(re.escape(name), low)] if len(low) == len(text) else []
            yield "name", name
    for match in _VALUE.finditer(text):
        kind, value = match.lastgroup or "", match.group()
        if any(start <= match.start() < end for start, end in named):
            continue
        if kind == "measure":
            kind = f"measure {value.split()[-1].lower()}"
        is_name = kind == "code" and not value.isdigit()
        if not is_name and not (kind == "when" and _OF_A_DAY.search(text, 0, match.start())):
            yield kind, fold(value)


_OTHERS = word_set("you your he she his her this that these those there it it's that's")
_NO_NAMES = _OTHERS | word_set("scratch correction")
_MY = word_set("my our me us i we")
_OWN = re.compile(r"\b(?:my|me|i)\b", re.IGNORECASE)
_SHIFTED = words_of(
    "corrected, starting with, from (?:this|next) \\w+, re(?:licensed|wrote|written|writing|planted|assigned)"
)
_CORRECTS = re.compile(
    r"(?:correction|scratch|(?:please )?forget|ignore|disregard|i misspoke|i (?:mixed|got) .{2,60} (?:up|wrong)"
    r"|i mixed something up|(?:it|that)(?:['’]s|\s+is|\s+was)(?:n['’]t|\s+not)\b.{2,60}:)",
    re.IGNORECASE,
)
_OF_A_DAY = re.compile(r"\b(?:this|next|last|since|until|as of|from)\s+$", re.IGNORECASE)
# "But for a word or two": so many terms at most, and at least so many that both have.
_SHARED = 2
_PRESENT = word_set("am is are 'm 's 're")
_CHANGE_TERMS = frozenset(analyze("now switched changed moved new anymore currently these days nowadays"))
_FINISHED = words_of("finish\\w*, done with, through with")
_OF_MANY = words_of("called, named, middle name, born, birthday, one of")
_LABEL = re.compile(r"[^:=.!]{3,60}(?=[:=] )")
_EMPTY = word_set("easi work not never hand thing give win sign start walk go")
_SEVERAL = word_set(
    """
    have get make do see meet visit buy need use follow support attend teach study speak know play read eat listen own
    watch cost pay run take bring include contain mean
    """
)
_FLEETING = word_set(
    """
    think guess feel know agree understand appreciate believe wonder mean hear bet imagine wish suppose say remember
    thank promise notice look sound seem doubt hope explore consider try plan discover learn find attend visit ask
    tell enjoy love like want
    """
)

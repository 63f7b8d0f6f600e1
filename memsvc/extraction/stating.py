"""Facts of the states that a turn tells of, and of what it says is over."""

import re
from collections.abc import Sequence
from itertools import pairwise

from memsvc.extraction.attributes import is_state
from memsvc.extraction.changes import former, is_final
from memsvc.extraction.entities import find_entities
from memsvc.extraction.model import Fact, Said
from memsvc.extraction.people import Cast, possessive, rewrite
from memsvc.extraction.selection import is_unreal
from memsvc.extraction.sentences import Clause, quoted, sentences
from memsvc.extraction.signals import is_intended
from memsvc.extraction.states import State, find_states
from memsvc.extraction.times import Mention, find_times
from memsvc.extraction.tokens import tokenize
from memsvc.extraction.trimming import trim
from memsvc.extraction.values import clean
from memsvc.extraction.words import is_common
from memsvc.text.analysis import fold

# Times that stay as they were said: "every Friday" is no day of the calendar.
_KEPT = frozenset({"when", "days", "clock", "date", "season"})
_SURE = 0.75
# What a rule reads of a thing or an event as its subject: "the launch", "the report".
_OF_THINGS = frozenset({"place", "deadline", "status", "spouse"})
_NUMBERED = re.compile(r"\W*\d")
# A day of every week, which is none of the calendar.
_EVERY = re.compile(r"\b(?:mon|tues|wednes|thurs|fri|satur|sun)days?\b")
_ROUGHLY = re.compile(r"(?:about|around|roughly|approximately|some|almost|nearly|circa) ")
_FIRST = re.compile(r"\s*(?:i|we|my|our)\b", re.IGNORECASE)
_TOPIC_QUESTION = re.compile(
    r"(?!(?:how|what|who|when|where|why|which|is|are|do|does|did|can|could|would|will|have|has|you|any|really|right)\b)"
    r"(?:my |our |the )?[a-z][\w' -]{2,30}\?\s*$",
    re.IGNORECASE,
)


def state_facts(said: Said, cast: Cast, clauses: Sequence[Clause], restated: Sequence[tuple[int, int]]) -> list[Fact]:
    """One fact for each state, with all that the sentence, or one that only adds to it, says of what is over.

    None of an assistant's words, of questions, of quotations and of what is only repeated.
    """
    if said.role == "assistant" or not cast.speaker:
        return []
    spans = [span for span in _joined(said.content) if span not in restated]
    told = {span: _states(said, cast, span) for span in spans}
    found: list[Fact] = []
    for place, span in enumerate(spans):
        states = told[span]
        if not states:
            continue
        parts = _parts(said.content, span, states, clauses)
        before = spans[place - 1] if place and not told[spans[place - 1]] else None
        after = spans[place + 1] if place + 1 < len(spans) and not told[spans[place + 1]] else None
        if before is not None and _only_adds(said.content, before):
            parts[0] = (before[0], parts[0][1])
        if after is not None and _only_adds(said.content, after):
            parts[-1] = (parts[-1][0], after[1])
        found += [_fact(said, cast, state, part) for state, part in zip(states, parts, strict=True)]
    return found


def prevails(fact: Fact, state: Fact) -> bool:
    """Whether a fact that was read as a sentence tells better than the form does what the same words are about."""
    if fact.confidence < _SURE or fact.negated or not is_state(fact.attribute) or _ROUGHLY.match(state.value):
        return False
    if fact.attribute == state.attribute and "," in fact.value and fact.value.startswith(f"{state.value} "):
        return False  # "42 now, 41 got too tight"
    same = fact.subject.replace(" and others", "") == state.subject
    if fact.attribute == "amount":
        return fact.subject.startswith("the ") and "'s " not in fact.subject  # "my dose was raised to" tells of my dose
    if fact.attribute == "name":
        return same and (state.attribute == "name" or state.attribute.startswith("the "))
    if fact.attribute == "phone":
        return same and _NUMBERED.match(fact.value) is not None  # "my phone is a Pixel"
    if fact.attribute == "time":
        if state.attribute not in ("time", "place"):
            return state.subject not in fact.subject  # "the Atlas deadline" is Atlas's
        return not _EVERY.search(state.value)
    return same or fact.attribute in _OF_THINGS


def _joined(content: str) -> list[tuple[int, int]]:
    """Sentences; "My editor? Vim, always" is one."""
    found = sentences(content)
    joined: list[tuple[int, int]] = []
    for start, end in found:
        if (
            joined
            and _TOPIC_QUESTION.fullmatch(content[joined[-1][0] : joined[-1][1]])
            and not _FIRST.match(content, start)
        ):
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def _states(said: Said, cast: Cast, span: tuple[int, int]) -> list[State]:
    text = said.content[span[0] : span[1]]
    if "?" in text[-3:] or sum(end - start for start, end in quoted(text)) * 2 > len(text):
        return []
    quotes = quoted(text)
    return [
        state
        for state in find_states(text.replace("’", "'"), cast.speaker)
        if not any(start < state.end - 1 and state.start < end for start, end in quotes) or state.attribute == "reading"
    ]


def _only_adds(content: str, span: tuple[int, int]) -> bool:
    """Whether a sentence without "I" says that something is over: "Very different from Basel"."""
    text = content[span[0] : span[1]]
    return len(text) < 80 and not text.endswith("?") and not _FIRST.match(text) and bool(former(text))


def _parts(
    content: str, span: tuple[int, int], states: Sequence[State], clauses: Sequence[Clause]
) -> list[tuple[int, int]]:
    """The part of the sentence for each state: its clauses, and those that say what is over."""
    bounds = [span[0], *(span[0] + after.start for _, after in pairwise(states)), span[1]]
    parts = []
    for state, (left, right) in zip(states, pairwise(bounds), strict=True):
        start, end = span[0] + state.start, span[0] + state.end
        mine = [clause for clause in clauses if left <= clause.start and clause.end <= right]
        wanted = [
            clause
            for clause in mine
            if (clause.start < end and start < clause.end) or former(content[clause.start : clause.end])
        ]
        first = min([start, *(clause.start for clause in wanted)])
        last = max([end, *(clause.end for clause in wanted)])
        parts.append((max(left, first), min(right, last)))
    return parts


def _fact(said: Said, cast: Cast, state: State, span: tuple[int, int]) -> Fact:
    content = said.content
    names = [said.listener or "", (said.listener or "")[:3]]
    left, right = trim(content[span[0] : span[1]], names)
    start, end = span[0] + left, span[0] + right
    text, when = in_full(said, cast, content[start:end], dated=state.kind not in _KEPT)
    if state.bare:
        text = f"{possessive(_capital(cast.speaker))} {text[0].lower()}{text[1:]}"
    return Fact(
        kind="preference" if state.attribute.startswith("favorite ") else "fact",
        text=text,
        start=start,
        end=end,
        subject=state.subject,
        attribute=state.attribute,
        value=state.value,
        when=when[0].interval if when else None,
        entities=tuple(name for name in find_entities(text) if name),
        confidence=state.confidence,
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def in_full(said: Said, cast: Cast, text: str, *, dated: bool) -> tuple[str, list[Mention]]:
    """The words with names for pronouns, and with their dates where those are no part of the value."""
    tokens = tokenize(text, quoted(text))
    out, _ = rewrite(tokens, Cast(cast.speaker, cast.listener, cast.we))
    times = find_times(text, said.at) if dated else []
    written: list[str] = []
    cursor = 0
    pending = list(times)
    for token, word in zip(tokens, out, strict=True):
        if token.start < cursor:
            continue
        written.append(text[cursor : token.start])
        if pending and pending[0].start <= token.start:
            mention = pending.pop(0)
            written.append(mention.text)
            cursor = mention.end
        else:
            written.append(word)
            cursor = token.end
    joined = re.sub(r"\s+", " ", "".join(written) + text[cursor:]).strip(" ,;:-–—!…")
    joined = joined[:-1] if joined.endswith(".") and not joined.endswith("..") else joined
    return _capital(joined), times


# --- What is over -----------------------------------------------------------------------------------------------------


def end_facts(said: Said, cast: Cast, clauses: Sequence[Clause], taken: Sequence[tuple[int, int]]) -> list[Fact]:
    """Facts of the clauses that say that something is over and nothing else is learned from: "The 14:30 is cancelled".

    What they end is found in what is known; they tell nothing else.
    """
    if said.role == "assistant" or not cast.speaker:
        return []
    found: list[Fact] = []
    for clause in clauses:
        text = said.content[clause.start : clause.end]
        if (
            clause.question
            or len(text) > 160
            or _NO_NEWS.match(text)
            or is_intended(text)
            or any(clause.start < end and start < clause.end for start, end in taken)
        ):
            continue
        if not is_final(text) or is_unreal(text) or quoted(text) or not (over := _specific(text)):
            continue
        left, right = trim(text, [said.listener or ""])
        written, _ = in_full(said, cast, text[left:right], dated=False)
        found.append(
            Fact(
                kind="event",
                text=written,
                start=clause.start + left,
                end=clause.start + right,
                subject=fold(cast.speaker),
                attribute="ended",
                value=clean(over),
                negated=True,
                entities=tuple(name for name in find_entities(written) if name),
                confidence=0.7,
            )
        )
    return found


def _specific(text: str) -> str:
    """The first of what is over that a name, a number or the form of the denial makes sure of."""
    for value in former(text):
        is_first = text.startswith(value) and is_common(value.split()[0].lower())
        if re.search(r"\d|[A-Z]", value[1:] if is_first else value) or _DENIED.search(text):
            return value
    return ""


_NO_NEWS = re.compile(
    r"\s*(?:it|this|that|these|there|you|your|he|she|his|her|their|don['’]?t|do\s+not|never|always|what|who|how|why|let|remember|please\s+don)\b",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"\b(?:any\s?more|any\s+longer|no\s+more|no\s+longer|given?\s+up\s+being|gave\s+up\s+being)\b", re.IGNORECASE
)

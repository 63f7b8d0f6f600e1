"""What of a language model's answer the input bears out. Pure: a model may make things up, or do what the data told it.

Lexical on purpose: a sentence that passes may still be wrong, but its names, numbers and denials are the sources'.
"""

import calendar
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import MAXYEAR, UTC, date, datetime, timedelta, tzinfo
from typing import Literal

from memsvc.extraction.entities import find_entities
from memsvc.extraction.model import Fact, Interval, Precision, Said
from memsvc.extraction.people import cast_of
from memsvc.extraction.times import find_times
from memsvc.extraction.values import clean, fold_subject
from memsvc.text.analysis import analyze, fold
from memsvc.text.chunking import sentences
from memsvc.upkeep.thinking_outputs import ExtractedFact, Judgement

LONGEST_TEXT = 1000
LONGEST_KEY = 200
MOST_ENTITIES = 20
CONFIDENCE = 0.7
# Words of a sentence that its source must have: all but those that tie a sentence together.
COVERED = 0.7
COVERED_IF_SIMILAR, SIMILAR = 0.5, 0.6
# The rest may stand for a pronoun, or come from beside the quote.
QUOTED = 0.5

Verdict = Literal["duplicate", "refinement", "contradiction", "unrelated", "uncertain"]

_WORD = re.compile(r"[^\W_]+")
_CONTRACTED = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_NEGATION_WORDS = """
not never no nor none nobody nothing neither without cannot aint arent cant couldnt didnt doesnt dont hadnt hasnt havent
isnt mustnt neednt shouldnt wasnt werent wont wouldnt
"""
_NEGATIONS = frozenset(_NEGATION_WORDS.split())
_ARTICLES = frozenset({"the", "a", "an"})
_FIRST = frozenset({"i", "we"})
_SECOND = frozenset({"you", "your", "yours", "yourself", "yourselves"})
_DATE = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?(?:[T ].*)?")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class SegmentFact:
    """A fact and the turn of the segment, counted from 0, that states it."""

    turn: int
    fact: Fact


@dataclass(frozen=True, slots=True)
class Grounds:
    """What a sentence may draw on: the index terms and the words of some texts."""

    terms: frozenset[str]
    words: frozenset[str]

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Grounds":
        """Those of all texts together."""
        joined = "\n".join(texts)
        return cls(frozenset(analyze(joined)), frozenset(_words(joined)))

    def __or__(self, other: "Grounds") -> "Grounds":
        return Grounds(self.terms | other.terms, self.words | other.words)


def is_negated(text: str) -> bool:
    """Whether an English text denies something."""
    words = _CONTRACTED.findall(fold(text).replace("\u2019", "'"))
    return any(word.replace("'", "") in _NEGATIONS for word in words)


def entailed(sentence: str, sources: Sequence[str], *, similarity: float | None = None) -> bool:
    """Whether the sources bear a sentence out, as far as words tell.

    Every name and number of it must be theirs. It may deny only where a source denies, on the same matter, and affirm
    only where the source sentence that is nearest in words does not deny. And of its index terms `COVERED` must be
    theirs, or `COVERED_IF_SIMILAR` when its `similarity` (the cosine to the nearest source) is at least `SIMILAR`.
    """
    least = COVERED_IF_SIMILAR if similarity is not None and similarity >= SIMILAR else COVERED
    if not _is_grounded(sentence, Grounds.of(sources), least):
        return False
    terms = set(analyze(sentence))
    near = [(len(terms & set(analyze(said))), said) for source in sources for said in sentences(source)]
    if is_negated(sentence):
        return any(shared and is_negated(said) for shared, said in near)
    nearest = max(shared for shared, _ in near)
    return any(shared == nearest and not is_negated(said) for shared, said in near)


def checked_facts(
    facts: Sequence[ExtractedFact], segment: Sequence[Said], *, most: int
) -> tuple[list[SegmentFact], Counter[str]]:
    """The facts that the segment bears out, at most so many, in its order; and why how many others were dropped."""
    grounds = Grounds.of([text for said in segment for text in (said.content, *_names(said))])
    dropped: Counter[str] = Counter()
    kept: dict[tuple[int, str], SegmentFact] = {}
    for found in facts:
        checked = _checked(found, segment, grounds)
        if isinstance(checked, str):
            dropped[checked] += 1
            continue
        key = (checked.turn, fold(checked.fact.text))
        if key in kept:
            dropped["repeated"] += 1
        elif len(kept) == most:
            dropped["too_many"] += 1
        else:
            kept[key] = checked
    return sorted(kept.values(), key=lambda one: (one.turn, one.fact.start, one.fact.end)), dropped


def agreed_verdict(forward: Judgement, backward: Judgement, old: str, new: str) -> Verdict:
    """What two judgements of the same pair, the old statement shown first and shown second, say together.

    Anything but a confident yes to the same question twice is uncertain. So is a duplicate with other numbers, or where
    one denies and the other does not: words tell that much. A new statement that says less is a duplicate.
    """
    if forward.relation != backward.relation or {forward.confidence, backward.confidence} != {"high"}:
        return "uncertain"
    if forward.relation == "duplicate" and (
        is_negated(old) != is_negated(new) or _numbers(analyze(old)) != _numbers(analyze(new))
    ):
        return "uncertain"
    if forward.relation != "refinement":
        return forward.relation
    match forward.more_specific, backward.more_specific:
        case "second", "first":
            return "refinement"
        case "first", "second" if _numbers(analyze(new)) <= _numbers(analyze(old)):
            return "duplicate"
    return "uncertain"


def _checked(found: ExtractedFact, segment: Sequence[Said], grounds: Grounds) -> SegmentFact | str:
    """The fact as it may be kept, or why it may not."""
    if not 1 <= found.turn <= len(segment):
        return "no_turn"
    said = segment[found.turn - 1]
    quote = found.quote.strip()
    start = said.content.find(quote) if analyze(quote) else -1
    if start < 0:
        return "not_quoted"
    subject = fold_subject(found.subject)
    if not _is_named(subject, grounds.words):
        return "subject"
    when = None
    if found.when is not None:
        when = _interval(found.when, UTC if said.at is None else said.at.tzinfo or UTC)
        if when is None:
            return "date"
        if not _is_told(when, said):
            when = None
    known = Grounds.of([*_names(said), "" if when is None else _written(when.first)])
    text = found.text.strip()
    if fault := _fault(text, quote, said, known=known, names=grounds.words):
        return fault
    attribute, value = fold(found.attribute).strip(), clean(found.value)
    if not _is_key(attribute) or not _is_named(value, known.words | set(_words(said.content))):
        attribute, value = "", ""
    fact = Fact(
        kind=found.kind,
        text=text,
        start=start,
        end=start + len(quote),
        subject=subject,
        attribute=attribute,
        value=value,
        negated=found.negated and is_negated(quote),
        when=when,
        entities=_named_ones(found.entities, grounds.words),
        confidence=CONFIDENCE if attribute else CONFIDENCE / 2,
    )
    return SegmentFact(found.turn - 1, fact)


def _fault(text: str, quote: str, said: Said, *, known: Grounds, names: Collection[str]) -> str | None:
    """Why the text of a fact is not what the quote says. `known`: names and dates that it may use beside the turn;
    `names`: words that its names may be made of."""
    if not text or len(text) > LONGEST_TEXT or _CONTROL.search(text):
        return "text"
    if is_negated(text) != is_negated(quote):
        return "negation"
    if not _is_grounded(text, Grounds.of([said.content]) | known, COVERED, names=names):
        return "not_said"
    if not _is_covered(text, Grounds.of([quote]) | known, QUOTED):
        return "not_in_quote"
    return None if _is_of_its_people(text, quote, said) else "person"


def _is_of_its_people(text: str, quote: str, said: Said) -> bool:
    """Whether what "I" did is told of who said it, and of the listener only what "you" did, or what names them."""
    cast = cast_of(said)
    written, quoted = set(_words(text)), {word.partition("'")[0] for word in _CONTRACTED.findall(fold(quote))}
    speaker = set(_words(cast.speaker)) - _ARTICLES
    if quoted & _FIRST and not speaker & written:
        return False
    listener = set(_words(cast.listener)) - _ARTICLES - speaker
    return not (listener & written) or bool(quoted & _SECOND or listener & set(_words(said.content)))


def _is_grounded(text: str, grounds: Grounds, least: float, *, names: Collection[str] | None = None) -> bool:
    """Whether the numbers of a text and enough of its terms are among the grounds, and its names among `names`."""
    allowed = grounds.words if names is None else names
    return (
        _numbers(analyze(text)) <= grounds.terms
        and all(word in allowed for name in find_entities(text) for word in _words(name))
        and _is_covered(text, grounds, least)
    )


def _is_covered(text: str, grounds: Grounds, least: float) -> bool:
    terms = analyze(text)
    return bool(terms) and sum(term in grounds.terms for term in terms) >= least * len(terms)


def _names(said: Said) -> tuple[str, str]:
    cast = cast_of(said)
    return cast.speaker, cast.listener


def _is_named(name: str, words: Collection[str]) -> bool:
    """Whether every word of a folded name was said."""
    parts = [part for part in _words(name.replace("'s ", " ")) if part not in _ARTICLES]
    return bool(parts) and len(name) <= LONGEST_KEY and all(part in words for part in parts)


def _named_ones(names: Sequence[str], words: Collection[str]) -> tuple[str, ...]:
    folded = (fold(name).strip() for name in names[:MOST_ENTITIES])
    return tuple(dict.fromkeys(name for name in folded if _is_named(name, words)))


def _is_key(attribute: str) -> bool:
    return 0 < len(attribute) <= LONGEST_KEY and len(attribute.split()) <= 4 and not _CONTROL.search(attribute)


def _words(text: str) -> list[str]:
    return _WORD.findall(fold(text).replace("\u2019", "'").replace("'s", " "))


def _numbers(terms: Iterable[str]) -> set[str]:
    return {term for term in terms if term[0].isdigit()}


def _interval(value: str, zone: tzinfo) -> Interval | None:
    """A year, month or day (of a moment its day), in the speaker's zone; None when it is none."""
    found = _DATE.fullmatch(value.strip())
    if found is None:
        return None
    _, month, day = found.groups()
    precision: Precision = "year" if month is None else "month" if day is None else "day"
    try:
        first = date(int(found[1]), int(month or 1), int(day or 1))
    except ValueError:
        return None
    if first.year == MAXYEAR:
        return None
    if precision == "year":
        after = date(first.year + 1, 1, 1)
    elif precision == "month":
        after = date(first.year + first.month // 12, first.month % 12 + 1, 1)
    else:
        after = first + timedelta(days=1)
    return Interval(_midnight(first, zone), _midnight(after, zone), precision)


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone)


def _is_told(when: Interval, said: Said) -> bool:
    """Whether the turn names a time that meets this one, a day more or less."""
    slack = timedelta(days=1)
    return any(
        mention.interval.first - slack < when.end and when.first < mention.interval.end + slack
        for mention in find_times(said.content, said.at)
    )


def _written(first: datetime) -> str:
    """A date in the ways a sentence may write it."""
    return f"{first:%Y-%m-%d} {first.day} {calendar.month_name[first.month]} {first.year}"

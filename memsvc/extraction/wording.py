"""What the words of a statement tell of change, beside what the statement itself claims."""

import re
from dataclasses import dataclass
from itertools import pairwise

from memsvc.extraction import words
from memsvc.extraction.changes import closed, former, is_outright
from memsvc.extraction.people import possessive
from memsvc.extraction.signals import is_intended, is_passing, tells_change, tells_now
from memsvc.text.analysis import analyze, fold


@dataclass(frozen=True, slots=True)
class Wording:
    """`ended` values and `closed` (subject, attribute) matters are over; `subjects` are whom and what the words name.

    `terms` are the index terms. `changes`: they tell of a change, `now`: that it is so by now, `passing`: that it is so
    on one occasion, `outright`: that something is no more, and not only that it was left or finished.
    """

    ended: tuple[str, ...] = ()
    closed: tuple[tuple[str, str], ...] = ()
    subjects: frozenset[str] = frozenset()
    terms: frozenset[str] = frozenset()
    changes: bool = False
    now: bool = False
    passing: bool = False
    outright: bool = False


def read_wording(text: str, speaker: str, *, meant: bool = False) -> Wording:
    """The wording of a statement in the speaker's own words. What is only `meant` has ended nothing yet."""
    meant = meant or is_intended(text)
    ended = () if meant else former(text)
    return Wording(
        ended=ended,
        closed=() if meant else tuple((one.subject, one.attribute) for one in closed(text, speaker)),
        subjects=_subjects(text, speaker) if ended else frozenset(),
        terms=frozenset(analyze(text)),
        changes=tells_change(text),
        now=tells_now(text),
        passing=is_passing(text),
        outright=is_outright(text),
    )


_OWNED = re.compile(r"\b(?:my|our)\s+([a-z][\w-]*(?:\s[a-z][\w-]*){0,2})", re.IGNORECASE)
_NAMED = re.compile(r"(?<![\w'’])[A-Z][\w-]*(?:\s[A-Z][\w-]*){0,2}")


def _subjects(text: str, speaker: str) -> frozenset[str]:
    """Subjects that facts may have: "my passwords", the names, as keys write them."""
    found: set[str] = set()
    for match in _NAMED.finditer(text):
        parts = fold(match.group()).split()
        found |= {" ".join(parts[one:other]) for one in range(len(parts)) for other in range(one + 1, len(parts) + 1)}
    owner = possessive(fold(speaker))
    for match in _OWNED.finditer(text):
        parts = fold(match[1]).split()
        found |= {f"{owner} {' '.join(parts[:length])}" for length in range(1, len(parts) + 1)}
    return frozenset(found - {fold(speaker)})


def goes_on(attribute: str, text: str) -> bool:
    """Whether a fact tells of what goes on, "takes the tram", "is learning Greek", and not of what was done once."""
    verb = attribute.split(" ", 1)[0]
    if verb in ("be", "location"):
        return re.search(r"\b(?:is|are)\b", text) is not None
    forms = {words.third_person(verb)} | ({verb} if " and others " in text else set())
    said = fold(text).split()
    return not forms.isdisjoint(said) or any(
        one in ("is", "are") and words.GERUNDS.get(other) == verb for one, other in pairwise(said)
    )

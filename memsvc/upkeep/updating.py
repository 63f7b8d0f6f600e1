"""How a new fact stands to an old one on the same matter: the same, more precise, another, or not certain. Pure.

Only facts of one subject and attribute are compared, and only what a subject can have one of (a home, an employer, the
time of a meeting) can be replaced by another value: who likes jazz may like jogging too. A later statement replaces an
earlier one; where it is not certain which is later, or who should know, both stay and are listed as a conflict.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from memsvc.extraction.keys import is_single_valued
from memsvc.text.analysis import analyze

Verdict = Literal["same", "refined", "replaced", "conflict", "unrelated"]
# Below this the keys of a fact are a guess, and nothing is replaced on a guess.
SURE = 0.7


@dataclass(frozen=True, slots=True)
class Claim:
    """What a fact claims, by whom and when. `place` is the session and the number of its turn: within one session the
    later turn is the later statement, however coarse its clock."""

    subject: str
    attribute: str
    value: str
    negated: bool
    confidence: float
    said_at: datetime
    session: object
    number: int
    speaker: str | None


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict with the reason, which holds no content."""

    verdict: Verdict
    reason: str


UNRELATED = Finding("unrelated", "")


def compare(old: Claim, new: Claim) -> Finding:
    """How `new` stands to `old`. Facts of other subjects or attributes are unrelated."""
    if (old.subject, old.attribute) != (new.subject, new.attribute) or not new.attribute:
        return UNRELATED
    before, after = set(analyze(old.value)), set(analyze(new.value))
    if before == after or old.value == new.value:
        return _same_value(old, new)
    if old.negated or new.negated or not is_single_valued(new.attribute):
        return UNRELATED
    if min(old.confidence, new.confidence) < SURE:
        return UNRELATED
    if before and before < after:
        return Finding("refined", "says the same more precisely")
    if after and after < before:
        return Finding("same", "says less of the same")
    if old.speaker != new.speaker:
        return Finding("conflict", "said by different speakers")
    if not _is_later(new, old):
        return Finding("conflict", "it is not known which was said later")
    return Finding("replaced", f"a later {new.attribute}")


def _same_value(old: Claim, new: Claim) -> Finding:
    if old.negated == new.negated:
        return Finding("same", "says the same")
    if min(old.confidence, new.confidence) < SURE:
        return UNRELATED
    if old.speaker != new.speaker:
        return Finding("conflict", "said by one speaker and denied by another")
    if not _is_later(new, old):
        return Finding("conflict", "said and denied, it is not known which later")
    return Finding("replaced", "no longer so" if new.negated else "so again")


def _is_later(new: Claim, old: Claim) -> bool:
    if new.said_at != old.said_at:
        return new.said_at > old.said_at
    return new.session is not None and new.session == old.session and new.number > old.number

"""What extraction reads and gives."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

FactKind = Literal["fact", "preference", "decision", "event", "procedure"]
Precision = Literal["year", "month", "day", "instant"]


@dataclass(frozen=True, slots=True)
class Said:
    """A turn as extraction reads it. `at` is when it was said, in the speaker's zone (None: not known).

    `speaker` is a name, or None where only the role is known; `listener` is the other side's name, if it has one.
    """

    content: str
    speaker: str | None
    role: str | None
    listener: str | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Interval:
    """From `first` until before `end`, both aware; `precision` is what the words told, not what the clock can."""

    first: datetime
    end: datetime
    precision: Precision


@dataclass(frozen=True, slots=True)
class Fact:
    """One self-contained statement out of a turn.

    `text` needs no context: pronouns and relative dates are resolved in it. Characters [start, end) of the turn are
    where it was said. `subject` is whom or what it is about, `attribute` what of the subject it tells and `value` what
    it tells: folded, stable between wordings, empty where a rule could not tell. `negated`: it says that this is not
    so. `confidence` in 0 to 1 is how sure the rule is of subject, attribute and value, not of the world.
    """

    kind: FactKind
    text: str
    start: int
    end: int
    subject: str
    attribute: str
    value: str
    negated: bool = False
    when: Interval | None = None
    entities: tuple[str, ...] = ()
    confidence: float = 0.5

"""What a planted case is, and the wording that cases are made of."""

import hashlib
import tomllib
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal

Split = Literal["dev", "test"]
Conflict = Literal["no", "may", "must"]
Category = Literal[
    "update",
    "refinement",
    "contradiction",
    "look-alike",
    "other subject",
    "echo",
    "reversal",
    "negation",
    "hypothetical",
    "quote",
]
Role = Literal["user", "assistant"]

_HERE = Path(__file__).parent
_DEV_ATTRIBUTES = 0.76
_DEV_PAIRS = 0.6


@dataclass(frozen=True, slots=True)
class Line:
    """One message of a case. `space` is "main" or "other"; `name` None in talk of a user with an assistant."""

    id: str
    session: str
    role: Role
    name: str | None
    content: str
    at: datetime
    space: str = "main"


@dataclass(frozen=True, slots=True)
class Pair:
    """A supersession that must be made: what one of `olds` tells gives way to what one of `news` tells.

    Both are ids of lines. `about`, where a line tells several things, is a word of the one that gives way.
    """

    olds: tuple[str, ...]
    news: tuple[str, ...]
    about: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """Lines in the order in which they are stored, and what must come of them.

    A supersession that is in neither `expected` nor `allowed` is wrong; those `allowed` count nowhere. `keep` names
    pairs of lines (old, new) that tempt to one. `conflict` says whether an open conflict is wrong, allowed or expected.
    Nothing new may be learned from the lines in `echoes`. `apart`: consolidation runs after each session and not only
    at the end. `answers` are the lines that answer `question` now.
    """

    id: str
    category: Category
    kind: str
    attribute: str
    split: Split
    apart: bool
    lines: tuple[Line, ...]
    expected: tuple[Pair, ...]
    allowed: tuple[Pair, ...]
    keep: tuple[tuple[str, str], ...]
    conflict: Conflict
    echoes: tuple[str, ...]
    question: str
    answers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Attribute:
    """What can be said of one thing, as the head of `planted_attributes.toml` explains."""

    key: str
    topic: str
    values: tuple[str, ...]
    says: tuple[str, ...]
    changes: tuple[str, ...]
    others: tuple[str, ...]
    mused: tuple[str, ...]
    you: tuple[str, ...]
    ask: str
    ask_of: str
    thing: bool = False
    ended: tuple[str, ...] = ()
    refined: tuple[tuple[str, str], ...] = ()
    whole: Split | None = None

    @property
    def split(self) -> Split:
        """Where the attribute belongs, whatever others there are; `whole`: with all its wordings."""
        return self.whole or ("dev" if share(self.key) < _DEV_ATTRIBUTES else "test")


@dataclass(frozen=True, slots=True)
class LookAlike:
    """Two lines of one speaker of which neither changes the other; `answer` is "1", "2" or "12"."""

    about: str
    first: str
    second: str
    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Two lines that cannot both be so, though nothing says which is."""

    about: str
    first: str
    second: str
    question: str


@dataclass(frozen=True, slots=True)
class Wording:
    """Everything that is said in the suite."""

    attributes: tuple[Attribute, ...]
    lookalikes: tuple[LookAlike, ...]
    contradictions: tuple[Contradiction, ...]
    chatter: tuple[str, ...]
    asked: tuple[str, ...]
    answered: tuple[str, ...]


@cache
def wording() -> Wording:
    """Read the files."""
    found = {**_read("planted_attributes.toml"), **_read("planted_more.toml")}
    wholes: dict[Split, dict[str, Any]] = {"dev": _read("planted_dev.toml"), "test": _read("planted_test.toml")}
    pairs = _read("planted_pairs.toml")
    return Wording(
        attributes=(
            *(_attribute(key, raw) for key, raw in found.items()),
            *(_attribute(key, raw, split) for split, group in wholes.items() for key, raw in group.items()),
        ),
        lookalikes=tuple(LookAlike(*row) for row in pairs["lookalikes"]),
        contradictions=tuple(Contradiction(*row) for row in pairs["contradictions"]),
        chatter=tuple(pairs["chatter"]),
        asked=tuple(pairs["asked"]),
        answered=tuple(pairs["answered"]),
    )


def share(text: str) -> float:
    """A number in [0, 1) that is the text's own, so that a split does not depend on what else is in the suite."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") / 2**32


def pair_split(text: str) -> Split:
    """The split of a hand-written pair, from its first line."""
    return "dev" if share(text) < _DEV_PAIRS else "test"


def _read(name: str) -> dict[str, Any]:
    with (_HERE / name).open("rb") as file:
        return tomllib.load(file)


def _attribute(key: str, raw: dict[str, Any], whole: Split | None = None) -> Attribute:
    lists = {name: tuple(raw[name]) for name in ("values", "says", "changes", "others", "mused", "you")}
    return Attribute(
        key=key,
        topic=raw["topic"],
        ask=raw["ask"],
        ask_of=raw["ask_of"],
        thing=raw.get("thing", False),
        ended=tuple(raw.get("ended", ())),
        refined=tuple((coarse, fine) for coarse, fine in raw.get("refined", ())),
        whole=whole,
        **lists,
    )

"""What nobody asks for later in the simulated year: chatter, status reports, output of tools, short answers."""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Literal

_SHARES: tuple[tuple[Literal["chat", "status", "tool", "ack"], float], ...] = (
    ("chat", 0.26),
    ("status", 0.26),
    ("tool", 0.25),
    ("ack", 0.23),
)
_PLACE = re.compile(r"\{(\w+)\}")
# Now and then somebody says the same thing twice.
_REPEATS = 0.02
_REMEMBERED = 200


@dataclass(slots=True)
class Filler:
    """Makes lines, each drawn anew from patterns whose places are filled with words, names and numbers."""

    random: Random
    people: Sequence[str]
    projects: Sequence[str]
    _said: list[tuple[Literal["user", "assistant", "tool"], str | None, str]] = field(default_factory=list)
    _raw: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        with (Path(__file__).parent / "year_talk.toml").open("rb") as file:
            self._raw = tomllib.load(file)

    def line(self) -> tuple[Literal["user", "assistant", "tool"], str | None, str]:
        """Role, name and text."""
        if self._said and self.random.random() < _REPEATS:
            return self.random.choice(self._said)
        sort = self.random.choices([name for name, _ in _SHARES], [share for _, share in _SHARES])[0]
        text = self.fill(self.random.choice(self._raw["patterns"][sort]))
        made: tuple[Literal["user", "assistant", "tool"], str | None, str]
        if sort == "tool":
            made = ("tool", None, text)
        elif sort == "ack":
            made = ("assistant", None, text)
        elif sort == "status":
            made = ("user", self.person(), text)
        else:
            made = ("user", self.person() if self.random.random() < 0.5 else None, text)
        self._said = [*self._said[-_REMEMBERED:], made]
        return made

    def chat(self) -> str:
        """A sentence of small talk."""
        return self.fill(self.random.choice(self._raw["patterns"]["chat"]))

    def person(self) -> str:
        """Somebody."""
        return self.random.choice(self.people)

    def fill(self, pattern: str) -> str:
        """The pattern with every place filled."""
        text = _PLACE.sub(lambda place: self._word(place[1]), pattern)
        return text[:1].upper() + text[1:] if pattern.startswith("{") else text

    def _word(self, name: str) -> str:
        if name == "person":
            return self.person()
        if name == "project":
            return self.random.choice(self.projects)
        if name == "hex":
            return f"{self.random.getrandbits(32):08x}"
        if set(name) == {"n"}:
            return str(self.random.randrange(10 ** (len(name) - 1), 10 ** len(name)))
        return str(self.random.choice(self._raw["words"][name]))

"""How a planted case is told: who talks, when, and what is said around the lines that matter."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

from evals.planted_model import Attribute, Case, Category, Conflict, Line, Pair, Role, Split, wording

NAMES = (
    "Amara", "Yuki", "Priya", "Mateus", "Zofia", "Linh", "Omar", "Ingrid", "Leilani", "Dmitri", "Fatima", "Kwame",
    "Noor", "Hye-jin", "Eleni", "Joaquín", "Aroha", "Siobhán", "Tunde", "Marek", "Ximena", "Arjun", "Solveig", "Bintou",
)  # fmt: skip
THIRDS = ("Nadia", "Viktor", "Chidi", "Emiko", "Rosa", "Lars", "Salma", "Pavel", "Mei", "Gustavo")
PROJECTS = ("Atlas", "Heron", "Mistral", "Orchid", "Quarry", "Lantern", "Bluebird", "Sextant", "Cinder", "Wombat")
LEADS = (
    "Sorry for the late reply.", "Oh, before I forget.", "Anyway, back to real life.", "Quick one from the train.",
    "Not that it matters much.", "Since you asked.", "For the record.", "Random thought on the way home.",
)  # fmt: skip
TAILS = (
    "What's new with you?", "Long story, I'll spare you.", "More on that another time.", "Anyway!",
    "That's it from me.", "Thanks for listening.",
)  # fmt: skip
_FIRST_DAY = datetime(2023, 1, 9, tzinfo=UTC)


@dataclass(slots=True)
class Talk:
    """One case being written. `named` talk is of two people by name; else a user talks with an assistant."""

    random: Random
    named: bool
    lines: list[Line] = field(default_factory=list)
    echoes: list[str] = field(default_factory=list)
    at: datetime = field(init=False)
    speaker: str = field(init=False)
    listener: str = field(init=False)
    third: str = field(init=False)
    project: str = field(init=False)
    _session: int = 0

    def __post_init__(self) -> None:
        self.at = _FIRST_DAY + timedelta(days=self.random.randrange(700), minutes=self.random.randrange(480, 1200))
        self.speaker, self.listener = self.random.sample(NAMES, 2)
        self.third = self.random.choice(THIRDS)
        self.project = self.random.choice(PROJECTS)

    def fill(self, text: str, value: str = "", old: str = "") -> str:
        """The wording with its places filled."""
        return text.format(v=value, o=old, p=self.third, e=self.project, name=self.speaker)

    def later(self, days: tuple[int, int] = (6, 120)) -> None:
        """A new session, some days on."""
        self._session += 1
        self.at += timedelta(days=self.random.randint(*days), minutes=self.random.randint(-60, 60))

    def earlier(self) -> None:
        """A new session whose talk took place before all that was stored so far."""
        self._session += 1
        self.at = min(line.at for line in self.lines) - timedelta(days=self.random.randint(20, 200))

    def aside(self) -> None:
        """A new session at the very moment of the line before."""
        self._session += 1
        self.at = self.lines[-1].at

    def say(self, content: str, *, plain: bool = False, space: str = "main") -> str:
        """The speaker (or user) says it, often with a sentence around it; the line's id."""
        if not plain and self.random.random() < 0.3:
            content = f"{self.random.choice(LEADS)} {content}"
        if not plain and content.endswith((".", "!", "?")) and self.random.random() < 0.25:
            content = f"{content} {self.random.choice(TAILS)}"
        return self._add("user", self.speaker if self.named else None, content, space)

    def reply(self, content: str, *, echo: bool = False) -> str:
        """The listener (or assistant) says it; an `echo` tells what the other side had told."""
        line = self._add("user" if self.named else "assistant", self.listener if self.named else None, content, "main")
        if echo:
            self.echoes.append(line)
        return line

    def chat(self, most: int = 3) -> None:
        """Up to `most` exchanges that bear on nothing."""
        said = wording()
        for _ in range(self.random.randint(0, most)):
            first, second = (said.chatter, said.chatter) if self.named else (said.asked, said.answered)
            self.say(self.random.choice(first), plain=True)
            self.reply(self.random.choice(second))

    def question(self, attribute: Attribute) -> str:
        """The attribute's question, as one would put it in this talk."""
        return self.fill(attribute.ask_of if self.named else attribute.ask)

    def case(
        self,
        *,
        name: str,
        category: Category,
        kind: str,
        attribute: str,
        split: Split,
        question: str,
        answers: Sequence[str],
        expected: Sequence[Pair] = (),
        allowed: Sequence[Pair] = (),
        keep: Sequence[tuple[str, str]] = (),
        conflict: Conflict = "no",
    ) -> Case:
        """What was told, as a case."""
        return Case(
            id=name,
            category=category,
            kind=kind,
            attribute=attribute,
            split=split,
            apart=self.random.random() < 0.5,
            lines=tuple(self.lines),
            expected=tuple(expected),
            allowed=tuple(allowed),
            keep=tuple(keep),
            conflict=conflict,
            echoes=tuple(self.echoes),
            question=question,
            answers=tuple(answers),
        )

    def _add(self, role: Role, name: str | None, content: str, space: str) -> str:
        line = Line(
            id=f"t{len(self.lines) + 1}",
            session=f"s{self._session + 1}",
            role=role,
            name=name,
            content=content,
            at=self.at,
            space=space,
        )
        self.lines.append(line)
        self.at += timedelta(seconds=self.random.randint(20, 240))
        return line.id

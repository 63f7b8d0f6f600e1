"""The demo's data: one invented year between a landscape architect and her assistant, and 15 questions."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from typing import Any, Literal
from uuid import NAMESPACE_URL, UUID, uuid5

Speaker = Literal["user", "assistant"]
QuestionKind = Literal[
    "single", "update", "contradiction", "temporal", "preference", "multi-session", "instruction", "assistant"
]


@dataclass(frozen=True, slots=True)
class Turn:
    """One message; `key` ("s03t07") is what questions cite, `timestamp` carries its offset."""

    key: str
    role: Speaker
    name: str
    timestamp: datetime
    content: str


@dataclass(frozen=True, slots=True)
class Session:
    """One conversation; `timezone` is the IANA zone it took place in."""

    name: str
    timezone: str
    turns: tuple[Turn, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """`evidence` holds the keys of exactly the turns that the answer needs."""

    question: str
    answer: str
    kind: QuestionKind
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """Sessions in order of time, and the questions about them."""

    title: str
    space: str
    sessions: tuple[Session, ...]
    questions: tuple[Question, ...]

    @property
    def turns(self) -> tuple[Turn, ...]:
        """All turns, oldest first."""
        return tuple(turn for session in self.sessions for turn in session.turns)

    @property
    def ends_at(self) -> datetime:
        """Moment of the last turn: the asker's clock for every question."""
        return self.sessions[-1].turns[-1].timestamp


@dataclass(frozen=True, slots=True)
class Score:
    """`hit`: any evidence among the first k; `fraction`: the share of the evidence that is, 0 to 1."""

    hit: bool
    fraction: float


def load_sample() -> Sample:
    """Read the conversation and questions that ship with the package."""
    conversation = _read("conversation.json")
    return Sample(
        title=conversation["title"],
        space=conversation["space"],
        sessions=tuple(
            Session(
                name=session["session"],
                timezone=session["timezone"],
                turns=tuple(
                    Turn(
                        key=turn["key"],
                        role=turn["role"],
                        name=turn["name"],
                        timestamp=datetime.fromisoformat(turn["timestamp"]),
                        content=turn["content"],
                    )
                    for turn in session["turns"]
                ),
            )
            for session in conversation["sessions"]
        ),
        questions=tuple(
            Question(
                question=item["question"],
                answer=item["answer"],
                kind=item["kind"],
                evidence=tuple(item["evidence"]),
            )
            for item in _read("questions.json")
        ),
    )


def turn_id(space: str, turn: Turn) -> UUID:
    """The same turn gets the same id in every run, so that a second run is recognised as such.

    The content takes part: a corrected sample adds the new wording and never clashes with the old one.
    """
    return uuid5(NAMESPACE_URL, f"memsvc:demo:{space}:{turn.key}:{turn.timestamp.isoformat()}:{turn.content}")


def score(evidence: Collection[UUID], ranked: Sequence[UUID], k: int) -> Score:
    """How much of the evidence is among the first `k` ranked ids; `ValueError` without evidence or for k < 1."""
    if not evidence or k < 1:
        raise ValueError("score() needs at least one evidence id and k >= 1")
    found = set(evidence).intersection(ranked[:k])
    return Score(hit=bool(found), fraction=len(found) / len(set(evidence)))


def _read(name: str) -> Any:  # JSON has no static type; the tests check the values that ship
    return json.loads(resources.files(__package__).joinpath(name).read_text(encoding="utf-8"))

"""What a run writes as it goes, so that it can be read later and taken up again.

`questions.jsonl` has a line per question. `conversations.jsonl` has one per finished conversation, written after its
questions: a conversation that is not in it was cut off, and is done again.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

QUESTIONS, CONVERSATIONS = "questions.jsonl", "conversations.jsonl"


@dataclass(frozen=True, slots=True)
class Hit:
    """One result: a turn of the conversation by its id, or any other memory by its own."""

    id: str
    session: str | None
    score: float


@dataclass(frozen=True, slots=True)
class QuestionRecord:
    """One question as it went. `metrics` is empty and `latency_ms` None when it was skipped."""

    settings: str
    conversation: str
    id: str
    type: str
    question: str
    headline: bool
    skip: str | None
    gold_turns: tuple[str, ...]
    gold_sessions: tuple[str, ...]
    repaired: int
    dropped: int
    ranked: tuple[Hit, ...] = ()
    metrics: dict[str, float] | None = None
    latency_ms: float | None = None
    context_tokens: int | None = None
    degraded: bool = False
    encoder: str | None = None

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Self:
        """The record of one line."""
        raw["ranked"] = tuple(Hit(**hit) for hit in raw["ranked"])
        raw["gold_turns"], raw["gold_sessions"] = tuple(raw["gold_turns"]), tuple(raw["gold_sessions"])
        return cls(**raw)


@dataclass(frozen=True, slots=True)
class ConversationRecord:
    """A finished conversation: turns sent, how many were new, the seconds it took, and empty turns left out."""

    settings: str
    conversation: str
    turns: int
    created: int
    seconds: float
    empty: int
    questions: int


@dataclass(frozen=True, slots=True)
class Log:
    """The two files in one folder. `settings` marks the lines of runs that can be continued."""

    folder: Path
    settings: str

    def begin(self, *, resume: bool) -> tuple[list[QuestionRecord], list[ConversationRecord]]:
        """Records of the conversations that are finished; everything else is removed from the files."""
        self.folder.mkdir(parents=True, exist_ok=True)
        conversations: list[ConversationRecord] = []
        questions: list[QuestionRecord] = []
        if resume:
            done = [ConversationRecord(**raw) for raw in _read(self.folder / CONVERSATIONS)]
            conversations = [record for record in done if record.settings == self.settings]
            finished = {record.conversation for record in conversations}
            asked = [QuestionRecord.from_json(raw) for raw in _read(self.folder / QUESTIONS)]
            questions = [item for item in asked if item.settings == self.settings and item.conversation in finished]
        _write(self.folder / CONVERSATIONS, conversations)
        _write(self.folder / QUESTIONS, questions)
        return questions, conversations

    def add_question(self, record: QuestionRecord) -> None:
        """Append one line; it is on disk when this returns."""
        _append(self.folder / QUESTIONS, record)

    def add_conversation(self, record: ConversationRecord) -> None:
        """Mark a conversation as finished."""
        _append(self.folder / CONVERSATIONS, record)


def _read(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:  # the line that was being written when the run was cut off
                break
    return rows


def _write(path: Path, records: Iterable[QuestionRecord | ConversationRecord]) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text("".join(_line(record) for record in records), encoding="utf-8")
    temporary.replace(path)


def _append(path: Path, record: QuestionRecord | ConversationRecord) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(_line(record))


def _line(record: QuestionRecord | ConversationRecord) -> str:
    return json.dumps(asdict(record), ensure_ascii=False) + "\n"

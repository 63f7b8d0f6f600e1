"""What every suite is read into: conversations of turns, and questions with the turns that answer them."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

SuiteName = Literal["locomo", "beam", "longmemeval"]
Role = Literal["user", "assistant"]

_READ_CHARS = 1 << 22


class DatasetError(Exception):
    """The data does not have the suite's form; the message names the file and what is wrong."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One message. `id` is unique in its conversation; `official_id` is its name in an official corpus, if any."""

    id: str
    session: str
    role: Role
    content: str
    name: str | None = None
    timestamp: datetime | None = None
    official_id: str | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """A question and its gold.

    `gold_turns` and `gold_sessions` hold ids of the conversation. `skip` says why it is not asked; `headline` is
    False for a type that is reported by itself alone. `repaired` and `dropped` count its malformed evidence ids.
    """

    id: str
    text: str
    type: str
    gold_turns: tuple[str, ...]
    gold_sessions: tuple[str, ...]
    now: datetime | None = None
    headline: bool = True
    skip: str | None = None
    repaired: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Conversation:
    """One haystack: it becomes one space, and its questions are asked of that space alone."""

    id: str
    turns: tuple[Turn, ...]
    questions: tuple[Question, ...]


@dataclass(frozen=True, slots=True)
class Suite:
    """A data set ready to run. `conversations` gives a fresh iterator at each call, and may read as it goes.

    `label` is the name under which results may be quoted. `official` asks for LongMemEval's own scoring as well.
    """

    name: SuiteName
    label: str
    digest: str
    notes: tuple[str, ...]
    default_k: int
    official: bool
    conversations: Callable[[], Iterator[Conversation]]


@dataclass(frozen=True, slots=True)
class Counts:
    """What a suite holds, and what is wrong with its labels."""

    conversations: int
    turns: int
    sessions: int
    questions: int
    gold_turns: int
    repaired: int
    dropped: int
    skipped: dict[str, int]

    @property
    def malformed(self) -> int:
        """Evidence ids that are not in the form of the data set or name no turn."""
        return self.repaired + self.dropped

    @property
    def asked(self) -> int:
        """Questions that are put to the service."""
        return self.questions - sum(self.skipped.values())


def count(conversations: Iterator[Conversation]) -> Counts:
    """Read everything once; a form that cannot be used shows here, before any work is done."""
    totals = dict.fromkeys(("conversations", "turns", "sessions", "questions", "gold_turns", "repaired", "dropped"), 0)
    skipped: dict[str, int] = {}
    for conversation in conversations:
        if len({turn.id for turn in conversation.turns}) != len(conversation.turns):
            raise DatasetError(f"conversation {conversation.id}: two turns have the same id")
        totals["conversations"] += 1
        totals["turns"] += len(conversation.turns)
        totals["sessions"] += len({turn.session for turn in conversation.turns})
        for question in conversation.questions:
            totals["questions"] += 1
            totals["gold_turns"] += len(question.gold_turns)
            totals["repaired"] += question.repaired
            totals["dropped"] += question.dropped
            if question.skip:
                skipped[question.skip] = skipped.get(question.skip, 0) + 1
    return Counts(**totals, skipped=skipped)


def sessions_of(turns: tuple[Turn, ...], gold: tuple[str, ...]) -> tuple[str, ...]:
    """Sessions of the gold turns, each once, in the order of the turns."""
    wanted = set(gold)
    return tuple(dict.fromkeys(turn.session for turn in turns if turn.id in wanted))


def limited(conversations: Iterator[Conversation], limit: int | None) -> Iterator[Conversation]:
    """The first `limit` questions that are asked, in file order; whole haystacks, as a smaller one is easier."""
    left = limit
    for conversation in conversations:
        if left is None:
            yield conversation
            continue
        kept: list[Question] = []
        for question in conversation.questions:
            if left <= 0:
                break
            kept.append(question)
            left -= question.skip is None
        if kept:
            yield Conversation(conversation.id, conversation.turns, tuple(kept))
        if left <= 0:
            return


def files_digest(files: list[Path]) -> str:
    """SHA-256 of one file (as published hashes are), or of the hashes of several; hex."""
    hashes = []
    for path in files:
        with path.open("rb") as file:
            hashes.append(hashlib.file_digest(file, "sha256").hexdigest())
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def load_json(path: Path) -> Any:
    """A JSON file; `DatasetError` when it is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DatasetError(f"{path}: {error}") from error


def load_jsonl(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON lines file."""
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DatasetError(f"{path}: {error}") from error


def stream_array(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a JSON list, one at a time: the largest published file (2.7 GB) need not fit in memory."""
    decoder = json.JSONDecoder()
    with path.open(encoding="utf-8") as file:
        text, position = file.read(_READ_CHARS).lstrip("\ufeff \t\r\n"), 1
        if not text.startswith("["):
            raise DatasetError(f"{path}: not a JSON list")
        while True:
            while position < len(text) and text[position] in " \t\r\n,":
                position += 1
            if text.startswith("]", position):
                return
            try:
                item, position = decoder.raw_decode(text, position)
            except json.JSONDecodeError as error:
                more = file.read(max(_READ_CHARS, len(text) - position))  # doubling keeps a long object linear
                if not more:
                    raise DatasetError(f"{path}: the list ends early or is broken ({error})") from error
                text, position = text[position:] + more, 0
                continue
            if not isinstance(item, dict):
                raise DatasetError(f"{path}: an element is not an object")
            yield item

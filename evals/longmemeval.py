"""LongMemEval (Wu et al., 2025) in its official schema (oracle, S, M, cleaned or not), or our derived layout."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from evals import longmemeval_derived
from evals.corpus import (
    Conversation,
    DatasetError,
    Question,
    Role,
    Suite,
    Turn,
    files_digest,
    sessions_of,
    stream_array,
)
from evals.longmemeval_official import official_turn_id, parse_time

# SHA-256 of published files, so that a report can say what exactly was run.
PUBLISHED = {
    "d6f21ea9d60a0d56f34a05b609c79c88a451d2ae03597821ea3d5a9678c3a442": "LongMemEval-S cleaned, as published",
    "821a2034d219ab45846873dd14c14f12cfe7776e73527a483f9dac095d38620c": "LongMemEval oracle, as published",
}
ABSTENTION = "_abs"


def load(data: Path) -> Suite:
    """A published file, a folder of such files, or a folder in the derived layout."""
    if data.is_dir() and longmemeval_derived.is_derived(data):
        return longmemeval_derived.load(data)
    files = [data] if data.is_file() else sorted(data.glob("*.json"))
    if not files:
        raise DatasetError(f"{data}: no *.json file")
    digest = files_digest(files)

    def iterate() -> Iterator[Conversation]:
        seen: Counter[str] = Counter()
        for path in files:
            for raw in stream_array(path):
                conversation = read_instance(raw)
                seen[conversation.id] += 1
                again = seen[conversation.id]
                yield conversation if again == 1 else _renamed(conversation, f"{conversation.id}.{again}")

    label = PUBLISHED.get(digest, "LongMemEval schema, file not recognised")
    note = (
        "One space per instance, all turns ingested. `official.*` ranks user turns alone, as the published scoring "
        "does; `turn.*` and `session.*` rank every turn."
    )
    return Suite("longmemeval", label, digest, (note,), 200, official=True, conversations=iterate)


def read_instance(raw: dict[str, Any]) -> Conversation:
    """One instance: its haystack and its one question.

    Gold turns are all that carry `has_answer`, gold sessions those of `answer_session_ids` and of the gold turns.
    """
    try:
        question_id, sessions = str(raw["question_id"]), raw["haystack_sessions"]
        text, kind = str(raw["question"]), str(raw["question_type"])
    except KeyError as error:
        raise DatasetError(f"an instance has no {error}: not LongMemEval's schema") from None
    dates = raw.get("haystack_dates") or [None] * len(sessions)
    session_ids = [str(name) for name in raw.get("haystack_session_ids") or _numbered(len(sessions))]
    if not len(dates) == len(session_ids) == len(sessions):
        raise DatasetError(f"{question_id}: ids, dates and sessions of the haystack differ in number")
    turns: list[Turn] = []
    gold: list[str] = []
    named: list[str] = []
    for session, session_id, messages, date in zip(_unique(session_ids), session_ids, sessions, dates, strict=True):
        timestamp = parse_time(date) if date else None
        if session_id in set(raw.get("answer_session_ids") or ()):
            named.append(session)
        for number, message in enumerate(messages, start=1):
            turn = _turn(message, session, session_id, number, timestamp)
            if message.get("has_answer"):
                gold.append(turn.id)
            turns.append(turn)
    abstains = ABSTENTION in question_id
    gold_sessions = tuple(dict.fromkeys([*named, *sessions_of(tuple(turns), tuple(gold))]))
    question = Question(
        id=question_id,
        text=text,
        type=kind,
        gold_turns=tuple(gold),
        gold_sessions=gold_sessions,
        now=parse_time(raw["question_date"]) if raw.get("question_date") else None,
        skip="abstention" if abstains else None if gold_sessions else "no evidence",
    )
    return Conversation(question_id, tuple(turns), (question,))


def _turn(message: dict[str, Any], session: str, session_id: str, number: int, timestamp: datetime | None) -> Turn:
    role: Role = "assistant" if message["role"] == "assistant" else "user"
    official = official_turn_id(session_id, number, has_answer=bool(message.get("has_answer")))
    return Turn(
        id=f"{session}_{number}",
        session=session,
        role=role,
        content=str(message["content"]),
        timestamp=timestamp,
        official_id=official if role == "user" else None,
    )


def _unique(names: list[str]) -> list[str]:
    """Session names; one that a haystack holds twice is numbered, so that turns keep ids of their own."""
    seen: Counter[str] = Counter()
    unique = []
    for name in names:
        seen[name] += 1
        unique.append(name if seen[name] == 1 else f"{name}.{seen[name]}")
    return unique


def _numbered(count: int) -> list[str]:
    return [f"session_{number}" for number in range(1, count + 1)]


def _renamed(conversation: Conversation, name: str) -> Conversation:
    return Conversation(name, conversation.turns, conversation.questions)

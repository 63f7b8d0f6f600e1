"""BEAM (Tavakoli et al., 2025): long chats with probing questions on ten abilities."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evals.corpus import Conversation, DatasetError, Question, Role, Suite, Turn, files_digest, load_json, sessions_of

# The generator's plan reference at the end of a user turn: "->-> 1,1", also "->-> N/A"; nothing follows it.
_PLAN_MARKER = re.compile(r"\s*->->[^\n]*\s*\Z")
_QUESTION_FILES = ("probing_questions.json", "probing_questions/probing_questions.json")


def load(data: Path) -> Suite:
    """Read one chat's folder, or every chat below a folder (`<n>/`, or the published `chats/100K/<n>/`)."""
    folders = sorted((path.parent for path in data.rglob("chat.json")), key=_natural)
    if not folders:
        raise DatasetError(f"{data}: no chat.json in it or below it")
    pairs = [(folder, _question_file(folder)) for folder in folders]

    def iterate() -> Iterator[Conversation]:
        for folder, questions in pairs:
            name = "-".join(folder.relative_to(data).parts) or folder.name
            yield read_chat(name, load_json(folder / "chat.json"), load_json(questions))

    files = [path for folder, questions in pairs for path in (folder / "chat.json", questions)]
    notes = ("The planning marker at the end of user turns is removed.",)
    return Suite("beam", "BEAM", files_digest(files), notes, 50, official=False, conversations=iterate)


def read_chat(name: str, chat: Any, probing: dict[str, list[dict[str, Any]]]) -> Conversation:
    """One chat; each batch is a session, dated by its time anchor."""
    turns = tuple(_turns(chat))
    known = {turn.id for turn in turns}
    ends = max((turn.timestamp for turn in turns if turn.timestamp), default=None)
    questions: list[Question] = []
    for ability, entries in probing.items():
        for number, raw in enumerate(entries, start=1):
            named = tuple(dict.fromkeys(map(str, source_ids(raw.get("source_chat_ids")))))
            gold = tuple(turn_id for turn_id in named if turn_id in known)
            nothing = "abstention" if ability == "abstention" else "no evidence"
            questions.append(
                Question(
                    id=f"{name}/{ability}/{number}",
                    text=str(raw["question"]),
                    type=ability,
                    gold_turns=gold,
                    gold_sessions=sessions_of(turns, gold),
                    now=ends,
                    skip=None if gold else nothing,
                    dropped=len(named) - len(gold),
                )
            )
    return Conversation(name, turns, tuple(questions))


def source_ids(value: object) -> Iterator[int]:
    """Turn ids in a label of any shape: a number, text with numbers, or a list or dict of either, at any depth."""
    if isinstance(value, bool) or value is None:
        return
    if isinstance(value, int):
        yield value
    elif isinstance(value, str):
        yield from map(int, re.findall(r"\d+", value))
    elif isinstance(value, dict):
        for part in value.values():
            yield from source_ids(part)
    elif isinstance(value, list):
        for part in value:
            yield from source_ids(part)


def strip_marker(content: str) -> str:
    """A user turn as the user would have sent it."""
    return _PLAN_MARKER.sub("", content)


def parse_anchor(text: str) -> datetime:
    """ "March-15-2024": midnight UTC, as the data names neither hour nor zone."""
    return datetime.strptime(text.strip(), "%B-%d-%Y").replace(tzinfo=UTC)


def _turns(chat: Any) -> Iterator[Turn]:
    for number, batch in enumerate(_batches(chat), start=1):
        messages = [message for group in batch["turns"] for message in (group if isinstance(group, list) else [group])]
        anchors = [batch.get("time_anchor"), *(message.get("time_anchor") for message in messages)]
        anchor = next((text for text in anchors if text), None)
        timestamp = parse_anchor(anchor) if anchor else None
        for message in messages:
            role: Role = "assistant" if message["role"] == "assistant" else "user"
            content = str(message["content"])
            yield Turn(
                id=str(message["id"]),
                session=f"batch_{number}",
                role=role,
                content=strip_marker(content) if role == "user" else content,
                timestamp=timestamp,
            )


def _batches(node: Any) -> Iterator[dict[str, Any]]:
    """Batches in order; the longest chats wrap theirs in one object per plan."""
    if isinstance(node, dict):
        if "turns" in node:
            yield node
        else:
            for part in node.values():
                yield from _batches(part)
    elif isinstance(node, list):
        for part in node:
            yield from _batches(part)


def _question_file(folder: Path) -> Path:
    for name in _QUESTION_FILES:
        if (folder / name).is_file():
            return folder / name
    raise DatasetError(f"{folder}: chat.json has no probing_questions.json beside it")


def _natural(path: Path) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in path.parts]

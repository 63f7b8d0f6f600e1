"""Letta: archival passages, memory blocks, messages, and agent files (.af) in both of their versions.

A passage has `id`, `text`, `created_at`, `metadata` (`metadata_`), `tags`, `archive_id`; a block `label` and `value`; a
message of the API `message_type`, `date`, `content`; one of an agent file `role`, `content`, `tool_calls`,
`created_at`. Ids in agent files are numbers within the file. Sources: docs.letta.com, API reference of passages and
guide "Message types"; letta/schemas/agent_file.py and message.py of github.com/letta-ai/letta; the files of
github.com/letta-ai/agent-file.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

import orjson

from memsvc.importers.draft import Draft
from memsvc.importers.model import (
    DELETED,
    FILE,
    IMAGE,
    NO_TEXT,
    REASONING,
    SYSTEM,
    TOOL,
    UNKNOWN,
    Outcome,
    Role,
    Skipped,
)
from memsvc.importers.record import Record, instant, malformed, records_of, sample

# Agent files number what they hold: `message-7` is another message in the next file.
FILE_ID: Final = re.compile(r"[a-z_]+-\d{1,9}")
SPEAKING_TOOL: Final = "send_message"  # older agents speak through this tool, with the argument `message`
ROLES: Final[Mapping[str, Role]] = {"user": "user", "assistant": "assistant"}
MESSAGE_TYPES: Final[Mapping[str, Role]] = {"user_message": "user", "assistant_message": "assistant"}
SKIPPED_TYPES: Final[Mapping[str, str]] = {
    "system": SYSTEM,
    "system_message": SYSTEM,
    "event_message": SYSTEM,
    "reasoning_message": REASONING,
    "hidden_reasoning_message": REASONING,
    "tool": TOOL,
    "approval": TOOL,
    "tool_call_message": TOOL,
    "tool_return_message": TOOL,
    "approval_request_message": TOOL,
    "approval_response_message": TOOL,
}
SKIPPED_PARTS: Final[Mapping[str, str]] = {
    "image": IMAGE,
    "reasoning": REASONING,
    "redacted_reasoning": REASONING,
    "omitted_reasoning": REASONING,
    "summarized_reasoning": REASONING,
    "tool_call": TOOL,
    "tool_return": TOOL,
}


def matches(document: object) -> bool:
    """Whether it looks like a file of Letta."""
    if isinstance(document, dict) and (
        isinstance(document.get("agents"), list) or isinstance(document.get("core_memory"), list)
    ):
        return True
    return any(_is_known(entry) for entry in sample(document, "passages", "blocks", "messages"))


def read(document: object) -> Iterator[Outcome]:
    """Passages as facts, blocks as facts that name their label, messages as messages of their agent."""
    if not isinstance(document, dict):
        yield from _listed(list(records_of(document, "passages")), None)
        return
    around = Record("", document)
    if "agents" in document:
        for agent in around.records("agents"):
            yield from _agent_messages(agent)
        yield from (_block(block, None) for block in around.records("blocks"))
        yield from (_file(file) for file in around.records("files"))
    elif "core_memory" in document:
        yield from _agent_messages(around)
        yield from (_block(block, around.label("name")) for block in around.records("core_memory"))
    elif any(name in document for name in ("passages", "blocks", "messages")):
        agent_id = around.first_label("agent_id", "conversation_id")
        for name in ("passages", "blocks", "messages"):
            yield from _listed(list(around.records(name)), agent_id)
    else:
        raise malformed("passages", "is missing, and so are `agents`, `blocks` and `messages`")


def _is_known(entry: Mapping[str, object]) -> bool:
    passage = entry.get("passage")
    fields = passage if isinstance(passage, dict) else entry
    known_id = str(fields.get("id")).startswith("passage-")
    is_passage = isinstance(fields.get("text"), str) and (
        known_id or "archive_id" in fields or "embedding_config" in fields
    )
    return is_passage or "message_type" in entry or ("label" in entry and "value" in entry)


def _id(record: Record) -> str | None:
    """The id, unless it is one within the file alone."""
    label = record.label("id")
    return None if label is None or FILE_ID.fullmatch(label) else label


def _listed(records: list[Record], agent: str | None) -> Iterator[Outcome]:
    """Answers of the API: what each record is, its fields say. Messages are put in the order of time."""
    messages: list[tuple[str, Record]] = []
    for record in records:
        if "message_type" in record.fields:
            messages.append((record.first_time("date", "created_at") or "", record))
        elif "label" in record.fields and "value" in record.fields:
            yield _block(record, agent)
        else:
            yield _passage(record.record("passage") or record, agent)
    # The API lists the newest first unless it is asked otherwise.
    for time, record in sorted(messages, key=lambda pair: instant(pair[0] or "0001-01-01")):
        yield from _typed_message(record, time or None, agent)


def _passage(record: Record, agent: str | None) -> Outcome:
    if "text" not in record.fields:
        raise malformed(record.at("text"), "is missing")
    if record.fields.get("is_deleted") is True:
        return Skipped(DELETED)
    own = record.record("metadata") or record.record("metadata_")
    return Draft(
        source="letta",
        source_id=record.label("id"),
        content=record.text("text"),
        kind="fact" if record.label("file_id") is None else "document",
        name=record.label("file_name"),
        timestamp=record.time("created_at"),
        own={} if own is None else own.fields,
        extra={
            "tags": record.strings("tags"),
            "archive_id": record.label("archive_id"),
            "agent_id": record.label("agent_id") or agent,
            "file_id": record.label("file_id"),
            "folder_id": record.first_label("folder_id", "source_id"),
        },
    ).finish()


def _block(record: Record, agent: str | None) -> Outcome:
    own = record.record("metadata") or record.record("metadata_")
    return Draft(
        source="letta",
        source_id=_id(record),
        content=record.text("value"),
        kind="fact",
        name=record.label("label"),
        own={} if own is None else own.fields,
        extra={"description": record.text("description"), "agent": agent},
    ).finish()


def _file(record: Record) -> Outcome:
    if record.text("content") is None:
        return Skipped(FILE)
    return Draft(
        source="letta",
        source_id=_id(record),
        content=record.text("content"),
        kind="document",
        name=record.first_label("original_file_name", "file_name"),
        timestamp=record.time("file_creation_date"),
    ).finish()


def _agent_messages(agent: Record) -> Iterator[Outcome]:
    # Every agent file calls its agent `agent-0`: the name tells them apart.
    session = agent.first_label("name", "id")
    for message in agent.records("messages"):
        role = (message.label("role") or "").lower()
        if role in SKIPPED_TYPES:
            yield Skipped(SKIPPED_TYPES[role])
        elif role not in ROLES:
            raise malformed(message.at("role"), "is not a role of Letta")
        else:
            texts, skipped = _parts(message)
            texts += _spoken(message)
            yield from skipped
            time = message.time("created_at")
            yield from _message(message, ROLES[role], texts, time=time, session=session, alone=not skipped)


def _typed_message(message: Record, time: str | None, agent: str | None) -> Iterator[Outcome]:
    kind = message.label("message_type") or ""
    if kind in SKIPPED_TYPES:
        yield Skipped(SKIPPED_TYPES[kind])
    elif kind == "summary_message":
        yield Draft(
            source="letta",
            source_id=message.label("id"),
            content=message.text("summary"),
            kind="summary",
            timestamp=time,
        ).finish()
    elif kind in MESSAGE_TYPES:
        session = message.first_label("conversation_id", "agent_id") or agent
        texts, skipped = _parts(message)
        yield from skipped
        yield from _message(message, MESSAGE_TYPES[kind], texts, time=time, session=session, alone=not skipped)
    else:
        yield Skipped(UNKNOWN)


def _message(
    message: Record, role: Role, texts: list[str], *, time: str | None, session: str | None, alone: bool
) -> Iterator[Outcome]:
    """The message; `alone` when nothing of it was counted yet, so that it is counted once."""
    text = "\n".join(texts)
    unpacked = _unpacked(text) if role == "user" else text
    if unpacked is None:
        yield Skipped(SYSTEM)
    elif unpacked.strip():
        yield Draft(
            source="letta",
            source_id=_id(message),
            content=unpacked,
            role=role,
            name=message.label("name"),
            session=session,
            timestamp=time,
            extra={"sender_id": message.label("sender_id"), "model": message.label("model")},
        ).finish()
    elif alone:
        yield Skipped(TOOL if message.fields.get("tool_calls") else NO_TEXT)


def _parts(message: Record) -> tuple[list[str], list[Skipped]]:
    content = message.fields.get("content")
    if content is None or isinstance(content, str):
        text = message.text("content")
        return ([] if text is None else [text]), []
    texts: list[str] = []
    skipped: list[Skipped] = []
    for part in message.records("content"):
        kind = part.label("type")
        if kind == "text":
            text = part.text("text")
            texts += [] if text is None else [text]
        else:
            skipped.append(Skipped(SKIPPED_PARTS.get(kind or "", UNKNOWN)))
    return texts, skipped


def _spoken(message: Record) -> list[str]:
    texts: list[str] = []
    for call in message.records("tool_calls"):
        function = call.record("function")
        if function is None or function.label("name") != SPEAKING_TOOL:
            continue
        said = _object(function.text("arguments") or "").get("message")
        texts += [said] if isinstance(said, str) and said.strip() else []
    return texts


def _unpacked(text: str) -> str | None:
    """What the person wrote: older servers wrap it as JSON with a `type`. None for a login or another event."""
    packed = _object(text)
    kind = packed.get("type")
    if not isinstance(kind, str) or "time" not in packed:
        return text
    said = packed.get("message")
    return said if kind == "user_message" and isinstance(said, str) else None


def _object(text: str) -> Mapping[str, object]:
    if not text.lstrip().startswith("{"):
        return {}
    try:
        value = orjson.loads(text.encode(errors="replace"))
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}

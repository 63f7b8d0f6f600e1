"""Graphiti and Zep: episodes of a graph, and messages of a Zep session or thread.

An episode has `uuid`, `name`, `content` (`episode_body` when it is added), `source` (message, json or text),
`source_description`, `group_id`, `created_at`, `valid_at`. Zep's messages have `role` and, in version 2, `role_type`.
Sources: `EpisodicNode` in graphiti_core/nodes.py and `Message` in server/graph_service/dto/common.py of
github.com/getzep/graphiti; help.getzep.com, SDK reference, "Get graph episodes", "Get messages for session" (v2), "Get
messages of a thread" (v3) and "Get message" (v4).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from memsvc.importers.draft import Draft, json_text
from memsvc.importers.model import Outcome, Role
from memsvc.importers.record import Record, instant, malformed, records_of, sample

LISTS: Final = ("episodes", "messages")
SESSION_KEYS: Final = ("thread_id", "thread_uuid", "session_id", "group_id", "graph_id")
KEPT: Final = ("source_description", "document_id", "group_id", "thread_id", "session_id")
ROLES: Final[Mapping[str, Role]] = {
    "user": "user",
    "human": "user",
    "norole": "user",
    "assistant": "assistant",
    "ai": "assistant",
    "system": "system",
    "tool": "tool",
    "function": "tool",
}
# Graphiti's server writes `Ana(user): ...`, one message an episode; callers write `user: ...`, often several.
_SERVER = re.compile(r"(?P<name>[^\n:()]{0,100})\((?P<role>user|assistant|system)\): ?")
_TURN = re.compile(r"^(?P<role>user|human|assistant|ai|system|tool):[ \t]*", re.IGNORECASE | re.MULTILINE)
_SPEAKER = re.compile(r"^(?P<name>[^\n:]{1,60}):[ \t]+", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Turn:
    role: Role
    name: str | None
    content: str


def matches(document: object) -> bool:
    """Whether it looks like episodes or like messages of Zep."""
    told = {"valid_at", "reference_time", "source_description", "episode_body", "role_type", "processed", "group_id"}
    for entry in sample(document, *LISTS):
        said = "content" in entry or "episode_body" in entry
        if said and (told & entry.keys() or ("uuid" in entry and ("role" in entry or "source" in entry))):
            return True
    return False


def read(document: object) -> Iterator[Outcome]:
    """Messages as messages of their group, thread or session; other episodes as documents."""
    if not isinstance(document, dict):
        for record in records_of(document, LISTS[0]):
            yield from _episode(record, None)
        return
    around = Record("", document)
    if not any(name in document for name in LISTS):
        raise malformed(LISTS[0], "is missing; the episodes are expected there")
    session = around.first_label(*SESSION_KEYS)
    for name in LISTS:
        for record in around.records(name):
            yield from _episode(record, session)


def _episode(record: Record, session: str | None) -> Iterator[Outcome]:
    content = _content(record)
    source = (record.label("source") or "").rpartition(".")[2]
    turns = _turns(record, source, content)
    uuid, title = record.label("uuid"), record.label("name")
    extra: dict[str, object] = {key: record.fields.get(key) for key in KEPT}
    extra |= {"valid_at": record.first_time("valid_at", "reference_time"), "created_at": record.time("created_at")}
    if turns is None:
        yield Draft(
            source="graphiti",
            source_id=uuid,
            content=content,
            kind="document",
            name=title,
            timestamp=record.first_time("valid_at", "reference_time", "timestamp", "created_at"),
            own=_own(record),
            extra=extra | {"episode_source": source or None},
        ).finish()
        return
    for number, turn in enumerate(turns):
        part = None if len(turns) == 1 else number
        yield Draft(
            source="graphiti",
            source_id=uuid if part is None or uuid is None else f"{uuid}#{part}",
            content=turn.content,
            role=turn.role,
            name=turn.name,
            session=record.first_label(*SESSION_KEYS) or session,
            timestamp=_said_at(record),
            own=_own(record),
            extra=extra | {"title": None if title == turn.name else title},
        ).finish()


def _content(record: Record) -> str | None:
    value = record.fields.get("content", record.fields.get("episode_body"))
    if isinstance(value, dict | list) and value:
        return json_text(value)
    return record.text("content") or record.text("episode_body")


def _own(record: Record) -> Mapping[str, object]:
    own = record.record("metadata")
    return {} if own is None else own.fields


def _said_at(record: Record) -> str | None:
    """When a message was said: the time it is about, but not later than it was stored.

    A reference time may lie ahead, for a plan; a message of the future would be refused.
    """
    about = record.first_time("valid_at", "reference_time", "timestamp")
    stored = record.time("created_at")
    if about is None or stored is None:
        return about or stored
    return about if instant(about) <= instant(stored) else stored


def _turns(record: Record, source: str, content: str | None) -> list[_Turn] | None:
    """The messages in it, or None for an episode that is not one. Who spoke is a field, or is written in the text."""
    typed = ROLES.get((record.label("role_type") or "").lower())
    if typed is not None:
        return [_Turn(typed, record.label("role"), content or "")]
    role = ROLES.get((record.label("role") or "").lower())
    if role is not None:
        return [_Turn(role, record.label("name"), content or "")]
    if source != "message" or content is None:
        return None
    server = _SERVER.match(content)
    if server is not None:
        name = server["name"].strip() or None
        return [_Turn(ROLES[server["role"]], name, content[server.end() :])]
    starts = list(_TURN.finditer(content))
    if starts and starts[0].start() == 0:
        ends = [start.start() for start in starts[1:]] + [len(content)]
        pieces = zip(starts, ends, strict=True)
        return [_Turn(ROLES[each["role"].lower()], None, content[each.end() : end].strip()) for each, end in pieces]
    speakers = list(_SPEAKER.finditer(content))
    if len(speakers) == 1 and speakers[0].start() == 0:
        return [_Turn("user", speakers[0]["name"].strip() or None, content[speakers[0].end() :])]
    return [_Turn("user", None, content)]

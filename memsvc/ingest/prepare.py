"""From a request to records: every field checked, times in UTC, identities computed. Pure; the clock is given."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson
from pydantic import JsonValue

from memsvc.errors import FieldError, InvalidRequestError
from memsvc.ids import MemoryId, new_uuid
from memsvc.ingest.validity import Precision, parse_interval
from memsvc.wire import MessageIn, TextIn, WriteRequest

UTC_ZONE = ZoneInfo("UTC")
# JSON numbers come back from Postgres digit by digit: one of 10^100 as an integer that no client can read.
LARGEST_NUMBER = 2**63
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to remember, valid, not yet placed in its session."""

    path: str
    id: MemoryId
    id_given: bool
    kind: str
    role: str | None
    name: str | None
    session: str | None
    position: int | None
    content: str
    content_hash: bytes
    fingerprint: bytes
    occurred_at: datetime | None
    occurred_zone: str | None
    importance: float
    sensitivity: str
    expires_at: datetime | None
    metadata: dict[str, JsonValue]
    visibility: str
    valid_from: tuple[datetime, Precision] | None
    valid_to: tuple[datetime, Precision] | None
    derived_from: tuple[MemoryId, ...]
    supersedes: tuple[MemoryId, ...]


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one request may hold."""

    max_items: int
    max_content_bytes: int
    max_future: timedelta


def prepare(request: WriteRequest, *, limits: Limits, now: datetime) -> list[Item]:
    """Check a request; every fault found is reported at once in one `InvalidRequestError`."""
    faults: list[FieldError] = []
    count = len(request.messages) + len(request.texts)
    if not 1 <= count <= limits.max_items:
        faults.append(
            FieldError(
                "messages",
                f"the request holds {count} items",
                f"Send 1 to {limits.max_items} messages and texts in one request.",
            )
        )
    zone = find_zone(request.timezone, "timezone", faults)
    items = [_prepare_item(path, item, request, zone, limits, now, faults) for path, item in _paths(request)]
    if faults:
        raise InvalidRequestError(f"{len(faults)} field(s) cannot be used", fields=tuple(faults))
    _refuse_repeated_ids(items)
    return items


def check_text(path: str, text: str, faults: list[FieldError], *, max_bytes: int | None = None) -> None:
    """Text that Postgres cannot hold, or that says nothing, is refused rather than altered."""
    if not text.strip():
        faults.append(FieldError(path, "is empty", "Send at least one character that is not white space."))
    if "\x00" in text:
        faults.append(FieldError(path, "holds a NUL character", "Remove U+0000; text storage cannot keep it."))
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        faults.append(
            FieldError(path, "holds a lone surrogate", "Send valid Unicode: pair or remove U+D800 to U+DFFF.")
        )
        return
    if max_bytes is not None and size > max_bytes:
        faults.append(FieldError(path, f"has {size} bytes", f"Send at most {max_bytes} bytes; split it into several."))


def find_zone(name: str, path: str, faults: list[FieldError]) -> ZoneInfo:
    """The IANA zone of that name; a fault and UTC when there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        faults.append(FieldError(path, f"{name!r} is no time zone", "Use an IANA name such as Europe/Paris, or UTC."))
        return ZoneInfo("UTC")


def to_utc(moment: datetime, zone: ZoneInfo) -> datetime:
    """In UTC; a moment without an offset is read in `zone`."""
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)).astimezone(UTC)


def request_hash(request: WriteRequest) -> bytes:
    """SHA-256 of what was asked, to tell a retry from another request with the same Idempotency-Key."""
    return hashlib.sha256(request.model_dump_json().encode()).digest()


def content_hash(content: str) -> bytes:
    """SHA-256 of the content's UTF-8 bytes."""
    return hashlib.sha256(content.encode()).digest()


def _paths(request: WriteRequest) -> Iterator[tuple[str, MessageIn | TextIn]]:
    for index, message in enumerate(request.messages):
        yield f"messages[{index}]", message
    for index, text in enumerate(request.texts):
        yield f"texts[{index}]", text


def _prepare_item(
    path: str,
    item: MessageIn | TextIn,
    request: WriteRequest,
    zone: ZoneInfo,
    limits: Limits,
    now: datetime,
    faults: list[FieldError],
) -> Item:
    before = len(faults)
    check_text(f"{path}.content", item.content, faults, max_bytes=limits.max_content_bytes)
    check_metadata(f"{path}.metadata", item.metadata, faults)
    occurred_at = _occurred(path, item, zone, limits, now, faults)
    expires_at = None if item.expires_at is None else to_utc(item.expires_at, zone)
    if expires_at is not None and expires_at <= now:
        faults.append(FieldError(f"{path}.expires_at", "has passed", "Send a moment in the future, or leave it out."))
    valid_from, valid_to = parse_interval(item.valid_from, item.valid_to, zone, path=path, faults=faults)
    is_message = isinstance(item, MessageIn)
    kind = "turn" if isinstance(item, MessageIn) else item.kind
    role = item.role if isinstance(item, MessageIn) else None
    session = (item.session or request.session) if is_message else item.session
    position = item.position if isinstance(item, MessageIn) else None
    if position is not None and session is None:
        faults.append(FieldError(f"{path}.position", "has no session", "Give the message or the request a `session`."))
    hashed = content_hash(item.content) if len(faults) == before else b""
    identity = [kind, role, item.name, session, None if item.timestamp is None else occurred_at, hashed.hex()]
    return Item(
        path=path,
        id=MemoryId(item.id or new_uuid()),
        id_given=item.id is not None,
        kind=kind,
        role=role,
        name=item.name,
        session=session,
        position=position,
        content=item.content,
        content_hash=hashed,
        fingerprint=hashlib.sha256(orjson.dumps(identity)).digest()[:16],
        occurred_at=occurred_at,
        occurred_zone=_zone_name(item, zone),
        importance=item.importance,
        sensitivity=item.sensitivity,
        expires_at=expires_at,
        metadata=dict(item.metadata),
        visibility=item.visibility,
        valid_from=valid_from,
        valid_to=valid_to,
        derived_from=tuple(MemoryId(source) for source in dict.fromkeys(item.derived_from)),
        supersedes=tuple(MemoryId(old) for old in dict.fromkeys(item.supersedes)),
    )


def _occurred(
    path: str, item: MessageIn | TextIn, zone: ZoneInfo, limits: Limits, now: datetime, faults: list[FieldError]
) -> datetime | None:
    """A message without a timestamp was said now; a text without one has no time of its own."""
    if item.timestamp is None:
        return now if isinstance(item, MessageIn) else None
    try:
        occurred_at = to_utc(item.timestamp, zone)
    except OverflowError:
        faults.append(FieldError(f"{path}.timestamp", "is out of range", "Send a year from 1 to 9999."))
        return None
    if isinstance(item, MessageIn) and occurred_at > now + limits.max_future:
        faults.append(
            FieldError(
                f"{path}.timestamp",
                "is in the future",
                "Correct the clock or the zone. A plan for the future is a text with a `timestamp`, not a message.",
            )
        )
    return occurred_at


def _zone_name(item: MessageIn | TextIn, zone: ZoneInfo) -> str | None:
    if item.timestamp is None:
        return None
    if item.timestamp.tzinfo is None:
        return zone.key
    # The caller's wall clock stays known: "+02:00" tells more than the UTC instant.
    return item.timestamp.isoformat()[-6:] if item.timestamp.utcoffset() else "UTC"


def check_metadata(path: str, metadata: Mapping[str, JsonValue], faults: list[FieldError]) -> None:
    """Values that Postgres cannot keep, or would give back as others, are refused."""
    waiting: list[JsonValue] = [dict(metadata)]
    problem = None
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += [*value, *value.values()]
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, str) and ("\x00" in value or _SURROGATE.search(value)):
            problem = "holds text that cannot be stored", "Remove NUL and lone surrogates."
        elif isinstance(value, int | float) and not abs(value) < LARGEST_NUMBER:
            problem = "holds a number that is out of range", "Send a number below 2^63, or as a string."
    if problem is not None:
        faults.append(FieldError(path, *problem))


def _refuse_repeated_ids(items: Sequence[Item]) -> None:
    seen: dict[UUID, str] = {}
    for item in items:
        if item.id_given and item.id in seen:
            raise InvalidRequestError(
                "two items have one id",
                fields=(
                    FieldError(f"{item.path}.id", f"is also the id of {seen[item.id]}", "Give each item its own."),
                ),
            )
        seen[item.id] = item.path

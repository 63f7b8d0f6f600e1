"""From what was read to the facts that it states, ready to be compared and stored. Pure but for its use of a model."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson

from memsvc.extraction.facts import extract
from memsvc.extraction.model import Fact, Said
from memsvc.extraction.replies import ANSWERS, reply
from memsvc.ids import MemoryId, SessionId
from memsvc.store.learning import Known, Read
from memsvc.upkeep.updating import Claim

RULES = "rules:1"
# Turns before a turn that it is read with.
REACH = 3
# What a text of these kinds tells is a fact already, and is compared with the others as it stands.
TOLD_KINDS = frozenset({"fact", "preference", "procedure"})
KINDS: Mapping[str, str] = {"preference": "preference", "procedure": "procedure"}


@dataclass(frozen=True, slots=True)
class Draft:
    """A fact found in a memory. `own`: the memory is that fact itself, written by somebody.

    `asked`: the turn that holds the question which it quotes.
    """

    id: MemoryId
    source: Read
    fact: Fact
    extractor: str
    own: bool
    asked: MemoryId | None = None

    @property
    def fingerprint(self) -> bytes:
        """Equal for facts that say the same of the same: sixteen bytes."""
        said = [self.fact.subject, self.fact.attribute, self.fact.value, self.fact.negated]
        return hashlib.sha256(orjson.dumps(["extracted", *said])).digest()[:16]

    @property
    def kind(self) -> str:
        """The kind of memory that it becomes."""
        return KINDS.get(self.fact.kind, "fact")

    @property
    def claim(self) -> Claim:
        """What is compared with other facts."""
        return Claim(
            subject=self.fact.subject,
            attribute=self.fact.attribute,
            value=self.fact.value,
            negated=self.fact.negated,
            confidence=self.fact.confidence,
            said_at=self.source.occurred_at or self.source.recorded_at,
            session=self.source.session_id,
            number=self.source.number,
            speaker=self.source.name or self.source.role,
        )

    @property
    def metadata(self) -> dict[str, Any]:
        """What a reader may want to know beside the text."""
        source = {"id": str(self.source.id), "start": self.fact.start, "end": self.fact.end}
        kind = "answer" if self.fact.attribute == ANSWERS else self.fact.kind
        found: dict[str, Any] = {"type": kind, "source": source, "extractor": self.extractor}
        if self.fact.entities:
            found["entities"] = list(self.fact.entities)
        if (when := self.fact.when) is not None:
            found["when"] = {
                "first": when.first.isoformat(),
                "end": when.end.isoformat(),
                "precision": when.precision,
            }
        return found


def claim_of(known: Known) -> Claim:
    """What a fact that is there claims."""
    return Claim(
        subject=known.subject,
        attribute=known.attribute,
        value=known.value,
        negated=known.negated,
        confidence=known.confidence,
        said_at=known.said_at,
        session=known.session_id,
        number=known.said_number,
        speaker=known.speaker,
    )


@dataclass(frozen=True, slots=True)
class Heard:
    """A memory to learn from, as extraction reads it, with what was said before it."""

    read: Read
    said: Said
    before: tuple[Said, ...]
    asked: MemoryId | None

    @property
    def own(self) -> bool:
        """It is a fact itself, not a turn that may state some."""
        return self.read.kind != "turn"


def listen(wanted: Sequence[Read], context: Sequence[Read]) -> list[Heard]:
    """Each memory with the turns before it in its session; what is private to another is no context."""
    everything = {read.id: read for read in (*context, *wanted)}.values()
    placed = {(read.session_id, read.position): read for read in everything if read.session_id is not None}
    names: dict[object, Counter[str]] = {}
    for read in everything:
        if read.session_id is not None and read.name:
            names.setdefault(read.session_id, Counter())[read.name] += 1
    found = []
    for read in wanted:
        before = _before(read, placed)
        said = tuple(as_said(one, names) for one in before)
        found.append(Heard(read, as_said(read, names), said, before[-1].id if before else None))
    return found


def _before(read: Read, placed: Mapping[tuple[SessionId, int | None], Read]) -> list[Read]:
    if read.session_id is None or read.position is None:
        return []
    found = (placed.get((read.session_id, read.position - offset)) for offset in range(REACH, 0, -1))
    return [
        one
        for one in found
        if one is not None
        and one.current
        and (one.visibility != "private" or one.principal_id == read.principal_id)
        and (one.sensitivity != "sensitive" or read.sensitivity == "sensitive")
    ]


def as_said(read: Read, names: Mapping[object, Counter[str]]) -> Said:
    """As extraction reads it; the listener is who else speaks in the session, if that is clear."""
    others = [name for name, _ in names.get(read.session_id, Counter()).most_common() if name != read.name]
    at = read.occurred_at or (read.recorded_at if read.kind == "turn" else None)
    return Said(
        content=read.content,
        speaker=read.name,
        role=read.role,
        listener=others[0] if len(others) == 1 else None,
        at=None if at is None else at.astimezone(read_zone(read.occurred_zone)),
    )


def read_zone(name: str | None) -> tzinfo:
    """The zone that a memory keeps: an IANA name, or an offset such as +02:00; UTC when there is none."""
    if name is None:
        return UTC
    if name[:1] in "+-":
        offset = datetime.strptime(name, "%z").utcoffset() or timedelta(0)
        return timezone(offset)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def facts_of(heard: Heard) -> list[Fact]:
    """What a turn states, by rules; of a text that is a fact, what that one says."""
    return extract(heard.said)[:1] if heard.own else extract(heard.said, heard.before)


def replies_of(heard: Heard) -> list[Fact]:
    """What a turn answers."""
    answer = None if heard.own else reply(heard.said, heard.before)
    return [] if answer is None else [answer]

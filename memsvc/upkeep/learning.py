"""From what was read to the facts that it states, ready to be compared and stored. Pure but for its use of a model."""

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson

from memsvc.extraction.echoes import only_restates
from memsvc.extraction.facts import extract
from memsvc.extraction.model import Fact, Said
from memsvc.extraction.replies import ANSWERS, reply
from memsvc.extraction.values import clean
from memsvc.extraction.wording import goes_on, read_wording
from memsvc.ids import MemoryId, SessionId
from memsvc.store.learning import Known, Read, Wanted
from memsvc.upkeep.updating import Claim

RULES = "rules:2"
# How a subject ends that is not alone, and the attribute of what only says that something changed.
OTHERS = " and others"
CHANGED = "changed"
# Turns before a turn that it is read with.
REACH = 3
# What a text of these kinds tells is a fact already, and is compared with the others as it stands.
TOLD_KINDS = frozenset({"fact", "preference", "procedure"})
KINDS: Mapping[str, str] = {"preference": "preference", "procedure": "procedure"}


@dataclass(frozen=True)
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
        return _fingerprint(self.fact)

    @property
    def kind(self) -> str:
        """The kind of memory that it becomes."""
        return KINDS.get(self.fact.kind, "fact")

    @property
    def said_at(self) -> datetime:
        """When it was said, as far as is known."""
        return self.source.occurred_at or self.source.recorded_at

    @property
    def speaker(self) -> str | None:
        """Who said it: a name, or a role where only that is known."""
        return self.source.name or self.source.role

    @cached_property
    def claim(self) -> Claim:
        """What is compared with other facts, with all that the words say."""
        words = self.source.content[self.fact.start : self.fact.end]
        speaker = self.source.name or f"the {self.source.role or 'speaker'}"
        return Claim(
            subject=alone(self.fact.subject),
            attribute=self.fact.attribute,
            value=self.fact.value,
            negated=self.fact.negated,
            confidence=self.fact.confidence,
            said_at=self.said_at,
            session=self.source.session_id,
            number=self.source.number,
            speaker=self.speaker,
            lasts=goes_on(self.fact.attribute, self.fact.text),
            wording=read_wording(words, speaker, meant=self.fact.kind == "decision"),
        )

    @property
    def matters(self) -> set[tuple[str, str]]:
        """The (subject, attribute) that it may bear on."""
        found = set(self.claim.wording.closed)
        if self.fact.attribute not in ("", ANSWERS, CHANGED):
            found.add((self.claim.subject, self.fact.attribute))
        return found | {(f"{subject}{OTHERS}", attribute) for subject, attribute in found}

    @property
    def over(self) -> set[tuple[str, str]]:
        """The (subject, value) that its words say are over, folded."""
        subjects = {self.claim.subject, *self.claim.wording.subjects}
        subjects |= {f"{subject}{OTHERS}" for subject in subjects}
        return {(subject, clean(value)) for subject in subjects for value in self.claim.wording.ended}

    @property
    def echoed(self) -> bytes:
        """The fingerprint of what it would repeat, if an assistant only gives a user's words back."""
        subject = re.sub(r"^the assistant\b", "the user", self.fact.subject)
        return _fingerprint(replace(self.fact, subject=subject))

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


def wanted_by(drafts: Sequence[Draft]) -> Wanted:
    """What must be known to decide on these facts."""
    stating = [draft for draft in drafts if draft.fact.attribute != ANSWERS]
    fingerprints = {draft.fingerprint for draft in drafts}
    fingerprints |= {draft.echoed for draft in drafts if draft.source.role == "assistant"}
    return Wanted(
        matters=sorted({matter for draft in stating for matter in draft.matters}),
        fingerprints=sorted(fingerprints),
        over=sorted({one for draft in stating for one in draft.over}),
    )


def _fingerprint(fact: Fact) -> bytes:
    said = [fact.subject, fact.attribute, fact.value, fact.negated]
    return hashlib.sha256(orjson.dumps(["extracted", *said])).digest()[:16]


def alone(subject: str) -> str:
    """A subject without those who are with it: where "Ann and others" live, Ann does."""
    return subject.replace(OTHERS, "")


def claim_of(known: Known) -> Claim:
    """What a fact that is there claims."""
    return Claim(
        subject=alone(known.subject),
        attribute=known.attribute,
        value=known.value,
        negated=known.negated,
        confidence=known.confidence,
        said_at=known.said_at,
        session=known.session_id,
        number=known.said_number,
        speaker=known.speaker,
        lasts=goes_on(known.attribute, known.content),
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
    answer = None if heard.own or only_restates(heard.said.content) else reply(heard.said, heard.before)
    return [] if answer is None else [answer]

"""Core memory: labelled sections that every context begins with (after MemGPT's memory blocks).

A section is a memory of kind `core` whose name is its label, so that versions, undo, as-of, permission and erase are
those of any memory.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from memsvc.errors import FieldError, InvalidRequestError, NotFoundError, PreconditionFailedError
from memsvc.ids import MemoryId, new_uuid
from memsvc.inference.types import Embeddings
from memsvc.ingest.operations import record
from memsvc.ingest.prepare import content_hash
from memsvc.ingest.retention import retained_until
from memsvc.ingest.units import Units
from memsvc.ingest.write import Ingest, store_memories
from memsvc.lifecycle.change import cut_content, encode_units
from memsvc.lifecycle.states import check_editable, check_version
from memsvc.queue import enqueue
from memsvc.store import core, spaces, versions
from memsvc.store.access import When
from memsvc.store.database import WriteSession
from memsvc.store.keys import Caller
from memsvc.store.memories import Record
from memsvc.store.spaces import Space
from memsvc.store.writes import ChunkedContent, NewMemory
from memsvc.text.tokens import estimate_tokens
from memsvc.wire import Policies
from memsvc.wire.core import CoreEdit

TRIES = 5


@dataclass(frozen=True, slots=True)
class CoreOrder:
    """Edit one section. `version`: what it must still be (0: not there yet; None: any)."""

    caller: Caller
    space: str
    label: str
    edit: CoreEdit
    version: int | None
    now: datetime


async def edit_section(ingest: Ingest, order: CoreOrder) -> Record:
    """Apply an edit to a section, made when it is new; the earlier version stays in its history.

    `InvalidRequestError` when the text to replace does not occur exactly once, or the core memory would pass its
    bound; `PreconditionFailedError` when the section is not in the version that the caller has read.
    """
    for _ in range(TRIES):
        async with ingest.database.read(order.caller.tenant_id) as session:
            sections = await core.list_sections(session, order.space, caller=order.caller, when=When(order.now))
            limit = await core.token_limit(session, order.space)
        before = next((one for one in sections if one.name == order.label), None)
        _check_expected(order, before)
        text = apply_edit("" if before is None else before.content, order.edit)
        _check_bound(sections, order, text, Policies().core_tokens if limit is None else limit)
        units = await cut_content(ingest, text, order.label)
        embeddings = await encode_units(ingest, units)
        async with ingest.database.write(order.caller.tenant_id) as session:
            space = await spaces.lock_space(session, order.caller, order.space)
            now = await core.list_sections(session, order.space, caller=order.caller, when=When(order.now))
            if _versions(now) == _versions(sections):
                await _store(ingest, session, space, order, before, text, units, embeddings)
                found = await core.list_sections(session, order.space, caller=order.caller, when=When(order.now))
                return next(one for one in found if one.name == order.label)
    raise PreconditionFailedError(f"the core memory of {order.space} kept changing; nothing was written")


async def remove_section(
    ingest: Ingest, caller: Caller, space_name: str, label: str, *, version: int | None, now: datetime
) -> None:
    """Archive a section; undo brings it back."""
    async with ingest.database.write(caller.tenant_id) as session:
        space = await spaces.lock_space(session, caller, space_name)
        found = await core.list_sections(session, space_name, caller=caller, when=When(now))
        before = next((one for one in found if one.name == label), None)
        if before is None:
            raise NotFoundError(f"the core memory of {space_name} has no section {label!r}")
        check_version(before, version)
        check_editable(before)
        operation = await record(ingest.queue, session, space, "core", caller=caller, now=now)
        await versions.revise(session, operation, [before.id], {"state": "archived"})


def apply_edit(content: str, edit: CoreEdit) -> str:
    """The section's text after an edit. Pure."""
    faults: list[FieldError] = []
    if edit.mode != "replace" and not edit.text.strip():
        faults.append(FieldError("text", "is empty", "Send text, or DELETE the section."))
    if "\x00" in edit.text:
        faults.append(FieldError("text", "holds a NUL character", "Remove U+0000; text storage cannot keep it."))
    if edit.mode == "replace":
        count = content.count(edit.old) if edit.old else 0
        if count != 1:
            problem = f"occurs {count} times in the section" if edit.old else "is missing"
            faults.append(FieldError("old", problem, "Send a part of the section that occurs exactly once."))
    elif edit.old is not None:
        faults.append(FieldError("old", f"has no meaning with mode {edit.mode}", "Leave it out, or use mode replace."))
    if faults:
        raise InvalidRequestError(f"{len(faults)} field(s) cannot be used", fields=tuple(faults))
    if edit.mode == "rewrite":
        return edit.text
    if edit.mode == "append":
        return f"{content}\n{edit.text}" if content else edit.text
    replaced = content.replace(edit.old or "", edit.text)
    if not replaced.strip():
        fault = FieldError("text", "would leave nothing of the section", "DELETE the section instead.")
        raise InvalidRequestError("the section would be empty", fields=(fault,))
    return replaced


def _check_expected(order: CoreOrder, before: Record | None) -> None:
    if before is not None:
        check_version(before, order.version)
        check_editable(before)
    elif order.version:
        problem = f"there is no section {order.label!r}"
        fault = FieldError("If-Match", problem, 'Send If-Match: "0", or none, to make it.')
        raise PreconditionFailedError(problem, fields=(fault,))


def _check_bound(sections: Sequence[Record], order: CoreOrder, text: str, limit: int) -> None:
    tokens = estimate_tokens(text) + sum(estimate_tokens(one.content) for one in sections if one.name != order.label)
    if tokens > limit:
        problem = f"would bring the core memory to {tokens} tokens of {limit}"
        remedy = "Rewrite the section shorter, remove another, or raise the space's policy `core_tokens`."
        raise InvalidRequestError(f"text {problem}", fields=(FieldError("text", problem, remedy),), remedy=remedy)


def _versions(sections: Sequence[Record]) -> dict[MemoryId, int]:
    return {one.id: one.version for one in sections}


async def _store(
    ingest: Ingest,
    session: WriteSession,
    space: Space,
    order: CoreOrder,
    before: Record | None,
    text: str,
    units: Units,
    embeddings: Embeddings | None,
) -> None:
    operation = await record(
        ingest.queue, session, space, "core", caller=order.caller, now=order.now, reason=order.edit.reason
    )
    if before is None:
        memory = _new_section(space, order, text, units, embeddings)
        await store_memories(ingest, session, space, [memory], operation=operation, caller=order.caller)
        return
    content = ChunkedContent(before.id, space.next_memory, units.chunks, embeddings)
    await versions.insert_content(session, space, content, text, encoder_id=ingest.encoder_id)
    header = {
        "content_number": space.next_memory,
        "content_hash": content_hash(text),
        "searchable": embeddings is not None,
    }
    await versions.revise(session, operation, [before.id], header)
    if embeddings is None:
        await enqueue(ingest.queue, session, "embed", space.id)


def _new_section(space: Space, order: CoreOrder, text: str, units: Units, embeddings: Embeddings | None) -> NewMemory:
    return NewMemory(
        id=MemoryId(new_uuid()),
        number=space.next_memory,
        kind="core",
        role=None,
        name=order.label,
        session_id=None,
        session_number=None,
        position=None,
        content=text,
        content_hash=content_hash(text),
        fingerprint=hashlib.sha256(f"core:{order.label}".encode()).digest()[:16],
        occurred_at=None,
        occurred_zone=None,
        importance=1.0,
        sensitivity="normal",
        expires_at=None,
        metadata={},
        chunks=units.chunks,
        embeddings=embeddings,
        retained_until=retained_until(space.policies, "core", order.now),
    )

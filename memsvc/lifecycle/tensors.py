"""Tensor records: made from uploaded blobs, found by prefix. Each that is made is one recorded operation."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np
import orjson
from pydantic import JsonValue

from memsvc.blobs.check import Tensor
from memsvc.errors import ConflictError, FieldError, FrozenError, InvalidRequestError, NotFoundError
from memsvc.ids import MemoryId, SpaceId, new_uuid
from memsvc.inference.types import Embeddings
from memsvc.ingest.operations import record
from memsvc.ingest.prepare import content_hash
from memsvc.ingest.retention import retained_until
from memsvc.ingest.write import store_memories
from memsvc.lifecycle.blobs import TensorStore
from memsvc.store import access, lineage, maintenance, memories, spaces, tensors, writes
from memsvc.store.access import When
from memsvc.store.blobs import find_blob
from memsvc.store.database import ReadSession
from memsvc.store.keys import Caller
from memsvc.store.memories import Record
from memsvc.store.scope import CURRENT_STATES
from memsvc.store.spaces import Space
from memsvc.store.tensors import ModelKey, NewTensor
from memsvc.store.writes import NewMemory
from memsvc.text.prefixes import BLOCK, chain, seed

PayloadType = Literal["activation", "parametric"]
NO_EMBEDDINGS = Embeddings(np.empty((0, 0), np.float32), ())


@dataclass(frozen=True, slots=True)
class TensorOrder:
    """A valid request to keep a blob as a memory. `dtype` and `shape` are None where the blob's own apply."""

    payload_type: PayloadType
    id: MemoryId | None
    space: str
    kind: str
    name: str | None
    content: str
    blob_hash: bytes
    source_id: MemoryId | None
    key: ModelKey
    layers: int | None
    heads: int | None
    dtype: str | None
    shape: Sequence[int] | None
    token_ids: Sequence[int]
    importance: float
    sensitivity: str
    visibility: str
    expires_at: datetime | None
    metadata: Mapping[str, JsonValue]
    reason: str | None

    def fingerprint(self) -> bytes:
        """What makes a repeated request: everything that the record would be used by."""
        ids = hashlib.sha256(np.asarray(self.token_ids, "<u4").tobytes()).hexdigest()
        key = [self.key.model, self.key.revision, self.key.tokenizer_hash, self.key.position_scheme]
        source = None if self.source_id is None else str(self.source_id)
        identity = [self.payload_type, self.blob_hash.hex(), source, ids, key, self.name, self.content, self.visibility]
        return hashlib.sha256(orjson.dumps(["tensor", *identity])).digest()[:16]


@dataclass(frozen=True, slots=True)
class MatchOrder:
    """What to look up, in the spaces of these names; `prefix_hashes` counts where there are no `token_ids`."""

    key: ModelKey
    spaces: Sequence[str]
    token_ids: Sequence[int] | None
    prefix_hashes: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Found:
    """A reusable activation whose first `matched` tokens are the asked ones."""

    id: MemoryId
    matched: int


async def create(store: TensorStore, caller: Caller, order: TensorOrder, *, now: datetime) -> tuple[MemoryId, bool]:
    """Keep an uploaded blob as a memory, and say whether it is new: the same request again finds what it made.

    Made from a source, it is a promotion of that. Raises `NotFoundError` (no such blob or source for this caller),
    `ConflictError` (an id that is taken), `FrozenError` (a source that is not current), `InvalidRequestError` (a type
    or shape that no tensor of the blob has).
    """
    when = When(now)
    ingest, tenant_id = store.ingest, caller.tenant_id
    async with ingest.database.read(tenant_id) as session:
        await _require_blob(session, order.blob_hash, caller, when, keep=False)
    dtype, shape = _choose(order, await store.blobs.tensors(tenant_id, order.blob_hash))
    async with ingest.database.write(tenant_id) as session:
        await _require_blob(session, order.blob_hash, caller, when, keep=True)
        space = await spaces.lock_space(session, caller, order.space)
        known = await _find_known(session, space.id, order, caller, when)
        if known is not None:
            return known, False
        source = None if order.source_id is None else await _source(session, order.source_id, caller, when)
        memory = _new_memory(order, space, now)
        operation = await record(
            ingest.queue,
            session,
            space,
            "add" if source is None else "promote",
            caller=caller,
            now=now,
            reason=order.reason,
            details={"payload_type": order.payload_type},
        )
        await store_memories(ingest, session, space, [memory], operation=operation, caller=caller)
        if source is not None:
            await lineage.insert_edges(session, operation, [(memory.id, source.id)], new=True)
        await tensors.insert_tensor(session, _new_tensor(order, memory.id, source, dtype, shape))
    return memory.id, True


async def match(store: TensorStore, caller: Caller, order: MatchOrder, *, now: datetime) -> Found | None:
    """The reusable activation with the longest prefix in common, of a block at least; being found is an access.

    With `token_ids` the match is exact to the token; with hashes alone it is counted in blocks.
    """
    when = When(now)
    token_ids = order.token_ids
    hashes = order.prefix_hashes if token_ids is None else chain(_seed(order.key), token_ids)
    async with store.ingest.database.read(caller.tenant_id) as session:
        ids = [await access.require(session, caller, name, "read") for name in dict.fromkeys(order.spaces)]
        depth = await tensors.find_deepest(session, ids, hashes, caller=caller, when=when)
        if depth == 0:
            return None
        tail = [] if token_ids is None else token_ids[depth * BLOCK :]
        found = await tensors.find_longest(session, ids, hashes[depth - 1], tail, block=BLOCK, caller=caller, when=when)
    if found is None:  # it ceased to be reusable between the two statements
        return None
    async with store.ingest.database.write(caller.tenant_id) as session:
        await maintenance.record_accesses(session, {found[0]: 1}, now=now)
    return Found(found[0], depth * BLOCK + found[1])


async def _require_blob(session: ReadSession, blob_hash: bytes, caller: Caller, when: When, *, keep: bool) -> None:
    if await find_blob(session, blob_hash, caller=caller, when=when, keep=keep) is None:
        remedy = "Upload it first with PUT /v1/blobs/{sha256}."
        raise NotFoundError(
            f"there is no blob {blob_hash.hex()}",
            fields=(FieldError("blob", "is not stored, or not yours to read", remedy),),
            remedy=remedy,
        )


def _choose(order: TensorOrder, header: Mapping[str, Tensor]) -> tuple[str, Sequence[int]]:
    """The type and shape to record: as stated, if a tensor of the blob has them, else those of the first by name."""
    fitting = [
        tensor
        for _, tensor in sorted(header.items())
        if order.dtype in {None, tensor.dtype} and (order.shape is None or tuple(order.shape) == tensor.shape)
    ]
    if fitting:
        return fitting[0].dtype, fitting[0].shape
    held = sorted({f"{tensor.dtype} {list(tensor.shape)}" for tensor in header.values()})
    fault = FieldError(
        "shape" if order.shape is not None else "dtype",
        "no tensor of the blob has this type and shape",
        f"Leave both out, or send one that it holds: {'; '.join(held[:5])}.",
    )
    raise InvalidRequestError("the record does not describe its blob", fields=(fault,))


async def _find_known(
    session: ReadSession, space_id: SpaceId, order: TensorOrder, caller: Caller, when: When
) -> MemoryId | None:
    fingerprint = order.fingerprint()
    if order.id is None:
        return await tensors.find_same(session, space_id, fingerprint, caller=caller, when=when)
    existing = await writes.find_existing(session, space_id, ids=[order.id], fingerprints=[], positions=[])
    known = existing.by_id.get(order.id)
    if known is None:
        return None
    if known[0] != fingerprint:
        fault = FieldError("id", "is taken by other content", "Send another id, or none.")
        raise ConflictError(f"the id {order.id} is taken by other content", fields=(fault,))
    return known[1]


async def _source(session: ReadSession, source_id: MemoryId, caller: Caller, when: When) -> Record:
    found = await memories.get_records(session, [source_id], caller=caller, when=When(when.now, valid_at=when.now))
    source = found.get(source_id)
    if source is None:
        remedy = "Name a memory that you may read and that holds now."
        raise NotFoundError(
            f"there is no memory {source_id}", fields=(FieldError("source", "is not there", remedy),), remedy=remedy
        )
    if source.state not in CURRENT_STATES:
        raise FrozenError.of(source.id, source.state, field="source")
    return source


def _new_memory(order: TensorOrder, space: Space, now: datetime) -> NewMemory:
    """Without chunks: a description is shown, but tensors are found by their prefix, not by recall."""
    return NewMemory(
        id=order.id or MemoryId(new_uuid()),
        number=space.next_memory,
        kind=order.kind,
        role=None,
        name=order.name,
        session_id=None,
        session_number=None,
        position=None,
        content=order.content,
        content_hash=content_hash(order.content),
        fingerprint=order.fingerprint(),
        occurred_at=None,
        occurred_zone=None,
        importance=order.importance,
        sensitivity=order.sensitivity,
        expires_at=order.expires_at,
        metadata=order.metadata,
        chunks=(),
        embeddings=NO_EMBEDDINGS,
        visibility=order.visibility,
        retained_until=retained_until(space.policies, order.kind, now),
        payload_type=order.payload_type,
        origin="user_input" if order.source_id is None else "derived",
    )


def _new_tensor(
    order: TensorOrder, memory_id: MemoryId, source: Record | None, dtype: str, shape: Sequence[int]
) -> NewTensor:
    return NewTensor(
        memory_id=memory_id,
        blob_hash=order.blob_hash,
        source_id=None if source is None else source.id,
        source_version=None if source is None else source.version,
        key=order.key,
        layers=order.layers,
        heads=order.heads,
        dtype=dtype,
        shape=shape,
        token_ids=order.token_ids,
        prefixes=chain(_seed(order.key), order.token_ids),
        block=BLOCK,
    )


def _seed(key: ModelKey) -> bytes:
    return seed(key.model, key.revision, key.tokenizer_hash, key.position_scheme)

"""Tensor records: the header beside a memory of payload type activation or parametric, its prefixes, its validity."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import scalar_row, tuple_row

from memsvc.ids import MemoryId, SpaceId
from memsvc.store import access
from memsvc.store.access import When
from memsvc.store.database import ReadSession, WriteSession
from memsvc.store.keys import Caller
from memsvc.store.scope import CURRENT_STATES
from memsvc.store.versions import Operation, revise


@dataclass(frozen=True, slots=True)
class ModelKey:
    """The model that tensors were made with; equal keys, and no others, may exchange them."""

    model: str
    revision: str
    tokenizer_hash: str
    position_scheme: str | None


@dataclass(frozen=True, slots=True)
class NewTensor:
    """A tensor header to insert. `prefixes` is the chain of hashes of the full blocks of `token_ids`."""

    memory_id: MemoryId
    blob_hash: bytes
    source_id: MemoryId | None
    source_version: int | None
    key: ModelKey
    layers: int | None
    heads: int | None
    dtype: str
    shape: Sequence[int]
    token_ids: Sequence[int]
    prefixes: Sequence[bytes]
    block: int


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor header; `reusable` for the caller who asked."""

    key: ModelKey
    memory_id: MemoryId
    blob_hash: bytes
    bytes: int
    source_id: MemoryId | None
    source_version: int | None
    layers: int | None
    heads: int | None
    dtype: str
    shape: Sequence[int]
    tokens: int
    reusable: bool


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which plaintext is worth an activation of the model, of any revision when that is None."""

    spaces: Sequence[SpaceId]
    model: str
    revision: str | None
    accesses: int
    unchanged_since: datetime
    tokens: int
    limit: int


_RECORDS = "tensors t JOIN memories m ON m.tenant_id = t.tenant_id AND m.id = t.memory_id"
# The source as it was when the tensors were made: a version that changed its header alone has the same content.
_SOURCE_HOLDS = (
    "(t.source_id IS NULL OR EXISTS (SELECT 1 FROM memories m WHERE m.tenant_id = %(tenant)s AND m.id = t.source_id "
    "AND (m.version = t.source_version OR m.content_number = (SELECT h.content_number FROM memory_history h "
    "WHERE h.tenant_id = %(tenant)s AND h.id = m.id AND h.version = t.source_version)) "
    f"AND m.state = ANY (%(states)s) AND {access.HOLDS} AND {access.visible()}))"
)
# A frozen record stays as it is; one whose source has changed is not reused all the same.
_CHANGEABLE = [state for state in CURRENT_STATES if state != "frozen"]
# Over `memories m` and its `tensors t`. It is decided at each use, so that an edit, an erasure, an end of validity or
# a withdrawn grant counts at once, whichever worker has run.
_REUSABLE = f"m.state = ANY (%(states)s) AND {access.HOLDS} AND {access.visible()} AND {_SOURCE_HOLDS}"


def _sharing(prefix: str) -> str:
    """SQL: the records that share a prefix, from its hash to their rows, by primary key each.

    OFFSET 0 keeps this order: planned while the tables are almost empty, Postgres else reads all of a tenant's records
    first, and keeps that plan.
    """
    return (
        f"(SELECT memory_id, tokens FROM tensor_prefixes WHERE tenant_id = %(tenant)s AND hash = {prefix} OFFSET 0) x "
        "CROSS JOIN LATERAL (SELECT * FROM tensors "
        "WHERE tenant_id = %(tenant)s AND memory_id = x.memory_id OFFSET 0) t "
        "CROSS JOIN LATERAL (SELECT * FROM memories WHERE tenant_id = %(tenant)s AND id = x.memory_id OFFSET 0) m"
    )


async def insert_tensor(session: WriteSession, tensor: NewTensor) -> None:
    """Insert the header and the prefixes of a memory that was inserted in this transaction."""
    await session.run(
        "INSERT INTO tensors (tenant_id, memory_id, blob_hash, source_id, source_version, model, model_revision, "
        "tokenizer_hash, layers, heads, dtype, shape, position_scheme, token_ids, tokens) VALUES (%(tenant)s, "
        "%(memory)s, %(blob)s, %(source)s, %(source_version)s, %(model)s, %(revision)s, %(tokenizer)s, %(layers)s, "
        "%(heads)s, %(dtype)s, %(shape)s::int[], %(scheme)s, %(ids)s::int[], %(tokens)s)",
        {
            "tenant": session.tenant_id,
            "memory": tensor.memory_id,
            "blob": tensor.blob_hash,
            "source": tensor.source_id,
            "source_version": tensor.source_version,
            **_key_values(tensor.key),
            "layers": tensor.layers,
            "heads": tensor.heads,
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "ids": list(tensor.token_ids),
            "tokens": len(tensor.token_ids),
        },
    )
    if tensor.prefixes:
        await session.run(
            "INSERT INTO tensor_prefixes (tenant_id, hash, memory_id, tokens) SELECT %(tenant)s, p.hash, %(memory)s, "
            "p.place * %(block)s FROM unnest(%(hashes)s::bytea[]) WITH ORDINALITY AS p(hash, place)",
            {
                "tenant": session.tenant_id,
                "memory": tensor.memory_id,
                "block": tensor.block,
                "hashes": list(tensor.prefixes),
            },
        )


async def find_tensors(
    session: ReadSession, ids: Sequence[MemoryId], *, caller: Caller, when: When
) -> dict[MemoryId, StoredTensor]:
    """The headers of those of these memories that are tensor records the caller may see."""
    rows = await session.fetch(
        "SELECT t.model, t.model_revision, t.tokenizer_hash, t.position_scheme, t.memory_id, t.blob_hash, b.bytes, "
        f"t.source_id, t.source_version, t.layers, t.heads, t.dtype, t.shape, t.tokens, ({_REUSABLE}) "
        f"FROM {_RECORDS} JOIN blobs b ON b.tenant_id = t.tenant_id AND b.hash = t.blob_hash "
        f"WHERE t.tenant_id = %(tenant)s AND t.memory_id = ANY (%(ids)s) AND {access.visible()}",
        {**_parameters(session, caller, when), "ids": list(ids)},
        tuple_row,
    )
    return {row[4]: StoredTensor(ModelKey(*row[:4]), *row[4:]) for row in rows}


async def find_same(
    session: ReadSession, space_id: SpaceId, fingerprint: bytes, *, caller: Caller, when: When
) -> MemoryId | None:
    """The reusable record of the same content in the space, which a repeated request made before."""
    rows = await session.fetch(
        f"SELECT m.id FROM {_RECORDS} WHERE m.tenant_id = %(tenant)s AND m.space_id = %(space)s "
        f"AND m.fingerprint = %(fingerprint)s AND {_REUSABLE} ORDER BY m.number LIMIT 1",
        {**_parameters(session, caller, when), "space": space_id, "fingerprint": fingerprint},
        scalar_row,
    )
    return MemoryId(rows[0]) if rows else None


async def find_deepest(
    session: ReadSession, spaces: Sequence[SpaceId], hashes: Sequence[bytes], *, caller: Caller, when: When
) -> int:
    """How many of a chain's hashes, from its start, some reusable record of these spaces shares; 0 when none does.

    The deepest hash is looked up first, and the first one found ends the search: a chain of thousands of blocks costs
    an index probe for each block past the match, and a record's own chain is not read.
    """
    rows = await session.fetch(
        "SELECT w.place FROM (SELECT hash, place FROM unnest(%(hashes)s::bytea[]) WITH ORDINALITY AS u(hash, place) "
        f"ORDER BY place DESC) w WHERE EXISTS (SELECT 1 FROM {_sharing('w.hash')} "
        f"WHERE m.space_id = ANY (%(spaces)s) AND {_REUSABLE} OFFSET 0) LIMIT 1",
        {**_parameters(session, caller, when), "spaces": list(spaces), "hashes": list(hashes)},
        scalar_row,
    )
    return int(rows[0]) if rows else 0


async def find_longest(
    session: ReadSession,
    spaces: Sequence[SpaceId],
    prefix: bytes,
    tail: Sequence[int],
    *,
    block: int,
    caller: Caller,
    when: When,
) -> tuple[MemoryId, int] | None:
    """Of the reusable records that share `prefix`, the one that goes on longest as `tail` does, and for how many.

    `tail`: the token ids after the prefix, at most a block of them, since no record shares more. Of equal ones the
    cache with the fewest tokens is the cheapest to fetch; then the one recorded first.
    """
    rows = await session.fetch(
        "SELECT m.id, (SELECT coalesce(min(i) - 1, cardinality(%(tail)s::int[])) "
        "FROM generate_series(1, cardinality(%(tail)s::int[])) i "
        "WHERE t.token_ids[x.tokens + i] IS DISTINCT FROM (%(tail)s::int[])[i])::int AS more "
        f"FROM {_sharing('%(prefix)s')} WHERE m.space_id = ANY (%(spaces)s) AND {_REUSABLE} "
        "ORDER BY more DESC, t.tokens, m.recorded_at, m.id LIMIT 1",
        {
            **_parameters(session, caller, when),
            "spaces": list(spaces),
            "prefix": prefix,
            "tail": list(tail[:block]),
        },
        tuple_row,
    )
    return (MemoryId(rows[0][0]), int(rows[0][1])) if rows else None


async def invalidate_for_sources(session: WriteSession, ids: Collection[MemoryId], operation: Operation) -> int:
    """Expire what was made from these memories, as a part of the operation that changed their content; how many.

    Only in the operation's own space, which is locked. A record elsewhere is found stale when it is next looked up.
    """
    found = await session.fetch(
        f"SELECT m.id FROM {_RECORDS} WHERE t.tenant_id = %(tenant)s AND t.source_id = ANY (%(ids)s) "
        "AND m.space_id = %(space)s AND m.state = ANY (%(states)s)",
        {
            "tenant": session.tenant_id,
            "ids": list(ids),
            "space": operation.space_id,
            "states": _CHANGEABLE,
        },
        scalar_row,
    )
    return await revise(session, operation, found, {"state": "expired"}) if found else 0


async def find_of_model(
    session: ReadSession, space_id: SpaceId, *, model: str, keep_revision: str | None, caller: Caller, when: When
) -> list[MemoryId]:
    """The current tensor records of a model, of every revision but the kept one, that the caller may change."""
    return await session.fetch(
        f"SELECT m.id FROM {_RECORDS} WHERE m.tenant_id = %(tenant)s AND m.space_id = %(space)s "
        "AND t.model = %(model)s AND t.model_revision IS DISTINCT FROM %(keep)s AND m.state = ANY (%(changeable)s) "
        f"AND {access.permitted('write')} AND {access.UNEXPIRED} ORDER BY m.number",
        {
            **_parameters(session, caller, when),
            "space": space_id,
            "model": model,
            "keep": keep_revision,
            "changeable": _CHANGEABLE,
        },
        scalar_row,
    )


async def find_idle(
    session: ReadSession, space_id: SpaceId, *, before: datetime, caller: Caller, when: When
) -> list[MemoryId]:
    """The current activations last used, or made, before that time, that the caller may change."""
    return await session.fetch(
        "SELECT m.id FROM memories m WHERE m.tenant_id = %(tenant)s AND m.space_id = %(space)s "
        "AND m.payload_type = 'activation' AND m.state = ANY (%(changeable)s) "
        "AND greatest(m.last_accessed_at, m.recorded_at) <= %(before)s "
        f"AND {access.permitted('write')} AND {access.UNEXPIRED} ORDER BY m.number",
        {
            **_parameters(session, caller, when),
            "space": space_id,
            "before": before,
            "changeable": _CHANGEABLE,
        },
        scalar_row,
    )


async def find_candidates(session: ReadSession, wanted: Wanted, *, caller: Caller, when: When) -> dict[MemoryId, int]:
    """Hot, stable, long plaintext without a reusable activation of the model, most used first: tokens by id."""
    made = (
        f"SELECT t.source_id FROM {_RECORDS} WHERE t.tenant_id = %(tenant)s AND t.source_id = c.id "
        "AND t.model = %(model)s AND (%(revision)s::text IS NULL OR t.model_revision = %(revision)s) "
        f"AND m.payload_type = 'activation' AND {_REUSABLE}"
    )
    rows = await session.fetch(
        f"SELECT c.id, c.tokens FROM (SELECT m.id, m.access_count, m.recorded_at, {TOKENS} AS tokens FROM memories m "
        "JOIN contents v ON v.tenant_id = m.tenant_id AND v.memory_id = m.id AND v.number = m.content_number "
        "WHERE m.tenant_id = %(tenant)s AND m.space_id = ANY (%(spaces)s) "
        "AND m.payload_type = 'plaintext' AND m.access_count >= %(accesses)s AND m.updated_at <= %(since)s "
        f"AND m.state = ANY (%(states)s) AND {access.HOLDS} AND {access.visible()} OFFSET 0) c "
        f"WHERE c.tokens >= %(tokens)s AND NOT EXISTS ({made}) "
        "ORDER BY c.access_count DESC, c.recorded_at, c.id LIMIT %(limit)s",
        {
            **_parameters(session, caller, when),
            "spaces": list(wanted.spaces),
            "model": wanted.model,
            "revision": wanted.revision,
            "accesses": wanted.accesses,
            "since": wanted.unchanged_since,
            "tokens": wanted.tokens,
            "limit": wanted.limit,
        },
        tuple_row,
    )
    return dict(rows)


# `text.tokens.estimate_tokens`, in SQL, so that the limit counts what passes it.
_ASCII = r"char_length(regexp_replace(v.content, '[^\x01-\x7f]', '', 'g'))"
TOKENS = f"(ceil({_ASCII} / 4.0)::int + char_length(v.content) - {_ASCII})"


def _parameters(session: ReadSession, caller: Caller, when: When) -> dict[str, object]:
    return {**access.parameters(session, caller, when), "states": list(CURRENT_STATES)}


def _key_values(key: ModelKey) -> Mapping[str, object]:
    return {
        "model": key.model,
        "revision": key.revision,
        "tokenizer": key.tokenizer_hash,
        "scheme": key.position_scheme,
    }

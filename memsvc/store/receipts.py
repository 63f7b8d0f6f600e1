"""Receipts of writes; they hold ids and counts, never content."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import orjson
from sqlalchemy import Row, text

from memsvc.ids import MemoryId, PrincipalId, ReceiptId, SpaceId
from memsvc.store.database import ReadSession, WriteSession


@dataclass(frozen=True, slots=True)
class StoredItem:
    """One item of a receipt."""

    id: MemoryId
    created: bool


@dataclass(frozen=True, slots=True)
class StoredReceipt:
    """A receipt as it stands in the store."""

    id: ReceiptId
    space: str
    request_hash: bytes
    items: Sequence[StoredItem]
    recorded_at: datetime


_SELECT = """
SELECT r.id, s.name AS space, r.request_hash, r.items, r.recorded_at
FROM receipts r JOIN spaces s ON s.tenant_id = r.tenant_id AND s.id = r.space_id
WHERE r.tenant_id = :tenant
"""


async def find_by_key(session: ReadSession, principal_id: PrincipalId, key: str) -> StoredReceipt | None:
    """The receipt that this principal's Idempotency-Key made."""
    row = (
        await session.execute(
            text(_SELECT + "AND r.principal_id = :principal AND r.idempotency_key = :key"),
            {"tenant": session.tenant_id, "principal": principal_id, "key": key},
        )
    ).one_or_none()
    return None if row is None else _receipt(row)


async def find_receipt(session: ReadSession, receipt_id: ReceiptId, principal_id: PrincipalId) -> StoredReceipt | None:
    """The receipt with this id; it is its writer's own."""
    row = (
        await session.execute(
            text(_SELECT + "AND r.id = :receipt AND r.principal_id = :principal"),
            {"tenant": session.tenant_id, "receipt": receipt_id, "principal": principal_id},
        )
    ).one_or_none()
    return None if row is None else _receipt(row)


async def insert_receipt(
    session: WriteSession,
    receipt: StoredReceipt,
    *,
    space_id: SpaceId,
    principal_id: PrincipalId,
    idempotency_key: str | None,
) -> None:
    """Store a receipt."""
    await session.execute(
        text(
            "INSERT INTO receipts (tenant_id, id, space_id, principal_id, idempotency_key, request_hash, items, "
            "recorded_at) VALUES (:tenant, :id, :space, :principal, :key, :hash, CAST(:items AS jsonb), :now)"
        ),
        {
            "tenant": session.tenant_id,
            "id": receipt.id,
            "space": space_id,
            "principal": principal_id,
            "key": idempotency_key,
            "hash": receipt.request_hash,
            "items": orjson.dumps([[item.id, item.created] for item in receipt.items]).decode(),
            "now": receipt.recorded_at,
        },
    )


def _receipt(row: Row[tuple[object, ...]]) -> StoredReceipt:
    items = tuple(StoredItem(MemoryId(UUID(item[0])), item[1]) for item in row.items)
    return StoredReceipt(ReceiptId(row.id), row.space, bytes(row.request_hash), items, row.recorded_at)

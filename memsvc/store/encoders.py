"""Which encoder made the stored vectors. One is active at a time; vectors of two are never compared."""

from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from memsvc.errors import EncoderMismatchError
from memsvc.inference.types import EncoderSpec
from memsvc.store.database import Database


async def claim_encoder(database: Database, spec: EncoderSpec) -> int:
    """The store's id of this encoder, registered if the store has none; `EncoderMismatchError` if it has another."""
    async with database.untenanted() as connection:
        active = (await connection.execute(text("SELECT id, key, name FROM encoders WHERE active"))).one_or_none()
        if active is None:
            active = await _register(connection, spec)
        if active.key != spec.key:
            raise EncoderMismatchError(
                f"the store holds vectors of {active.name} ({active.key}), the service runs {spec.name} ({spec.key})",
                remedy=f"Set MEMSVC_ENCODER={active.name} (same revision and files), or use another database.",
            )
        return int(active.id)


async def known_dimensions(database: Database) -> dict[str, int]:
    """Dimension by name of the encoders that this store has worked with."""
    async with database.untenanted() as connection:
        rows = await connection.execute(text("SELECT name, dimension FROM encoders"))
        return {row.name: int(row.dimension) for row in rows}


async def _register(connection: AsyncConnection, spec: EncoderSpec) -> Row[Any]:
    await connection.execute(
        text(
            "INSERT INTO encoders (key, name, revision, dimension, pooling, query_prefix, document_prefix, file_hash, "
            "active) VALUES (:key, :name, :revision, :dimension, :pooling, :query_prefix, :document_prefix, "
            ":file_hash, true) ON CONFLICT DO NOTHING"
        ),
        {
            "key": spec.key,
            "name": spec.name,
            "revision": spec.revision,
            "dimension": spec.dimension,
            "pooling": spec.pooling,
            "query_prefix": spec.query_prefix,
            "document_prefix": spec.document_prefix,
            "file_hash": spec.file_hash,
        },
    )
    return (await connection.execute(text("SELECT id, key, name FROM encoders WHERE active"))).one()

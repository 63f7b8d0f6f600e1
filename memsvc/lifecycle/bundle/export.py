"""Writing a bundle: one consistent reading of a space, in pages, so that its size does not matter."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import orjson

from memsvc.ingest.write import Ingest
from memsvc.lifecycle.bundle.archive import EMBEDDINGS, ROW_MEMBERS, ArchiveWriter, blob_name
from memsvc.store import access, bundles
from memsvc.store.access import When
from memsvc.store.bundles import Export
from memsvc.store.keys import Caller
from memsvc.wire import Policies
from memsvc.wire.bundle import VERSION, BundleCounts, BundleEncoder, BundleSpace, Manifest

# Gives the bytes of a blob of this hash and size.
BlobSource = Callable[[bytes, int], AsyncIterator[bytes]]
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE


async def export(
    ingest: Ingest,
    caller: Caller,
    space: str,
    *,
    embeddings: bool,
    blob_source: BlobSource,
    now: datetime,
) -> AsyncIterator[bytes]:
    """The bundle of all that the caller may read of a space, piece by piece; the same content gives the same bytes.

    `NotFoundError` and `ForbiddenError` come before the first piece.
    """
    async with ingest.database.snapshot(caller.tenant_id) as session:
        space_id = await access.require(session, caller, space, "read")
        await bundles.use_utc(session)
        order = Export(space_id, caller, When(now), ingest.encoder_id, embeddings)
        settings, encoder = await bundles.find_settings(session, order)
        archive = ArchiveWriter()
        counts = dict.fromkeys(ROW_MEMBERS, 0)
        for name in ROW_MEMBERS:
            with archive.member(f"{name}.jsonl") as member:
                async for page in bundles.pages(session, order, name):
                    counts[name] += len(page)
                    member.write(_lines(page))
                    yield archive.take()
        if embeddings:
            with archive.member(EMBEDDINGS) as member:
                member.write(safetensors_header(counts["chunks"], encoder.dimension))
                async for vectors in bundles.vectors(session, order, encoder.dimension):
                    member.write(vectors.astype("<f4").tobytes())
                    yield archive.take()
        blobs = await bundles.list_blobs(session, order)
        for blob in blobs:
            with archive.member(blob_name(blob.hash)) as member:
                async for piece in blob_source(blob.hash, blob.bytes):
                    member.write(piece)
                    yield archive.take()
        archive.finish(
            Manifest(
                format="memsvc-bundle",
                version=VERSION,
                counts=BundleCounts(
                    **counts, blobs=len(blobs), outside_edges=await bundles.count_outside(session, order)
                ),
                encoder=BundleEncoder(**asdict(encoder)),
                embeddings=embeddings,
                space=BundleSpace(open=settings.open, policies=Policies.model_validate(settings.policies)),
                members=archive.members,
            )
        )
        yield archive.take()


def safetensors_header(rows: int, dimension: int) -> bytes:
    """What stands before the values of one float32[rows, dimension] named `embeddings`, padded to eight bytes."""
    size = rows * dimension * 4
    header = orjson.dumps({"embeddings": {"dtype": "F32", "shape": [rows, dimension], "data_offsets": [0, size]}})
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header


def _lines(page: Sequence[dict[str, Any]]) -> bytes:
    return b"".join([orjson.dumps(row, option=_OPTIONS) for row in page])

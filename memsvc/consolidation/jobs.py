"""Background jobs. No transaction is open while a model runs; a job that dies is run again and doubles nothing.

A job does a bounded slice of its work and enqueues the rest as a new job, so that whoever waits gets a turn.
"""

from datetime import UTC, datetime
from uuid import UUID

import structlog
from procrastinate import JobContext

from memsvc.consolidation.backoff import RETRY
from memsvc.consolidation.deliver import deliver as deliver_changes
from memsvc.consolidation.observed import observed
from memsvc.consolidation.sweep import sweep_expired
from memsvc.consolidation.tend import consolidate_space, tend_all
from memsvc.consolidation.tidying import enqueue_tidying, tidy_space
from memsvc.ids import SpaceId, TenantId
from memsvc.ingest.write import Ingest
from memsvc.lifecycle.blobs import TensorStore, delete_released, sweep_all
from memsvc.lifecycle.signing import Signer
from memsvc.queue import PRIORITY, Queue, enqueue
from memsvc.store import maintenance
from memsvc.store.postings import compact_postings
from memsvc.text.analysis import document_text
from memsvc.upkeep.model import Upkeep

log = structlog.get_logger(__name__)

EMBED_CHUNKS = 512
INDEX_CHUNKS = 1000
# Batches of `INDEX_CHUNKS` that one job moves before it lets others have their turn.
INDEX_BATCHES = 10


def register(app: Queue, upkeep: Upkeep, tensors: TensorStore, signer: Signer) -> None:
    """Give `app` its tasks."""
    _register_for_spaces(app, upkeep, tensors)
    _register_periodic(app, upkeep, tensors, signer)


def _register_for_spaces(app: Queue, upkeep: Upkeep, tensors: TensorStore) -> None:
    ingest = upkeep.ingest

    @app.task(name="embed", retry=RETRY, pass_context=True)
    async def embed(context: JobContext, *, tenant_id: str, space_id: str) -> None:
        async with observed(context):
            await embed_pending(ingest, *_ids(tenant_id, space_id))

    @app.task(name="index", retry=RETRY, pass_context=True)
    async def index(context: JobContext, *, tenant_id: str, space_id: str) -> None:
        async with observed(context):
            await index_space(ingest, *_ids(tenant_id, space_id))

    @app.task(name="deliver", retry=RETRY, pass_context=True)
    async def deliver(context: JobContext, *, tenant_id: str, space_id: str) -> None:
        async with observed(context):
            await deliver_changes(ingest, *_ids(tenant_id, space_id), clock=_now)

    @app.task(name="consolidate", retry=RETRY, pass_context=True)
    async def consolidate(context: JobContext, *, tenant_id: str, space_id: str) -> None:
        async with observed(context):
            await consolidate_space(upkeep, *_ids(tenant_id, space_id), clock=_now)

    @app.task(name="forget_space", retry=RETRY, pass_context=True)
    async def forget_space(context: JobContext, *, tenant_id: str, space_id: str) -> None:
        async with observed(context):
            await tidy_space(upkeep, "forget_space", *_ids(tenant_id, space_id), now=_now())

    @app.task(name="compress_space", retry=RETRY, pass_context=True)
    async def compress_space(context: JobContext, *, tenant_id: str, space_id: str) -> None:
        async with observed(context):
            await tidy_space(upkeep, "compress_space", *_ids(tenant_id, space_id), now=_now())

    @app.task(name="vacuum", retry=RETRY, pass_context=True)
    async def vacuum(context: JobContext, *, tenant_id: str, space_id: str) -> None:  # noqa: ARG001 - everybody's tables
        async with observed(context):
            await ingest.database.vacuum()

    @app.task(name="delete_blobs", retry=RETRY, pass_context=True)
    async def delete_blobs(context: JobContext, *, tenant_id: str, hashes: list[str]) -> None:
        async with observed(context):
            await delete_released(tensors, TenantId(UUID(tenant_id)), [bytes.fromhex(each) for each in hashes])


def _register_periodic(app: Queue, upkeep: Upkeep, tensors: TensorStore, signer: Signer) -> None:
    @app.periodic(cron="* * * * *", lock="tend", queueing_lock="tend", priority=PRIORITY["tend"])
    @app.task(name="tend", retry=RETRY, pass_context=True)
    async def tend(context: JobContext, timestamp: int) -> None:  # noqa: ARG001 - every periodic job is given it
        async with observed(context):
            await tend_all(upkeep)

    @app.periodic(cron="*/5 * * * *", lock="sweep", queueing_lock="sweep", priority=PRIORITY["sweep"])
    @app.task(name="sweep", retry=RETRY, pass_context=True)
    async def sweep(context: JobContext, timestamp: int) -> None:
        async with observed(context):
            await sweep_expired(upkeep.ingest, signer, now=datetime.fromtimestamp(timestamp, UTC))

    @app.periodic(cron="7 * * * *", lock="forget", queueing_lock="forget", priority=PRIORITY["forget"])
    @app.task(name="forget", retry=RETRY, pass_context=True)
    async def forget(context: JobContext, timestamp: int) -> None:  # noqa: ARG001
        async with observed(context):
            await enqueue_tidying(upkeep, "forget_space")

    @app.periodic(cron="37 * * * *", lock="compress", queueing_lock="compress", priority=PRIORITY["compress"])
    @app.task(name="compress", retry=RETRY, pass_context=True)
    async def compress(context: JobContext, timestamp: int) -> None:  # noqa: ARG001
        async with observed(context):
            await enqueue_tidying(upkeep, "compress_space")

    @app.periodic(cron="17 * * * *", lock="sweep_blobs", queueing_lock="sweep_blobs", priority=PRIORITY["sweep_blobs"])
    @app.task(name="sweep_blobs", retry=RETRY, pass_context=True)
    async def sweep_blobs(context: JobContext, timestamp: int) -> None:
        async with observed(context):
            await sweep_all(tensors, now=datetime.fromtimestamp(timestamp, UTC))


def _ids(tenant_id: str, space_id: str) -> tuple[TenantId, SpaceId]:
    return TenantId(UUID(tenant_id)), SpaceId(UUID(space_id))


def _now() -> datetime:
    return datetime.now(UTC)


async def embed_pending(ingest: Ingest, tenant_id: TenantId, space_id: SpaceId) -> int:
    """Embed the oldest pending chunks of a space, at most `EMBED_CHUNKS`; returns how many.

    The rest is enqueued in the transaction that stores their vectors.
    """
    async with ingest.database.read(tenant_id) as session:
        pending = await maintenance.pending_chunks(session, space_id, limit=EMBED_CHUNKS)
    if not pending:
        return 0
    made = await ingest.batcher.encode_documents([document_text(chunk.content, chunk.name) for chunk in pending])
    async with ingest.database.write(tenant_id) as session:
        await maintenance.store_embeddings(session, space_id, pending, made, encoder_id=ingest.encoder_id)
        if len(pending) == EMBED_CHUNKS:
            await enqueue(ingest.queue, session, "embed", space_id)
    log.info("embedded", chunks=len(pending))
    return len(pending)


async def index_space(ingest: Ingest, tenant_id: TenantId, space_id: SpaceId) -> None:
    """Move chunks of a large space into the HNSW index, at most `INDEX_BATCHES` batches; the rest is enqueued.

    With the last of them its searches are switched over, with writers held off briefly.
    """
    for _ in range(INDEX_BATCHES):
        async with ingest.database.write(tenant_id) as session:
            if await maintenance.index_chunks(session, space_id, limit=INDEX_CHUNKS) < INDEX_CHUNKS:
                break
    else:
        async with ingest.database.write(tenant_id) as session:
            await enqueue(ingest.queue, session, "index", space_id)
        return
    async with ingest.database.write(tenant_id) as session:
        if not await maintenance.lock_space_by_id(session, space_id):
            return
        while await maintenance.index_chunks(session, space_id, limit=INDEX_CHUNKS):
            pass
        await compact_postings(session, space_id)
        await maintenance.mark_indexed(session, space_id)
    log.info("space_indexed")

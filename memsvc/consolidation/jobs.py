"""Background jobs. No transaction is open while a model runs; a job that dies is run again and doubles nothing."""

from datetime import UTC, datetime
from uuid import UUID

import procrastinate
import structlog
from procrastinate import BaseRetryStrategy, RetryDecision
from procrastinate.jobs import Job

from memsvc.consolidation.deliver import deliver as deliver_changes
from memsvc.consolidation.sweep import sweep_expired
from memsvc.errors import (
    BlobStoreUnavailableError,
    BusyError,
    DatabaseUnavailableError,
    EncoderUnavailableError,
)
from memsvc.ids import SpaceId, TenantId
from memsvc.ingest.write import Ingest
from memsvc.lifecycle.blobs import TensorStore, delete_released, sweep_all
from memsvc.lifecycle.signing import Signer
from memsvc.store import maintenance
from memsvc.store.postings import compact_postings
from memsvc.text.analysis import document_text
from memsvc.upkeep.model import Upkeep

log = structlog.get_logger(__name__)

EMBED_CHUNKS = 512
INDEX_CHUNKS = 1000
LONGEST_WAIT_S = 60
PASSING = (EncoderUnavailableError, BusyError, DatabaseUnavailableError, BlobStoreUnavailableError)
SWEEP_AT = "*/5 * * * *"
SWEEP_BLOBS_AT = "17 * * * *"


class RetryPassing(BaseRetryStrategy):
    """Wait for what passes by itself, 1 s at first and at most a minute; any other failure stays visible as failed."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        """Retry, or None to give up."""
        if not isinstance(exception, PASSING):
            return None
        return RetryDecision(retry_in={"seconds": min(2 ** min(job.attempts, 10), LONGEST_WAIT_S)})


def register(app: procrastinate.App, upkeep: Upkeep, tensors: TensorStore, signer: Signer) -> None:
    """Give `app` its tasks."""
    ingest = upkeep.ingest

    @app.task(name="embed", retry=RetryPassing())
    async def embed(*, tenant_id: str, space_id: str) -> None:
        await embed_pending(ingest, TenantId(UUID(tenant_id)), SpaceId(UUID(space_id)))

    @app.task(name="index", retry=RetryPassing())
    async def index(*, tenant_id: str, space_id: str) -> None:
        await index_space(ingest, TenantId(UUID(tenant_id)), SpaceId(UUID(space_id)))

    @app.task(name="deliver", retry=RetryPassing())
    async def deliver(*, tenant_id: str, space_id: str) -> None:
        ids = TenantId(UUID(tenant_id)), SpaceId(UUID(space_id))
        await deliver_changes(ingest, *ids, clock=lambda: datetime.now(UTC))

    @app.task(name="vacuum", retry=RetryPassing())
    async def vacuum(*, tenant_id: str, space_id: str) -> None:  # noqa: ARG001 - the tables are everybody's
        await ingest.database.vacuum()

    @app.periodic(cron=SWEEP_AT)
    @app.task(name="sweep", retry=RetryPassing(), lock="sweep", queueing_lock="sweep")
    async def sweep(timestamp: int) -> None:
        await sweep_expired(ingest, signer, now=datetime.fromtimestamp(timestamp, UTC))

    @app.task(name="delete_blobs", retry=RetryPassing())
    async def delete_blobs(*, tenant_id: str, hashes: list[str]) -> None:
        await delete_released(tensors, TenantId(UUID(tenant_id)), [bytes.fromhex(each) for each in hashes])

    @app.periodic(cron=SWEEP_BLOBS_AT)
    @app.task(name="sweep_blobs", retry=RetryPassing(), lock="sweep_blobs", queueing_lock="sweep_blobs")
    async def sweep_blobs(timestamp: int) -> None:
        await sweep_all(tensors, now=datetime.fromtimestamp(timestamp, UTC))


async def embed_pending(ingest: Ingest, tenant_id: TenantId, space_id: SpaceId) -> int:
    """Embed every pending chunk of a space, a batch a transaction; returns how many. What is done stays done."""
    done = 0
    while True:
        async with ingest.database.read(tenant_id) as session:
            pending = await maintenance.pending_chunks(session, space_id, limit=EMBED_CHUNKS)
        if not pending:
            return done
        vectors = await ingest.batcher.encode_documents([document_text(chunk.content, chunk.name) for chunk in pending])
        async with ingest.database.write(tenant_id) as session:
            await maintenance.store_vectors(session, space_id, pending, vectors, encoder_id=ingest.encoder_id)
        done += len(pending)
        log.info("embedded", chunks=len(pending))


async def index_space(ingest: Ingest, tenant_id: TenantId, space_id: SpaceId) -> None:
    """Move a large space's chunks into the HNSW index, then switch its searches over, with writers held off briefly."""
    moved = INDEX_CHUNKS
    while moved == INDEX_CHUNKS:
        async with ingest.database.write(tenant_id) as session:
            moved = await maintenance.index_chunks(session, space_id, limit=INDEX_CHUNKS)
    async with ingest.database.write(tenant_id) as session:
        if not await maintenance.lock_space_by_id(session, space_id):
            return
        while await maintenance.index_chunks(session, space_id, limit=INDEX_CHUNKS):
            pass
        await compact_postings(session, space_id)
        await maintenance.mark_indexed(session, space_id)
    log.info("space_indexed")

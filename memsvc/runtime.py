"""The parts that the API process and the worker process share, opened and closed in order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from memsvc.config import Settings
from memsvc.inference.batcher import EncoderBatcher
from memsvc.inference.llm_calls import Calls, open_calls
from memsvc.inference.loading import load_encoder
from memsvc.ingest.write import Ingest
from memsvc.lifecycle.blobs import TensorStore, open_tensor_store
from memsvc.lifecycle.signing import Signer
from memsvc.queue import Queue, make_app
from memsvc.store.database import Database
from memsvc.store.encoders import claim_encoder, known_dimensions
from memsvc.store.migrate import require_ready
from memsvc.upkeep.model import Upkeep
from memsvc.upkeep.thinking import Thinking


@dataclass(frozen=True, slots=True)
class Runtime:
    """Open and ready."""

    database: Database
    queue: Queue
    ingest: Ingest
    upkeep: Upkeep
    tensors: TensorStore
    signer: Signer


@asynccontextmanager
async def open_runtime(settings: Settings, app_url: str) -> AsyncIterator[Runtime]:
    """Connect, load the encoder and claim the store for it.

    Refuses another version's schema, and a role that row-level security does not bind.
    """
    async with AsyncExitStack() as stack:
        await asyncio.to_thread(require_ready, app_url)
        database = Database(app_url, pool_size=settings.pool_size)
        stack.push_async_callback(database.close)
        await database.check_role()
        encoder = await asyncio.to_thread(load_encoder, settings, await known_dimensions(database))
        encoder_id = await claim_encoder(database, encoder.spec)
        batcher = EncoderBatcher.from_settings(encoder, settings)
        stack.push_async_callback(batcher.close)
        consolidate_after_s = settings.consolidate_idle_s if settings.consolidate == "auto" else None
        queue = make_app(app_url, consolidate_after_s=consolidate_after_s)
        await queue.open_async()
        stack.push_async_callback(queue.close_async)
        ingest = Ingest(
            database=database,
            batcher=batcher,
            queue=queue,
            encoder_id=encoder_id,
            exact_scan_limit=settings.exact_scan_limit,
            write_wait_s=settings.write_wait_s,
        )
        signer = await asyncio.to_thread(Signer.from_file, settings.signing_key)
        tensors = open_tensor_store(settings, ingest)
        calls = await asyncio.to_thread(open_calls, settings)
        if calls is not None:
            stack.push_async_callback(calls.close)
        upkeep = Upkeep(ingest, None if calls is None else _thinking(settings, calls, ingest))
        yield Runtime(database, queue, ingest, upkeep, tensors, signer)


def _thinking(settings: Settings, calls: Calls, ingest: Ingest) -> Thinking:
    return Thinking(
        calls=calls,
        database=ingest.database,
        clock=lambda: datetime.now(UTC),
        tokens_a_day=settings.llm_tokens_a_day,
        max_output_tokens=settings.llm_max_output_tokens,
        encoder=ingest.batcher,
    )

"""The parts that the API process and the worker process share, opened and closed in order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import procrastinate

from memsvc.config import Settings
from memsvc.inference.batcher import EncoderBatcher
from memsvc.inference.loading import load_encoder
from memsvc.ingest.write import Ingest
from memsvc.lifecycle.blobs import TensorStore, open_tensor_store
from memsvc.lifecycle.signing import Signer
from memsvc.queue import make_app
from memsvc.store.database import Database
from memsvc.store.encoders import claim_encoder, known_dimensions
from memsvc.store.migrate import require_ready
from memsvc.upkeep.model import Upkeep


@dataclass(frozen=True, slots=True)
class Runtime:
    """Open and ready."""

    database: Database
    queue: procrastinate.App
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
        queue = make_app(app_url)
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
        yield Runtime(database, queue, ingest, Upkeep(ingest), tensors, signer)

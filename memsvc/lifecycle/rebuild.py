"""Making a derived memory again from the sources that are left, when one of them was erased."""

from datetime import datetime

from memsvc.ids import MemoryId
from memsvc.ingest.operations import record
from memsvc.ingest.prepare import content_hash
from memsvc.ingest.write import Ingest
from memsvc.lifecycle.change import cut_content
from memsvc.lifecycle.fuse import FUSED, fuse_contents
from memsvc.queue import enqueue
from memsvc.store import erasure, memories, versions
from memsvc.store.database import WriteSession
from memsvc.store.keys import Caller
from memsvc.store.spaces import Space
from memsvc.store.writes import ChunkedContent

# Origins of memories that the service made by a rule of its own.
REBUILDABLE = frozenset({FUSED})


async def rebuild(
    ingest: Ingest, session: WriteSession, memory_id: MemoryId, space: Space, *, caller: Caller, now: datetime
) -> None:
    """Give the memory the content that its rule makes of its present sources, and forget its earlier ones.

    Its embeddings follow in the background: no model runs inside a transaction.
    """
    space = (await memories.lock_spaces(session, {space.id}))[space.id]  # its counters have moved
    record_before, sources = await memories.with_sources(session, memory_id)
    text = fuse_contents(sources).text
    units = await cut_content(ingest, text, record_before.name)
    operation = await record(ingest.queue, session, space, "rebuild", caller=caller, now=now)
    chunked = ChunkedContent(memory_id, space.next_memory, units.chunks, None)
    await versions.insert_content(session, space, chunked, text, encoder_id=ingest.encoder_id)
    header = {"content_number": space.next_memory, "content_hash": content_hash(text), "searchable": False}
    await versions.revise(session, operation, [memory_id], header)
    await erasure.forget_past(session, space.id, memory_id)
    await enqueue(ingest.queue, session, "embed", space.id)

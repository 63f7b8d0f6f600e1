"""Access statistics, counted in memory and written off the hot path; being recalled strengthens a memory a little."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

import structlog

from memsvc.errors import DatabaseUnavailableError
from memsvc.ids import MemoryId, TenantId
from memsvc.store.database import Database
from memsvc.store.maintenance import record_accesses

log = structlog.get_logger(__name__)

FLUSH_EVERY_S = 5.0
# A bound on what is held between flushes; past it statistics are dropped rather than memory filled.
MOST_HELD = 200_000


class AccessLog:
    """Counts which memories recall returned. A crash loses the last seconds of statistics, never a memory."""

    def __init__(self, database: Database, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._database = database
        self._clock = clock
        self._counts: dict[TenantId, Counter[MemoryId]] = {}
        self._held = 0

    def note(self, tenant_id: TenantId, memories: Iterable[MemoryId]) -> None:
        """Count one access of each."""
        if self._held >= MOST_HELD:
            return
        counts = self._counts.setdefault(tenant_id, Counter())
        before = len(counts)
        counts.update(memories)
        self._held += len(counts) - before

    async def flush(self) -> None:
        """Write what was counted."""
        taken, self._counts, self._held = self._counts, {}, 0
        for tenant_id, counts in taken.items():
            try:
                async with self._database.write(tenant_id) as session:
                    await record_accesses(session, counts, now=self._clock())
            except DatabaseUnavailableError:
                log.warning("accesses_dropped", memories=len(counts))

    @asynccontextmanager
    async def flushing(self) -> AsyncIterator[None]:
        """Flush now and then while the block runs, and at its end."""
        task = asyncio.create_task(self._keep_flushing())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await self.flush()

    async def _keep_flushing(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_EVERY_S)
            await self.flush()

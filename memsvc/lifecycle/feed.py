"""Following a space: pages of its change feed, and waiting for the next change."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from memsvc.errors import FieldError, InvalidRequestError
from memsvc.ids import MemoryId, SpaceId
from memsvc.store import access, feed, memories
from memsvc.store.access import When
from memsvc.store.database import Database
from memsvc.store.feed import Cursor, FeedPage
from memsvc.store.keys import Caller
from memsvc.store.memories import Record

POLL_S = 0.25


@dataclass(frozen=True, slots=True)
class FeedOrder:
    """Which page is asked for. `wait_s`: how long to wait for a first change when there is none."""

    caller: Caller
    space: str
    since: Cursor
    limit: int
    wait_s: float = 0
    include_memories: bool = False


@dataclass(frozen=True, slots=True)
class Followed:
    """A page, and the memories of its additions and updates as they are now, if they were asked for."""

    page: FeedPage
    memories: Mapping[MemoryId, Record] = field(default_factory=dict)


def parse_cursor(text: str, *, field: str) -> Cursor:
    """A cursor as a reader sends it back."""
    try:
        return Cursor.parse(text)
    except ValueError:
        fault = FieldError(field, "is not a cursor of the change feed", "Pass `cursor` of the page before, or 0.")
        raise InvalidRequestError("the cursor cannot be used", fields=(fault,)) from None


async def follow(database: Database, order: FeedOrder, clock: Callable[[], datetime]) -> Followed:
    """The next changes of a space. No connection is held while waiting, and what holds of access is asked each time."""
    end = asyncio.get_running_loop().time() + order.wait_s
    since = order.since
    while True:
        found, space_id = await _read(database, order, since, clock())
        since = found.page.cursor
        if found.page.items:
            return found
        if not await _await_operation(database, order.caller, space_id, since.number, end):
            return found


async def _read(database: Database, order: FeedOrder, since: Cursor, now: datetime) -> tuple[Followed, SpaceId]:
    when = When(now)
    async with database.read(order.caller.tenant_id) as session:
        space_id = await access.require(session, order.caller, order.space, "read")
        page = await feed.read_changes(
            session, space_id, since=since, limit=order.limit, caller=order.caller, when=when
        )
        if not order.include_memories:
            return Followed(page), space_id
        ids = list(dict.fromkeys(item.memory_id for item in page.items if item.change != "removed"))
        records = await memories.get_records(session, ids, caller=order.caller, when=when)
        return Followed(page, records), space_id


async def _await_operation(database: Database, caller: Caller, space_id: SpaceId, number: int, end: float) -> bool:
    """Whether the space has an operation after `number` before the time is over."""
    while (left := end - asyncio.get_running_loop().time()) > 0:
        await asyncio.sleep(min(POLL_S, left))
        async with database.read(caller.tenant_id) as session:
            if await feed.last_number(session, space_id) > number:
                return True
    return False

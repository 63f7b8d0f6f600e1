"""`/v1/changes`: following a space."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query

from memsvc.api.auth import Reader
from memsvc.api.memories import to_memory
from memsvc.api.services import ServicesDep
from memsvc.lifecycle.feed import FeedOrder, Followed, follow, parse_cursor
from memsvc.wire.sharing import ChangeOut, ChangePage

router = APIRouter(prefix="/v1")
LONGEST_WAIT_S = 30


@router.get("/changes", summary="Follow the changes of a space")
async def changes(
    caller: Reader,
    services: ServicesDep,
    space: str = "default",
    since: Annotated[str, Query(max_length=64, description="0, or `cursor` of the page before.")] = "0",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    wait: Annotated[float, Query(ge=0, le=LONGEST_WAIT_S, description="Seconds to wait for a first change.")] = 0,
    include: Annotated[
        Literal["memory"] | None, Query(description="memory: with the memories as they are now.")
    ] = None,
) -> ChangePage:
    """What was done to which memory, in the order of commits; each change once, whoever writes meanwhile."""
    order = FeedOrder(
        caller=caller,
        space=space,
        since=parse_cursor(since, field="since"),
        limit=limit,
        wait_s=wait,
        include_memories=include is not None,
    )
    return _page(await follow(services.database, order, services.clock))


def _page(followed: Followed) -> ChangePage:
    items = []
    for change in followed.page.items:
        record = followed.memories.get(change.memory_id) if change.change != "removed" else None
        values: dict[str, Any] = {
            "number": change.number,
            "operation_id": change.operation_id,
            "operation": change.kind,
            "actor": change.actor,
            "recorded_at": change.recorded_at,
            "memory_id": change.memory_id,
            "change": change.change,
            "version": change.version,
            "state": change.state,
            "cursor": str(change.cursor),
            "memory": None if record is None else to_memory(record),
        }
        items.append(ChangeOut.model_construct(**values))
    return ChangePage.model_construct(items=items, cursor=str(followed.page.cursor), more=followed.page.more)

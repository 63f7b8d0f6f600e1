"""The change feed: what each operation of a space did to each memory, as far as a reader may know it.

The place of an item is (number of the operation, id of the memory). Operations are numbered in the order of commits,
without gaps, under the space's row lock; so what lies before a place never changes, but for what is erased.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from psycopg.rows import tuple_row

from memsvc.ids import MemoryId, OperationId, SpaceId
from memsvc.store import access
from memsvc.store.access import When
from memsvc.store.database import ReadSession
from memsvc.store.keys import Caller
from memsvc.store.scope import CURRENT_STATES

ChangeKind = Literal["added", "updated", "removed"]
OPERATIONS_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in the feed: after the operation `number`, or after its item for `memory` when that is given."""

    number: int
    memory: UUID | None = None

    def __str__(self) -> str:
        return str(self.number) if self.memory is None else f"{self.number}:{self.memory}"

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """The inverse of `str`; `ValueError` for anything else."""
        number, colon, memory = text.partition(":")
        if not number.isascii() or not number.isdigit() or len(number) > 18:
            raise ValueError(text)
        return cls(int(number), UUID(memory) if colon else None)


@dataclass(frozen=True, slots=True)
class Change:
    """What one operation did to one memory. `version` and `state` are as it left them, None once it is erased."""

    number: int
    kind: str
    operation_id: OperationId
    actor: str
    recorded_at: datetime
    memory_id: MemoryId
    change: ChangeKind
    version: int | None
    state: str | None

    @property
    def cursor(self) -> Cursor:
        """The place right after it."""
        return Cursor(self.number, self.memory_id)


@dataclass(frozen=True, slots=True)
class OperationSize:
    """An operation and how many memories it concerns; where it concerns many, not all are counted."""

    id: OperationId
    number: int
    memories: int


@dataclass(frozen=True, slots=True)
class FeedPage:
    """Up to `limit` changes; `cursor` is where the next page begins, `more` whether there may be one."""

    items: Sequence[Change]
    cursor: Cursor
    more: bool


async def last_number(session: ReadSession, space_id: SpaceId) -> int:
    """The number of the space's latest operation; 0 when it has none."""
    rows = await session.fetch(
        "SELECT next_operation - 1 FROM spaces WHERE tenant_id = %(tenant)s AND id = %(space)s",
        {"tenant": session.tenant_id, "space": space_id},
        tuple_row,
    )
    return rows[0][0] if rows else 0


async def next_operations(
    session: ReadSession, space_id: SpaceId, *, first: int, last: int | None, memories: int
) -> list[OperationSize]:
    """Operations from number `first` on (to `last`), until they concern that many memories; one at least."""
    # More than fill a page need not be counted.
    sizes = " + ".join(
        f"(SELECT count(*) FROM (SELECT 1 FROM {table} x WHERE x.tenant_id = o.tenant_id AND x.operation_id = o.id "
        "LIMIT %(enough)s) y)"
        for table in ("memories", "memory_history", "tombstones")
    )
    rows = await session.fetch(
        f"SELECT o.id, o.number, {sizes} FROM operations o WHERE o.tenant_id = %(tenant)s AND o.space_id = %(space)s "
        "AND o.number >= %(first)s AND (%(last)s::bigint IS NULL OR o.number <= %(last)s) "
        "ORDER BY o.number LIMIT %(limit)s",
        {
            "tenant": session.tenant_id,
            "space": space_id,
            "first": first,
            "last": last,
            "limit": OPERATIONS_AT_ONCE,
            "enough": memories,
        },
        tuple_row,
    )
    chosen: list[OperationSize] = []
    for row in rows:
        if sum(one.memories for one in chosen) >= memories:
            break
        chosen.append(OperationSize(*row))
    return chosen


_SPACE = "%(space)s"


def _readable(visibility: str) -> str:
    """SQL over `memories m`: might the caller read it if that were its visibility?

    As `access.permitted` says; what does not depend on the memory is taken from the row `me`, where it is asked once.
    """
    rule = access.permitted("read", _SPACE).replace("m.visibility", visibility)
    return rule.replace(access.space_allows("read", _SPACE), "me.allowed").replace(
        access.granted("read", _SPACE), "me.shared"
    )


def _living(state: str) -> str:
    return f"{state} IN ({', '.join(repr(each) for each in CURRENT_STATES)})"


# A memory is there for a reader from the operation that makes it readable and current, until the one that ends either.
# `m` is what it is now, `h` what the operation left (no row: that is what it is now), `b` what it was before it.
# OFFSET 0 keeps the planner from reading the whole history for a page, which it does while it has no statistics.
#
# What an import brought keeps the operations that had made it. Those that the space did not have are told of by
# themselves, right before the import; what older ones had made is new at the import.
IMPORTED = """
SELECT i.operation_id, i.id, i.version FROM operations o CROSS JOIN LATERAL (
    SELECT o.id AS operation_id, m.id, max(x.version) FILTER (WHERE made.number < first.told) AS version,
        bool_or(made.number BETWEEN first.told AND o.number) AS told
    FROM (SELECT o.number - (o.details ->> 'operations')::bigint AS told) first
    JOIN memories m ON m.tenant_id = %(tenant)s AND m.space_id = o.space_id
        AND m.number BETWEEN (o.details ->> 'first')::bigint AND (o.details ->> 'last')::bigint
    CROSS JOIN LATERAL (
        SELECT m.version, m.operation_id
        UNION ALL SELECT h.version, h.operation_id FROM memory_history h
        WHERE h.tenant_id = %(tenant)s AND h.id = m.id OFFSET 0
    ) x JOIN operations made ON made.tenant_id = %(tenant)s AND made.id = x.operation_id
    GROUP BY m.id
) i
WHERE o.tenant_id = %(tenant)s AND o.id = ANY (%(operations)s) AND o.kind = 'import' AND NOT i.told
"""
_ITEMS = f"""
WITH me AS MATERIALIZED (
    SELECT coalesce({access.space_allows("read", _SPACE)}, false) AS allowed, {access.granted("read", _SPACE)} AS shared
), touched AS MATERIALIZED (
    SELECT t.operation_id, t.id, min(t.first) AS first, max(t.version) AS last FROM (
        SELECT one.operation_id, v.id, v.version, v.version AS first
        FROM unnest(%(operations)s::uuid[]) AS one(operation_id) JOIN LATERAL (
            SELECT id, version FROM memories
            WHERE tenant_id = %(tenant)s AND operation_id = one.operation_id OFFSET 0
        ) v ON true
        UNION ALL SELECT one.operation_id, v.id, v.version, v.version
        FROM unnest(%(operations)s::uuid[]) AS one(operation_id) JOIN LATERAL (
            SELECT id, version FROM memory_history
            WHERE tenant_id = %(tenant)s AND operation_id = one.operation_id OFFSET 0
        ) v ON true
        UNION ALL SELECT i.operation_id, i.id, i.version, 1 FROM ({IMPORTED}) i
    ) t GROUP BY t.operation_id, t.id
), standing AS MATERIALIZED (
    SELECT t.operation_id, t.id, t.last AS version, coalesce(h.state, m.state) AS state,
        {_readable("m.visibility")} AS readable, {_readable("coalesce(h.visibility, m.visibility)")} AS was_readable,
        {access.UNEXPIRED} AS unexpired,
        b.id IS NOT NULL AND {_living("b.state")} AND {_readable("b.visibility")} AS before
    FROM touched t CROSS JOIN me JOIN memories m ON m.tenant_id = %(tenant)s AND m.id = t.id
    LEFT JOIN LATERAL (
        SELECT state, visibility FROM memory_history h
        WHERE h.tenant_id = %(tenant)s AND h.id = t.id AND h.version = t.last OFFSET 0
    ) h ON true
    LEFT JOIN LATERAL (
        SELECT id, state, visibility FROM memory_history b
        WHERE b.tenant_id = %(tenant)s AND b.id = t.id AND b.version = t.first - 1 OFFSET 0
    ) b ON true
), items AS (
    SELECT operation_id, id AS memory_id, version, state, CASE
        WHEN {_living("state")} AND readable AND unexpired THEN CASE WHEN before THEN 'updated' ELSE 'added' END
        WHEN before AND (NOT {_living("state")} OR NOT was_readable OR (readable AND NOT unexpired)) THEN 'removed'
        END AS change FROM standing
    UNION ALL SELECT operation_id, memory_id, NULL, NULL, 'removed' FROM tombstones
    WHERE tenant_id = %(tenant)s AND operation_id = ANY (%(operations)s)
    AND (readers IS NULL OR %(principal)s = ANY (readers))
)
SELECT o.number, o.kind, o.id, p.name, o.recorded_at, i.memory_id, i.change, i.version, i.state
FROM items i JOIN operations o ON o.tenant_id = %(tenant)s AND o.id = i.operation_id
JOIN principals p ON p.tenant_id = o.tenant_id AND p.id = o.principal_id
WHERE i.change IS NOT NULL AND (o.number > %(number)s OR i.memory_id > %(memory)s)
AND (o.number < %(last)s OR i.memory_id <= %(last_memory)s)
ORDER BY o.number, i.memory_id LIMIT %(limit)s
"""
_ANY_MEMORY = UUID(int=2**128 - 1)
_END = 2**62


async def read_changes(
    session: ReadSession,
    space_id: SpaceId,
    *,
    since: Cursor,
    limit: int,
    caller: Caller,
    when: When,
    until: Cursor | None = None,
) -> FeedPage:
    """The changes after `since` (and not after `until`) that the caller may know of; he may read the space.

    What he may not know of is passed over, and the cursor moves past it.
    """
    items: list[Change] = []
    # Of the operation in which the last page ended, the rest comes first.
    first = since.number if since.memory is not None else since.number + 1
    cursor = since
    while True:
        operations = await next_operations(
            session, space_id, first=first, last=None if until is None else until.number, memories=limit - len(items)
        )
        if not operations:
            return FeedPage(items, cursor, more=False)
        found = await session.fetch(
            _ITEMS,
            {
                **access.parameters(session, caller, when),
                "space": space_id,
                "operations": [operation.id for operation in operations],
                "number": since.number,
                "memory": since.memory or _ANY_MEMORY,
                "last": _END if until is None else until.number,
                "last_memory": _ANY_MEMORY if until is None else until.memory or _ANY_MEMORY,
                "limit": limit - len(items) + 1,
            },
            tuple_row,
        )
        wanted = limit - len(items)
        items += [Change(*row) for row in found[:wanted]]
        if len(found) > wanted:
            return FeedPage(items, items[-1].cursor, more=True)
        cursor = Cursor(operations[-1].number)
        if until is not None and cursor.number >= until.number:
            return FeedPage(items, until, more=False)
        if len(items) == limit:
            return FeedPage(items, cursor, more=True)
        first = cursor.number + 1

"""Setting budgets, asking without leaving traces, and weighing what is in recall: rows and bytes."""

from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from time import sleep
from uuid import UUID

import psycopg

from evals.bench_sql import owner_connection
from evals.planted_score import READABLE
from evals.workers_service import Target

# The service writes uses down every five seconds.
_USES_NOTED_S = 7.0
_MOST_RUNS = 20
_ENTRY_BYTES = 8  # of a posting: chunk, term frequency, length
# Space and state stand in every statement; the owner's connection sees all tenants.
_HOT = "m.space_id = s.id AND m.state = ANY (%(states)s) AND s.name = %(space)s"
_ROWS = f"SELECT count(*) FROM memories m, spaces s WHERE {_HOT}"
_CONTENTS = (
    "SELECT coalesce(sum(pg_column_size(c.*)), 0) FROM contents c JOIN memories m "
    f"ON m.tenant_id = c.tenant_id AND m.id = c.memory_id, spaces s WHERE {_HOT}"
)
_CHUNKS = (
    "SELECT coalesce(sum(pg_column_size(c.*)), 0) FROM chunks c JOIN memories m "
    f"ON m.tenant_id = c.tenant_id AND m.id = c.memory_id, spaces s WHERE {_HOT}"
)
_HOT_NUMBERS = (
    f"SELECT c.number FROM chunks c JOIN memories m ON m.tenant_id = c.tenant_id AND m.id = c.memory_id, spaces s "
    f"WHERE {_HOT}"
)
# An entry begins with its chunk's number, four bytes, least first.
_POSTINGS = f"""
SELECT coalesce(sum({_ENTRY_BYTES}), 0) FROM postings p JOIN spaces s ON s.id = p.space_id
CROSS JOIN LATERAL generate_series(0, octet_length(p.entries) / {_ENTRY_BYTES} - 1) n
WHERE s.name = %(space)s AND get_byte(p.entries, (n * {_ENTRY_BYTES})::int)
    + (get_byte(p.entries, (n * {_ENTRY_BYTES} + 1)::int)::bigint << 8)
    + (get_byte(p.entries, (n * {_ENTRY_BYTES} + 2)::int)::bigint << 16)
    + (get_byte(p.entries, (n * {_ENTRY_BYTES} + 3)::int)::bigint << 24) IN ({_HOT_NUMBERS})
"""
_NOTE_USES = "CREATE TEMP TABLE uses AS SELECT tenant_id, id, access_count, last_accessed_at, strength FROM memories"
_TAKE_BACK_USES = (
    "UPDATE memories m SET access_count = u.access_count, last_accessed_at = u.last_accessed_at, strength = u.strength "
    "FROM uses u WHERE u.tenant_id = m.tenant_id AND u.id = m.id "
    "AND (m.access_count, m.last_accessed_at, m.strength) IS DISTINCT FROM "
    "(u.access_count, u.last_accessed_at, u.strength)"
)
_TABLES = ("memories", "contents", "chunks", "postings", "packs")


@dataclass(frozen=True, slots=True)
class Weight:
    """What a space has in recall. `disk`: the tables that hold memories, written anew, with their indexes."""

    rows: int
    contents: int
    chunks: int
    postings: int
    disk: int

    @property
    def bytes(self) -> int:
        """Of contents, vectors and postings of what is in recall."""
        return self.contents + self.chunks + self.postings


@contextmanager
def unobserved(target: Target) -> Iterator[None]:
    """What is recalled inside counts as no use: else the questions would tell forgetting what is asked for."""
    with owner_connection(target.service) as connection:
        connection.execute(_NOTE_USES)
        started = datetime.now(UTC)
        yield
        wait_for_uses()
        connection.execute(_TAKE_BACK_USES)
        connection.execute("DELETE FROM reinforcements WHERE at >= %s", (started,))


def weigh(connection: psycopg.Connection, space: str) -> Weight:
    """Measure a space; the tables are vacuumed in full first, so that nothing that is gone still counts."""
    for table in _TABLES:
        connection.execute(f"VACUUM (FULL, ANALYZE) {table}")
    parameters = {"space": space, "states": sorted(READABLE)}

    def number(statement: str) -> int:
        row = connection.execute(statement, parameters).fetchone()
        return 0 if row is None else int(row[0])

    disk = sum(number(f"SELECT pg_total_relation_size('{table}')") for table in _TABLES)
    return Weight(number(_ROWS), number(_CONTENTS), number(_CHUNKS), number(_POSTINGS), disk)


def archive_share(target: Target, spaces: Mapping[str, Set[UUID]], share: float) -> float:
    """Give each space a budget under which so many of its turns stay, and forget; the share that is archived then."""
    archived = 0
    for space, turns in spaces.items():
        stay = len(turns) - int(len(turns) * share)
        target.set_policies(space, {"forget": {"kinds": {"turn": {"budget": {"memories": stay}}}}})
        forget_all(target, space)
        listed = target.client.iterate(space=space, kind="turn", state="archived", limit=1000)
        archived += sum(memory.id in turns for memory in listed)
    return archived / sum(len(turns) for turns in spaces.values())


def forget_all(target: Target, space: str, *, limit: int = 1000) -> None:
    """Forget until there is nothing left to forget; what was in use while one run looked is left to the next."""
    for _ in range(_MOST_RUNS):
        if not any(run.changes for run in target.work("forget", space, limit=limit)):
            return
    raise RuntimeError(f"{space!r} is still forgetting after {_MOST_RUNS} runs")


def wait_for_uses() -> None:
    """Until the uses so far are in the database."""
    sleep(_USES_NOTED_S)

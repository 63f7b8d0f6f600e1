"""What a service stores, by table and by column. Bytes tell what a stage costs beside its milliseconds."""

from collections.abc import Sequence

import psycopg
from psycopg.sql import SQL, Identifier

from evals.ablate_model import Storage
from evals.bench_sql import owner_connection
from evals.corpus import DatasetError
from evals.runner import Haystack
from evals.service import footprint
from evals.workers_service import Target

# What is smaller than this share of its table, or of all tables, is not listed.
_SMALL = 0.01
_TABLES = (
    "SELECT c.relname, pg_total_relation_size(c.oid) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY 2 DESC, 1"
)
_COLUMNS = "SELECT attname FROM pg_attribute WHERE attrelid = 'chunks'::regclass AND attnum > 0 AND NOT attisdropped"
_OF_TURNS = SQL(
    "SELECT coalesce(sum(pg_column_size(c.{})), 0) FROM chunks c JOIN memories m "
    "ON m.tenant_id = c.tenant_id AND m.id = c.memory_id WHERE m.kind = 'turn'"
)


def weigh(target: Target, haystacks: Sequence[Haystack]) -> Storage:
    """What the service stores; `DatasetError` when its key may not read that."""
    stored = footprint(target.service)
    if stored is None:
        raise DatasetError("the service's key may not read what it stores")
    with owner_connection(target.service) as connection:
        tables = {str(name): int(size) for name, size in connection.execute(_TABLES).fetchall()}
        columns = dict(sorted(_columns(connection).items(), key=lambda item: -item[1]))
    return Storage(
        bytes=stored.bytes,
        memories=stored.memories,
        turns=sum(bool(turn.content.strip()) for each in haystacks for turn in each.conversation.turns),
        tables=_large(tables),
        columns=_large(columns),
    )


def _columns(connection: psycopg.Connection) -> dict[str, int]:
    """Bytes of each column of the chunks of turns, as they are stored."""
    names = [str(name) for (name,) in connection.execute(_COLUMNS).fetchall()]
    found: dict[str, int] = {}
    for name in names:
        row = connection.execute(_OF_TURNS.format(Identifier(name))).fetchone()
        found[name] = 0 if row is None else int(row[0])
    return found


def _large(sizes: dict[str, int]) -> dict[str, int]:
    least = _SMALL * sum(sizes.values())
    return {name: size for name, size in sizes.items() if size >= least}

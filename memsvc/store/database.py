"""Connections. Read, pipelined and write sessions are distinct types; each is one transaction of one tenant."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg
from pgvector.psycopg import register_vector_async
from psycopg import AsyncConnection, AsyncCursor
from psycopg.rows import AsyncRowFactory, TupleRow
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from sqlalchemy import CursorResult, Executable, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection as SqlConnection
from sqlalchemy.ext.asyncio import create_async_engine

from memsvc.errors import ConfigurationError, DatabaseUnavailableError
from memsvc.ids import TenantId
from memsvc.store.arrays import register_arrays

SET_TENANT = text("SELECT set_config('memsvc.tenant_id', :tenant, true)")
POOL_TIMEOUT_S = 10.0
# Of such a size a table is copied in tenths of a second; for longer than this nobody is kept from it while it waits.
SMALL_BYTES = 16 << 20
LONGEST_LOCK_S = 2
# What holds content, or words and vectors made from it.
CONTENT_TABLES = (
    "memories",
    "memory_history",
    "contents",
    "packs",
    "chunks",
    "postings",
    "facts",
    "feedback",
    "sessions",
    "operations",
    "receipts",
    "tensors",
    "tensor_prefixes",
    "scratches",
    "scratch_revisions",
)
RowT = TypeVar("RowT")


@dataclass(frozen=True, slots=True)
class ReadSession:
    """A read-only transaction in which only the rows of `tenant_id` are visible."""

    connection: SqlConnection
    tenant_id: TenantId

    async def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[Any]:
        """Run a statement; `parameters` as SQLAlchemy takes them."""
        return await self.connection.execute(statement, parameters)

    async def fetch(
        self, sql: str, parameters: Mapping[str, object] | Sequence[object], rows: AsyncRowFactory[RowT]
    ) -> list[RowT]:
        """Run a hot statement on the driver, in binary, so that arrays arrive as numpy arrays."""
        driver = await self.driver()
        async with driver.cursor(binary=True, row_factory=rows) as cursor:
            await cursor.execute(sql.encode(), parameters)
            return await cursor.fetchall()

    async def run(self, sql: str, parameters: Mapping[str, object]) -> int:
        """Run a statement on the driver that returns nothing; how many rows it touched."""
        cursor = await (await self.driver()).execute(sql.encode(), parameters)
        return cursor.rowcount

    async def driver(self) -> AsyncConnection[TupleRow]:
        """The psycopg connection beneath, inside this transaction."""
        raw = await self.connection.get_raw_connection()
        connection: AsyncConnection[TupleRow] = raw.driver_connection  # type: ignore[assignment]
        return connection


@dataclass(frozen=True, slots=True)
class PipelinedSession:
    """A read-only transaction of one tenant whose statements travel together.

    `send` does not wait: what is sent before the first answer is read takes one round trip, the transaction's own
    opening included. A hot path of few statements spends more on round trips than in Postgres.
    """

    driver: AsyncConnection[TupleRow]
    tenant_id: TenantId

    async def send(self, sql: str, parameters: Mapping[str, object], rows: AsyncRowFactory[RowT]) -> AsyncCursor[RowT]:
        """Send a statement; `fetchall` of what is returned waits for its rows, in binary."""
        cursor = self.driver.cursor(binary=True, row_factory=rows)
        await cursor.execute(sql.encode(), parameters)
        return cursor

    async def fetch(self, sql: str, parameters: Mapping[str, object], rows: AsyncRowFactory[RowT]) -> list[RowT]:
        """Send a statement and wait for its rows."""
        cursor = await self.send(sql, parameters, rows)
        return await cursor.fetchall()

    async def set_local(self, settings: Mapping[str, str]) -> None:
        """Settings for the rest of the transaction, in one statement: each one sent costs turns of the event loop."""
        calls = ", ".join(["set_config(%s, %s, true)"] * len(settings))
        await self.driver.execute(f"SELECT {calls}".encode(), [text for item in settings.items() for text in item])


@dataclass(frozen=True, slots=True)
class WriteSession(ReadSession):
    """A transaction that may change rows of `tenant_id`; it commits when its block ends without an error."""


class Database:
    """The application role's pool of connections."""

    def __init__(self, url: str, *, pool_size: int) -> None:
        self._engine = create_async_engine(
            make_url(url).set(drivername="postgresql+psycopg"),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=POOL_TIMEOUT_S,
            pool_pre_ping=False,
            connect_args={"prepare_threshold": 3},
            hide_parameters=True,  # they hold content, and errors are logged
        )
        event.listen(self._engine.sync_engine, "connect", _prepare_connection)
        # Straight from the driver: a hot path pays for each layer twice, in time and in turns of the event loop. Plans
        # are made once for a statement and connection, since planning those of recall takes as long as running them.
        self._pipelines = AsyncConnectionPool(
            make_url(url).set(drivername="postgresql").render_as_string(hide_password=False),
            kwargs={"prepare_threshold": 1, "application_name": "memsvc-recall"},
            configure=_prepare_pipeline,
            min_size=1,
            max_size=pool_size,
            timeout=POOL_TIMEOUT_S,
            open=False,
        )

    @asynccontextmanager
    async def read(self, tenant_id: TenantId) -> AsyncIterator[ReadSession]:
        """One read-only transaction."""
        async with _translated(), self._engine.connect() as connection:
            await connection.execution_options(postgresql_readonly=True)
            await connection.execute(SET_TENANT, {"tenant": str(tenant_id)})
            yield ReadSession(connection, tenant_id)

    @asynccontextmanager
    async def snapshot(self, tenant_id: TenantId) -> AsyncIterator[ReadSession]:
        """One read-only transaction whose statements all see the same moment, for what is read in many."""
        async with _translated(), self._engine.connect() as connection:
            await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            await connection.execute(SET_TENANT, {"tenant": str(tenant_id)})
            yield ReadSession(connection, tenant_id)

    @asynccontextmanager
    async def pipeline(self, tenant_id: TenantId) -> AsyncIterator[PipelinedSession]:
        """One read-only transaction in pipeline mode."""
        async with _translated():
            await self._pipelines.open()
            try:
                async with self._pipelines.connection() as driver, driver.pipeline():
                    session = PipelinedSession(driver, tenant_id)
                    await session.set_local({"memsvc.tenant_id": str(tenant_id)})
                    yield session
            except psycopg.OperationalError:
                await self._pipelines.check()  # a restart of the server breaks all connections, not this one alone
                raise

    @asynccontextmanager
    async def write(self, tenant_id: TenantId) -> AsyncIterator[WriteSession]:
        """One transaction, committed at the end of the block."""
        async with _translated(), self._engine.begin() as connection:
            await connection.execute(SET_TENANT, {"tenant": str(tenant_id)})
            yield WriteSession(connection, tenant_id)

    @asynccontextmanager
    async def untenanted(self) -> AsyncIterator[SqlConnection]:
        """A transaction with no tenant: tables without `tenant_id` and `memsvc_find_key` only."""
        async with _translated(), self._engine.begin() as connection:
            yield connection

    async def vacuum(self) -> None:
        """Let the space of removed rows be used again; it blocks neither readers nor writers.

        A small table is written anew, which is a matter of moments: then the bytes of removed rows are gone as well.
        """
        async with _translated(), self._engine.connect() as connection:
            free = await connection.execution_options(isolation_level="AUTOCOMMIT")
            await free.execute(text(f"VACUUM {', '.join(CONTENT_TABLES)}"))
            small = await free.execute(
                text(
                    "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname = ANY (:tables) "
                    "AND relname <> 'chunks' AND pg_total_relation_size(oid) < :bytes"  # chunks: an index to build
                ),
                {"tables": list(CONTENT_TABLES), "bytes": SMALL_BYTES},
            )
            for table in small.scalars().all():
                try:
                    await free.execute(text(f"SET lock_timeout = '{LONGEST_LOCK_S}s'"))
                    await free.execute(text(f"VACUUM (FULL, ANALYZE) {table}"))
                except OperationalError as error:
                    if not isinstance(error.orig, psycopg.errors.LockNotAvailable):
                        raise
                finally:
                    await free.execute(text("RESET lock_timeout"))

    async def check_role(self) -> None:
        """Refuse a role that row-level security does not bind."""
        async with self.untenanted() as connection:
            row = (
                await connection.execute(
                    text(
                        "SELECT r.rolname, r.rolsuper OR r.rolbypassrls, "
                        "EXISTS (SELECT 1 FROM pg_class c WHERE c.relname = 'memories' AND c.relowner = r.oid) "
                        "FROM pg_roles r WHERE r.rolname = current_user"
                    )
                )
            ).one()
        if row[1] or row[2]:
            raise ConfigurationError(
                f"MEMSVC_DATABASE_URL connects as {row[0]}, which row-level security does not bind",
                remedy=(
                    "Make a plain role (CREATE ROLE memsvc_app LOGIN PASSWORD '...'), put it in MEMSVC_DATABASE_URL "
                    "and the owner in MEMSVC_ADMIN_DATABASE_URL, then run `memsvc migrate`."
                ),
            )

    async def ping(self) -> None:
        """One round trip; `DatabaseUnavailableError` when it fails."""
        async with self.untenanted() as connection:
            await connection.execute(text("SELECT 1"))

    async def close(self) -> None:
        """Close every connection."""
        await self._pipelines.close()
        await self._engine.dispose()


def _prepare_connection(dbapi_connection: Any, _record: object) -> None:
    dbapi_connection.run_async(_prepare)


async def _prepare_pipeline(connection: AsyncConnection[TupleRow]) -> None:
    await connection.set_read_only(True)
    await connection.execute("SET plan_cache_mode = force_generic_plan")
    await _prepare(connection)


async def _prepare(connection: AsyncConnection[TupleRow]) -> None:
    """Types, and a plan that does not fall behind.

    A plan made while a table is almost empty reads it whole, and a connection keeps it (that of a foreign key's check
    too) until the table is analysed: for the first minute of a load each row then costs a scan of all before it. Every
    statement of ours can be served by an index, since the tenant leads each of them.
    """
    await connection.execute("SET enable_seqscan = off")
    await connection.commit()
    await register_vector_async(connection)
    register_arrays(connection)
    await connection.rollback()


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    """A lost or unreachable database is one clear error, with nothing half done (the transaction is gone)."""
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeoutError, PoolTimeout, psycopg.OperationalError) as error:
        raise DatabaseUnavailableError(retry_after_s=2.0) from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise DatabaseUnavailableError(retry_after_s=2.0) from error
        raise

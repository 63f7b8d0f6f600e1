"""One dense statement on a direct connection: the floor under any recall that reads vectors from Postgres."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from uuid import UUID

import psycopg
from psycopg import Connection
from sqlalchemy.engine import make_url

from evals.service import Service

LIMIT = 100
_SPACE = "SELECT tenant_id, id FROM spaces WHERE name = %s"
_NEAREST = (
    "SELECT memory_id, vec <=> %s::vector AS distance FROM chunks "
    "WHERE tenant_id = %s AND space_id = %s ORDER BY distance LIMIT %s"
)


class SpaceNotSeenError(Exception):
    """The database has no space of that name: it is another service's, or its role may not read it."""


@dataclass(frozen=True, slots=True)
class DenseScan:
    """A connection with the one space to search."""

    connection: Connection
    tenant_id: UUID
    space_id: UUID

    def milliseconds(self, vector: Sequence[float]) -> float:
        """Time of the nearest 100 chunks, from sending the statement to having the rows."""
        literal = "[" + ",".join(f"{value:.7g}" for value in vector) + "]"
        started = perf_counter()
        self.connection.execute(_NEAREST, (literal, self.tenant_id, self.space_id, LIMIT)).fetchall()
        return (perf_counter() - started) * 1000


@contextmanager
def dense_scan(service: Service, space: str, database_url: str | None) -> Iterator[DenseScan]:
    """A scan of `space` in the given database, else in the service's own one."""
    if database_url is not None:
        with _connect(database_url) as connection:
            yield _open(connection, space)
        return
    with owner_connection(service) as connection:
        yield _open(connection, space)


@contextmanager
def owner_connection(service: Service) -> Iterator[Connection]:
    """The database of a service of our own, as its owner."""
    if service.data_dir is None:
        raise SpaceNotSeenError("The tables of a service that was given are read with --database-url.")
    # Imported here: evaluating a service elsewhere needs no database code.
    from memsvc.config import load_settings
    from memsvc.deployment import deploy

    settings = load_settings(data_dir=service.data_dir, database_url=None, admin_database_url=None)
    with deploy(settings) as deployment, _connect(deployment.owner_url) as connection:
        yield connection


def _connect(url: str) -> Connection:
    """Autocommit, so that each statement is by itself; psycopg prepares it after a few uses, as the service's does."""
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(plain, autocommit=True, prepare_threshold=3)


def _open(connection: Connection, space: str) -> DenseScan:
    """Find the space; the row-level security of an owner that is no superuser asks for the tenant first."""
    for (tenant,) in connection.execute("SELECT tenant_id FROM tenants ORDER BY tenant_id").fetchall():
        connection.execute("SELECT set_config('memsvc.tenant_id', %s, false)", (str(tenant),))
        row = connection.execute(_SPACE, (space,)).fetchone()
        if row is not None:
            return DenseScan(connection, row[0], row[1])
    raise SpaceNotSeenError(f"The database has no space {space!r}, or its role may not read it.")

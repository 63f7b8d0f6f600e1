"""The embedded database: PostgreSQL 18 with pgvector from a wheel, shared by the services on one data directory.

    <data_dir>/postgres            the cluster, 0700, with the socket inside when its path is short enough
    <data_dir>/postgres.json       the passwords of its two roles, 0600
    <data_dir>/postgres.log        what the server says
    <data_dir>/postgres.lock       held while a service starts or stops the server
    <data_dir>/postgres.lease      held, shared, by each service for its life; the last one stops the server
    <data_dir>/postgres.alive      held by the server's processes

All locks are flocks: the system releases them when their holder dies, however it dies.
"""

import atexit
import errno
import os
import secrets
import stat
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from sqlalchemy import URL

from memsvc.errors import ConfigurationError, DatabaseUnavailableError
from memsvc.store.cluster import MAJOR, START_TIMEOUT_S, Cluster
from memsvc.store.local_files import (
    Account,
    blaming,
    exclusive,
    find_binaries,
    make_private_directory,
    open_lock,
    open_way_to,
    read_secrets,
    server_account,
    socket_directory,
    take_lock,
    write_atomically,
)

DATABASE = "memsvc"
OWNER = "memsvc_owner"
APPLICATION = "memsvc_app"
PORT = 5432
_PASSWORDS = ("owner_password", "app_password")
# A start may follow the slowest start, and wait for its lock.
_LOCK_TIMEOUT_S = START_TIMEOUT_S + 60


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """How to reach an embedded server: a Unix socket and two roles, the owner (superuser) and the application's."""

    socket_dir: Path
    port: int
    owner_user: str
    owner_password: str = field(repr=False)
    app_user: str
    app_password: str = field(repr=False)

    def owner_url(self, database: str = DATABASE) -> str:
        """SQLAlchemy URL of the owner, for migrations and backups: it bypasses row-level security."""
        return self._url(self.owner_user, self.owner_password, database)

    def app_url(self, database: str = DATABASE) -> str:
        """SQLAlchemy URL of the application role, which row-level security holds."""
        return self._url(self.app_user, self.app_password, database)

    def _url(self, user: str, password: str, database: str) -> str:
        query = {"host": str(self.socket_dir), "port": str(self.port)}
        url = URL.create("postgresql+psycopg", username=user, password=password, database=database, query=query)
        return url.render_as_string(hide_password=False)


class EmbeddedServer:
    """A lease on the server of `data_dir`, kept until `stop` or the end of the process.

    `options`: PostgreSQL settings of a server that this one starts; one that runs already keeps its own.
    """

    def __init__(self, data_dir: Path, *, options: Mapping[str, str] = MappingProxyType({})) -> None:
        self.data_dir = data_dir.expanduser().resolve()
        self._options = dict(options)
        self._lease: int | None = None
        self._lease_process = 0

    def start(self) -> ServerAddress:
        """Take the lease and make sure that the server answers; again, to revive one that was killed.

        Makes the database the first time. Raises `ConfigurationError` when the data directory cannot be used and
        `DatabaseUnavailableError` when the server does not answer in time.
        """
        if sys.platform == "win32":
            raise ConfigurationError(
                "the embedded database does not run on Windows",
                remedy="Set MEMSVC_DATABASE_URL to a PostgreSQL server with pgvector.",
            )
        with blaming(self.data_dir):
            self._make_data_dir()
            with exclusive(self._path("lock"), timeout_s=_LOCK_TIMEOUT_S):
                try:
                    self._take_lease()
                    cluster = self._cluster(server_account())
                    return self._serve(cluster)
                except BaseException:
                    self._leave()
                    raise

    def stop(self) -> None:
        """Give the lease back; the last holder stops the server. Nothing to do when it was not started."""
        if self._lease is None:
            return
        with blaming(self.data_dir), exclusive(self._path("lock"), timeout_s=_LOCK_TIMEOUT_S):
            self._leave()

    def __enter__(self) -> Self:
        """Nothing starts yet: `start` gives the address; leaving the block stops what it started."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _path(self, suffix: str) -> Path:
        return self.data_dir / f"postgres.{suffix}"

    def _make_data_dir(self) -> None:
        self.data_dir.parent.mkdir(parents=True, exist_ok=True)
        # Root's is passed through by the account of the server; nobody but root can list either.
        self.data_dir.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, exist_ok=True)
        if not os.access(self.data_dir, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self.data_dir))

    def _take_lease(self) -> None:
        if self._lease is None:
            self._lease, self._lease_process = open_lock(self._path("lease")), os.getpid()
            atexit.register(self.stop)  # also keeps us: whoever drops the object may still use the address
        if not take_lock(self._lease, shared=True):  # alone only while holding the start lock, which is ours now
            raise DatabaseUnavailableError(f"{self._path('lease')} is locked by another program")

    def _leave(self) -> None:
        lease, self._lease = self._lease, None
        if lease is None:
            return
        try:
            # A forked child has its parent's lock, not one of its own.
            if self._lease_process == os.getpid() and take_lock(lease):
                cluster = self._cluster(server_account())
                if not cluster.is_missing():
                    cluster.stop()
        finally:
            os.close(lease)
            atexit.unregister(self.stop)

    def _cluster(self, account: Account) -> Cluster:
        directory = (self.data_dir / "postgres").resolve()  # may be a link to another disk
        open_way_to(directory, account)
        return Cluster(
            directory=directory,
            log_file=self._path("log"),
            alive_file=self._path("alive"),
            account=account,
            binaries=find_binaries(MAJOR, account),
        )

    def _serve(self, cluster: Cluster) -> ServerAddress:
        missing = cluster.is_missing()
        if not missing:
            cluster.check()
        passwords = self._passwords(fresh=missing)
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            with cluster.claim() as alive:
                if alive is not None:
                    self._revive(cluster, alive, passwords["owner_password"])
            if cluster.answers():
                address = self._address(cluster, passwords)
                _provision(address)
                return address
            time.sleep(0.05)  # it recovers, or ends after its postmaster was killed
        raise DatabaseUnavailableError(
            f"the embedded PostgreSQL in {cluster.directory} runs but does not answer",
            remedy=f"Look at {cluster.log_file}; end its processes if it hangs, and start again.",
        )

    def _revive(self, cluster: Cluster, alive: int, owner_password: str) -> None:
        if cluster.is_missing():
            durable = self._options.get("fsync", "on") == "on"
            cluster.initialise(OWNER, owner_password, alive=alive, durable=durable)
        cluster.configure(self._options)
        cluster.start(alive)

    def _passwords(self, *, fresh: bool) -> Mapping[str, str]:
        path = self._path("json")
        found = read_secrets(path, _PASSWORDS)
        if found is not None:
            if stat.S_IMODE(path.stat().st_mode) & 0o077:
                path.chmod(0o600)  # restored from a backup, perhaps
            return found
        if not fresh:
            raise ConfigurationError(
                f"{path} is missing; it holds the passwords of the database in {self.data_dir / 'postgres'}",
                remedy="Restore it from a backup, or move the database directory away to start with an empty one.",
            )
        made = {name: secrets.token_urlsafe(32) for name in _PASSWORDS}
        lines = ",\n".join(f'  "{name}": "{password}"' for name, password in made.items())
        write_atomically(path, f"{{\n{lines}\n}}\n")
        return made

    def _address(self, cluster: Cluster, passwords: Mapping[str, str]) -> ServerAddress:
        # The server's own word first: the one who started it may have had another temporary directory.
        sockets = cluster.recorded_socket() or socket_directory(cluster.directory, cluster.account)
        make_private_directory(sockets, cluster.account)  # a cleaner of /tmp makes room for an impostor
        return ServerAddress(
            socket_dir=sockets,
            port=PORT,
            owner_user=OWNER,
            owner_password=passwords["owner_password"],
            app_user=APPLICATION,
            app_password=passwords["app_password"],
        )


def _conninfo(address: ServerAddress, database: str) -> str:
    return make_conninfo(
        host=str(address.socket_dir),
        port=address.port,
        user=address.owner_user,
        password=address.owner_password,
        dbname=database,
        connect_timeout=10,
    )


def _provision(address: ServerAddress) -> None:
    """Make the application role, the database and the extension where they are missing."""
    try:
        with psycopg.connect(_conninfo(address, "postgres"), autocommit=True) as connection:
            _make_role_and_database(connection, address)
        with psycopg.connect(_conninfo(address, DATABASE), autocommit=True) as connection:
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    except psycopg.OperationalError as error:
        if "password authentication failed" in str(error):
            raise ConfigurationError(
                "the passwords in postgres.json are not those of the database beside it",
                remedy="Restore both from the same backup.",
            ) from error
        raise DatabaseUnavailableError(f"the embedded PostgreSQL refused a connection: {error}") from error


def _make_role_and_database(connection: psycopg.Connection, address: ServerAddress) -> None:
    role = address.app_user
    if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone() is None:
        # The verifier instead of the password: no log, view or history of statements can show it.
        verifier = connection.pgconn.encrypt_password(address.app_password.encode(), role.encode(), b"scram-sha-256")
        statement = "CREATE ROLE {} LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD {}"
        connection.execute(sql.SQL(statement).format(sql.Identifier(role), sql.Literal(verifier.decode())))
    if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone() is None:
        statement = "CREATE DATABASE {} OWNER {}"
        connection.execute(sql.SQL(statement).format(sql.Identifier(DATABASE), sql.Identifier(address.owner_user)))

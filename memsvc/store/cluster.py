"""One PostgreSQL data directory: made whole or not at all, configured, started and stopped through `pg_ctl`.

`pg_ctl` passes its arguments through a shell, so it gets none that come from outside: it works in the directory,
and every setting goes into `postgresql.conf`.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from psycopg.conninfo import make_conninfo
from psycopg.pq import PGconn, Ping

from memsvc.errors import ConfigurationError, DatabaseUnavailableError
from memsvc.store.local_files import (
    USE_ANOTHER_SERVER,
    Account,
    account_name,
    make_private_directory,
    open_lock,
    run_as,
    socket_directory,
    sync_directory,
    take_lock,
    write_atomically,
)

MAJOR = 18
INITDB_TIMEOUT_S = 120.0
# After a crash the server replays up to max_wal_size of log before it accepts connections.
START_TIMEOUT_S = 300.0
STOP_TIMEOUT_S = 30.0
LARGEST_LOG_BYTES = 10_000_000
_MIB = 1 << 20
# Below this /dev/shm (64 MB in a default container) a parallel index build would not fit.
_LEAST_SHARED_MEMORY = 1 << 30


@dataclass(frozen=True, slots=True)
class Cluster:
    """`directory` with its neighbours: `alive_file` is locked for as long as a process of its server lives."""

    directory: Path
    log_file: Path
    alive_file: Path
    account: Account
    binaries: Path

    def is_missing(self) -> bool:
        """Whether there is nothing yet; an empty directory (a mount point's, say) counts as nothing."""
        return not self.directory.exists() or not any(self.directory.iterdir())

    def check(self) -> None:
        """Raise `ConfigurationError` unless `directory` is a whole cluster of this version and account."""
        owner = self.directory.stat().st_uid
        if owner != self.account.uid:
            raise ConfigurationError(
                f"the database in {self.directory} belongs to the user {account_name(owner)}",
                remedy=f"Run memsvc as that user, or stop it and give the directory away "
                f"(chown -R {self.account.name} {self.directory}).",
            )
        try:
            version = (self.directory / "PG_VERSION").read_text(encoding="ascii").strip()
        except FileNotFoundError:
            version = None
        if version is None or not (self.directory / "global" / "pg_control").exists():
            raise ConfigurationError(
                f"{self.directory} is not a complete PostgreSQL data directory",
                remedy="Move it away to start with an empty database, or restore it from a backup.",
            )
        if version != str(MAJOR):
            raise ConfigurationError(
                f"the database in {self.directory} was made by PostgreSQL {version}; this is {MAJOR}",
                remedy=f"Dump it with PostgreSQL {version} (pg_dump) and restore it into a new MEMSVC_DATA_DIR, "
                "or install the memsvc release that made it.",
            )

    def initialise(self, owner: str, password: str, *, alive: int, durable: bool) -> None:
        """Make the cluster with the superuser `owner`, in a directory beside it that is then renamed.

        `initdb` inherits `alive` as a server does: one whose service was killed still writes for a while.
        """
        staging = self.directory.with_name(f"{self.directory.name}.new")
        shutil.rmtree(staging, ignore_errors=True)  # of an initialisation that was killed
        make_private_directory(staging, self.account)
        write_atomically(staging / "password", password, account=self.account)
        arguments = ["-D", "cluster", "-U", owner, "--pwfile=password", "--auth=scram-sha-256", "--encoding=UTF8"]
        arguments += ["--data-checksums", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        arguments += ["--no-instructions"] if durable else ["--no-instructions", "--no-sync"]
        failure = ""
        # The parser of full-text search classes letters by the libc locale; not every system has C.UTF-8.
        for locale in ("C.UTF-8", "C"):
            shutil.rmtree(staging / "cluster", ignore_errors=True)
            result = self._run(
                *("initdb", *arguments, f"--locale={locale}"),
                directory=staging,
                timeout_s=INITDB_TIMEOUT_S,
                inherit=(alive,),
            )
            if result.returncode == 0:
                break
            failure = next((line for line in result.stdout.splitlines() if "error:" in line), result.stdout.strip())
            if "locale" not in failure:
                break
        if result.returncode != 0:
            shutil.rmtree(staging, ignore_errors=True)
            raise ConfigurationError(
                f"initdb could not make {self.directory}: {failure}",
                remedy=f"Correct what it names (space, permissions, a user without a name), {USE_ANOTHER_SERVER}",
            )
        (staging / "cluster").replace(self.directory)
        sync_directory(self.directory.parent)
        shutil.rmtree(staging)

    def configure(self, options: Mapping[str, str]) -> None:
        """Write `postgresql.conf`. `ALTER SYSTEM` goes to another file, which has the last word."""
        sockets = socket_directory(self.directory, self.account)
        # A relative path: a server whose directory was deleted cannot remove the socket of its successor.
        place = "." if sockets == self.directory else f'"{sockets}"'
        settings = {**default_settings(), "unix_socket_directories": place, **options}
        lines = [f"{name} = '{_escape(value)}'" for name, value in settings.items()]
        head = "# Written by memsvc at each start. To change a setting, use ALTER SYSTEM.\n"
        write_atomically(self.directory / "postgresql.conf", head + "\n".join(lines) + "\n", account=self.account)

    def start(self, alive: int) -> None:
        """Start the server and wait until it answers. `alive`: the locked descriptor that it inherits."""
        self._remove_stale_files()
        log = self._open_log()
        try:
            result = self._run(
                *("pg_ctl", "start", "-s", "-w", "-t", str(int(START_TIMEOUT_S)), "-D", "."),
                timeout_s=START_TIMEOUT_S + 30,
                inherit=(alive,),
                output=log,
            )
        finally:
            os.close(log)
        if result.returncode != 0:
            raise ConfigurationError(
                f"the embedded PostgreSQL in {self.directory} did not start: {self._last_complaint()}",
                remedy=f"Look at {self.log_file}, correct what it names, {USE_ANOTHER_SERVER}",
            )

    def stop(self) -> None:
        """Stop our server if it runs: transactions are rolled back, nothing acknowledged is lost."""
        # A fast stop that meets the recovery after a crashed backend hangs (seen with 18.4): let it end first.
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while self._is_locked() and not self.answers() and time.monotonic() < deadline:
            time.sleep(0.02)
        for mode in ("fast", "immediate"):  # the second recovers at the next start, as from a crash
            if not self._is_locked():
                return
            self._run(
                *("pg_ctl", "stop", "-w", "-t", str(int(STOP_TIMEOUT_S)), "-m", mode, "-D", "."),
                timeout_s=STOP_TIMEOUT_S + 30,
            )

    def answers(self) -> bool:
        """Whether the server accepts connections."""
        sockets = self.recorded_socket()
        if sockets is None:
            return False
        return PGconn.ping(make_conninfo(host=str(sockets), port=5432, connect_timeout=10).encode()) == Ping.OK

    @contextmanager
    def claim(self) -> Iterator[int | None]:
        """The locked descriptor of `alive_file` when no server lives, None when one does.

        The server and its children inherit the descriptor, so the lock is free exactly when the last of them is
        gone: unlike the process id in postmaster.pid, it cannot pass to a stranger.
        """
        descriptor = open_lock(self.alive_file)
        try:
            yield descriptor if take_lock(descriptor) and not self._is_run_by_hand() else None
        finally:
            os.close(descriptor)

    def _is_locked(self) -> bool:
        descriptor = open_lock(self.alive_file)
        try:
            return not take_lock(descriptor)
        finally:
            os.close(descriptor)

    def recorded_socket(self) -> Path | None:
        """The socket directory of the server that wrote postmaster.pid, if it has come that far."""
        lines = self._pid_lines()
        return self.directory / lines[4] if len(lines) > 4 and lines[4] else None

    def _pid_lines(self) -> list[str]:
        try:
            return (self.directory / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []

    def _is_run_by_hand(self) -> bool:
        """Whether an administrator started a server here without memsvc, so that nobody holds our lock."""
        try:
            process = psutil.Process(abs(int(self._pid_lines()[0])))
            return "postgres" in process.name() and Path(process.cwd()) == self.directory.resolve()
        except (IndexError, ValueError, psutil.Error):
            return False

    def _remove_stale_files(self) -> None:
        """Remove what a killed server left: PostgreSQL refuses to start when its old process id lives again."""
        for directory in {self.directory, socket_directory(self.directory, self.account)}:
            for name in ("postmaster.pid", ".s.PGSQL.5432", ".s.PGSQL.5432.lock"):
                (directory / name).unlink(missing_ok=True)

    def _open_log(self) -> int:
        if self.log_file.exists() and self.log_file.stat().st_size > LARGEST_LOG_BYTES:
            self.log_file.replace(self.log_file.with_name(f"{self.log_file.name}.1"))
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        return os.open(self.log_file, flags, 0o600)

    def _last_complaint(self) -> str:
        lines = self.log_file.read_text(encoding="utf-8", errors="replace").splitlines()[-50:]
        complaints = [line for line in lines if "FATAL" in line or "PANIC" in line]
        return (complaints or lines or ["it wrote no log"])[-1]

    def _run(
        self,
        program: str,
        *arguments: str,
        timeout_s: float,
        directory: Path | None = None,
        inherit: tuple[int, ...] = (),
        output: int = subprocess.PIPE,
    ) -> subprocess.CompletedProcess[str]:
        try:
            return run_as(
                self.account,
                [self.binaries / program, *arguments],
                directory=directory or self.directory,
                timeout_s=timeout_s,
                inherit=inherit,
                output=output,
            )
        except subprocess.TimeoutExpired as error:
            raise DatabaseUnavailableError(
                f"{program} in {self.directory} took more than {timeout_s:.0f} s",
                remedy=f"Look at {self.log_file} and at the load of the disk, and try again.",
            ) from error


def default_settings() -> dict[str, str]:
    """Settings for a small machine with one service; the log never shows what a statement carried."""
    share = memory_bytes() // 8 // _MIB
    return {
        "listen_addresses": "",
        "port": "5432",
        "unix_socket_permissions": "0700",
        "cluster_name": "memsvc",
        "max_connections": "100",
        "shared_buffers": f"{max(32, min(256, share))}MB",
        "maintenance_work_mem": f"{max(64, min(256, share))}MB",
        "dynamic_shared_memory_type": dynamic_shared_memory(),
        "wal_compression": "on",
        "synchronous_commit": "on",
        "fsync": "on",
        "jit": "off",
        "random_page_cost": "1.1",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_line_prefix": "%m [%p] ",
        "log_statement": "none",
        "log_min_error_statement": "panic",
        "log_min_duration_statement": "-1",
        "log_parameter_max_length": "0",
        "log_parameter_max_length_on_error": "0",
        # An error's text and detail quote values ("invalid input syntax ...", "Key (content)=(...)"): errors go to
        # the client alone (`log` ranks above `error` here), and what is logged is logged without detail.
        "log_min_messages": "log",
        "log_error_verbosity": "terse",
        "log_autovacuum_min_duration": "-1",
        "log_checkpoints": "off",
    }


def dynamic_shared_memory() -> str:
    """`posix` where /dev/shm is large enough (or, on macOS, does not exist), otherwise files in the cluster."""
    try:
        found = os.statvfs("/dev/shm")  # noqa: S108 (only measured)
    except OSError:
        return "mmap" if sys.platform == "linux" else "posix"
    return "posix" if found.f_blocks * found.f_frsize >= _LEAST_SHARED_MEMORY else "mmap"


def memory_bytes() -> int:
    """Memory of the machine, or of the control group that confines us."""
    total: int = psutil.virtual_memory().total
    try:
        return min(total, int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    except (OSError, ValueError):  # no control group, or "max"
        return total


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''")

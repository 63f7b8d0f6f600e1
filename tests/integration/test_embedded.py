"""The embedded server: started, shared, killed, recovered, and closed to other users."""

import os
import signal
import stat
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from memsvc.errors import ConfigurationError
from memsvc.store.embedded import EmbeddedServer, ServerAddress
from tests.integration.users import NOBODY, needs_root, needs_shared_python


def open_as_app(address: ServerAddress) -> psycopg.Connection:
    return psycopg.connect(address.app_url("memsvc").replace("+psycopg", ""), autocommit=True)


def open_as_owner(address: ServerAddress) -> psycopg.Connection:
    return psycopg.connect(address.owner_url("memsvc").replace("+psycopg", ""), autocommit=True)


def postmaster(data_dir: Path) -> int:
    return int((data_dir / "postgres" / "postmaster.pid").read_text().split("\n", 1)[0])


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def server(data_dir: Path) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(data_dir) as embedded:
        yield embedded


def test_the_application_is_neither_owner_nor_superuser(server: EmbeddedServer) -> None:
    with open_as_app(server.start()) as connection:
        row = connection.execute(
            "SELECT rolname, rolsuper, rolbypassrls, rolcreatedb, rolcreaterole FROM pg_roles "
            "WHERE rolname = current_user"
        ).fetchone()
        assert row == ("memsvc_app", False, False, False, False)
        assert connection.execute("SELECT extversion >= '0.8' FROM pg_extension WHERE extname = 'vector'").fetchone()


def test_a_restart_keeps_the_data(data_dir: Path) -> None:
    with EmbeddedServer(data_dir) as first, open_as_owner(first.start()) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
    assert not (data_dir / "postgres" / "postmaster.pid").exists()
    with EmbeddedServer(data_dir) as second, open_as_owner(second.start()) as connection:
        assert connection.execute("SELECT n FROM kept").fetchone() == (7,)


def test_nothing_listens_on_the_network_and_no_statement_is_logged(server: EmbeddedServer, data_dir: Path) -> None:
    with open_as_app(server.start()) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
        with pytest.raises(psycopg.errors.UndefinedTable):
            connection.execute("SELECT 'my secret' FROM nowhere WHERE x = %s", ("another secret",))
    assert "secret" not in (data_dir / "postgres.log").read_text()


HOLD = """
import sys, time
from pathlib import Path
from memsvc.store.embedded import EmbeddedServer
EmbeddedServer(Path(sys.argv[1])).start()
print("up", flush=True)
time.sleep(600)
"""


def hold(data_dir: Path) -> subprocess.Popen[str]:
    """Another process that uses the server until it is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLD), str(data_dir)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def test_two_processes_share_it_and_the_last_one_stops_it(data_dir: Path) -> None:
    other = hold(data_dir)
    try:
        with EmbeddedServer(data_dir) as mine:
            address = mine.start()
        open_as_app(address).close()  # the other still holds it
    finally:
        end(other)
    with EmbeddedServer(data_dir) as mine:
        assert mine.start() == address
    assert not (data_dir / "postgres" / "postmaster.pid").exists()


def test_a_killed_user_leaves_a_server_that_the_next_one_finds(data_dir: Path) -> None:
    end(hold(data_dir))
    before = postmaster(data_dir)
    with EmbeddedServer(data_dir) as server:
        open_as_app(server.start()).close()
        assert postmaster(data_dir) == before


def test_a_killed_server_recovers(data_dir: Path) -> None:
    with EmbeddedServer(data_dir) as server:
        with open_as_owner(server.start()) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
        pid = postmaster(data_dir)
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        for process in family:
            process.send_signal(signal.SIGKILL)
        psutil.wait_procs(family, timeout=10)
        with open_as_owner(EmbeddedServer(data_dir).start()) as connection:
            assert connection.execute("SELECT n FROM kept").fetchone() == (7,)


def test_a_pid_file_whose_number_another_process_has_is_stale(data_dir: Path) -> None:
    with EmbeddedServer(data_dir) as server:
        server.start()
    (data_dir / "postgres" / "postmaster.pid").write_text(f"{os.getpid()}\n{data_dir}\n0\n5432\n\n\n0 0\nready\n")
    with EmbeddedServer(data_dir) as server:
        open_as_app(server.start()).close()


def test_an_initialisation_that_was_killed_is_begun_anew(data_dir: Path) -> None:
    (data_dir / "postgres.partial").mkdir(parents=True)
    (data_dir / "postgres.partial" / "PG_VERSION").write_text("18\n")
    with EmbeddedServer(data_dir) as server:
        open_as_app(server.start()).close()


def test_a_cluster_of_another_version_is_refused(server: EmbeddedServer, data_dir: Path) -> None:
    server.start()
    server.stop()
    (data_dir / "postgres" / "PG_VERSION").write_text("15\n")
    with pytest.raises(ConfigurationError, match="made by PostgreSQL 15"):
        server.start()


def test_a_lost_password_file_is_told(server: EmbeddedServer, data_dir: Path) -> None:
    server.start()
    server.stop()
    (data_dir / "postgres.json").unlink()
    with pytest.raises(ConfigurationError, match=r"postgres\.json is missing"):
        server.start()


def test_a_data_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="cannot be written"):
        EmbeddedServer(tmp_path / "file" / "data").start()


def test_a_path_too_long_for_a_socket_works(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / ("deep" * 40)) as server:
        address = server.start()
        open_as_app(address).close()
        assert stat.S_IMODE(address.socket_dir.stat().st_mode) == 0o700
    address.socket_dir.rmdir()


def test_files_are_closed_to_others(server: EmbeddedServer, data_dir: Path) -> None:
    address = server.start()
    for path in (address.socket_dir, data_dir / "postgres", data_dir / "postgres.json", data_dir / "postgres.log"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
    assert stat.S_IMODE(data_dir.stat().st_mode) & 0o066 == 0


@needs_root
def test_another_user_of_the_machine_cannot_connect(server: EmbeddedServer) -> None:
    address = server.start()
    script = f"import socket; socket.socket(socket.AF_UNIX).connect({str(address.socket_dir / '.s.PGSQL.5432')!r})"
    done = subprocess.run(
        ["/usr/bin/env", "python3", "-c", script],
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert "PermissionError" in done.stderr


ORDINARY = """
import sys
from pathlib import Path
from memsvc.store.embedded import EmbeddedServer
with EmbeddedServer(Path(sys.argv[1])) as server:
    print(server.start().app_user)
"""


@needs_shared_python
def test_an_ordinary_user_with_an_empty_home_can_run_it(tmp_path: Path) -> None:
    home = Path("/tmp") / f"memsvc-home-{time.time_ns()}"  # noqa: S108 - pytest's folder is closed to other users
    home.mkdir()
    try:
        os.chown(home, NOBODY, NOBODY)
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(ORDINARY), str(home / "data")],
            user=NOBODY,
            group=NOBODY,
            extra_groups=[],
            cwd="/",
            env={**os.environ, "HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout == "memsvc_app\n", done.stderr
    finally:
        subprocess.run(["rm", "-rf", str(home)], check=True)

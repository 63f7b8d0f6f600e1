"""What the embedded server survives: crashes at every point, strangers in its places, a small machine."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psutil
import psycopg
import pytest

from memsvc.errors import ConfigurationError
from memsvc.store import cluster, local_files
from memsvc.store.embedded import EmbeddedServer, ServerAddress
from memsvc.store.local_files import Account, find_binaries, make_private_directory, run_as, server_account
from tests.integration.users import NOBODY, needs_root, needs_shared_python

ROOT = Path(__file__).parents[2]
FAST = {"fsync": "off"}

USE = """
import sys
from pathlib import Path
from memsvc.store.embedded import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]), options={"fsync": "off"})
server.start()
print("up", flush=True)
sys.stdin.readline()
server.stop()
"""


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """A data directory with a stopped database, shared by the tests of this module: each leaves it working."""
    with tempfile.TemporaryDirectory(prefix="memsvc-test-") as name:
        data_dir = Path(name, "data")
        server = EmbeddedServer(data_dir, options=FAST)
        server.start()
        server.stop()
        yield data_dir


@pytest.fixture
def fresh() -> Iterator[Path]:
    """A data directory that does not exist yet."""
    with tempfile.TemporaryDirectory(prefix="memsvc-test-") as name:
        yield Path(name, "data")


def connect(address: ServerAddress, *, owner: bool = False) -> psycopg.Connection:
    url = address.owner_url() if owner else address.app_url()
    return psycopg.connect(url.replace("+psycopg", ""), autocommit=True)


def use(data_dir: Path) -> subprocess.Popen[bytes]:
    """A process that starts the server, says so, and stops it when told."""
    return subprocess.Popen(
        [sys.executable, "-c", USE, str(data_dir)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )


def postmaster(data_dir: Path) -> psutil.Process:
    return psutil.Process(int((data_dir / "postgres/postmaster.pid").read_text().split()[0]))


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_service_killed_during_initdb_leaves_the_next_one_a_clean_start(fresh: Path) -> None:
    with use(fresh) as first:
        wait_until((fresh / "postgres.new/cluster/PG_VERSION").exists)
        first.kill()
    assert not (fresh / "postgres").exists()
    server = EmbeddedServer(fresh, options=FAST)
    with server, connect(server.start()) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert not (fresh / "postgres.new").exists()


def test_processes_that_start_together_share_one_server(fresh: Path) -> None:
    users = [use(fresh) for _ in range(3)]
    for user in users:
        assert user.stdout is not None
        assert user.stdout.readline() == b"up\n"
    pid = postmaster(fresh).pid
    for user in users:
        assert postmaster(fresh).pid == pid
        user.communicate(b"\n", timeout=60)
        assert user.returncode == 0
    assert not (fresh / "postgres/postmaster.pid").exists()


def test_start_again_revives_a_server_whose_postmaster_was_killed(made: Path) -> None:
    with EmbeddedServer(made, options=FAST) as server:
        with connect(server.start(), owner=True) as connection:
            connection.execute("CREATE TABLE survivor AS SELECT 7 AS n")
        killed = postmaster(made)
        killed.send_signal(signal.SIGKILL)
        wait_until(lambda: not killed.is_running())
        with connect(server.start(), owner=True) as connection:  # its children may still be ending
            assert connection.execute("SELECT n FROM survivor").fetchone() == (7,)


def test_a_stranger_with_the_old_process_id_does_not_prevent_the_start(made: Path) -> None:
    """PostgreSQL refuses when the id in either lock file is a living process of its own account."""
    account = server_account()
    identity = {"user": account.uid, "group": account.gid, "extra_groups": []} if account.switched else {}
    with subprocess.Popen(["sleep", "600"], cwd="/", **identity) as stranger:
        try:
            for name in ("postmaster.pid", ".s.PGSQL.5432.lock"):
                path = made / "postgres" / name
                path.write_text(f"{stranger.pid}\n{made / 'postgres'}\n1\n5432\n.\n\n1 1\nready\n")
            with EmbeddedServer(made, options=FAST) as server, connect(server.start()) as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_a_server_that_an_administrator_started_is_used_not_broken(made: Path) -> None:
    account = server_account()
    control = find_binaries(18, account) / "pg_ctl"
    for action in ("start", "stop"):
        with (made / "postgres.log").open("a") as log:
            done = run_as(
                *(account, [control, action, "-s", "-w", "-D", "."]),
                directory=made / "postgres",
                timeout_s=60,
                output=log.fileno(),
            )
        if action == "start":
            assert done.returncode == 0
            pid = postmaster(made).pid
            server = EmbeddedServer(made, options=FAST)
            with connect(server.start()) as connection:
                assert postmaster(made).pid == pid
                assert connection.execute("SELECT 1").fetchone() == (1,)
            server.stop()
            assert postmaster(made).pid == pid


def test_a_directory_wiped_under_a_running_server_starts_anew(fresh: Path) -> None:
    with use(fresh) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"up\n"
        first.kill()
    orphan = postmaster(fresh)
    shutil.rmtree(fresh)
    with EmbeddedServer(fresh, options=FAST) as server:
        address = server.start()
        orphan.send_signal(signal.SIGINT)
        wait_until(lambda: not orphan.is_running())
        with connect(address) as connection:  # the orphan took its own socket with it, not ours
            assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_forked_child_cannot_stop_the_server_of_its_parent(made: Path) -> None:
    script = USE.replace(
        'print("up"', 'import os\nif os.fork() == 0:\n    server.stop()\n    os._exit(0)\nos.wait()\nprint("up"'
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(made)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"up\n"
        assert postmaster(made).is_running()
        parent.communicate(b"\n", timeout=60)
    assert not (made / "postgres/postmaster.pid").exists()


def test_the_log_never_shows_what_a_statement_carried(made: Path) -> None:
    with EmbeddedServer(made, options=FAST) as server:
        address = server.start()
        with connect(address, owner=True) as owner:
            owner.execute("CREATE TABLE noted (content text PRIMARY KEY)")
            owner.execute("INSERT INTO noted VALUES ('zebra-1')")
            with pytest.raises(psycopg.errors.UniqueViolation):  # its detail quotes the value
                owner.execute("INSERT INTO noted VALUES ('zebra-1')")
            with pytest.raises(psycopg.errors.InvalidTextRepresentation):  # its message does
                owner.execute("SELECT 'zebra-2'::int")
            with pytest.raises(psycopg.errors.RaiseException):
                owner.execute("DO $$ BEGIN RAISE WARNING 'zebra-3'; RAISE EXCEPTION 'zebra-4'; END $$")
        with closing(connect(address)) as busy:
            pid = busy.info.backend_pid
            busy.pgconn.send_query(b"SELECT 'zebra-5', pg_sleep(60)")
            with connect(address, owner=True) as owner:
                running = "SELECT state = 'active' FROM pg_stat_activity WHERE pid = %s"
                wait_until(lambda: owner.execute(running, [pid]).fetchone() == (True,))
                os.kill(pid, signal.SIGKILL)
        log = made / "postgres.log"
        wait_until(lambda: f"(PID {pid}) was terminated by signal 9" in log.read_text())
        server.stop()  # in the middle of the recovery that follows
        assert "zebra" not in log.read_text()
        assert "immediate shutdown" not in log.read_text()


@pytest.mark.parametrize("kind", ["posix", "mmap"])
def test_parallel_queries_and_index_builds_find_shared_memory(made: Path, kind: str) -> None:
    server = EmbeddedServer(made, options={**FAST, "dynamic_shared_memory_type": kind})
    with server, connect(server.start(), owner=True) as connection:
        connection.execute("DROP TABLE IF EXISTS many")
        connection.execute(
            "CREATE TABLE many AS SELECT n, ARRAY[sin(n), cos(n), n % 7]::vector(3) AS v "
            "FROM generate_series(1, 20000) AS n"
        )
        connection.execute("SET min_parallel_table_scan_size = 0")
        connection.execute("SET parallel_setup_cost = 0")
        connection.execute("SET parallel_tuple_cost = 0")
        connection.execute("CREATE INDEX ON many USING hnsw (v vector_l2_ops)")
        plan = connection.execute("EXPLAIN (ANALYZE) SELECT sum(n) FROM many").fetchall()
        assert any("Workers Launched: 2" in line for (line,) in plan)
        assert connection.execute("SHOW dynamic_shared_memory_type").fetchone() == (kind,)


def test_a_small_shared_memory_is_avoided(monkeypatch: pytest.MonkeyPatch) -> None:
    class SmallMount:
        f_blocks, f_frsize = 16384, 4096  # 64 MiB, the default of a container

    monkeypatch.setattr(cluster.os, "statvfs", lambda _: SmallMount())
    assert cluster.dynamic_shared_memory() == "mmap"


def test_settings_follow_the_memory_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "memory_bytes", lambda: 512 << 20)
    assert cluster.default_settings()["shared_buffers"] == "64MB"
    monkeypatch.setattr(cluster, "memory_bytes", lambda: 64 << 30)
    assert cluster.default_settings()["shared_buffers"] == "256MB"


def test_a_directory_that_is_no_whole_cluster_is_refused(fresh: Path) -> None:
    account = server_account()
    fresh.mkdir(mode=0o711)
    make_private_directory(fresh / "postgres", account)
    (fresh / "postgres/something").touch()
    with pytest.raises(ConfigurationError, match="not a complete PostgreSQL data directory") as caught:
        EmbeddedServer(fresh, options=FAST).start()
    assert "Move it away" in caught.value.hint


def test_a_start_that_fails_gives_its_lease_back(fresh: Path, made: Path) -> None:
    server = EmbeddedServer(made, options={"shared_buffers": "nonsense"})
    with pytest.raises(ConfigurationError, match=r"did not start.*nonsense|did not start.*configuration file"):
        server.start()
    with EmbeddedServer(made, options=FAST) as working, connect(working.start()) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert not (made / "postgres/postmaster.pid").exists()


def test_windows_is_told_to_bring_a_server(monkeypatch: pytest.MonkeyPatch, fresh: Path) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(ConfigurationError) as caught:
        EmbeddedServer(fresh).start()
    assert "MEMSVC_DATABASE_URL" in caught.value.hint


@needs_root
def test_a_socket_directory_that_somebody_planted_is_refused(tmp_path: Path) -> None:
    planted, link = tmp_path / "planted", tmp_path / "link"
    planted.mkdir()
    os.chown(planted, NOBODY, NOBODY)
    link.symlink_to(planted)
    account = Account(uid=os.geteuid(), gid=os.getegid(), name="us", switched=False)
    for path in (planted, link):
        with pytest.raises((ConfigurationError, FileExistsError)):
            make_private_directory(path, account)


@needs_root
def test_a_database_of_another_user_is_refused(made: Path) -> None:
    directory = made / "postgres"
    mine = directory.stat()
    os.chown(directory, NOBODY, NOBODY)
    try:
        with pytest.raises(ConfigurationError, match=r"belongs to the user nobody"):
            EmbeddedServer(made, options=FAST).start()
    finally:
        os.chown(directory, mine.st_uid, mine.st_gid)


@needs_shared_python
def test_an_ordinary_user_is_told_that_the_directory_cannot_be_written(made: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", USE, str(made)],
        cwd=ROOT,
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        capture_output=True,
        text=True,
        check=False,
    )
    if "No module named" in done.stderr or "can't open" in done.stderr:
        pytest.skip("the checkout is closed to other users")
    assert f"MEMSVC_DATA_DIR {made} cannot be written" in done.stderr


@needs_root
def test_root_opens_directories_for_passing_through_only(fresh: Path) -> None:
    closed = fresh.parent / "closed"
    closed.mkdir(mode=0o700)
    local_files.open_way_to(closed / "data", server_account())
    assert closed.stat().st_mode & 0o777 == 0o701

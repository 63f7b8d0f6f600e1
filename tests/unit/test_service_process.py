"""A service as a process: started, waited for, stopped; and the demonstration on it."""

import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

import memsvc.demo.run
from memsvc.cli import app
from memsvc.demo.service import ServiceProcess, ServiceStartError
from memsvc.sdk import MemoryClient

# Stands in for `python -m memsvc serve`: the same arguments, files and signal, and nothing else.
STAND_IN = """
import json, os, pathlib, signal, sys
folder = pathlib.Path(os.environ["MEMSVC_DATA_DIR"])
print("arguments", *sys.argv[1:5], flush=True)
print("seen", sorted(name for name in os.environ if name.startswith("MEMSVC_")), flush=True)
if os.environ.get("MEMSVC_LOG_LEVEL") == "broken":
    sys.exit("no such encoder")
folder.joinpath("local.key").write_text("msk_a_b\\n")
signal.signal(signal.SIGTERM, lambda *_: (print("stopped in order", flush=True), sys.exit(0)))
pathlib.Path(sys.argv[5]).write_text(json.dumps({"url": "http://127.0.0.1:1", "pid": os.getpid()}))
while True:
    signal.pause()
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The data directory of services that are the stand-in."""
    package = tmp_path / "code" / "memsvc"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(STAND_IN)
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    monkeypatch.setenv("MEMSVC_DATABASE_URL", "postgresql://someone:real@db/production")
    yield tmp_path / "data"
    assert not psutil.Process().children(), "a service was left running"


def test_it_starts_answers_where_it_is_and_stops_in_order(stand_in: Path) -> None:
    with ServiceProcess(stand_in) as service:
        assert (service.url, service.api_key) == ("http://127.0.0.1:1", "msk_a_b")
        pid = service.pid
        assert pid is not None
        assert psutil.pid_exists(pid)
    assert not psutil.pid_exists(pid)
    assert service.log_tail(1) == "stopped in order"
    assert "arguments serve --port 0 --ready-file" in service.log_tail()
    with pytest.raises(ServiceStartError, match="not running"):
        _ = service.url


def test_the_callers_database_is_not_inherited(stand_in: Path) -> None:
    with ServiceProcess(stand_in, env={"MEMSVC_ENCODER": "test"}) as service:
        assert "seen ['MEMSVC_DATA_DIR', 'MEMSVC_ENCODER']" in service.log_tail()


def test_a_database_that_is_asked_for_is_used(stand_in: Path) -> None:
    with ServiceProcess(stand_in, env={"MEMSVC_DATABASE_URL": "postgresql://a:b@c/d"}) as service:
        assert "'MEMSVC_DATABASE_URL'" in service.log_tail()


def test_it_can_crash_and_start_again(stand_in: Path) -> None:
    service = ServiceProcess(stand_in)
    service.start()
    with pytest.raises(ServiceStartError, match="running already"):
        service.start()
    crashed = service.pid
    service.kill()
    service.start()
    assert service.pid != crashed
    service.stop()
    service.stop()


def test_a_failed_start_shows_the_log(stand_in: Path) -> None:
    service = ServiceProcess(stand_in, env={"MEMSVC_LOG_LEVEL": "broken"})
    with pytest.raises(ServiceStartError, match=r"(?s)no such encoder.*ended with status 1"):
        service.start()


def test_a_service_that_is_never_ready_is_given_up(stand_in: Path) -> None:
    with pytest.raises(ServiceStartError, match="not ready after 0 s"):
        ServiceProcess(stand_in, start_timeout_s=0).start()


@pytest.fixture
def own_signals() -> Iterator[None]:
    """The command changes what ends its process; here that process is the test run."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("own_signals")
def test_the_demo_leaves_nothing_behind(stand_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = set(tmp_path.iterdir())
    seen: list[object] = []

    def run_demo(client: MemoryClient, *, console: object, k: int) -> None:
        seen.append((client._url, k))

    monkeypatch.setattr(memsvc.demo.run, "run_demo", run_demo)
    result = CliRunner().invoke(app, ["demo", "--k", "3"])
    assert (result.exit_code, seen) == (0, [("http://127.0.0.1:1", 3)])
    assert set(tmp_path.iterdir()) == before


@pytest.mark.usefixtures("own_signals")
def test_a_terminated_demo_stops_its_service(stand_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def terminate(client: object, *, console: object, k: int) -> None:
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(memsvc.demo.run, "run_demo", terminate)
    assert CliRunner().invoke(app, ["demo"]).exit_code == 143


@pytest.mark.usefixtures("own_signals")
def test_a_demo_that_fails_shows_the_services_log(
    stand_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(client: object, *, console: object, k: int) -> None:
        raise ServiceStartError("It broke.")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(memsvc.demo.run, "run_demo", fail)
    result = CliRunner().invoke(app, ["demo"])
    assert result.exit_code == 1
    assert "arguments serve" in result.stderr
    assert "Error: It broke." in result.stderr

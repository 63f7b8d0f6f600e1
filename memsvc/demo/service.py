"""A service of its own: started as a process, waited for, stopped. The demo, tests and evaluations use it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from memsvc.errors import MemsvcError

# What would lead the process to someone's real database or address; everything else is inherited.
_NOT_INHERITED = frozenset(
    f"MEMSVC_{name}" for name in ("DATABASE_URL", "ADMIN_DATABASE_URL", "DATA_DIR", "API_KEY", "URL", "HOST", "PORT")
)
_POLL_S = 0.05


class ServiceStartError(MemsvcError):
    """The service did not start."""

    code = "service_start"
    remedy = "The service's log above says why; `memsvc doctor` checks the installation."


class ServiceProcess:
    """`memsvc serve` on a free port with everything it keeps in `data_dir`.

    Used as a context it is started and stopped; `start`, `stop` and `kill` do so by hand, and `start` may follow
    either. `env` is added to the environment, from which a database, address or key of the caller's is left out.
    """

    def __init__(self, data_dir: Path, *, env: Mapping[str, str] | None = None, start_timeout_s: float = 180.0) -> None:
        self.data_dir = data_dir
        self.log_file = data_dir / "service.log"
        self._env = dict(env or {})
        self._start_timeout_s = start_timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._url: str | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        if self._url is None:
            raise ServiceStartError("The service is not running.", remedy="Call start() first.")
        return self._url

    @property
    def api_key(self) -> str:
        """The key that the service made for its first start."""
        return (self.data_dir / "local.key").read_text(encoding="utf-8").strip()

    @property
    def pid(self) -> int | None:
        """The process's id while there is one."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start, and return once requests are served; `ServiceStartError`, with the log's end, when they are not."""
        if self._process is not None and self._process.poll() is None:
            raise ServiceStartError("The service is running already.", remedy="Call stop() or kill() first.")
        self.data_dir.mkdir(parents=True, exist_ok=True)
        ready_file = self.data_dir / "ready.json"
        ready_file.unlink(missing_ok=True)
        inherited = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter, our own module
                [sys.executable, "-m", "memsvc", "serve", "--port", "0", "--ready-file", str(ready_file)],
                env={**inherited, "MEMSVC_DATA_DIR": str(self.data_dir), **self._env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches this process alone, which then stops the service in order
            )
        try:
            self._url = self._wait_ready(self._process, ready_file)
        except BaseException:
            self.stop()
            raise

    def stop(self, *, timeout_s: float = 60.0) -> None:
        """SIGTERM and wait; past `timeout_s`, SIGKILL. Nothing that was started in `data_dir` runs afterwards."""
        process, self._process, self._url = self._process, None, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            _kill_group(process)
        if process.returncode not in {0, -signal.SIGTERM}:  # it had no chance to stop its database
            self._stop_databases()

    def kill(self) -> None:
        """SIGKILL, as a crash would: an embedded database lives on until the next `start` or `stop`."""
        if self._process is not None:
            _kill_group(self._process)

    def log_tail(self, lines: int = 40) -> str:
        """The last lines of the service's output."""
        try:
            text = self.log_file.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _wait_ready(self, process: subprocess.Popen[bytes], ready_file: Path) -> str:
        deadline = time.monotonic() + self._start_timeout_s
        while time.monotonic() < deadline:
            with suppress(FileNotFoundError, json.JSONDecodeError):  # not written yet, or half of it
                return str(json.loads(ready_file.read_text(encoding="utf-8"))["url"])
            if process.poll() is not None:
                raise ServiceStartError(f"{self.log_tail()}\nThe service ended with status {process.returncode}.")
            time.sleep(_POLL_S)
        raise ServiceStartError(f"{self.log_tail()}\nThe service was not ready after {self._start_timeout_s:g} s.")

    def _stop_databases(self) -> None:
        """An embedded server detaches from the service, so one that crashed leaves it behind."""
        for pid_file in self.data_dir.rglob("postmaster.pid"):
            with suppress(OSError, ValueError, psutil.NoSuchProcess, psutil.TimeoutExpired):
                database = psutil.Process(int(pid_file.read_text(encoding="utf-8").split("\n", 1)[0]))
                if "postgres" in database.name():  # the id may have passed to another process
                    database.send_signal(signal.SIGINT)  # a fast shutdown
                    database.wait(30)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()

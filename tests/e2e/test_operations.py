"""The service in its surroundings: a Postgres over TCP, a worker that dies, an encoder that is down, a collector."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from memsvc.demo.service import ServiceProcess
from memsvc.sdk import MemoryClient
from memsvc.store.embedded import EmbeddedServer
from tests.unit.embeddings_server import serve_embeddings

LONGEST_S = 180


def until(condition: Callable[[], bool]) -> None:
    """Wait for what must come; the bound only ends a run that hangs."""
    deadline = time.monotonic() + LONGEST_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def memsvc(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "memsvc", *arguments]
    return subprocess.run(
        command, env={**os.environ, **env}, capture_output=True, text=True, timeout=LONGEST_S, check=False
    )


@contextmanager
def postgres_over_tcp(data_dir: Path) -> Iterator[tuple[str, str]]:
    """URLs of an owner and of a plain role on a server that listens on loopback and asks for passwords."""
    # Its port is fixed, so it gets an address of its own: all of 127.0.0.0/8 is this machine.
    address = f"127.{os.getpid() % 250 + 1}.83.42"
    with EmbeddedServer(data_dir, options={"listen_addresses": address}) as running:
        server = running.start()
        superuser = make_conninfo(
            host=str(server.socket_dir),
            port=server.port,
            user=server.owner_user,
            password=server.owner_password,
            dbname="postgres",
        )
        with psycopg.connect(superuser, autocommit=True) as connection:
            connection.execute("CREATE ROLE svc_owner LOGIN PASSWORD 'for-owners'")
            connection.execute("CREATE ROLE svc_app LOGIN PASSWORD 'for-the-service'")
            connection.execute("CREATE DATABASE memories OWNER svc_owner")
        with psycopg.connect(superuser, dbname="memories", autocommit=True) as connection:
            connection.execute("CREATE EXTENSION vector")  # pgvector is not a trusted extension
        yield tuple(
            f"postgresql://{login}@{address}:{server.port}/memories"
            for login in ("svc_owner:for-owners", "svc_app:for-the-service")
        )


def test_a_postgres_given_by_url(tmp_path: Path) -> None:
    with postgres_over_tcp(tmp_path / "server") as (owner, app):
        env = {"MEMSVC_DATABASE_URL": app, "MEMSVC_ADMIN_DATABASE_URL": owner}
        own = {**env, "MEMSVC_DATA_DIR": str(tmp_path / "data")}
        refused = memsvc("serve", "--port", "0", **own)
        assert refused.returncode == 1
        assert "memsvc migrate" in refused.stderr
        assert memsvc("migrate", **own).returncode == 0
        key = memsvc("keys", "create", "--principal", "bot", **own).stdout.strip()
        with ServiceProcess(tmp_path / "data", env=env) as service, MemoryClient(service.url, key) as client:
            client.add(texts=["The spare key hangs behind the clock."])
            assert client.recall("where is the spare key").results[0].memory.content.startswith("The spare key")
        assert not (tmp_path / "data" / "postgres").exists()
        as_owner = memsvc("serve", "--port", "0", **{**own, "MEMSVC_DATABASE_URL": owner})
        assert as_owner.returncode == 1
        assert "row-level security does not bind" in as_owner.stderr


def test_the_job_of_a_worker_that_was_killed_is_taken_up_again(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    texts = [{"content": f"Parcel {number} left the depot on the {number % 28 + 1}th."} for number in range(1000)]

    def start_worker() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "memsvc", "worker"],
            env={**os.environ, "MEMSVC_DATA_DIR": str(data_dir)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    with (
        ServiceProcess(data_dir, env={"MEMSVC_WORKER_IN_SERVE": "false"}) as service,
        MemoryClient(service.url, service.api_key) as client,
    ):
        receipt = client.add(texts=texts, wait=False).receipt
        assert receipt.pending == 1000
        first = start_worker()
        until(lambda: client.spaces().items[0].pending < 1000)
        first.send_signal(signal.SIGKILL)
        first.wait()
        assert client.spaces().items[0].pending > 0
        second = start_worker()
        try:
            until(lambda: client.spaces().items[0].pending == 0)
        finally:
            second.terminate()
            second.wait()
        assert client.receipt(receipt.id).searchable
        assert client.spaces().items[0].memories == 1000


def test_a_service_starts_writes_and_recalls_while_its_remote_encoder_is_down(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with serve_embeddings() as endpoint:
        env = {"MEMSVC_ENCODER": "remote:some-model", "MEMSVC_ENCODER_URL": endpoint.url}
        with ServiceProcess(data_dir, env=env) as service, MemoryClient(service.url, service.api_key) as client:
            client.add(texts=["The gas meter is in the cellar."])
    down = {**env, "MEMSVC_ENCODER_URL": f"http://127.0.0.1:{free_port()}/v1"}
    with ServiceProcess(data_dir, env=down) as service, MemoryClient(service.url, service.api_key) as client:
        receipt = client.add(texts=["The water meter is in the garage."]).receipt
        assert (receipt.stored, receipt.searchable) == (1, False)
        found = client.recall("water meter")
        assert found.degraded
        assert found.results[0].memory.content == "The water meter is in the garage."
    with serve_embeddings() as endpoint:
        up = {**env, "MEMSVC_ENCODER_URL": endpoint.url}
        with ServiceProcess(data_dir, env=up) as service, MemoryClient(service.url, service.api_key) as client:
            until(lambda: client.receipt(receipt.id).searchable)
            assert not client.recall("water meter").degraded


@pytest.fixture
def collector() -> Iterator[tuple[str, list[bytes]]]:
    """An OTLP endpoint over HTTP that keeps what it is sent."""
    received: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.path.encode() + b" " + self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", received
        finally:
            server.shutdown()
            thread.join()


def test_requests_are_traced_without_their_content(tmp_path: Path, collector: tuple[str, list[bytes]]) -> None:
    url, received = collector
    service = ServiceProcess(tmp_path / "data", env={"MEMSVC_OTLP_ENDPOINT": url})
    with service, MemoryClient(service.url, service.api_key) as client:
        client.add(texts=["The password is plugh."])
        client.recall("password plugh")
    sent = b"".join(received)
    assert sent.startswith(b"/v1/traces ")
    assert b"/v1/recall" in sent
    assert b"plugh" not in sent

"""Sharing over a real service that is killed: nothing is missed, copied twice, or forgotten."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from memsvc.commands import sharing
from memsvc.demo.service import ServiceProcess
from memsvc.sdk import MemoryClient, MemsvcClientError

PATIENCE_S = 120.0  # a killed worker's job is taken up again after 30 s


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.1)


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[dict]]]:
    """A web server on loopback, and the messages that it got."""
    got: list[dict] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            got.append({"id": self.headers["webhook-id"], **body})
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/hook", got
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def killable(tmp_path: Path) -> Iterator[ServiceProcess]:
    service = ServiceProcess(tmp_path / "data")
    service.start()
    yield service
    service.stop()


def client_of(service: ServiceProcess) -> MemoryClient:
    return MemoryClient(service.url, service.api_key, retries=0)


def test_followers_of_a_service_that_is_killed_miss_nothing(
    killable: ServiceProcess, receiver: tuple[str, list[dict]]
) -> None:
    url, messages = receiver
    written: list[str] = []
    service = killable
    with client_of(service) as client:
        written.append(str(client.add(space="news", texts="fact 0").items[0].id))
        client.sharing.subscribe("news", space="desk", from_start=True)
        client.sharing.make_webhook(url, space="news")

    def write(first: int, last: int) -> None:
        with client_of(service) as client:
            for number in range(first, last):
                try:
                    written.append(str(client.add(space="news", texts=f"fact {number}").items[0].id))
                except MemsvcClientError:  # what was not acknowledged may be there or not
                    return

    writer = threading.Thread(target=write, args=(1, 10_000))
    writer.start()
    until(lambda: len(written) > 30 and bool(messages))
    service.kill()
    writer.join()
    service.start()
    write(10_000, 10_020)
    followed: list[tuple[str, str]] = []
    with client_of(service) as client:
        stored = {str(memory.id): memory.content for memory in client.iterate(space="news", limit=1000)}
        assert set(written) <= set(stored)
        for change in client.sharing.follow("news"):
            followed.append((str(change.memory_id), change.change))
            if len(followed) == len(stored):
                break
        assert followed == [(memory, "added") for memory in stored]
        until(lambda: client.sharing.subscriptions().items[0].behind == 0)
        copies = [memory.content for memory in client.iterate(space="desk", limit=1000)]
        assert Counter(copies) == Counter(stored.values())
        told = {item["memory_id"] for message in messages for item in message["data"]["items"]}
        until(lambda: {i["memory_id"] for m in messages for i in m["data"]["items"]} == set(stored) - {written[0]})
        assert told <= set(stored)
        by_id: dict[str, set[str]] = {}
        for message in messages:
            by_id.setdefault(message["id"], set()).add(json.dumps(message["data"], sort_keys=True))
        assert all(len(bodies) == 1 for bodies in by_id.values())


def test_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = typer.Typer()
    for name in ("grants", "groups", "subscriptions", "webhooks"):
        app.add_typer(getattr(sharing, name), name=name)
    app.command()(sharing.changes)

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, (result.output, result.exception)
        return result.output

    with ServiceProcess(tmp_path / "data") as service, client_of(service) as client:
        monkeypatch.setenv("MEMSVC_URL", service.url)
        monkeypatch.setenv("MEMSVC_API_KEY", service.api_key)
        memory = client.add(space="news", texts="Buy milk.").items[0].id
        me = client.sharing.principals().items[0]
        assert run("groups", "make", "staff") == "Made staff.\n"
        assert run("groups", "add", "staff", me) == f"staff: {me}\n"
        assert me in run("groups", "list")
        granted = run("grants", "add", "read", "write", "-s", "news", "-g", "staff")
        assert granted.endswith("staff may read, write space news.\n")
        assert f"may read memory {memory}" in run("grants", "add", "read", "-m", str(memory), "-p", me)
        grants = json.loads(run("grants", "list", "--space", "news", "--json"))["items"]
        assert [grant["rights"] for grant in grants] == [["read", "write"], ["read"]]
        run("grants", "remove", grants[0]["id"])
        assert "read, write" not in run("grants", "list")
        assert run("groups", "drop", "staff", me) == "staff: nobody\n"
        assert run("groups", "remove", "staff") == "Removed staff.\n"
        added = run("subscriptions", "add", "news", "-s", "desk", "--from-start", "--filters", '{"kinds": ["fact"]}')
        assert added.endswith("desk follows news.\n")
        assert "active" in run("subscriptions", "list")
        until(lambda: client.list(space="desk").items != [])
        subscription = json.loads(run("subscriptions", "list", "--json"))["items"][0]["id"]
        assert "is active" in run("subscriptions", "resume", subscription)
        assert "has ended" in run("subscriptions", "remove", subscription)
        made = run("webhooks", "add", "https://127.0.0.1:9/hook", "--space", "news")
        assert "secret: whsec_" in made
        assert "whsec_" not in run("webhooks", "list")
        webhook = made.split()[0]
        assert "is active" in run("webhooks", "resume", webhook)
        assert "is removed" in run("webhooks", "remove", webhook)
        shown = run("changes", "--space", "news")
        assert f"added    {memory} version 1, generated  (add by {me})" in shown
        assert shown.endswith("cursor: 1\n")
        assert json.loads(run("changes", "--space", "news", "--json"))["memory_id"] == str(memory)

"""Markers by folder, no network in unit tests, and one database server for the whole session."""

import ipaddress
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from memsvc.store.embedded import EmbeddedServer, ServerAddress

TESTS = Path(__file__).parent


def tier(path: Path) -> str:
    """The folder of `tests` that holds `path`: unit, integration or e2e."""
    return path.relative_to(TESTS).parts[0]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests in `integration` and `e2e` carry the marker of that name."""
    for item in items:
        if item.path.is_relative_to(TESTS) and tier(item.path) in {"integration", "e2e"}:
            item.add_marker(tier(item.path))


@pytest.fixture(autouse=True)
def no_network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A unit test that connects anywhere but to this machine fails."""
    if tier(request.path) != "unit":
        return
    for name in ("connect", "connect_ex"):
        original = getattr(socket.socket, name)

        def guarded(self: socket.socket, address: object, original: object = original) -> object:
            if self.family in {socket.AF_INET, socket.AF_INET6}:
                host = address[0]
                if host != "localhost" and not ipaddress.ip_address(host).is_loopback:
                    raise AssertionError(f"a unit test connected to {host}")
            return original(self, address)

        monkeypatch.setattr(socket.socket, name, guarded)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[ServerAddress]:
    """An embedded server, empty but for the application role, the database `memsvc` and pgvector."""
    # Not pytest's own directory: it is closed again by each session that starts, also against the server's account.
    with tempfile.TemporaryDirectory(prefix="memsvc-test-") as name:
        server = EmbeddedServer(Path(name), options={"fsync": "off"})
        try:
            yield server.start()
        finally:
            server.stop()

"""The service under test: one that is given, or one of its own that keeps nothing."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from memsvc.demo.service import ServiceProcess
from memsvc.sdk import MemoryClient

# A batch of long turns is encoded before the answer; on a slow machine that takes minutes.
TIMEOUT_S = 900.0


@dataclass(frozen=True, slots=True)
class Service:
    """Where it is, the key that opens it, and its data directory when it is ours."""

    url: str
    key: str | None = field(repr=False)
    data_dir: Path | None = None

    def client(self) -> MemoryClient:
        """A client that waits as long as a batch may take."""
        return MemoryClient(self.url, self.key, timeout=TIMEOUT_S)


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes of the memory tables with their indexes, and the memories in them."""

    bytes: int
    memories: int


@contextmanager
def serving(url: str | None, key: str | None) -> Iterator[Service]:
    """The service at `url`; without one, a service in a temporary directory, stopped and removed at the end.

    `ServiceStartError`, with the end of its log, when it does not start.
    """
    if url is not None:
        yield Service(url, key)
        return
    with tempfile.TemporaryDirectory(prefix="memsvc-eval-") as folder:
        data_dir = Path(folder) / "data"
        with ServiceProcess(data_dir) as process:
            yield Service(process.url, process.api_key, data_dir)


def footprint(service: Service, *, transport: httpx.BaseTransport | None = None) -> Footprint | None:
    """What it stores, on disk; None when the key has no scope `admin`."""
    headers = {"Authorization": f"Bearer {service.key}"} if service.key else {}
    with httpx.Client(base_url=service.url, headers=headers, timeout=TIMEOUT_S, transport=transport) as http:
        answer = http.get("/v1/admin/storage")
    if answer.status_code in {401, 403}:
        return None
    body = answer.raise_for_status().json()
    return Footprint(int(body["bytes"]), int(body["memories"]))

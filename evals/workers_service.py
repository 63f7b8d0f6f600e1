"""A service of our own for the evaluation of workers: upkeep when it is asked for, and its tables within reach."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import httpx

from evals.service import TIMEOUT_S, Service
from memsvc.demo.service import ServiceProcess
from memsvc.sdk import MemoryClient
from memsvc.wire import Memory
from memsvc.wire.upkeep import UpkeepResponse

Work = Literal["consolidate", "forget", "compress"]

# Every run is asked for: what a background worker did in between would be measured with it. Then nobody embeds what a
# write did not wait for, so it waits.
QUIET: Mapping[str, str] = {"MEMSVC_WORKER_IN_SERVE": "false", "MEMSVC_WRITE_WAIT_S": "800"}
_RUN_LIMIT = 1000
_MOST_RUNS = 10_000


@dataclass(frozen=True, slots=True)
class Target:
    """A service, a client of it, and plain HTTP for the routes of upkeep."""

    service: Service
    client: MemoryClient
    http: httpx.Client

    def work(self, work: Work, space: str, *, limit: int = _RUN_LIMIT) -> list[UpkeepResponse]:
        """Run over a space until there is no more to do; the runs, in order."""
        runs: list[UpkeepResponse] = []
        for _ in range(_MOST_RUNS):
            runs.append(self.run(work, space, limit=limit))
            if not runs[-1].more:
                return runs
        raise RuntimeError(f"{work} of {space!r} has more to do after {_MOST_RUNS} runs")

    def run(self, work: Work, space: str, *, limit: int = _RUN_LIMIT, dry_run: bool = False) -> UpkeepResponse:
        """One run."""
        body = {"space": space, "limit": limit, "dry_run": dry_run}
        return UpkeepResponse.model_validate(self.post(f"/v1/{work}", body))

    def post(self, path: str, body: Mapping[str, object]) -> Any:
        """The answer to a POST; `httpx.HTTPStatusError` when it was refused."""
        return _checked(self.http.post(path, json=body)).json()

    def get(self, path: str, **params: str | int) -> Any:
        """The answer to a GET."""
        return _checked(self.http.get(path, params=params)).json()

    def set_policies(self, space: str, policies: Mapping[str, object]) -> None:
        """Replace a space's policies."""
        _checked(self.http.put(f"/v1/spaces/{space}", json={"policies": policies}))

    def conflicts(self, space: str) -> list[tuple[UUID, UUID]]:
        """Pairs of memories in open conflict."""
        items = self.get("/v1/conflicts", space=space)["items"]
        return [(UUID(item["first"]["id"]), UUID(item["second"]["id"])) for item in items if item["state"] == "open"]

    def memories(self, space: str) -> list[Memory]:
        """All memories of a space, superseded and archived ones included."""
        return list(self.client.iterate(space=space, limit=1000))

    def sources(self, memory_id: UUID) -> list[UUID]:
        """All that a memory derives from, at any distance."""
        return [edge.source_id for edge in self.client.lifecycle.lineage(memory_id, direction="up").up]


@contextmanager
def own_service(env: Mapping[str, str] = QUIET, *, data_dir: Path | None = None) -> Iterator[Target]:
    """A service in a temporary directory, or in `data_dir`, which then stays."""
    with tempfile.TemporaryDirectory(prefix="memsvc-eval-") as folder:
        kept = data_dir or Path(folder) / "data"
        with ServiceProcess(kept, env=env) as process, reach(Service(process.url, process.api_key, kept)) as target:
            yield target


@contextmanager
def reach(service: Service) -> Iterator[Target]:
    """A service that runs already."""
    headers = {"Authorization": f"Bearer {service.key}"} if service.key else {}
    with (
        service.client() as client,
        httpx.Client(base_url=service.url, headers=headers, timeout=TIMEOUT_S, trust_env=False) as http,
    ):
        yield Target(service, client, http)


def learned(runs: Sequence[UpkeepResponse]) -> dict[str, int]:
    """How many changes of each action the runs made."""
    counts: dict[str, int] = {}
    for run in runs:
        for change in run.changes:
            counts[change.action] = counts.get(change.action, 0) + 1
    return dict(sorted(counts.items()))


def _checked(answer: httpx.Response) -> httpx.Response:
    if answer.is_error:
        # The body says which field and what to do; `raise_for_status` alone would not.
        raise httpx.HTTPStatusError(
            f"{answer.status_code} from {answer.request.url.path}: {answer.text[:1000]}",
            request=answer.request,
            response=answer,
        )
    return answer

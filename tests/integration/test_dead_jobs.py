"""Jobs that fail are tried again, given up, seen and requeued; workers that die lose nothing."""

import asyncio
import logging
from collections.abc import AsyncIterator

import httpx
import pytest
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Status
from prometheus_client import REGISTRY
from sqlalchemy import Connection, text
from typer.testing import CliRunner

from memsvc import worker
from memsvc.cli import app as commands
from memsvc.consolidation import backoff, tend
from memsvc.deployment import Deployment
from memsvc.errors import EncoderUnavailableError
from memsvc.ingest.operations import record
from memsvc.queue import MOST_DEATHS, Later, enqueue
from memsvc.store import memories
from memsvc.store.keys import create_key
from tests.integration.background import Reader, employ, forget_jobs, hurry, id_of, jobs_of, progress, say, work
from tests.integration.conftest import NOW, Service

RUNS_LATER = ("todo", 0, True)


class DefectError(Exception):
    """What a job fails with that does not pass; its message quotes somebody."""

    def __init__(self) -> None:
        super().__init__("Ana's password is plugh")


@pytest.fixture(autouse=True)
def employed(owner: Connection, service: Service) -> None:
    forget_jobs(owner)
    employ(service)
    service.services.ingest.queue.consolidate_after_s = 0.0


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Reader:
    found = Reader()
    monkeypatch.setattr(tend, "consolidate", found.consolidate)
    return found


# Failures


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> list[Exception]:
    """Consolidation fails with the last of these, as long as there is one."""
    errors: list[Exception] = [DefectError()]
    working = Reader()

    async def consolidate(upkeep: object, order: object) -> object:
        if errors:
            raise errors[-1]
        return await working.consolidate(upkeep, order)

    monkeypatch.setattr(tend, "consolidate", consolidate)
    return errors


async def dead_job(service: Service, owner: Connection) -> int:
    """The number of a job that was given up."""
    await say(service)
    for _ in range(backoff.MOST_ATTEMPTS):
        hurry(owner)
        await work(service)
    found = (await service.client.get("/v1/jobs", params={"state": "dead"})).json()["items"]
    return found[0]["id"]


async def test_a_defect_is_tried_a_few_times_and_then_given_up(
    service: Service, owner: Connection, broken: list[Exception]
) -> None:
    await say(service)
    seen = []
    for _ in range(7):
        await work(service)
        seen.append(jobs_of(owner, service)[0])
        hurry(owner)
    assert seen == [("todo", n, True) for n in (1, 2, 3, 4)] + [("failed", 5, False)] * 3


async def test_what_passes_by_itself_is_waited_for_without_end(
    service: Service, owner: Connection, broken: list[Exception]
) -> None:
    broken.append(EncoderUnavailableError())
    await say(service)
    for _ in range(8):
        hurry(owner)
        await work(service)
    assert jobs_of(owner, service) == [("todo", 8, True)]
    broken.clear()
    hurry(owner)
    await work(service)
    assert jobs_of(owner, service) == []


def test_waits_double_up_to_a_minute_and_differ() -> None:
    class Failed:
        def __init__(self, number: int, attempts: int) -> None:
            self.id, self.attempts = number, attempts

    for attempts, longest in ((0, 1), (1, 2), (5, 32), (6, 60), (40, 60)):
        waits = [backoff.wait_s(Failed(number, attempts)) for number in range(50)]
        assert longest / 2 <= min(waits) < max(waits) <= longest
    assert backoff.wait_s(Failed(3, 2)) == backoff.wait_s(Failed(3, 2))


async def test_a_job_that_a_stopping_worker_broke_off_waits_again(
    service: Service, owner: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = asyncio.Event()

    async def hang(*_: object) -> None:
        started.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(tend, "consolidate", hang)
    await say(service)
    owner.execute(text("UPDATE procrastinate_jobs SET attempts = :many"), {"many": backoff.MOST_ATTEMPTS})
    owner.commit()
    running = asyncio.create_task(
        service.services.ingest.queue.run_worker_async(
            install_signal_handlers=False, listen_notify=False, shutdown_graceful_timeout=0.01
        )
    )
    await started.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert [state for state, *_ in jobs_of(owner, service)] == ["todo"]


async def test_a_job_that_died_is_settled_by_a_later_one_that_is_done(
    service: Service, owner: Connection, broken: list[Exception]
) -> None:
    await dead_job(service, owner)
    async with service.services.database.write(service.caller.tenant_id) as session:
        await enqueue(service.services.ingest.queue, session, "consolidate", await id_of(service))
    broken.clear()
    await work(service)
    assert jobs_of(owner, service) == []


async def test_jobs_of_one_errand_that_die_leave_one(
    service: Service, owner: Connection, broken: list[Exception]
) -> None:
    await dead_job(service, owner)
    async with service.services.database.write(service.caller.tenant_id) as session:
        await enqueue(service.services.ingest.queue, session, "consolidate", await id_of(service))
    for _ in range(backoff.MOST_ATTEMPTS):
        await work(service)
        hurry(owner)
    assert [state for state, *_ in jobs_of(owner, service)] == ["failed"]


# Workers that die


async def take(service: Service) -> object:
    """The next job, taken by a worker that then says nothing more."""
    manager = service.services.ingest.queue.job_manager
    return await manager.fetch_job(None, await manager.register_worker())


def silence(owner: Connection) -> None:
    owner.execute(text("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 hour'"))
    owner.commit()


async def test_the_job_of_a_worker_that_died_is_taken_up(service: Service, owner: Connection, reader: Reader) -> None:
    await say(service)
    await take(service)
    manager = service.services.ingest.queue.job_manager
    assert await manager.rescue(silent_s=30) == []
    silence(owner)
    assert [again for _, again in await manager.rescue(silent_s=30)] == [True]
    await work(service)
    assert len(reader.reads) == 1


async def test_a_worker_that_was_taken_for_dead_ends_nobodys_job(service: Service, owner: Connection) -> None:
    await say(service)
    slow = await take(service)
    silence(owner)
    manager = service.services.ingest.queue.job_manager
    assert len(await manager.rescue(silent_s=30)) == 1
    await take(service)  # by another worker
    await manager.finish_job(slow, Status.SUCCEEDED, delete_job=True)
    await manager.finish_job(slow, Status.FAILED, delete_job=False)
    await manager.retry_job(slow)
    assert jobs_of(owner, service) == [("doing", 1, True)]


async def test_two_who_find_the_same_dead_worker_take_its_job_up_once(service: Service, owner: Connection) -> None:
    await say(service)
    await take(service)
    silence(owner)
    manager = service.services.ingest.queue.job_manager
    found = list(await manager.get_stalled_jobs(seconds_since_heartbeat=30))
    await manager.rescue(silent_s=30)
    await take(service)
    for job in found:  # the other had listed it before
        await manager.retry_job(job)
    assert [state for state, *_ in jobs_of(owner, service)] == ["doing"]


async def test_a_job_that_kills_its_workers_is_given_up(service: Service, owner: Connection) -> None:
    await say(service)
    manager = service.services.ingest.queue.job_manager
    again = []
    for _ in range(MOST_DEATHS + 1):
        await take(service)
        silence(owner)
        again += [answer for _, answer in await manager.rescue(silent_s=30)]
    assert again == [True] * MOST_DEATHS + [False]
    (dead,) = (await service.client.get("/v1/jobs")).json()["items"]
    assert (dead["state"], dead["error"]) == ("dead", "WorkerDied")


async def test_a_worker_goes_on_when_the_database_is_back(
    service: Service, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """procrastinate's own worker ends with the first statement that fails."""
    queue, done = service.services.ingest.queue, asyncio.Event()
    real, failures = queue.job_manager.fetch_job, [ConnectorException("gone"), ConnectorException("gone")]

    async def fetch(queues: object, worker_id: int) -> object:
        if failures:
            raise failures.pop()
        return await real(queues, worker_id)

    async def note() -> None:
        done.set()

    reader.before = note
    monkeypatch.setattr(queue.job_manager, "fetch_job", fetch)
    monkeypatch.setattr(worker, "AGAIN_S", 0.0)
    await say(service)
    working = asyncio.create_task(worker._work(queue, jobs=1, silent_s=30))
    await asyncio.wait_for(done.wait(), 60)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert failures == []


# Seeing and requeueing


@pytest.fixture
async def writer(service: Service, deployment: Deployment) -> AsyncIterator[httpx.AsyncClient]:
    """A key of the same tenant without the scope `admin`."""
    key = create_key(deployment.owner_url, tenant=service.caller.tenant, principal="writer", scopes=("read", "write"))
    headers = {"Authorization": f"Bearer {key.key}"}
    transport = service.client._transport
    async with httpx.AsyncClient(transport=transport, base_url="http://service", headers=headers) as client:
        yield client


async def test_jobs_are_listed_by_state_name_and_space(service: Service, other: Service, owner: Connection) -> None:
    other.services.ingest.queue.consolidate_after_s = 0.0
    await say(other)
    await say(service, wait=False)
    await say(service, space="second")
    listed = (await service.client.get("/v1/jobs")).json()
    assert [(job["job"], job["space"], job["state"]) for job in listed["items"]] == [
        ("consolidate", "default", "waiting"),
        ("embed", "default", "waiting"),
        ("consolidate", "second", "waiting"),
    ]
    assert listed["counts"] == {"waiting": 3, "running": 0, "retrying": 0, "dead": 0}
    await take(service)
    for query, names in (
        ({"state": "running"}, ["embed"]),
        ({"space": "second"}, ["consolidate"]),
        ({"job": "embed"}, ["embed"]),
        ({"state": "dead"}, []),
    ):
        found = (await service.client.get("/v1/jobs", params=query)).json()["items"]
        assert [job["job"] for job in found] == names, query


async def test_the_listing_is_paged(service: Service) -> None:
    for number in range(5):
        await say(service, space=f"space {number}")
    seen, cursor = [], None
    while True:
        query = {"limit": 2} | ({} if cursor is None else {"cursor": cursor})
        page = (await service.client.get("/v1/jobs", params=query)).json()
        seen += [job["space"] for job in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [f"space {number}" for number in range(5)]
    wrong = await service.client.get("/v1/jobs", params={"cursor": "x"})
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "cursor")


async def test_a_dead_job_says_what_class_of_error_it_died_of_and_nothing_that_was_said(
    service: Service, owner: Connection, broken: list[Exception], capfd: pytest.CaptureFixture[str]
) -> None:
    dead = await dead_job(service, owner)
    answer = await service.client.get(f"/v1/jobs/{dead}")
    job = answer.json()
    assert (job["job"], job["space"], job["state"], job["attempts"]) == ("consolidate", "default", "dead", 5)
    assert job["error"] == "DefectError"
    rows = owner.execute(text("SELECT procrastinate_jobs::text FROM procrastinate_jobs")).scalars().all()
    assert "plugh" not in answer.text + "".join(rows)
    logged = capfd.readouterr()
    assert "DefectError" in logged.out + logged.err
    assert "plugh" not in logged.out + logged.err


def test_the_queues_own_log_line_of_a_failure_loses_its_traceback() -> None:
    record = logging.LogRecord(
        "procrastinate.worker", logging.ERROR, "", 0, "Job ended", (), (None, DefectError(), None)
    )
    assert worker._without_messages(record)
    assert record.exc_info is None


async def test_a_requeued_job_runs_as_if_it_were_new(
    service: Service, owner: Connection, broken: list[Exception]
) -> None:
    dead = await dead_job(service, owner)
    answer = await service.client.post(f"/v1/jobs/{dead}/requeue")
    assert (answer.status_code, answer.json()) == (200, {"id": dead})
    job = (await service.client.get(f"/v1/jobs/{dead}")).json()
    assert (job["state"], job["attempts"], job["error"]) == ("waiting", 0, None)
    broken.clear()
    await work(service)
    assert (await service.client.get(f"/v1/jobs/{dead}")).status_code == 404
    assert (await progress(service))["pending_operations"] == 0


async def test_a_requeued_job_gives_way_to_one_that_waits(
    service: Service, owner: Connection, broken: list[Exception]
) -> None:
    dead = await dead_job(service, owner)
    async with service.services.database.write(service.caller.tenant_id) as session:
        later = Later(None, 3600)
        await enqueue(service.services.ingest.queue, session, "consolidate", await id_of(service), later=later)
    answer = (await service.client.post(f"/v1/jobs/{dead}/requeue")).json()
    assert answer["id"] > dead
    assert jobs_of(owner, service) == [RUNS_LATER]


async def test_only_a_dead_job_is_requeued(service: Service) -> None:
    await say(service)
    (job,) = (await service.client.get("/v1/jobs")).json()["items"]
    refused = await service.client.post(f"/v1/jobs/{job['id']}/requeue")
    assert refused.status_code == 409
    assert "is waiting" in refused.json()["detail"]
    await take(service)
    refused = await service.client.post(f"/v1/jobs/{job['id']}/requeue")
    assert "is running" in refused.json()["detail"]


async def test_jobs_are_their_tenants_and_its_admins(
    service: Service, other: Service, owner: Connection, broken: list[Exception], writer: httpx.AsyncClient
) -> None:
    dead = await dead_job(service, owner)
    assert (await other.client.get("/v1/jobs")).json()["items"] == []
    assert (await other.client.get("/v1/jobs")).json()["counts"]["dead"] == 0
    for method, path in (("GET", f"/v1/jobs/{dead}"), ("POST", f"/v1/jobs/{dead}/requeue")):
        assert (await other.client.request(method, path)).status_code == 404
        assert (await writer.request(method, path)).status_code == 403
    assert (await writer.get("/v1/jobs")).status_code == 403
    assert [state for state, *_ in jobs_of(owner, service)] == ["failed"]
    assert (await writer.get("/v1/spaces/default/upkeep")).json()["dead_jobs"] == 1
    assert (await other.client.get("/v1/spaces/default/upkeep")).status_code == 404


async def test_a_dead_job_is_requeued_from_the_command_line(
    service: Service,
    owner: Connection,
    broken: list[Exception],
    deployment: Deployment,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dead = await dead_job(service, owner)
    monkeypatch.setenv("MEMSVC_DATABASE_URL", deployment.app_url)
    monkeypatch.setenv("MEMSVC_ADMIN_DATABASE_URL", deployment.owner_url)
    monkeypatch.setattr("memsvc.commands.output.PIPE_WIDTH", 300)
    listed = await asyncio.to_thread(CliRunner().invoke, commands, ["jobs", "list", "--state", "dead"])
    assert listed.exit_code == 0, listed.output
    (row,) = [line for line in listed.stdout.splitlines() if "DefectError" in line]
    assert str(dead) in row
    assert service.caller.tenant in row
    done = await asyncio.to_thread(CliRunner().invoke, commands, ["jobs", "requeue", str(dead)])
    assert done.stdout == f"Job {dead} waits for a worker.\n"
    again = await asyncio.to_thread(CliRunner().invoke, commands, ["jobs", "requeue", str(dead)])
    assert again.exit_code == 1
    assert "not dead" in again.stderr


async def test_a_space_says_how_far_its_upkeep_is(service: Service, owner: Connection, reader: Reader) -> None:
    await service.add(wait=False, texts=[{"content": "One lamp."}, {"content": "Two lamps."}])
    await say(service, "Three lamps.")
    found = await progress(service)
    assert (found["pending_operations"], found["pending_memories"], found["pending_embeddings"]) == (2, 3, 2)
    assert found["waiting_since"] == NOW.isoformat().replace("+00:00", "Z")
    assert [job["job"] for job in found["jobs"]] == ["consolidate", "embed"]
    assert found["runs"] == []
    await work(service)
    space_id = await id_of(service)
    async with service.services.database.write(service.caller.tenant_id) as session:
        space = (await memories.lock_spaces(session, {space_id}))[space_id]
        done = await record(service.services.ingest.queue, session, space, "forget", caller=service.caller, now=NOW)
    found = await progress(service)
    assert (found["pending_operations"], found["pending_memories"], found["pending_embeddings"]) == (0, 0, 0)
    assert found["waiting_since"] is None
    assert [(run["kind"], run["operation_id"]) for run in found["runs"]] == [("forget", str(done.id))]
    assert found["jobs"] == []


# Metrics


async def test_jobs_are_counted_by_outcome(service: Service, owner: Connection, broken: list[Exception]) -> None:
    def count(outcome: str) -> float:
        return REGISTRY.get_sample_value("memsvc_jobs_total", {"job": "consolidate", "outcome": outcome}) or 0.0

    before = {outcome: count(outcome) for outcome in ("done", "retry", "dead")}
    dead = await dead_job(service, owner)
    broken.clear()
    await service.client.post(f"/v1/jobs/{dead}/requeue")
    await work(service)
    assert {outcome: count(outcome) - before[outcome] for outcome in before} == {"done": 1, "retry": 4, "dead": 1}
    assert REGISTRY.get_sample_value("memsvc_job_seconds_count", {"job": "consolidate"}) >= 6

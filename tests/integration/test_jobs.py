"""Consolidation's jobs come with the writes that need them, wait until a space is due, and do a slice at a time."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import Connection, text

from memsvc.consolidation import observed, tend
from memsvc.ids import new_uuid
from memsvc.ingest import operations
from memsvc.ingest.operations import record
from memsvc.queue import PRIORITY, enqueue
from memsvc.store import memories, spaces
from memsvc.store.jobs import MEASURE, Untended
from tests.integration.background import Reader, employ, forget_jobs, id_of, jobs_of, progress, say, work
from tests.integration.conftest import NOW, Clock, Service

WAITS, RUNS_LATER = ("todo", 0, False), ("todo", 0, True)


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


# A job for each space that was tended


async def test_the_first_write_enqueues_and_those_that_follow_pay_nothing(
    service: Service, owner: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def counted(app: object, session: object, job: str, space_id: object, **options: object) -> None:
        asked.append(job)
        await enqueue(app, session, job, space_id, **options)

    monkeypatch.setattr(operations, "enqueue", counted)
    for number in range(3):
        await say(service, f"Lamp {number} is on.")
    assert asked == ["consolidate"]
    assert jobs_of(owner, service) == [WAITS]


async def test_the_job_of_a_write_that_fails_never_was(service: Service, owner: Connection) -> None:
    wrong = {"texts": [{"content": "The lamp is on.", "derived_from": [str(new_uuid())]}]}
    assert (await service.client.post("/v1/memories", json=wrong)).status_code == 422
    assert jobs_of(owner, service) == []


async def test_a_space_that_was_read_gets_a_job_with_its_next_write(
    service: Service, owner: Connection, reader: Reader
) -> None:
    await say(service)
    await work(service)
    assert jobs_of(owner, service) == []
    await say(service, "The lamp is off.")
    assert jobs_of(owner, service) == [WAITS]
    await work(service)
    assert len(reader.reads) == 2


@pytest.mark.parametrize("kind", ["consolidate", "forget", "compress"])
async def test_what_upkeep_does_leaves_a_tended_space_tended(
    service: Service, owner: Connection, reader: Reader, kind: str
) -> None:
    await say(service)
    await work(service)
    space_id = await id_of(service)
    for _ in range(2):
        async with service.services.database.write(service.caller.tenant_id) as session:
            space = (await memories.lock_spaces(session, {space_id}))[space_id]
            assert space.tended
            await record(service.services.ingest.queue, session, space, kind, caller=service.caller, now=NOW)
    assert jobs_of(owner, service) == []
    assert (await progress(service))["pending_operations"] == 0


async def test_what_upkeep_does_hides_no_write_that_was_not_read(service: Service, reader: Reader) -> None:
    await say(service)
    space_id = await id_of(service)
    async with service.services.database.write(service.caller.tenant_id) as session:
        space = (await memories.lock_spaces(session, {space_id}))[space_id]
        await record(service.services.ingest.queue, session, space, "forget", caller=service.caller, now=NOW)
    assert (await progress(service))["pending_operations"] == 2


async def set_policy(service: Service, value: str) -> None:
    answer = await service.client.put("/v1/spaces/default", json={"policies": {"consolidate": value}})
    assert answer.status_code == 200, answer.text


async def test_a_space_whose_policy_says_off_is_left_alone(service: Service, owner: Connection, reader: Reader) -> None:
    await set_policy(service, "off")
    await say(service)
    await tend.tend_all(service.services.upkeep)
    assert jobs_of(owner, service) == []
    await set_policy(service, "auto")
    await tend.tend_all(service.services.upkeep)
    assert jobs_of(owner, service) == [WAITS]
    await set_policy(service, "off")
    await work(service)
    assert service.caller.tenant_id not in [tenant for tenant, _ in reader.reads]
    assert jobs_of(owner, service) == []


async def test_where_consolidation_is_off_nothing_is_enqueued_or_run(
    service: Service, owner: Connection, reader: Reader
) -> None:
    await say(service)
    service.services.ingest.queue.consolidate_after_s = None
    await say(service, space="another")
    assert len(jobs_of(owner, service)) == 1
    await work(service)
    assert (reader.reads, jobs_of(owner, service)) == ([], [])
    assert await tend.tend_all(service.services.upkeep) == 0


# When a space is due


def untended(*, first_s: float, latest_s: float | None, pending: bool = False) -> Untended:
    """A space whose first and latest unread operations were so many seconds ago."""
    return Untended(
        name="default",
        policies={},
        tended_operation=0,
        tended_memory=0,
        first_at=NOW - timedelta(seconds=first_s),
        latest_at=None if latest_s is None else NOW - timedelta(seconds=latest_s),
        pending_vectors=pending,
    )


@pytest.mark.parametrize(
    ("space", "left_s"),
    [
        (untended(first_s=10, latest_s=10), 20),
        (untended(first_s=100, latest_s=10), 20),
        (untended(first_s=100, latest_s=30), 0),
        (untended(first_s=590, latest_s=1), 10),
        (untended(first_s=600, latest_s=0), 0),
        (untended(first_s=100, latest_s=40, pending=True), 30),
        (untended(first_s=600, latest_s=40, pending=True), 0),
        (untended(first_s=10, latest_s=None), 0),
    ],
    ids=["new", "busy", "idle", "busy for long", "busy too long", "not embedded", "never embedded", "upkeep's own"],
)
def test_a_space_is_due_when_it_is_idle_or_has_waited_too_long(space: Untended, left_s: float) -> None:
    assert tend.seconds_left(space, now=NOW, idle_s=30) == left_s


def test_with_no_idle_time_a_space_is_due_at_once() -> None:
    assert tend.seconds_left(untended(first_s=0, latest_s=0, pending=True), now=NOW, idle_s=0) == 0


def test_a_busy_space_waits_as_long_as_an_idle_one_at_least() -> None:
    assert tend.seconds_left(untended(first_s=1000, latest_s=1000), now=NOW, idle_s=3600) == 2600


async def test_a_space_that_is_being_written_is_left_for_later(
    service: Service, owner: Connection, clock: Clock, reader: Reader
) -> None:
    service.services.ingest.queue.consolidate_after_s = 30.0
    tenant, upkeep = service.caller.tenant_id, service.services.upkeep

    async def run() -> None:
        forget_jobs(owner)
        await tend.consolidate_space(upkeep, tenant, await id_of(service), clock=lambda: clock.now)

    await say(service)
    assert jobs_of(owner, service) == [RUNS_LATER]
    clock.advance(seconds=29)
    await say(service, "And now it is off.")
    clock.advance(seconds=10)
    await run()
    assert (reader.reads, jobs_of(owner, service)) == ([], [RUNS_LATER])
    clock.advance(seconds=20)
    await run()
    assert len(reader.reads) == 1
    assert jobs_of(owner, service) == []


# Slices


async def test_what_a_slice_leaves_is_enqueued(service: Service, owner: Connection, reader: Reader) -> None:
    reader.slices = 3
    await say(service)
    space_id, left = await id_of(service), []
    for _ in range(3):
        forget_jobs(owner)
        await tend.consolidate_space(
            service.services.upkeep, service.caller.tenant_id, space_id, clock=lambda: NOW + timedelta(hours=1)
        )
        left.append(jobs_of(owner, service))
    assert left == [[WAITS], [WAITS], []]


async def test_what_is_written_during_a_run_is_read_by_the_next(
    service: Service, owner: Connection, reader: Reader
) -> None:
    await say(service)
    real = tend._go_on

    async def write_first(*arguments: object, **options: object) -> None:
        if len(reader.reads) == 1:
            await say(service, "Meanwhile it is off.")
        await real(*arguments, **options)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tend, "_go_on", write_first)
        await work(service)
    assert len(reader.reads) == 2
    assert (await progress(service))["pending_operations"] == 0


async def test_a_run_that_reads_nothing_is_not_repeated_at_once(
    service: Service, owner: Connection, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def still(*_: object, **__: object) -> None:
        """Move no cursor."""

    monkeypatch.setattr(spaces, "set_tended", still)
    await say(service)
    await work(service)
    assert len(reader.reads) == 1
    assert jobs_of(owner, service) == [RUNS_LATER]


async def test_memories_that_were_read_are_counted(service: Service, reader: Reader) -> None:
    before = REGISTRY.get_sample_value("memsvc_memories_consolidated_total")
    await service.add(texts=[{"content": f"Lamp {number} is on."} for number in range(5)])
    reader.slices = 3
    await work(service)
    assert REGISTRY.get_sample_value("memsvc_memories_consolidated_total") == before + 5


# What was lost


async def test_a_space_whose_job_was_lost_gets_one(service: Service, owner: Connection) -> None:
    await say(service)
    forget_jobs(owner)
    await tend.tend_all(service.services.upkeep)
    assert jobs_of(owner, service) == [WAITS]


@pytest.mark.parametrize("status", ["todo", "doing", "failed"])
async def test_a_space_that_has_a_job_gets_no_other(service: Service, owner: Connection, status: str) -> None:
    """A dead one is somebody's to look at: another would die of the same."""
    await say(service)
    owner.execute(text("UPDATE procrastinate_jobs SET status = :status"), {"status": status})
    owner.commit()
    await tend.tend_all(service.services.upkeep)
    assert [state for state, *_ in jobs_of(owner, service)] == [status]


# The queue as a whole


async def test_the_queue_is_measured(service: Service, owner: Connection) -> None:
    async def measure() -> tuple[float | None, ...]:
        observed.show_queue(await service.services.ingest.queue.connector.execute_query_all_async(MEASURE))
        names = ("memsvc_jobs_waiting", "memsvc_jobs_dead", "memsvc_jobs_oldest_seconds")
        return tuple(REGISTRY.get_sample_value(name, {"job": "consolidate"}) for name in names)

    await say(service)
    await say(service, space="second")
    owner.execute(text("UPDATE procrastinate_events SET at = at - interval '5 minutes'"))
    owner.commit()
    waiting, dead, oldest = await measure()
    assert (waiting, dead) == (2, 0)
    assert 300 <= oldest < 400
    owner.execute(text("UPDATE procrastinate_jobs SET status = 'failed'"))
    owner.commit()
    assert await measure() == (0, 2, 0)
    forget_jobs(owner)
    assert await measure() == (0, 0, 0)


def test_the_documented_jobs_are_those_of_the_code_in_their_order() -> None:
    page = (Path(__file__).parents[2] / "docs/workers.md").read_text()
    listed = re.findall(r"^\| `(\w+)` \| [^|]+ \| [^|]+ \|$", page, re.MULTILINE)
    assert listed == sorted(PRIORITY, key=lambda name: -PRIORITY[name])


# Models


async def test_no_transaction_is_open_while_a_model_runs(
    service: Service, owner: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked of the server at each call of the encoder, for writes and jobs."""
    open_at_call: list[int] = []
    real = service.encoder._encode
    role = owner.engine.url.username
    idle = text(
        "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' AND usename <> :owner "
        "AND datname = current_database()"
    )

    def encode(kind: str, texts: object) -> object:
        owner.rollback()
        open_at_call.append(owner.execute(idle, {"owner": role}).scalar_one())
        return real(kind, texts)

    monkeypatch.setattr(service.encoder, "_encode", encode)
    await say(service)
    told = [{"role": "user", "name": "Ana", "content": "I live in Porto and I work as a baker."}]
    await service.add(wait=False, messages=told)
    before = len(open_at_call)
    await work(service)
    learned = (await service.client.get("/v1/memories", params={"kind": "fact"})).json()["items"]
    assert len(learned) > 1  # so that consolidation, too, has called the encoder
    assert len(open_at_call) >= before + 2
    assert set(open_at_call) == {0}
    async with service.services.database.write(service.caller.tenant_id):  # it would be seen
        await service.services.ingest.batcher.encode_documents(["The bell rang."])
    assert open_at_call[-1] == 1

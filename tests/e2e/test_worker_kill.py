"""A worker killed at any moment, a hundred times over, loses nothing and doubles nothing."""

import itertools
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import httpx
import psycopg
import pytest
from sqlalchemy.engine import make_url

from memsvc.demo.service import ServiceProcess
from memsvc.ids import new_uuid
from memsvc.queue import libpq_url
from memsvc.store.embedded import EmbeddedServer
from memsvc.store.keys import create_key

ROUNDS = 100
SEED = 20260301
LONGEST_S = 240
TENANTS, SPACES = 2, 3
BUSY = 4  # rounds of ten in which the writers write
FEW = 10  # memories that are not consolidated; with fewer, a worker might find nothing to do
SAYINGS = (
    "I live in {place} now.",
    "My sister {name} works as a {trade}.",
    "I prefer {food} for breakfast.",
    "We decided to meet in {place} on Friday.",
    "My favourite dish is {food}.",
    "{name} moved to {place} last month.",
)
WORDS = {
    "place": ["Porto", "Lyon", "Graz", "Turku", "Split", "Cork", "Ghent", "Bergen", "Brno", "Malaga"],
    "name": ["Ines", "Marta", "Olga", "Petra", "Sonja", "Tilda", "Wanda", "Yvonne", "Zoe", "Nadia"],
    "trade": ["baker", "welder", "nurse", "pilot", "tailor", "gardener", "plumber", "judge", "painter", "clerk"],
    "food": ["oat porridge", "rye bread", "figs", "lentil soup", "smoked trout", "goat cheese", "plum dumplings"],
}


@dataclass
class Writer:
    """One client that writes a request to one of its spaces at each turn, and remembers what was acknowledged."""

    url: str
    tenant: str
    key: str
    turns: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    stopped: bool = False
    written: dict[tuple[str, str], list[UUID]] = field(default_factory=dict)
    replays: int = 0
    failure: BaseException | None = None

    def run(self) -> None:
        """Write until told to stop; every fourth request is sent twice, as by a client that lost the answer."""
        try:
            self._run()
        except BaseException as error:
            self.failure = error
            raise

    def _run(self) -> None:
        draw = random.Random(f"{SEED} {self.tenant}")  # noqa: S311
        headers = {"Authorization": f"Bearer {self.key}"}
        with httpx.Client(base_url=self.url, headers=headers, timeout=60, trust_env=False) as http:
            for number in itertools.count():
                self.turns.acquire()
                if self.stopped:
                    return
                space = f"space {number % SPACES}"
                messages = [self._message(draw, number, place) for place in range(draw.randint(1, 8))]
                body = {"space": space, "session": f"talk {number}", "wait": False, "messages": messages}
                for sent in range(2 if number % 4 == 0 else 1):
                    answer = http.post("/v1/memories", json=body, headers={"Idempotency-Key": f"{number}"})
                    assert answer.status_code == 201, answer.text
                    assert [item["id"] for item in answer.json()["items"]] == [one["id"] for one in messages]
                    assert (answer.headers.get("Idempotent-Replay") == "true") == bool(sent)
                    self.replays += sent
                self.written.setdefault((self.tenant, space), []).extend(UUID(one["id"]) for one in messages)

    def _message(self, draw: random.Random, number: int, place: int) -> dict[str, object]:
        said = draw.choice(SAYINGS).format(**{slot: draw.choice(words) for slot, words in WORDS.items()})
        return {"id": str(new_uuid()), "role": "user", "name": "Ana", "content": f"{said} Note {number}-{place}."}


class Nursery:
    """Starts workers, each a process of its own."""

    def __init__(self, app_url: str, data_dir: Path, log: Path) -> None:
        env = {name: value for name, value in os.environ.items() if not name.startswith("MEMSVC_")}
        settings = {
            "MEMSVC_DATABASE_URL": app_url,
            "MEMSVC_DATA_DIR": str(data_dir),
            "MEMSVC_CONSOLIDATE_IDLE_S": "0",
            "MEMSVC_POOL_SIZE": "3",
        }
        self._log = log.open("wb")
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("worker_nursery.py")), app_url],
            env={**env, **settings, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._ask, self._answers = self._process.stdin, self._process.stdout
        assert self._answers.readline() == "ready\n", log.read_text()

    def start(self) -> int:
        """The process id of a new worker."""
        self._ask.write("\n")
        self._ask.flush()
        return int(self._answers.readline())

    def close(self) -> None:
        """No more workers; those that run are their starter's to end."""
        self._ask.close()
        self._process.wait(LONGEST_S)
        self._answers.close()
        self._log.close()


def until(condition: Callable[[], object], *, every_s: float = 0.05) -> None:
    """Wait for what must come; the bound only ends a run that hangs."""
    deadline = time.monotonic() + LONGEST_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(every_s)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@dataclass(frozen=True)
class Store:
    """The database, as its owner sees it."""

    connection: psycopg.Connection

    def rows(self, sql: str, *parameters: object) -> list[tuple]:
        return self.connection.execute(sql, parameters).fetchall()

    def count(self, sql: str, *parameters: object) -> int:
        return self.rows(sql, *parameters)[0][0]

    def last_worker(self) -> int:
        return self.count("SELECT coalesce(max(id), 0) FROM procrastinate_workers")

    def running(self, since: int) -> list[str]:
        """The names of the jobs that a worker newer than `since` runs."""
        rows = self.rows("SELECT task_name FROM procrastinate_jobs WHERE status = 'doing' AND worker_id > %s", since)
        return [name for (name,) in rows]

    def silence(self) -> None:
        """As if half a minute had passed since the workers there are gave a sign of life."""
        self.connection.execute("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '31 seconds'")

    def unread(self) -> int:
        """Memories that were written and not consolidated."""
        return self.count(
            "SELECT count(*) FROM spaces sp JOIN operations o ON o.tenant_id = sp.tenant_id AND o.space_id = sp.id "
            "AND o.number > sp.tended_operation AND o.kind = 'add' "
            "JOIN memories m ON m.tenant_id = o.tenant_id AND m.operation_id = o.id AND m.number > sp.tended_memory"
        )

    def unembedded(self) -> int:
        return self.count("SELECT count(*) FROM memories WHERE NOT searchable")

    def at_rest(self) -> bool:
        """No job of a tenant waits or runs."""
        return not self.count(
            "SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing') AND args ? 'tenant_id'"
        )


@contextmanager
def writing(writers: list[Writer]) -> Iterator[None]:
    threads = [threading.Thread(target=writer.run) for writer in writers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for writer in writers:
            writer.stopped = True
            writer.turns.release()
        for thread in threads:
            thread.join()


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """Not pytest's own directory: it is closed again by each session that starts, also against the server's account."""
    with tempfile.TemporaryDirectory(prefix="memsvc-test-") as name:
        yield Path(name) / "data"


def test_a_worker_killed_a_hundred_times_loses_and_doubles_nothing(data_dir: Path, tmp_path: Path) -> None:
    env = {"MEMSVC_WORKER_IN_SERVE": "false", "MEMSVC_CONSOLIDATE_IDLE_S": "0", "MEMSVC_LOG_LEVEL": "warning"}
    with ServiceProcess(data_dir, env=env) as service, EmbeddedServer(data_dir) as server:
        address = server.start()
        owner_url = address.owner_url("memsvc")
        writers = []
        for tenant in (f"tenant {number}" for number in range(TENANTS)):
            key = create_key(owner_url, tenant=tenant, principal="writer", scopes=("read", "write")).key
            writers.append(Writer(service.url, tenant, key))
        nursery = Nursery(address.app_url("memsvc"), data_dir, tmp_path / "workers.log")
        try:
            with psycopg.connect(libpq_url(make_url(owner_url)), autocommit=True) as connection:
                store = Store(connection)
                with writing(writers):
                    draw = random.Random(SEED)  # noqa: S311 - the same moments each time
                    struck = []
                    for number in range(ROUNDS):  # with nothing new for a while, workers get to what is not so urgent
                        busy = writers if number % 10 < BUSY or store.unread() < FEW else []
                        struck.append(kill_one(store, nursery, busy, draw.uniform(0.02, 0.4)))
                assert [writer.failure for writer in writers] == [None] * TENANTS
                assert sum(map(bool, struck)) >= 0.8 * ROUNDS
                names = Counter(itertools.chain.from_iterable(struck))
                assert min(names["embed"], names["consolidate"]) >= 0.05 * ROUNDS, names
                finish(store, nursery)
                check(store, {key: ids for writer in writers for key, ids in writer.written.items()})
                assert all(writer.replays > 0 for writer in writers)
        finally:
            nursery.close()


def kill_one(store: Store, nursery: Nursery, writers: list[Writer], after_s: float) -> list[str]:
    """Start a worker, kill it so long after it has taken its first job; the jobs it was in the middle of.

    `writers` write before the worker has begun, and while it works.
    """
    before = store.last_worker()
    give_turns(writers)
    pid = nursery.start()
    try:
        until(lambda: store.running(before), every_s=0.002)
        give_turns(writers)
        time.sleep(after_s)
    finally:
        os.kill(pid, signal.SIGKILL)
    until(lambda: gone(pid), every_s=0.002)
    left = store.running(before)
    store.silence()
    return left


def give_turns(writers: list[Writer]) -> None:
    for writer in writers:
        writer.turns.release()


def finish(store: Store, nursery: Nursery) -> None:
    """Let a last worker deal with what is left, and end in order."""
    pid = nursery.start()
    try:
        until(store.at_rest)
    finally:
        os.kill(pid, signal.SIGTERM)
    until(lambda: gone(pid))


def check(store: Store, written: dict[tuple[str, str], list[UUID]]) -> None:
    """What must hold of the store after all that."""
    assert store.rows("SELECT id, task_name, args FROM procrastinate_jobs WHERE status <> 'todo'") == []
    assert sum(map(len, written.values())) > 3 * ROUNDS
    stored: dict[tuple[str, str], list[UUID]] = {}
    for tenant, space, memory in store.rows(
        "SELECT t.name, sp.name, m.id FROM memories m JOIN tenants t USING (tenant_id) "
        "JOIN spaces sp ON sp.tenant_id = m.tenant_id AND sp.id = m.space_id WHERE m.kind = 'turn' ORDER BY m.number"
    ):
        stored.setdefault((tenant, space), []).append(memory)
    assert stored == written
    assert store.count("SELECT count(*) FROM chunks WHERE vec IS NULL") == 0
    assert store.unembedded() == 0
    assert (
        store.rows("SELECT name FROM spaces WHERE tended_operation <> next_operation - 1 OR tended_memory <> 0") == []
    )
    assert (
        store.rows(
            "SELECT sp.name FROM spaces sp JOIN operations o ON o.tenant_id = sp.tenant_id AND o.space_id = sp.id "
            "GROUP BY sp.tenant_id, sp.id, sp.name, sp.next_operation "
            "HAVING min(o.number) <> 1 OR max(o.number) <> count(*) OR max(o.number) <> sp.next_operation - 1"
        )
        == []
    )
    assert (
        store.rows(
            "SELECT source_id, start_char, end_char, count(*) FROM facts "
            "GROUP BY source_id, start_char, end_char, subject, attribute, value HAVING count(*) > 1"
        )
        == []
    )
    assert (
        store.rows("SELECT derived_id FROM lineage GROUP BY tenant_id, derived_id, source_id HAVING count(*) > 1") == []
    )

"""What governing memory costs: recall as of another time, moving a space, erasing a subject while others recall."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from threading import Event
from time import perf_counter, sleep

import psycopg

from evals import lifecycle_import
from evals.bench_run import distinct, load_texts
from evals.bench_sql import owner_connection
from evals.lifecycle_import import Shape
from evals.metrics import percentile
from evals.service import Service
from memsvc.sdk import MemoryClient
from memsvc.sdk.requests import RecallOptions

SPACE = "governed"
SUBJECT = "Subject"
K = 10
# Recalls that a user of the service would make beside an erase: one after another, not a load test.
PAUSE_S = 0.05
LONGEST_INDEX_S = 1800

EXPLANATION = """\
- `lifecycle.as_of_known_over_plain`: p50 of a recall as of a moment at which a part of the memories stood in an earlier
  version, over p50 of the plain recall of the same query; `..as_of_valid..` the same for valid time. The two alternate.
- `lifecycle.import.memories_per_s`: memories a second of a bundle with embeddings, from its first byte to the answer.
- `lifecycle.erase.seconds`: erasing a subject with all that derives from it, from the request to its signed receipt.
- `lifecycle.erase.recall_p95_over_idle`: p95 of recalls in the same space while that runs, over their p95 before.

Vectors are made up, texts are the demonstration's; only the number of rows and the work on them matter here."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    memories: int
    edited: int
    subject: int
    derived: int
    queries: int
    imported: int
    rounds: int

    def settings(self) -> dict[str, int]:
        """As they stand in `summary.json`."""
        return {f"settings.{name}": getattr(self, name) for name in self.__dataclass_fields__}


def measure(service: Service, size: Size, *, say: Callable[[str], object]) -> dict[str, float]:
    """All figures; the service needs to be one of our own, since its tables are looked at."""
    speed = lifecycle_import.measure_import(service, memories=size.imported, rounds=size.rounds, say=say)
    figures = lifecycle_import.report(speed)
    say(f"a space of {size.memories} memories, {size.edited} of them edited since")
    shape = Shape(
        memories=size.memories, edited=size.edited, subject=size.subject, derived=size.derived, subject_name=SUBJECT
    )
    with TemporaryDirectory(prefix="memsvc-eval-") as folder:
        lifecycle_import.load_space(service, SPACE, shape, Path(folder) / "space.zip")
    say("waiting for its index")
    with owner_connection(service) as connection:
        _wait_indexed(connection)
        connection.execute("VACUUM ANALYZE memories, memory_history, contents, chunks, postings")
    with service.client() as client:
        say("recall as of another time")
        figures |= measure_as_of(client, size.queries)
        say("erasing a subject")
        figures |= measure_erase(service, client, size)
    return figures


def measure_as_of(client: MemoryClient, queries: int) -> dict[str, float]:
    """Plain, as of a known time and as of a valid time, one after another for each query, in changing order."""
    moment = lifecycle_import.BEFORE_EDITS
    ways: dict[str, RecallOptions] = {
        "plain": {"space": SPACE, "k": K},
        "as_of_known": {"space": SPACE, "k": K, "as_of_known": moment},
        "as_of_valid": {"space": SPACE, "k": K, "as_of_valid": datetime.now(UTC)},
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    names = list(ways)
    for number, query in enumerate(distinct(load_texts(None).questions, 0, queries + 10)):
        for name in names[number % 3 :] + names[: number % 3]:
            started = perf_counter()
            client.recall(query, **ways[name])
            if number >= 10:  # plans, caches and connections are warm by then
                times[name].append((perf_counter() - started) * 1000)
    medians = {name: median(values) for name, values in times.items()}
    return {
        "lifecycle.recall_ms": medians["plain"],
        "lifecycle.recall_as_of_known_ms": medians["as_of_known"],
        "lifecycle.recall_as_of_valid_ms": medians["as_of_valid"],
        "lifecycle.as_of_known_over_plain": medians["as_of_known"] / medians["plain"],
        "lifecycle.as_of_valid_over_plain": medians["as_of_valid"] / medians["plain"],
    }


def measure_erase(service: Service, client: MemoryClient, size: Size) -> dict[str, float]:
    """Erase the subject while another client goes on recalling."""
    queries = distinct(load_texts(None).questions, 1000, 4000)
    idle = list(_recalls(client, queries[: size.queries]))
    plan = client.lifecycle.erase(subject=SUBJECT, space=SPACE, dry_run=True).plan
    assert (plan.named, plan.derived) == (size.subject, size.derived)
    done = Event()
    with ThreadPoolExecutor() as threads, service.client() as eraser:
        beside = threads.submit(lambda: list(_recalls(client, queries[size.queries :], until=done)))
        sleep(0.5)
        started = perf_counter()
        answer = eraser.lifecycle.erase(subject=SUBJECT, space=SPACE)
        seconds = perf_counter() - started
        done.set()
        during = beside.result()
    assert answer.receipt is not None
    return {
        "lifecycle.erase.seconds": seconds,
        "lifecycle.erase.memories": plan.named + plan.derived,
        "lifecycle.erase.recalls_during": len(during),
        "lifecycle.erase.recall_p95_idle_ms": percentile(idle, 0.95),
        "lifecycle.erase.recall_p95_during_ms": percentile(during, 0.95),
        "lifecycle.erase.recall_p95_over_idle": percentile(during, 0.95) / percentile(idle, 0.95),
    }


def _recalls(client: MemoryClient, queries: Sequence[str], until: Event | None = None) -> Iterator[float]:
    """Milliseconds of recalls one after another, until told to stop."""
    for query in queries:
        if until is not None and until.is_set():
            return
        started = perf_counter()
        client.recall(query, space=SPACE, k=K)
        yield (perf_counter() - started) * 1000
        sleep(PAUSE_S)


def _wait_indexed(connection: psycopg.Connection) -> None:
    started = perf_counter()
    while connection.execute("SELECT ann FROM spaces WHERE name = %s", (SPACE,)).fetchone() != (True,):
        if perf_counter() - started > LONGEST_INDEX_S:
            raise TimeoutError("the space's index was not built in time")
        sleep(2)

"""Part `year`: a simulated year in one space, what a budget leaves of it in recall, and what that costs.

The service's clock is not turned: the year ends on the day of the run, and once all is stored, the time at which each
memory was recorded is set back, in the database, to the time at which it was said. Uses are of the day of the run; the
questions that measure are not counted as uses.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from time import perf_counter
from uuid import NAMESPACE_URL, UUID, uuid5

from evals import metrics, year
from evals.bench_sql import owner_connection
from evals.workers_budget import Weight, forget_all, unobserved, wait_for_uses, weigh
from evals.workers_service import Target, learned
from evals.workers_sources import SingleSources
from evals.year import Probe, Year, YearTurn

SPACE = "year"
K = 10
# Of what is in recall when nothing is forgotten.
BUDGET_SHARE = 0.33
_BATCH = 250
_WRITERS = 3
_CLIENTS = 3
# A third of the questions is asked about every other month, and the answer reported as helpful each time.
_USES = 6
# A run of forgetting weighs the whole space, however little it may archive.
_RUN_LIMIT = 10_000
_SET_BACK = (
    "UPDATE memories m SET recorded_at = least(m.recorded_at, m.occurred_at) "
    "FROM spaces s WHERE s.id = m.space_id AND s.name = %s"
)

Figures = dict[str, float | int | str | None]
Say = Callable[[str], object]


def measure(target: Target, *, scale: float, seed: int, say: Say) -> Figures:
    """The figures with the budget off, then on."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    simulated = year.simulate(seed, scale, today)
    say(f"year: storing {len(simulated.turns)} turns")
    seconds = store(target, simulated.turns)
    say("year: consolidating")
    started = perf_counter()
    runs = target.work("consolidate", SPACE)
    consolidated = perf_counter() - started
    with owner_connection(target.service) as connection:
        connection.execute(_SET_BACK, (SPACE,))
    say("year: using it")
    use(target, simulated)
    wait_for_uses()
    off, found_off = _weigh(target), ask(target, simulated)
    budget = int(off.rows * BUDGET_SHARE)
    say(f"year: forgetting down to {budget} memories")
    target.set_policies(SPACE, {"forget": {"budget": {"memories": budget}}})
    started = perf_counter()
    forget_all(target, SPACE, limit=_RUN_LIMIT)
    forgotten = perf_counter() - started
    on, found_on = _weigh(target), ask(target, simulated)
    return {
        **compare(simulated, off, on, found_off, found_on, seed=seed),
        "year.n.turns": len(simulated.turns),
        "year.n.sessions": len({turn.session for turn in simulated.turns}),
        "year.budget": budget,
        "year.ingest.turns_per_s": len(simulated.turns) / seconds,
        "year.consolidate.turns_per_s": len(simulated.turns) / consolidated,
        "year.forget.seconds": forgotten,
        **{f"year.n.{action}": number for action, number in learned(runs).items()},
    }


def store(target: Target, turns: Sequence[YearTurn]) -> float:
    """Seconds until all are stored and searchable; several batches are on their way, as in a bulk load."""

    def write(first: int) -> None:
        messages = [
            {
                "id": turn_id(turn.id),
                "role": turn.role,
                "name": turn.name,
                "content": turn.content,
                "timestamp": turn.at,
                "session": turn.session,
                "position": first + place,
            }
            for place, turn in enumerate(turns[first : first + _BATCH])
        ]
        written = target.client.add(messages=messages, space=SPACE, wait=True)
        assert written.receipt.searchable

    started = perf_counter()
    with ThreadPoolExecutor(_WRITERS) as pool:
        list(pool.map(write, range(0, len(turns), _BATCH)))
    return perf_counter() - started


def use(target: Target, simulated: Year) -> None:
    """The questions that are asked often: each is asked, and its answer reported as helpful when it was found."""
    for number in range(_USES):
        for probe in simulated.probes:
            if not probe.frequent:
                continue
            gold = {turn_id(name) for name in probe.gold}
            answer = target.client.recall(probe.question, space=SPACE, k=K, now=simulated.last_day)
            found = [str(result.memory.id) for result in answer.results if result.memory.id in gold]
            if found:
                target.post(
                    "/v1/feedback", {"memories": found, "verdict": "helpful", "episode": f"{probe.id}-{number}"}
                )


def ask(target: Target, simulated: Year) -> list[float]:
    """Of each probe 1 when a turn that answers it, or a fact of that turn alone, is among the first 10, else 0."""
    sources = SingleSources(target)

    def found(probe: Probe) -> float:
        gold = {turn_id(name) for name in probe.gold}
        answer = target.client.recall(probe.question, space=SPACE, k=K, now=simulated.last_day)
        return float(any({result.memory.id, sources.of(result.memory)} & gold for result in answer.results))

    with unobserved(target), ThreadPoolExecutor(_CLIENTS) as pool:
        return list(pool.map(found, simulated.probes))


def compare(
    simulated: Year, off: Weight, on: Weight, found_off: Sequence[float], found_on: Sequence[float], *, seed: int
) -> Figures:
    """Ratios, recall of both, and their difference with a paired interval; by kind of probe too."""
    changes = [after - before for before, after in zip(found_off, found_on, strict=True)]
    low, high = metrics.interval(changes, seed=seed)
    figures: Figures = {
        "year.rows_ratio": on.rows / off.rows,
        "year.bytes_ratio": on.bytes / off.bytes,
        "year.disk_ratio": on.disk / off.disk,
        "year.recall@10.off": sum(found_off) / len(found_off),
        "year.recall@10.on": sum(found_on) / len(found_on),
        "year.recall@10.difference": sum(changes) / len(changes),
        "year.recall@10.difference.ci95_low": low,
        "year.recall@10.difference.ci95_high": high,
        "year.n.probes": len(changes),
    }
    for name, weight in (("off", off), ("on", on)):
        for part in ("rows", "bytes", "contents", "chunks", "postings", "disk"):
            figures[f"year.{name}.{part}"] = int(getattr(weight, part))
    groups: dict[str, list[int]] = {}
    for place, probe in enumerate(simulated.probes):
        groups.setdefault(probe.kind, []).append(place)
        groups.setdefault("frequent" if probe.frequent else "rare", []).append(place)
    for group, places in sorted(groups.items()):
        figures[f"year.recall@10.off/{group}"] = sum(found_off[place] for place in places) / len(places)
        figures[f"year.recall@10.on/{group}"] = sum(found_on[place] for place in places) / len(places)
    return figures


def turn_id(name: str) -> UUID:
    """The id under which a turn is stored."""
    return uuid5(NAMESPACE_URL, f"memsvc:evals:year:{name}")


def _weigh(target: Target) -> Weight:
    with owner_connection(target.service) as connection:
        return weigh(connection, SPACE)

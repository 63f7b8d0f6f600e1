"""The evaluation of workers: every part against a service of its own, its figures kept as soon as they are there.

A part writes `parts/<part>.json`; `summary.json` and `report.md` are made of all that are there with these settings, so
that parts can be run one by one.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Literal, get_args

from evals import report, workers_cost, workers_llm, workers_planted, workers_recall, workers_undo, workers_year
from evals.corpus import DatasetError, SuiteName
from evals.summary import environment
from evals.workers_service import own_service

Part = Literal["planted", "recall", "forget", "undo", "throughput", "llm", "year"]
PARTS: tuple[Part, ...] = get_args(Part)
SETS: tuple[SuiteName, ...] = tuple(workers_recall.SETS)

Figures = dict[str, float | int | str | None]
Say = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Order:
    """What to measure. `limit`: the first cases and questions only; `year_scale`: 1 is 73,000 turns.

    `turns` and `rounds` are those of the throughput, `llm_turns` the turns for which calls are counted.
    """

    data: Path
    out: Path
    parts: tuple[Part, ...] = PARTS
    sets: tuple[SuiteName, ...] = SETS
    limit: int | None = None
    year_scale: float = 0.1
    turns: int = 1000
    rounds: int = 3
    llm_turns: int = 1000
    seed: int = 0
    resume: bool = False

    def settings(self) -> Figures:
        """As they stand in `summary.json`; a part with others is another part."""
        names = ("limit", "year_scale", "turns", "rounds", "llm_turns", "seed")
        found: Figures = {f"settings.{name}": getattr(self, name) for name in names}
        return {**found, "settings.sets": ",".join(self.sets)}


def read_parts(names: Sequence[str] | None) -> tuple[Part, ...]:
    """The parts of these names, all of them without any; `DatasetError` names one that there is not."""
    _refuse_unknown("part", names, PARTS)
    return tuple(part for part in PARTS if not names or part in names)


def read_sets(names: Sequence[str] | None) -> tuple[SuiteName, ...]:
    """The same of data sets."""
    _refuse_unknown("set", names, SETS)
    return tuple(name for name in SETS if not names or name in names)


def run(order: Order, *, say: Say) -> Figures:
    """Measure the parts that are not there yet, and write the summary after each of them; what it then holds."""
    folder = order.out / "parts"
    folder.mkdir(parents=True, exist_ok=True)
    for group in groups(order.parts):
        left = [part for part in group if not (order.resume and _kept(order, part) is not None)]
        if not left:
            say(f"{', '.join(group)}: there already")
            continue
        started = perf_counter()
        found = MEASURES[group[0]](order, group, say)
        seconds = perf_counter() - started
        for part in group:
            own = {key: value for key, value in found.items() if key.startswith(f"{part}.")}
            kept = {"settings": order.settings(), "figures": {**own, f"{part}.seconds": seconds}}
            (folder / f"{part}.json").write_text(json.dumps(kept, indent=1, ensure_ascii=False), encoding="utf-8")
        write(order)
    return write(order)


def groups(parts: Sequence[Part]) -> list[tuple[Part, ...]]:
    """Parts that are measured together: forgetting goes on with the spaces of `recall`, and needs its figures."""
    found: list[tuple[Part, ...]] = []
    for part in PARTS:
        if part == "recall" and "forget" in parts:
            found.append(("recall", "forget"))
        elif part in parts and part != "forget":
            found.append((part,))
    return found


def write(order: Order) -> Figures:
    """`summary.json` and `report.md` of every part that was measured with these settings."""
    figures: Figures = {}
    for part in PARTS:
        figures |= _kept(order, part) or {}
    figures |= {**order.settings(), **environment()}
    report.write_json(order.out, figures)
    (order.out / "report.md").write_text(render(figures), encoding="utf-8")
    return figures


@dataclass(frozen=True, slots=True)
class Target:
    """A figure that must be at least, or at most, so much."""

    what: str
    key: str
    bound: float
    at_least: bool

    def is_met(self, value: float) -> bool:
        """Whether the figure is where it should be."""
        return value >= self.bound if self.at_least else value <= self.bound


TARGETS: tuple[Target, ...] = (
    *(
        Target(f"recall@10 after consolidation, minus before: {name}", f"recall.{name}.difference", 0.0, True)
        for name in SETS
    ),
    Target("the best of these", "recall.best_difference", 0.02, True),
    *(
        Target(
            f"the same with {share} % of turns archived: {name}", f"forget.{name}.forgot_{share}.difference", low, True
        )
        for share, low in ((30, -0.01), (50, -0.03))
        for name in SETS
    ),
    Target("supersede precision, planted changes", "planted.supersede_precision", 0.95, True),
    Target("supersede precision, unseen half", "planted.supersede_precision/test", 0.95, True),
    Target("supersede recall, planted changes", "planted.supersede_recall", 0.60, True),
    Target("supersede recall, unseen half", "planted.supersede_recall/test", 0.60, True),
    Target("echoes that are learned again", "planted.echo_relearned", 0.01, False),
    Target("rows in recall after a year, budget on / off", "year.rows_ratio", 0.35, False),
    Target("bytes in recall after a year, budget on / off", "year.bytes_ratio", 0.35, False),
    Target("recall@10 of the year's probes, on - off", "year.recall@10.difference", -0.02, True),
    Target("consolidation / the encoder alone", "throughput.over_encoder", 0.5, True),
    Target("calls to a model per 1,000 turns", "llm.calls_per_1000", 40, False),
    Target("recalls that an undo restores exactly", "undo.exact", 1.0, True),
)


def render(figures: Mapping[str, float | int | str | None]) -> str:
    """The report: targets first, then everything."""
    rows = []
    for target in TARGETS:
        value = figures.get(target.key)
        met = "-" if not isinstance(value, int | float) else "yes" if target.is_met(value) else "**no**"
        bound = f"{'>=' if target.at_least else '<='} {target.bound:g}"
        rows.append((target.what, bound, report.figure(value), met))
    everything = [(f"`{key}`", report.figure(value)) for key, value in figures.items()]
    parts = ["# Workers", report.table(("what", "target", "measured", "met"), rows)]
    return "\n\n".join([*parts, "## All figures", report.table(("key", "value"), everything)]) + "\n"


def _refuse_unknown(what: str, names: Sequence[str] | None, known: Sequence[str]) -> None:
    unknown = sorted(set(names or ()) - set(known))
    if unknown:
        raise DatasetError(f"no {what} {', '.join(unknown)}; there are {', '.join(known)}")


def _planted(order: Order, group: Sequence[Part], say: Say) -> Figures:
    del group
    with own_service() as target:
        return dict(workers_planted.measure(target, order.out, seed=order.seed, limit=order.limit, say=say))


def _recall(order: Order, group: Sequence[Part], say: Say) -> Figures:
    with own_service() as target:
        return workers_recall.measure(
            target,
            order.data,
            forget="forget" in group,
            limit=order.limit,
            names=order.sets,
            seed=order.seed,
            say=say,
        )


def _undo(order: Order, group: Sequence[Part], say: Say) -> Figures:
    del group
    with own_service() as target:
        return workers_undo.measure(target, order.data, seed=order.seed, say=say)


def _throughput(order: Order, group: Sequence[Part], say: Say) -> Figures:
    del group
    with own_service() as target:
        return workers_cost.measure_throughput(target, order.data, turns=order.turns, rounds=order.rounds, say=say)


def _llm(order: Order, group: Sequence[Part], say: Say) -> Figures:
    del group
    return workers_llm.measure(order.data, turns=order.llm_turns, say=say)


def _year(order: Order, group: Sequence[Part], say: Say) -> Figures:
    del group
    with own_service() as target:
        return workers_year.measure(target, scale=order.year_scale, seed=order.seed, say=say)


MEASURES: Mapping[Part, Callable[[Order, Sequence[Part], Say], Figures]] = {
    "planted": _planted,
    "recall": _recall,
    "forget": _recall,
    "undo": _undo,
    "throughput": _throughput,
    "llm": _llm,
    "year": _year,
}


def _kept(order: Order, part: Part) -> Figures | None:
    """The figures of a part that was measured with these settings."""
    path = order.out / "parts" / f"{part}.json"
    if not path.exists():
        return None
    kept = json.loads(path.read_text(encoding="utf-8"))
    return dict(kept["figures"]) if kept["settings"] == order.settings() else None

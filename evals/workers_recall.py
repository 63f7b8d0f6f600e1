"""Parts `recall` and `forget`: the suites' questions before and after consolidation, and after forgetting.

One ingest serves both. A result that is no turn counts for a turn when it is a fact whose one source that turn is;
`strict` figures count turns alone.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from uuid import UUID

from evals import metrics, runner, suites
from evals.corpus import Question, Suite, SuiteName
from evals.runner import Haystack, Plan, Recipe
from evals.workers_budget import archive_share, unobserved
from evals.workers_service import Target, learned
from evals.workers_sources import SingleSources

SETS: Mapping[SuiteName, str] = {"locomo": "locomo", "beam": "beam_100K", "longmemeval": "longmemeval"}
SHARES = (0.3, 0.5)
K = 10
_CLIENTS = 3

Figures = dict[str, float | int | str | None]
Say = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Score:
    """recall@10 of one question, also counting turns alone."""

    loose: float
    strict: float


@dataclass(slots=True)
class Placed:
    """A suite in the service, with the answers of every round in which its questions were asked."""

    plan: Plan
    haystacks: list[Haystack]
    rounds: dict[str, list[Score]] = field(default_factory=dict)

    @property
    def name(self) -> SuiteName:
        """Of the suite."""
        return self.plan.suite.name

    def stored(self) -> dict[str, set[UUID]]:
        """The turns of each space; those without text were left out."""
        return {
            haystack.space: {name for name, turn in haystack.turns.items() if turn.content.strip()}
            for haystack in self.haystacks
        }

    def questions(self) -> Iterator[tuple[Haystack, Question]]:
        """Those of the headline figure."""
        for haystack in self.haystacks:
            for question in haystack.conversation.questions:
                if question.skip is None and question.headline and question.gold_turns:
                    yield haystack, question


def measure(
    target: Target, data: Path, *, forget: bool, limit: int | None, names: Sequence[SuiteName], seed: int, say: Say
) -> Figures:
    """Figures of both parts, or of consolidation alone."""
    found: Figures = {}
    for name in names:
        suite = suites.load(name, data / SETS[name])
        say(f"{suite.label}: storing")
        placed = store(target, suite, limit=limit, seed=seed)
        say(f"{name}: asking")
        ask(target, placed, "before")
        say(f"{name}: consolidating")
        found |= consolidate(target, placed)
        ask(target, placed, "after")
        found |= compare(placed, "after", f"recall.{name}", seed=seed)
        if forget:
            for share in SHARES:
                label = f"forgot_{share * 100:.0f}"
                say(f"{name}: forgetting {share:.0%} of the turns")
                found[f"forget.{name}.{label}.archived"] = archive_share(target, placed.stored(), share)
                ask(target, placed, label)
                found |= compare(placed, label, f"forget.{name}.{label}", seed=seed)
                # What forgetting itself took, beside what consolidation had given.
                found |= compare(placed, label, f"forget.{name}.{label}.since_after", seed=seed, first="after")
            ask(target, placed, "deep", recipe="deep")
            found |= compare(placed, "deep", f"forget.{name}.deep", seed=seed)
        found[f"recall.{name}.label"] = suite.label
        found[f"recall.{name}.data_sha256"] = suite.digest
    gains = [found[f"recall.{name}.difference"] for name in names]
    return {**found, "recall.best_difference": max(gain for gain in gains if isinstance(gain, float))}


def store(target: Target, suite: Suite, *, limit: int | None, seed: int) -> Placed:
    """Every conversation in its space, in order."""
    plan = Plan(suite, suite.default_k, limit=limit, seed=seed, contexts=0)
    placed = Placed(plan, [])
    for conversation in plan.conversations():
        haystack = runner.place(plan, conversation)
        runner.ingest(plan, target.client, haystack)
        placed.haystacks.append(haystack)
    return placed


def consolidate(target: Target, placed: Placed) -> Figures:
    """Run until there is no more to do; what was done and how long it took."""
    started = perf_counter()
    runs = [run for haystack in placed.haystacks for run in target.work("consolidate", haystack.space)]
    seconds = perf_counter() - started
    turns = sum(len(stored) for stored in placed.stored().values())
    key = f"recall.{placed.name}"
    return {
        f"{key}.consolidate.turns_per_s": turns / seconds,
        f"{key}.n.turns": turns,
        **{f"{key}.n.{action}": number for action, number in learned(runs).items()},
    }


def ask(target: Target, placed: Placed, label: str, recipe: Recipe | None = None) -> None:
    """Put all questions to the service, by the plan's recipe or another one, and keep their scores."""
    sources = SingleSources(target)

    def scored(pair: tuple[Haystack, Question]) -> Score:
        haystack, question = pair
        answer = target.client.recall(
            question.text, space=haystack.space, k=placed.plan.k, now=question.now, recipe=recipe or placed.plan.recipe
        )
        first = answer.results[:K]
        turns: list[str] = []
        loose: list[str] = []
        for result in first:
            turn = haystack.turns.get(result.memory.id)
            source = sources.of(result.memory) if turn is None else result.memory.id
            turns.append("" if turn is None else turn.id)
            loose.append(_turn_id(haystack, source))
        return Score(metrics.recall(loose, question.gold_turns, K), metrics.recall(turns, question.gold_turns, K))

    with unobserved(target), ThreadPoolExecutor(_CLIENTS) as pool:
        placed.rounds[label] = list(pool.map(scored, placed.questions()))


def compare(placed: Placed, label: str, key: str, *, seed: int, first: str = "before") -> Figures:
    """Both rounds and their difference, with its 95% interval by resampling the questions in pairs."""
    found: Figures = {f"{key}.n": len(placed.rounds[label])}
    for way in ("loose", "strict"):
        old = [float(getattr(score, way)) for score in placed.rounds[first]]
        new = [float(getattr(score, way)) for score in placed.rounds[label]]
        changes = [after - before for before, after in zip(old, new, strict=True)]
        low, high = metrics.interval(changes, seed=seed)
        mark = "" if way == "loose" else ".strict"
        found |= {
            f"{key}{mark}.recall@10.{first}": sum(old) / len(old),
            f"{key}{mark}.recall@10": sum(new) / len(new),
            f"{key}{mark}.difference": sum(changes) / len(changes),
            f"{key}{mark}.difference.ci95_low": low,
            f"{key}{mark}.difference.ci95_high": high,
        }
    return found


def _turn_id(haystack: Haystack, memory_id: UUID | None) -> str:
    turn = None if memory_id is None else haystack.turns.get(memory_id)
    return "" if turn is None else turn.id

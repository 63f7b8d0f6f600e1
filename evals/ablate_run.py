"""The ablation: each set is ingested and consolidated once, then asked by every variant of the recipe.

A set writes `sets/<set>.json` (figures), `sets/<set>.jsonl` (a line per question) and `gallery/<set>.md`. After each
set, `ablation.md`, `ablation.json` and the plots are made of all that are there so far.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import perf_counter

from evals import ablate_failures, ablate_figures, ablate_report, ablate_variants, runner, suites
from evals.ablate_failures import Case
from evals.ablate_figures import ORACLE_K
from evals.ablate_model import Asked, SetFigures, Storage
from evals.ablate_storage import weigh
from evals.ablate_variants import BASE, Variant
from evals.asking import Asker
from evals.corpus import Question, Suite, SuiteName
from evals.runner import Haystack, Plan
from evals.summary import environment
from evals.workers_recall import SETS
from evals.workers_service import Target, own_service

# Before consolidation there are neither facts nor keys; it is asked by the base recipe.
UNTENDED = "before consolidation"
# The query's vector is cached for all variants; this one is asked in a way that the cache does not know.
UNCACHED = f"{BASE}, query not encoded before"
Say = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Order:
    """What to measure. `limit`: the first questions of each set only; `weights`: learned ones, a variant more."""

    data: Path
    out: Path
    sets: tuple[SuiteName, ...] = tuple(SETS)
    limit: int | None = None
    seed: int = 0
    weights: Mapping[str, float] | None = None
    resume: bool = False

    def settings(self, suite: Suite) -> dict[str, str | int | None]:
        """As they are kept with a set; with others it is measured again."""
        return {
            "data_sha256": suite.digest,
            "limit": self.limit,
            "seed": self.seed,
            "k": ablate_figures.results_of(suite),
            "learned": None if self.weights is None else json.dumps(self.weights, sort_keys=True),
        }


@dataclass(frozen=True, slots=True)
class Placed:
    """A set in a service, with the variants that its spaces know."""

    target: Target
    suite: Suite
    haystacks: tuple[Haystack, ...]
    variants: tuple[Variant, ...]
    stages: tuple[str, ...]
    arms: tuple[str, ...]


def run(order: Order, *, say: Say) -> list[SetFigures]:
    """Measure the sets that are not there yet, and write the report after each of them; all that it then holds."""
    for folder in ("sets", "gallery"):
        (order.out / folder).mkdir(parents=True, exist_ok=True)
    done: list[SetFigures] = []
    for name in order.sets:
        suite = suites.load(name, order.data / SETS[name])
        figures = _kept(order, suite) if order.resume else None
        if figures is None:
            started = perf_counter()
            figures = measure(order, suite, say=say)
            say(f"{suite.label}: {perf_counter() - started:.0f} s")
            text = json.dumps(figures.to_json(), indent=1, ensure_ascii=False)
            _file(order, name).write_text(text, encoding="utf-8")
        else:
            say(f"{suite.label}: there already")
        done.append(figures)
        ablate_report.write(order.out, done, {**environment()})
    return done


def measure(order: Order, suite: Suite, *, say: Say) -> SetFigures:
    """One set in a service of its own."""
    with own_service() as target:
        say(f"{suite.label}: storing")
        haystacks = store(target, suite, limit=order.limit)
        say(f"{suite.label}: asking before consolidation")
        before = ask_untended(Asker.of(target), suite, haystacks)
        say(f"{suite.label}: consolidating")
        for haystack in haystacks:
            target.work("consolidate", haystack.space)
        placed = prepare(target, suite, haystacks, order.weights)
        say(f"{suite.label}: asking by {len(placed.variants)} variants")
        outcomes = ask_all(placed, before, say=say)
        stored = weigh(target, haystacks)
    lines = "".join(json.dumps(asdict(outcome.asked), ensure_ascii=False) + "\n" for outcome in outcomes)
    (order.out / "sets" / f"{suite.name}.jsonl").write_text(lines, encoding="utf-8")
    cases = [outcome.case for outcome in outcomes if outcome.case.question.headline]
    gallery = ablate_failures.render(suite.label, ablate_failures.worst(cases, seed=order.seed))
    (order.out / "gallery" / f"{suite.name}.md").write_text(gallery, encoding="utf-8")
    return _figures(order, placed, outcomes, stored)


def store(target: Target, suite: Suite, *, limit: int | None) -> tuple[Haystack, ...]:
    """Every conversation in its space, in order."""
    plan = Plan(suite, suite.default_k, limit=limit, contexts=0)
    haystacks = []
    for conversation in plan.conversations():
        haystack = runner.place(plan, conversation)
        runner.ingest(plan, target.client, haystack)
        haystacks.append(haystack)
    return tuple(haystacks)


def questions_of(haystack: Haystack) -> list[Question]:
    """Those that can be scored."""
    return [item for item in haystack.conversation.questions if item.skip is None and item.gold_turns]


def ask_untended(asker: Asker, suite: Suite, haystacks: Sequence[Haystack]) -> dict[str, dict[str, float]]:
    """The base recipe on turns alone: metrics by question."""
    k, wanted = ablate_figures.results_of(suite), ablate_figures.metrics_of(suite)
    return {
        question.id: ablate_figures.score(asker.ask(haystack, question, k=k, recipe=BASE), question, wanted)
        for haystack in haystacks
        for question in questions_of(haystack)
    }


def prepare(target: Target, suite: Suite, haystacks: Sequence[Haystack], weights: Mapping[str, float] | None) -> Placed:
    """The variants that the service's recipes give, set in every space."""
    client = target.client
    listed = client.list_recipes(haystacks[0].space).items
    stages = next(recipe for recipe in listed if recipe.name == BASE).settings.weights or {}
    arms = ablate_variants.find_arms(client, haystacks[0].space, stages)
    variants = ablate_variants.derive(listed, arms)
    if weights is not None:
        variants.append(ablate_variants.learned(weights))
    for haystack in haystacks:
        ablate_variants.apply(client, haystack.space, variants)
    return Placed(target, suite, tuple(haystacks), tuple(variants), tuple(stages), arms)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A question under all variants, what is needed to say why the base misses, and how many recalls were cut."""

    asked: Asked
    case: Case
    encoder: str
    degraded: int


def ask_all(placed: Placed, before: Mapping[str, Mapping[str, float]], *, say: Say) -> list[Outcome]:
    """Each question by all variants, one after the other."""
    asker = Asker.of(placed.target)
    found: list[Outcome] = []
    for haystack in placed.haystacks:
        say(f"  {haystack.conversation.id}: {len(questions_of(haystack))} questions")
        for question in questions_of(haystack):
            found.append(_ask(placed, asker, haystack, question, before=before[question.id], turn=len(found)))
    return found


def _ask(
    placed: Placed, asker: Asker, haystack: Haystack, question: Question, *, before: Mapping[str, float], turn: int
) -> Outcome:
    """The oracle first, so that the query's vector is there for all; then the variants, each time another one first."""
    k, wanted = ablate_figures.results_of(placed.suite), ablate_figures.metrics_of(placed.suite)
    deep = asker.ask(haystack, question, k=ORACLE_K, recipe=BASE)
    fresh = asker.ask(haystack, replace(question, text=question.text + " "), k=k, recipe=BASE)
    start = turn % len(placed.variants)
    answers = {
        variant.name: asker.ask(haystack, question, k=k, recipe=variant.recipe)
        for variant in (*placed.variants[start:], *placed.variants[:start])
    }
    texts = tuple(result.memory.content for result in deep.results[: ablate_failures.FIRST])
    case = Case(question, haystack.conversation, answers[BASE].turns, deep.turns, texts)
    scores = {name: ablate_figures.score(answer, question, wanted) for name, answer in answers.items()}
    latency = {name: answer.latency_ms for name, answer in answers.items()}
    asked = Asked(
        id=question.id,
        type=question.type,
        groups=ablate_figures.groups_of(question, case.turns),
        scores={UNTENDED: before, **scores},
        latency_ms={UNCACHED: fresh.latency_ms, **latency},
        oracle=ablate_figures.score_oracle(deep, question),
    )
    return Outcome(asked, case, deep.encoder, sum(answer.degraded for answer in answers.values()))


def _figures(order: Order, placed: Placed, outcomes: Sequence[Outcome], stored: Storage) -> SetFigures:
    asked = [outcome.asked for outcome in outcomes]
    cases = [outcome.case for outcome in outcomes if outcome.case.question.headline]
    kinds = {variant.name: str(variant.kind) for variant in placed.variants} | {UNTENDED: "setting"}
    groups, wanted = ablate_figures.kept_groups(asked), ablate_figures.metrics_of(placed.suite)
    return SetFigures(
        name=placed.suite.name,
        label=placed.suite.label,
        encoder=", ".join(sorted({outcome.encoder for outcome in outcomes})),
        settings=order.settings(placed.suite),
        stages=placed.stages,
        arms=placed.arms,
        kinds=kinds,
        metrics=wanted,
        questions={group: len(found) for group, found in groups.items()},
        values=ablate_figures.means(groups, list(kinds)),
        differences=ablate_figures.differences(groups, list(kinds), wanted, base=BASE, seed=order.seed),
        oracle=ablate_figures.oracle(groups),
        latency=ablate_figures.latencies(asked),
        storage=stored,
        missed=ablate_failures.count(ablate_failures.missing(cases)),
        applies=ablate_failures.count_all(ablate_failures.missing(cases)),
        gallery=ablate_failures.count(ablate_failures.worst(cases, seed=order.seed)),
        degraded=sum(outcome.degraded for outcome in outcomes),
    )


def _file(order: Order, name: str) -> Path:
    return order.out / "sets" / f"{name}.json"


def _kept(order: Order, suite: Suite) -> SetFigures | None:
    """The figures of a set that was measured with these settings."""
    path = _file(order, suite.name)
    if not path.exists():
        return None
    kept = SetFigures.from_json(json.loads(path.read_text(encoding="utf-8")))
    return kept if kept.settings == order.settings(suite) else None

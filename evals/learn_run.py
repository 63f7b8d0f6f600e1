"""Learning the weights of fusion: candidates with the values of their stages from the service, weights from those."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import memsvc
from evals import ablate_run, learn_file, learn_fit, metrics, suites
from evals.ablate_variants import BASE
from evals.asking import Answer, Asker
from evals.corpus import DatasetError, Question, Suite, SuiteName
from evals.learn_file import Compared, Learned, Training
from evals.learn_fit import Floats, Listing
from evals.runner import Haystack
from evals.workers_recall import SETS
from evals.workers_service import Target, own_service

# As many as leave the first stage.
K = 100
_PROBE = "learn: every stage"
# A stage without a weight would not say what it knows; so little moves no rank but one of equals.
_FAINT = 1e-3

Say = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Order:
    """What to learn from. `limit`: the first questions of each set only."""

    data: Path
    out: Path
    sets: tuple[SuiteName, ...] = tuple(SETS)
    limit: int | None = None
    l2: float = 1e-3
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Collected:
    """The lists of one set, and the weights of the base recipe."""

    suite: Suite
    weights: Mapping[str, float]
    listings: tuple[Listing, ...]


def run(order: Order, *, say: Say) -> Learned:
    """Collect, learn, cross-validate, write."""
    collected = []
    for name in order.sets:
        suite = suites.load(name, order.data / SETS[name])
        with own_service() as target:
            collected.append(collect(target, suite, limit=order.limit, say=say))
    learned = learn(collected, l2=order.l2, seed=order.seed, limit=order.limit)
    learn_file.write(order.out, learned)
    return learned


def collect(target: Target, suite: Suite, *, limit: int | None, say: Say) -> Collected:
    """Store and consolidate a set, and ask its headline questions with every stage speaking."""
    say(f"{suite.label}: storing")
    haystacks = ablate_run.store(target, suite, limit=limit)
    say(f"{suite.label}: consolidating")
    for haystack in haystacks:
        target.work("consolidate", haystack.space)
    listed = target.client.list_recipes(haystacks[0].space).items
    weights = next(recipe for recipe in listed if recipe.name == BASE).settings.weights or {}
    probing = {stage: weight or _FAINT for stage, weight in weights.items()}
    say(f"{suite.label}: asking")
    asker = Asker.of(target)
    listings: list[Listing] = []
    for haystack in haystacks:
        target.client.set_recipe(haystack.space, _PROBE, {"base": BASE, "weights": probing})
        for question in ablate_run.questions_of(haystack):
            if question.headline:
                answer = asker.ask(haystack, question, k=K, recipe=_PROBE, explain=True)
                listings.append(listing(suite, haystack, question, answer, probing, alone=len(haystacks) == 1))
    return Collected(suite, weights, tuple(listings))


def listing(
    suite: Suite, haystack: Haystack, question: Question, answer: Answer, probing: Mapping[str, float], *, alone: bool
) -> Listing:
    """The candidates of one answer. What a stage does not list is 0; a set of one conversation is split by question."""
    stages = list(probing)
    values = np.zeros((len(answer.results), len(stages)))
    for row, result in enumerate(answer.results):
        for reason in result.reasons:
            if reason.stage in probing:
                values[row, stages.index(reason.stage)] = reason.contribution / probing[reason.stage]
    group = question.id if alone else haystack.conversation.id
    return Listing(suite.name, group, question.id, answer.turns, question.gold_turns, values)


def learn(collected: Sequence[Collected], *, l2: float, seed: int, limit: int | None = None) -> Learned:
    """The weights with the report of their training; `DatasetError` when there is nothing to learn from."""
    stages = list(collected[0].weights)
    base = np.array([collected[0].weights[stage] for stage in stages])
    listings = [each for of_set in collected for each in of_set.listings]
    try:
        weights = learn_fit.fit(listings, base, l2=l2)
    except ValueError as error:
        raise DatasetError(str(error)) from error
    by_set = learn_fit.by_set(listings)
    without = learn_fit.across_sets(listings, base, l2=l2)
    training = Training(
        settings={"l2": l2, "seed": seed, "limit": limit, "k": K, "memsvc": memsvc.__version__},
        questions={name: len(found) for name, found in by_set.items()},
        data_sha256={each.suite.name: each.suite.digest for each in collected},
        base={name: metrics.means(learn_fit.score(each, base) for each in found) for name, found in by_set.items()},
        trained_on=_compare(by_set, lambda _: weights, base, seed),
        other_sets=_compare(by_set, lambda each: without[each.suite], base, seed) if without else {},
        other_conversations=_held_out(listings, base, l2=l2, seed=seed),
        weights_without={name: _named(stages, found) for name, found in without.items()},
    )
    return Learned(BASE, _named(stages, base), _named(stages, weights), training)


def _held_out(listings: Sequence[Listing], base: Floats, *, l2: float, seed: int) -> dict[str, Compared]:
    weights, folds = learn_fit.across_conversations(listings, base, l2=l2), learn_fit.fold_of(listings)
    if not weights:
        return {}
    return _compare(learn_fit.by_set(listings), lambda each: weights[folds[each.suite, each.group]], base, seed)


def _compare(
    by_set: Mapping[str, Sequence[Listing]], weights_of: Callable[[Listing], Floats], base: Floats, seed: int
) -> dict[str, Compared]:
    return {name: learn_fit.compare(found, weights_of, base, seed=seed) for name, found in by_set.items()}


def _named(stages: Sequence[str], weights: Floats) -> dict[str, float]:
    """Four digits are more than the data can tell apart."""
    return {stage: float(f"{weight:.4g}") for stage, weight in zip(stages, weights.tolist(), strict=True)}

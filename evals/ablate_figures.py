"""From questions to the figures of an ablation. Pure functions."""

from collections.abc import Mapping, Sequence

import numpy as np

from evals import metrics
from evals.ablate_model import ALL, Asked, Interval, Latency
from evals.asking import Answer
from evals.corpus import Question, Suite, Turn

TURN_METRICS = ("turn.recall@5", "turn.recall@10", "turn.recall_any@10", "turn.mrr", "turn.ndcg@10")
SESSION_METRICS = ("session.recall@5", "session.recall@10")
ORACLE_K = 200
# What a recall gives unless it is asked for more; ten sessions need a longer list.
_K = 10
# Where gold is labelled by session, and there are enough of them for a rank among them to say anything.
_BY_SESSION = frozenset({"longmemeval"})

Means = Mapping[str, Mapping[str, Mapping[str, float]]]
Differences = Mapping[str, Mapping[str, Mapping[str, Interval]]]


def metrics_of(suite: Suite) -> tuple[str, ...]:
    """The metrics that are reported of a suite."""
    return TURN_METRICS + (SESSION_METRICS if suite.name in _BY_SESSION else ())


def results_of(suite: Suite) -> int:
    """How many results each recall of a suite is asked for."""
    return suite.default_k if suite.name in _BY_SESSION else _K


def score(answer: Answer, question: Question, wanted: Sequence[str]) -> dict[str, float]:
    """The wanted metrics of one answer."""
    found = metrics.score("turn", answer.turns, question.gold_turns)
    found |= metrics.score("session", answer.sessions, question.gold_sessions)
    return {name: found[name] for name in wanted if name in found}


def score_oracle(answer: Answer, question: Question) -> dict[str, float]:
    """How much of the evidence stands anywhere among the oracle's results, and how much among the first ten."""
    found = {f"turn.recall@{k}": metrics.recall(answer.turns, question.gold_turns, k) for k in (10, 50, ORACLE_K)}
    found[f"turn.recall_any@{ORACLE_K}"] = float(found[f"turn.recall@{ORACLE_K}"] > 0)
    return found


def groups_of(question: Question, turns: Mapping[str, Turn]) -> tuple[str, ...]:
    """The groups of the report: all, when it counts for the headline; its type; who said the evidence."""
    roles = {turns[name].role for name in question.gold_turns if name in turns}
    who = next(iter(roles)) if len(roles) == 1 else "both sides"
    headline = (ALL, f"evidence by {who}") if question.headline else ()
    return (*headline, question.type)


def kept_groups(asked: Sequence[Asked]) -> dict[str, list[Asked]]:
    """Questions by group, all first; a group that holds every question of the headline says nothing new."""
    found: dict[str, list[Asked]] = {ALL: []}
    for question in asked:
        for group in question.groups:
            found.setdefault(group, []).append(question)
    whole = len(found[ALL])
    ordered = sorted(found, key=lambda group: (group != ALL, group.startswith("evidence by"), group))
    return {group: found[group] for group in ordered if found[group] and (group == ALL or len(found[group]) != whole)}


def means(groups: Mapping[str, Sequence[Asked]], variants: Sequence[str]) -> Means:
    """The mean of each metric over the questions that have it."""
    return {
        group: {name: metrics.means(question.scores[name] for question in questions) for name in variants}
        for group, questions in groups.items()
    }


def differences(
    groups: Mapping[str, Sequence[Asked]], variants: Sequence[str], wanted: Sequence[str], *, base: str, seed: int
) -> Differences:
    """What each variant scores minus what the base scores, with 95% bootstrap intervals over the same questions."""
    others = [name for name in variants if name != base]
    found: dict[str, dict[str, dict[str, Interval]]] = {}
    for group, questions in groups.items():
        of_group: dict[str, dict[str, Interval]] = {name: {} for name in others}
        for metric in wanted:
            rows = [question for question in questions if metric in question.scores[base]]
            if not rows or not others:
                continue
            changes = np.array(
                [[row.scores[name][metric] - row.scores[base][metric] for name in others] for row in rows]
            )
            ends = metrics.paired_intervals(changes, seed=seed)
            for column, name in enumerate(others):
                of_group[name][metric] = (
                    float(changes[:, column].mean()),
                    float(ends[column, 0]),
                    float(ends[column, 1]),
                )
        found[group] = of_group
    return found


def oracle(groups: Mapping[str, Sequence[Asked]]) -> dict[str, dict[str, float]]:
    """Means of the oracle by group."""
    return {group: metrics.means(question.oracle for question in questions) for group, questions in groups.items()}


def latencies(asked: Sequence[Asked]) -> dict[str, Latency]:
    """Percentiles of each variant over all questions."""
    values: dict[str, list[float]] = {}
    for question in asked:
        for name, milliseconds in question.latency_ms.items():
            values.setdefault(name, []).append(milliseconds)
    return {
        name: Latency(metrics.percentile(found, 0.5), metrics.percentile(found, 0.95)) for name, found in values.items()
    }

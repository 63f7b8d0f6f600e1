"""What a service made of the planted cases, against what it should have. Pure functions."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from evals.planted_model import Case, Pair

READABLE = frozenset({"generated", "activated", "merged", "frozen"})


@dataclass(frozen=True, slots=True)
class Stored:
    """One memory of a case as the service has it. `sources` are the lines it comes from; of a line, itself."""

    id: str
    kind: str
    content: str
    state: str
    sources: frozenset[str]
    superseded_by: str | None = None
    valid_to: datetime | None = None

    def is_current(self, now: datetime) -> bool:
        """It is what recall holds to be true now."""
        over = self.valid_to is not None and self.valid_to <= now
        return self.state in READABLE and self.superseded_by is None and not over


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that came of one case; `conflicts` are pairs of memories, `ranked` the memories recalled for its question."""

    memories: tuple[Stored, ...]
    conflicts: tuple[tuple[str, str], ...]
    ranked: tuple[str, ...]
    now: datetime


@dataclass(frozen=True, slots=True)
class Verdict:
    """Counts of one case, and in words what went wrong.

    `made` supersessions were made, `right` of them were to be; `expected` ones were to be made, `met` of them were.
    `answered`: a line that answers, or what derives from it, is among the first 5; `current_first`: it comes before
    what it superseded (None where nothing was to be superseded).
    """

    case: str
    category: str
    kind: str
    split: str
    made: int
    right: int
    expected: int
    met: int
    echoes: int
    relearned: int
    conflicts: int
    conflict_wanted: bool
    conflict_met: bool
    conflict_wrong: bool
    learned: int
    answered: bool
    current_first: bool | None
    problems: tuple[str, ...]

    def row(self) -> dict[str, Any]:
        """As a line of `planted.jsonl`."""
        return asdict(self)


def judge(case: Case, outcome: Outcome) -> Verdict:
    """Compare one case with what came of it."""
    by_id = {memory.id: memory for memory in outcome.memories}
    problems: list[str] = []
    met: set[Pair] = set()
    right = 0
    superseded = [memory for memory in outcome.memories if memory.superseded_by is not None]
    neutral = 0
    for old in superseded:
        new = by_id.get(old.superseded_by or "")
        pair = _among(case.expected, old, new)
        if pair is None and _among(case.allowed, old, new) is not None:
            neutral += 1
        elif pair is None:
            problems.append(f"superseded: {old.content!r} by {new.content if new else None!r}")
        else:
            right += 1
            met.add(pair)
    for pair in case.expected:
        if pair not in met:
            taught = [_facts_of(outcome, lines) for lines in (pair.olds, pair.news)]
            problems.append(f"not superseded: {pair.olds} by {pair.news}; they taught {taught[0]} and {taught[1]}")
    relearned = _relearned(case, outcome)
    problems += [f"learned again: {memory.content!r}" for memory in relearned]
    wanted = [pair for pair in outcome.conflicts if _is_between(case, by_id, pair)]
    if case.conflict == "no" and outcome.conflicts:
        problems.append(f"{len(outcome.conflicts)} conflicts")
    if case.conflict == "must" and not wanted:
        problems.append("no conflict")
    return Verdict(
        case=case.id,
        category=case.category,
        kind=case.kind,
        split=case.split,
        made=len(superseded) - neutral,
        right=right,
        expected=len(case.expected),
        met=len(met),
        echoes=len(case.echoes),
        relearned=len({line for memory in relearned for line in memory.sources}),
        conflicts=len(outcome.conflicts),
        conflict_wanted=case.conflict == "must",
        conflict_met=bool(wanted) and case.conflict == "must",
        conflict_wrong=case.conflict == "no" and bool(outcome.conflicts),
        learned=sum(memory.kind != "turn" for memory in outcome.memories),
        answered=any(_answers(case, by_id, name) for name in outcome.ranked[:5]),
        current_first=_current_first(case, by_id, outcome.ranked),
        problems=tuple(problems),
    )


def figures(verdicts: Sequence[Verdict]) -> dict[str, float | int]:
    """Everything that is reported, over all cases, by split and by category.

    Precision is over all supersessions made in the cases, recall over all that were to be made; a figure whose
    denominator is 0 is left out.
    """
    found: dict[str, float | int] = {f"planted.{key}": value for key, value in _group(verdicts).items()}
    for names in (_by(verdicts, lambda verdict: verdict.split), _by(verdicts, lambda verdict: verdict.category)):
        for name, group in names.items():
            found |= {f"planted.{key}/{name}": value for key, value in _group(group).items()}
    for split, group in _by(verdicts, lambda verdict: verdict.split).items():
        for category, inner in _by(group, lambda verdict: verdict.category).items():
            found |= {f"planted.{key}/{split}/{category}": value for key, value in _group(inner).items()}
    return found


def _group(verdicts: Sequence[Verdict]) -> dict[str, float | int]:
    made, right = sum(v.made for v in verdicts), sum(v.right for v in verdicts)
    expected, met = sum(v.expected for v in verdicts), sum(v.met for v in verdicts)
    echoes, relearned = sum(v.echoes for v in verdicts), sum(v.relearned for v in verdicts)
    wanted, found = sum(v.conflict_wanted for v in verdicts), sum(v.conflict_met for v in verdicts)
    wrong = sum(v.conflict_wrong for v in verdicts)
    compared = [v.current_first for v in verdicts if v.current_first is not None]
    ratios = {
        "supersede_precision": (right, made),
        "supersede_recall": (met, expected),
        "echo_relearned": (relearned, echoes),
        "conflict_recall": (found, wanted),
        "conflict_precision": (found, found + wrong),
        "answered@5": (sum(v.answered for v in verdicts), len(verdicts)),
        "current_first": (sum(compared), len(compared)),
        "learned_per_case": (sum(v.learned for v in verdicts), len(verdicts)),
    }
    counts = {"n": len(verdicts), "n.superseded": made, "n.wrong": made - right, "n.expected": expected}
    return {name: over / under for name, (over, under) in ratios.items() if under} | counts | {"n.echoes": echoes}


def _facts_of(outcome: Outcome, lines: Sequence[str]) -> list[str]:
    found = [memory for memory in outcome.memories if memory.kind not in {"turn", "summary"}]
    return [memory.content for memory in found if not memory.sources.isdisjoint(lines)]


def _among(pairs: Sequence[Pair], old: Stored, new: Stored | None) -> Pair | None:
    """The pair that this supersession meets. A successor that comes of an echo alone meets none."""
    if new is None:
        return None
    for pair in pairs:
        ours = not old.sources.isdisjoint(pair.olds) and not new.sources.isdisjoint(pair.news)
        if ours and pair.about.casefold() in old.content.casefold() and old.id != new.id:
            return pair
    return None


def _relearned(case: Case, outcome: Outcome) -> list[Stored]:
    echoes = set(case.echoes)
    return [
        memory
        for memory in outcome.memories
        if memory.kind not in {"turn", "summary"}
        and memory.sources
        and memory.sources <= echoes
        and memory.is_current(outcome.now)
    ]


def _is_between(case: Case, by_id: Mapping[str, Stored], conflict: tuple[str, str]) -> bool:
    first, second = (by_id.get(name) for name in conflict)
    if first is None or second is None:
        return False
    return any(
        (one in first.sources and two in second.sources) or (two in first.sources and one in second.sources)
        for one, two in case.keep
    )


def _answers(case: Case, by_id: Mapping[str, Stored], name: str) -> bool:
    memory = by_id.get(name)
    return memory is not None and not memory.sources.isdisjoint(case.answers)


def _current_first(case: Case, by_id: Mapping[str, Stored], ranked: Sequence[str]) -> bool | None:
    if not case.expected:
        return None
    stale = {line for pair in case.expected for line in pair.olds} - set(case.answers)
    for name in ranked:
        memory = by_id.get(name)
        if memory is None:
            continue
        if not memory.sources.isdisjoint(case.answers):
            return True
        if not memory.sources.isdisjoint(stale):
            return False
    return False


def _by(verdicts: Iterable[Verdict], key: Callable[[Verdict], str]) -> dict[str, list[Verdict]]:
    groups: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        groups.setdefault(key(verdict), []).append(verdict)
    return dict(sorted(groups.items()))

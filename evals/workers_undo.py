"""Part `undo`: what recall answers before each operation, and after taking it back again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from evals import runner, suites
from evals.corpus import Conversation
from evals.runner import Plan
from evals.workers_service import Target, Work
from memsvc.sdk import Conflict

K = 50
QUESTIONS = 60
_RUN_LIMIT = 200
_FORGOTTEN = 0.4
# Vectors are stored again in another order, and sums of 32-bit numbers depend on the order in their last digits.
ROUNDING = 1e-5

Figures = dict[str, float | int | str | None]
Say = Callable[[str], object]
# Of each question the ids of the results in their order, with their scores.
Answers = tuple[tuple[tuple[UUID, float], ...], ...]


@dataclass(frozen=True, slots=True)
class Step:
    """What one request did, in operations, and what recall had answered before it."""

    name: str
    operations: tuple[UUID, ...]
    before: Answers


def measure(target: Target, data: Path, *, seed: int, say: Say) -> Figures:
    """One conversation of LoCoMo is consolidated, superseded, forgotten and compressed; then all is undone."""
    suite = suites.load("locomo", data / "locomo")
    conversation = next(iter(suite.conversations()))
    plan = Plan(suite, K, seed=seed, contexts=0)
    haystack = runner.place(plan, conversation)
    runner.ingest(plan, target.client, haystack)
    undoing = Undoing(target, haystack.space, conversation, say=say)
    say(f"undo: {QUESTIONS} questions over {len(conversation.turns)} turns")
    undoing.work("consolidate")
    undoing.supersede([runner.memory_id(haystack.space, turn) for turn in conversation.turns if turn.content.strip()])
    stay = int(len(conversation.turns) * (1 - _FORGOTTEN))
    target.set_policies(haystack.space, {"forget": {"kinds": {"turn": {"budget": {"memories": stay}}}}})
    undoing.work("forget")
    undoing.work("compress")
    say(f"undo: taking back {len(undoing.steps)} operations")
    return undoing.take_back()


class Undoing:
    """Operations on a space, each remembered with what recall had answered before it."""

    def __init__(self, target: Target, space: str, conversation: Conversation, *, say: Say) -> None:
        self._target = target
        self._say = say
        self._space = space
        asked = [item for item in conversation.questions if item.skip is None and item.headline]
        self._questions = asked[:QUESTIONS]
        self.steps: list[Step] = []

    def work(self, work: Work) -> None:
        """Run it in small pieces, until there is no more to do."""
        more = True
        while more:
            before = self.answers()
            run = self._target.run(work, self._space, limit=_RUN_LIMIT)
            done = tuple(one for one in (run.operation_id, *run.further) if one is not None)
            if done:
                self.steps.append(Step(work, done, before))
            more = run.more

    def supersede(self, turns: Sequence[UUID]) -> None:
        """A person supersedes a turn by a later one."""
        before = self.answers()
        changed = self._target.client.lifecycle.supersede(turns[0], by=turns[-1])
        if changed.operation_id is not None:
            self.steps.append(Step("supersede", (changed.operation_id,), before))

    def take_back(self) -> Figures:
        """Undo from the newest to the oldest; after each step, recall must answer as it did before that.

        `changed` is the share of answers that differed just before the undo: what it had to restore. An undo that the
        service refuses restores nothing.
        """
        shares: dict[str, list[float]] = {}
        changed: dict[str, list[float]] = {}
        bits: list[float] = []
        refused = 0
        for step in reversed(self.steps):
            changed.setdefault(step.name, []).append(1 - same(step.before, self.answers()))
            try:
                for operation in reversed(step.operations):
                    self._target.client.lifecycle.undo(operation)
            except Conflict as error:
                self._say(f"undo of {step.name} refused: {error}")
                refused += 1
                shares.setdefault(step.name, []).append(0.0)
                continue
            after = self.answers()
            shares.setdefault(step.name, []).append(same(step.before, after))
            bits.append(sum(one == two for one, two in zip(step.before, after, strict=True)) / len(after))
        every = [share for found in shares.values() for share in found]
        return {
            "undo.exact": sum(every) / len(every) if every else None,
            "undo.operations": sum(len(step.operations) for step in self.steps),
            "undo.steps": len(every),
            "undo.steps_exact": sum(share == 1 for share in every),
            "undo.steps_refused": refused,
            "undo.questions": len(self._questions),
            "undo.exact.to_the_last_bit": sum(bits) / len(every) if every else None,
            **{f"undo.exact/{name}": sum(found) / len(found) for name, found in sorted(shares.items())},
            **{f"undo.changed/{name}": sum(found) / len(found) for name, found in sorted(changed.items())},
        }

    def answers(self) -> Answers:
        """All questions, asked at a fixed time, so that only memory can make a difference."""
        return tuple(
            tuple(
                (result.memory.id, result.score)
                for result in self._target.client.recall(
                    question.text, space=self._space, k=K, now=question.now
                ).results
            )
            for question in self._questions
        )


def same(first: Answers, second: Answers) -> float:
    """The share of questions whose results are the same: ids, order, and scores but for the rounding of sums."""
    return sum(_is_same(one, two) for one, two in zip(first, second, strict=True)) / len(first)


def _is_same(one: Sequence[tuple[UUID, float]], two: Sequence[tuple[UUID, float]]) -> bool:
    return [name for name, _ in one] == [name for name, _ in two] and all(
        abs(a - b) <= ROUNDING * max(1.0, abs(a)) for (_, a), (_, b) in zip(one, two, strict=True)
    )

"""Recalls whose results are traced back to the turns that they stand for."""

from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter

from evals import metrics
from evals.corpus import Question
from evals.runner import Haystack
from evals.workers_service import Target
from evals.workers_sources import SingleSources
from memsvc.wire import RecallResponse, RecallResult


@dataclass(frozen=True, slots=True)
class Answer:
    """One recall. `turns` holds the turn that each result stands for: "" for none, and for one that came before."""

    turns: tuple[str, ...]
    sessions: tuple[str, ...]
    results: tuple[RecallResult, ...]
    latency_ms: float
    encoder: str
    degraded: bool


@dataclass(frozen=True, slots=True)
class Asker:
    """Asks a service. A fact counts for the one turn that it was drawn from; what is no turn holds its rank."""

    target: Target
    sources: SingleSources

    @classmethod
    def of(cls, target: Target) -> "Asker":
        """Lineage is remembered: a space that is consolidated again needs a new asker."""
        return cls(target, SingleSources(target))

    def ask(self, haystack: Haystack, question: Question, *, k: int, recipe: str, explain: bool = False) -> Answer:
        """Recall once, timed over HTTP."""
        started = perf_counter()
        answer = self.target.client.recall(
            question.text, space=haystack.space, k=k, now=question.now, recipe=recipe, explain=explain
        )
        latency_ms = (perf_counter() - started) * 1000
        traced = list(self._traced(haystack, answer))
        return Answer(
            turns=tuple(turn for turn, _ in traced),
            sessions=tuple(metrics.first_hits(session for _, session in traced if session is not None)),
            results=tuple(answer.results),
            latency_ms=latency_ms,
            encoder=answer.encoder,
            degraded=answer.degraded,
        )

    def _traced(self, haystack: Haystack, answer: RecallResponse) -> Iterator[tuple[str, str | None]]:
        seen: set[str] = set()
        for result in answer.results:
            memory = result.memory
            source = memory.id if memory.id in haystack.turns else self.sources.of(memory)
            turn = None if source is None else haystack.turns.get(source)
            if turn is None:
                yield "", memory.session
            else:
                yield "" if turn.id in seen else turn.id, turn.session
                seen.add(turn.id)

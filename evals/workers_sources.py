"""From what a recall returned back to the turn that it was said in."""

from dataclasses import dataclass, field
from uuid import UUID

from evals.workers_service import Target
from memsvc.wire import Memory

# A summary stands for many turns and is no evidence of one, even where it has one source.
FACT_KINDS = frozenset({"fact", "preference", "procedure"})


@dataclass(slots=True)
class SingleSources:
    """The one source of a derived fact. Lineage is asked for once a memory; a later consolidation needs another."""

    target: Target
    _known: dict[UUID, UUID | None] = field(default_factory=dict)

    def of(self, memory: Memory) -> UUID | None:
        """Its source, None when it has none, several, or is not a fact."""
        if memory.kind not in FACT_KINDS:
            return None
        if memory.id not in self._known:
            edges = self.target.client.lifecycle.lineage(memory.id, direction="up", depth=1).up
            sources = {edge.source_id for edge in edges}
            self._known[memory.id] = sources.pop() if len(sources) == 1 else None
        return self._known[memory.id]

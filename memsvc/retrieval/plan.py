"""What a recall is asked for, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from memsvc.ids import MemoryId
from memsvc.retrieval.confidence import NOT_ASSESSED, Assessment
from memsvc.retrieval.model import StageScore
from memsvc.store.access import When
from memsvc.store.keys import Caller
from memsvc.store.memories import Record
from memsvc.store.search import Beside


@dataclass(frozen=True, slots=True)
class RecallPlan:
    """A valid request. `clock` is the service's time, `asked_at` the asker's; both UTC.

    `deadline_ms` goes before the recipe's own.
    """

    caller: Caller
    query: str
    spaces: tuple[str, ...]
    k: int
    recipe: str
    token_budget: int | None
    explain: bool
    clock: datetime
    asked_at: datetime
    zone: ZoneInfo
    deadline_ms: int | None = None
    valid_at: datetime | None = None
    known_at: datetime | None = None
    include_superseded: bool = False
    kinds: tuple[str, ...] | None = None
    roles: tuple[str, ...] | None = None
    names: tuple[str, ...] | None = None
    sessions: tuple[str, ...] | None = None
    metadata: Mapping[str, Any] | None = None
    occurred_from: datetime | None = None
    occurred_to: datetime | None = None

    @property
    def when(self) -> When:
        """The moment of the request, and of what it asks."""
        return When(self.clock, self.valid_at, self.known_at)


@dataclass(frozen=True, slots=True)
class KeyFact:
    """A fact that was extracted from a memory, and the query found it by."""

    id: MemoryId
    content: str


@dataclass(frozen=True, slots=True)
class Hit:
    """One result; characters [start, end) of its content are the chunk that speaks for it."""

    rank: int
    score: float
    record: Record
    start: int
    end: int
    tokens: int
    matched_terms: tuple[str, ...]
    key: KeyFact | None = None
    reasons: tuple[StageScore, ...] = ()
    neighbours: tuple[Beside, ...] = ()


@dataclass(frozen=True, slots=True)
class Recalled:
    """Results, best first. `notes` names what was left out; empty when nothing was.

    `recipe_version` is None for a recipe that is built in. `assessment` says how far to trust them.
    """

    hits: tuple[Hit, ...]
    recipe: str
    recipe_version: int | None
    encoder: str
    candidates: int
    notes: tuple[str, ...]
    timings_ms: Mapping[str, float]
    assessment: Assessment = NOT_ASSESSED

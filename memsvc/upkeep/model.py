"""What upkeep works with, and what a run of it says it did."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from memsvc.ids import MemoryId, OperationId, SpaceId
from memsvc.ingest.write import Ingest
from memsvc.store.keys import Caller
from memsvc.upkeep.thinking import Thinking

Action = Literal[
    "learn",
    "link",
    "refine",
    "supersede",
    "conflict",
    "summarize",
    "propose",
    "archive",
    "revive",
    "pack",
    "unpack",
]


@dataclass(frozen=True, slots=True)
class Upkeep:
    """The parts that every run needs. `llm` is None where no language model is configured."""

    ingest: Ingest
    llm: Thinking | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """Which space to run over, for whom and when. `dry_run`: say what would be done, and do nothing.

    `limit` bounds the memories that one run reads; a run that stopped there says that there is `more`.
    """

    caller: Caller
    space: str
    now: datetime
    dry_run: bool = False
    limit: int = 1000
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that a run does. `memory_id` is what it makes or changes, `sources` what it is made from or gives way
    to; `content` is that of a new memory, and `reason` says why in words without content."""

    action: Action
    memory_id: MemoryId
    sources: tuple[MemoryId, ...] = ()
    content: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """What a run did, or would do; `operation_id` None when nothing was done.

    `further` are those that came after it, where one was not enough.
    """

    space_id: SpaceId
    changes: tuple[Change, ...]
    operation_id: OperationId | None
    more: bool = False
    further: tuple[OperationId, ...] = ()

    def __add__(self, then: "Run") -> "Run":
        """Both, one after the other, over the same space."""
        operations = [one for one in (self.operation_id, *self.further, then.operation_id, *then.further) if one]
        return Run(
            self.space_id,
            self.changes + then.changes,
            operations[0] if operations else None,
            then.more,
            tuple(operations[1:]),
        )

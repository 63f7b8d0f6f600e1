"""Runs of upkeep: consolidate, forget, compress."""

from typing import Literal
from uuid import UUID

from pydantic import Field

from memsvc.wire import Model, Name, Reason

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


class UpkeepRequest(Model):
    """Run over one space, now."""

    space: Name = "default"
    dry_run: bool = Field(False, description="Say what would be done, and do nothing.")
    limit: int = Field(1000, ge=1, le=10_000, description="Most memories that this run reads.")
    reason: Reason | None = None


class UpkeepChange(Model):
    """One thing that a run does."""

    action: Action
    memory_id: UUID = Field(description="What is made or changed; of a dry run, an id that will not be kept.")
    sources: list[UUID] = Field(description="What it is made from, or gives way to.")
    content: str | None = Field(None, description="Of a memory that is made.")
    reason: str


class UpkeepResponse(Model):
    """What a run did, or would do."""

    space: str
    dry_run: bool
    operation_id: UUID | None = Field(description="Undo it with POST /v1/operations/{id}/undo. None: nothing was done.")
    further: list[UUID] = Field(default_factory=list, description="Operations that came after it; undo the last first.")
    changes: list[UpkeepChange]
    more: bool = Field(description="The run stopped at its limit: run again.")

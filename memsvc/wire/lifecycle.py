"""Lifecycle: states, history, operations, lineage, holds."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field, JsonValue

from memsvc.wire import Memory, Model, Reason, State


class StateChange(Model):
    """Move a memory to another state."""

    state: State
    reason: Reason | None = None


class Supersede(Model):
    """A later memory of the same space takes its place."""

    by: UUID = Field(description="The memory that holds from then on.")
    at: str | None = Field(
        None, description="Since when: a year, month, day or moment. Unset: `valid_from` of the successor, or now."
    )
    timezone: str = "UTC"
    reason: Reason | None = None


class Hold(Model):
    """Place (`on`) or lift a legal hold."""

    on: bool
    reason: Reason | None = None


class UndoRequest(Model):
    """Why, for the history."""

    reason: Reason | None = None


class OperationOut(Model):
    """One recorded change set: who, when, why."""

    id: UUID
    space: str
    number: int = Field(description="Place in the space's change feed, in the order of commits.")
    kind: str
    actor: str
    reason: str | None
    details: dict[str, JsonValue]
    recorded_at: datetime
    undoes: UUID | None
    undone_by: UUID | None


class OperationPage(Model):
    """Operations of a space, newest first."""

    items: list[OperationOut]
    next_cursor: str | None


class FieldChange(Model):
    """A field before and after."""

    before: JsonValue
    after: JsonValue


class VersionOut(Model):
    """A memory as one operation left it."""

    version: int
    known_from: datetime
    known_to: datetime | None = Field(description="None: it is the current version.")
    operation_id: UUID
    operation: str | None
    actor: str | None
    reason: str | None
    changed: dict[str, FieldChange] = Field(description="What differs from the version before; empty for the first.")
    memory: Memory


class History(Model):
    """Every version of one memory, oldest first."""

    id: UUID
    versions: list[VersionOut]


class OperationChange(Model):
    """What an operation did to one memory."""

    memory_id: UUID
    version_before: int | None = Field(description="None: the operation made it.")
    version_after: int | None = Field(description="None: the operation erased it.")
    changed: dict[str, FieldChange] = Field(default_factory=dict)


class OperationDetail(OperationOut):
    """An operation and what it did, as far as the caller may see it and it was not erased since."""

    changes: list[OperationChange]


class UndoResponse(Model):
    """What the undo did; it is an operation itself and can be undone."""

    operation_id: UUID
    restored: list[UUID] = Field(description="They have their earlier version back.")
    archived: list[UUID] = Field(description="The operation had made them; they have left recall.")


class LineageEdge(Model):
    """`derived_id` was made from `source_id`, in the version it then had."""

    derived_id: UUID
    source_id: UUID
    source_version: int
    operation_id: UUID
    recorded_at: datetime
    depth: int = Field(description="Steps from the memory that was asked for.")


class Lineage(Model):
    """Where a memory comes from and what was made of it."""

    id: UUID
    up: list[LineageEdge] = Field(description="Towards its sources.")
    down: list[LineageEdge] = Field(description="Towards what derives from it.")
    superseded_by: list[UUID] = Field(description="Its successors, nearest first.")
    supersedes: list[UUID] = Field(description="Its predecessors, nearest first.")


LineageDirection = Literal["up", "down", "both"]

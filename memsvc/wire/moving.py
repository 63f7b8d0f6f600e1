"""Fusing, snapshots, rollback, fork, and what an import of a bundle came to."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from memsvc.wire import Model, Name, Reason, TextKind

KeptReason = Literal["frozen", "quarantined", "legal_hold", "not_permitted"]


class FuseRequest(Model):
    """Make one memory of several of one space."""

    memories: list[UUID] = Field(min_length=2, max_length=100)
    kind: TextKind | None = Field(None, description="By default the kind that they share, else fact.")
    dry_run: bool = Field(False, description="Only say what would be done.")
    reason: Reason | None = None


class ConflictOut(Model):
    """Two sentences on the same matter that do not agree; both are kept."""

    first_id: UUID
    first: str
    second_id: UUID
    second: str
    terms: list[str] = Field(description="Terms that only one of them has.")


class FuseResponse(Model):
    """What the fusion made; `id` and `operation_id` are null after a dry run."""

    id: UUID | None
    operation_id: UUID | None
    kind: str
    content: str
    archived: list[UUID] = Field(description="Sources that the new memory takes the place of.")
    frozen: list[UUID] = Field(description="Sources that are frozen and stay as they are.")
    conflicts: list[ConflictOut]


class SpaceFuseRequest(Model):
    """Copy what another space holds into this one, duplicates once."""

    source: Name
    dry_run: bool = False
    reason: Reason | None = None


class SpaceFuseResponse(Model):
    """What was copied; `operation_id` is null when nothing was."""

    operation_id: UUID | None
    copied: list[UUID] = Field(description="Memories of the source that were copied, by their ids there.")
    duplicates: int = Field(description="Memories of the source that the target has word for word.")
    conflicts: list[ConflictOut] = Field(description="The first is the copy, the second stood there before.")


class SnapshotRequest(Model):
    """Name the present state of a space."""

    name: Name


class SnapshotOut(Model):
    """A name for a position in the order of a space's operations."""

    name: str
    position: int
    actor: str
    recorded_at: datetime


class SnapshotList(Model):
    """A space's snapshots, oldest first."""

    items: list[SnapshotOut]


class RollbackRequest(Model):
    """Go back to a snapshot or to a position; give exactly one."""

    snapshot: Name | None = None
    position: int | None = Field(None, ge=0, description="Number of the last operation to keep.")
    dry_run: bool = False
    reason: Reason | None = None


class KeptMemory(Model):
    """A memory that a rollback left as it is."""

    id: UUID
    reason: KeptReason


class RollbackResponse(Model):
    """What the rollback did; `operation_id` is null when there was nothing to do, or after a dry run."""

    operation_id: UUID | None
    position: int
    restored: list[UUID] = Field(description="They have the version of then.")
    archived: list[UUID] = Field(description="They were made since.")
    kept: list[KeptMemory]
    erased: list[UUID] = Field(description="They were erased since, and stay erased.")


class ForkRequest(Model):
    """Copy a space into a new one."""

    to: Name
    snapshot: Name | None = Field(None, description="As of this snapshot; by default as it is now.")
    reason: Reason | None = None


class ForkResponse(Model):
    """The new space."""

    space: str
    operation_id: UUID
    position: int = Field(description="The source's last operation that it holds.")
    memories: int
    chunks: int


class RefusedMemory(Model):
    """A memory of the bundle that was not imported, and why."""

    id: UUID
    reason: str


class ImportResponse(Model):
    """What an import came to; `operation_id` is null when nothing in the bundle was new."""

    operation_id: UUID | None
    memories: int = Field(description="Memories imported.")
    versions: int = Field(description="Their versions, past ones included.")
    chunks: int
    edges: int
    tensors: int
    operations: int
    duplicates: int = Field(description="Memories that were there in the same version.")
    pending: int = Field(description="Imported memories that wait for their embeddings.")
    outside_edges: int = Field(description="Edges of lineage to what is not in the bundle; they were left out.")
    conflicts: list[RefusedMemory]

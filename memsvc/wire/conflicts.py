"""Conflicts: pairs of memories of which it is not certain which holds."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from memsvc.wire import Memory, Model, Reason

Resolution = Literal["first", "second", "both"]


class ConflictOut(Model):
    """Both memories stay in recall until somebody settles it."""

    id: UUID
    space: str
    first: Memory = Field(description="The one that was there.")
    second: Memory = Field(description="The one that was learned later.")
    reason: str
    state: Literal["open", "settled"]
    resolution: Resolution | None
    operation_id: UUID = Field(description="The run that found it.")
    found_at: datetime
    settled_by: UUID | None = Field(description="The operation that settled it; undoing that opens it again.")
    settled_at: datetime | None


class ConflictPage(Model):
    """Conflicts of a space, oldest first, as far as the caller may read both memories."""

    items: list[ConflictOut]
    next_cursor: str | None


class Settlement(Model):
    """Which of the two holds."""

    keep: Resolution = Field(description="The other one is superseded by it; `both` leaves them as they are.")
    reason: Reason | None = None

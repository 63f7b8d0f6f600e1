"""Compressing, and bringing back what was compressed."""

from typing import Literal
from uuid import UUID

from pydantic import Field

from memsvc.wire import Model, Reason
from memsvc.wire.upkeep import UpkeepRequest


class CompressRequest(UpkeepRequest):
    """Pack away what one space has out of recall, now."""

    archived_days: float | None = Field(
        None,
        ge=0,
        le=36_500,
        description="What was archived, and neither changed nor used, for so long. Unset: what the space's policy lets "
        "go; without one, all that is archived.",
    )
    superseded: bool = Field(False, description="Also what has a successor and no longer holds.")


class RestoreRequest(Model):
    """Bring a packed memory back into the hot tier, in the state that it is in."""

    level: Literal["memory", "topic", "session"] = Field(
        "memory",
        description="memory: this one; topic: what a summary was made of, or what shares one with the memory; "
        "session: all of its session as well.",
    )
    dry_run: bool = Field(False, description="Say what would be brought back, and do nothing.")
    reason: Reason | None = None


class RestoreResponse(Model):
    """What was brought back, or would be."""

    dry_run: bool
    operation_id: UUID | None = Field(description="Undo it with POST /v1/operations/{id}/undo. None: nothing was done.")
    restored: list[UUID]
    more: bool = Field(description="There is more at this level: restore again.")

"""Forgetting, retention and feedback."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from memsvc.wire import Kind, Model, Name, Reason, State
from memsvc.wire.upkeep import UpkeepRequest

Verdict = Literal["used", "helpful", "wrong", "success", "failure"]
KeepRule = Literal["core", "legal_hold", "frozen", "pinned", "important", "kind", "conflict", "evidence"]


class ForgetRequest(UpkeepRequest):
    """Let one space forget, now."""

    share: float | None = Field(
        None, gt=0, lt=1, description="Instead of what the policy says: this share of the turns in recall."
    )


class ReinforcementOut(Model):
    """What moved the curve."""

    at: datetime
    cause: str
    retention: float = Field(description="Just before.")
    strength: float = Field(description="Just after.")
    stability_days: float = Field(description="Just after, with today's importance.")


class RetentionPoint(Model):
    """The curve at a moment."""

    at: datetime
    retention: float


class ForecastPoint(RetentionPoint):
    """The curve so many days from now, if nobody uses the memory."""

    days: int


class RetentionThreshold(Model):
    """A bound, and when the curve falls below it if nobody uses the memory."""

    below: float
    at: datetime


class RetentionHistory(Model):
    """The latest reinforcements, oldest first, and the curve between them."""

    reinforcements: list[ReinforcementOut]
    curve: list[RetentionPoint]


class RetentionPolicy(Model):
    """What the space's policy makes of it, if nothing changes before."""

    action: Literal["archive", "pack", "nothing"]
    at: datetime | None
    kept_by: KeepRule | None = Field(description="The keep-rule that protects the memory.")
    reason: str
    pack_at: datetime | None = Field(None, description="When its content would be packed away; null: it would not.")


class RetentionOut(Model):
    """The forgetting curve of one memory: R = exp(-days since `since` / `stability_days`)."""

    id: UUID
    kind: Kind
    state: State
    importance: float
    strength: float
    stability_days: float
    since: datetime = Field(description="When it happened, was recorded or was last in use: the latest of these.")
    retention: float = Field(description="Now.")
    history: RetentionHistory
    forecast: list[ForecastPoint]
    archive: RetentionThreshold
    forget: RetentionThreshold
    policy: RetentionPolicy


class FeedbackRequest(Model):
    """Say what became of memories that were recalled."""

    memories: list[UUID] = Field(min_length=1, max_length=100)
    verdict: Verdict
    episode: Name | None = Field(None, description="Your name for the task; `success` and `failure` need one.")
    note: Reason | None = None


class FeedbackItem(Model):
    """A memory after the report."""

    id: UUID
    status: Literal["recorded", "known"] = Field(description="known: you had reported it; nothing was changed.")
    state: State
    revived: bool
    trust: float
    strength: float


class FeedbackResponse(Model):
    """What the report did."""

    items: list[FeedbackItem]
    operations: list[UUID] = Field(description="Undo them with POST /v1/operations/{id}/undo.")

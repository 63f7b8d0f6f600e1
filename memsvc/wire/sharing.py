"""Sharing: groups, grants, the change feed, subscriptions and webhooks."""

from datetime import datetime
from typing import Literal, Self
from uuid import UUID

from pydantic import Field, model_validator

from memsvc.wire import Filters, Memory, Model, Name, State

Right = Literal["read", "write", "share", "erase"]
ChangeKind = Literal["added", "updated", "removed"]
SubscriptionState = Literal["active", "suspended"]
WebhookState = Literal["active", "paused"]


class PrincipalList(Model):
    """The tenant's principals, by name; API keys are bound to them."""

    items: list[str]


class GroupIn(Model):
    """Make a group."""

    name: Name


class GroupOut(Model):
    """A named set of principals."""

    name: str
    members: list[str]
    created_at: datetime


class GroupList(Model):
    """The tenant's groups, by name."""

    items: list[GroupOut]


class GrantIn(Model):
    """Let a principal or a group have exactly these rights on a space or on one memory."""

    space: Name | None = None
    memory: UUID | None = None
    principal: Name | None = None
    group: Name | None = None
    rights: list[Right] = Field(min_length=1, max_length=4)

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        for first, second in (("space", "memory"), ("principal", "group")):
            if (getattr(self, first) is None) == (getattr(self, second) is None):
                raise ValueError(f"exactly one of `{first}` and `{second}` is needed")
        return self


class GrantOut(Model):
    """What somebody was granted, on what, by whom."""

    id: UUID
    space: str
    memory: UUID | None = Field(description="None: the grant is on the whole space.")
    principal: str | None
    group: str | None
    rights: list[Right]
    granted_by: str
    created_at: datetime


class GrantPage(Model):
    """Grants in the order of granting; pass `next_cursor` as `cursor` for the next."""

    items: list[GrantOut]
    next_cursor: str | None


class ChangeOut(Model):
    """What one operation did to one memory."""

    number: int = Field(description="Place of the operation in the space's change feed.")
    operation_id: UUID
    operation: str = Field(description="Its kind: add, edit, supersede, erase, ...")
    actor: str
    recorded_at: datetime
    memory_id: UUID
    change: ChangeKind = Field(
        description="removed: erased, expired, archived, quarantined, or no longer yours to read."
    )
    version: int | None = Field(description="The version that the operation left; None: erased.")
    state: State | None
    cursor: str = Field(description="Pass it as `since` to go on right after this change.")
    memory: Memory | None = Field(None, description="As it is now, if asked for and still readable.")


class ChangePage(Model):
    """Changes in the order of commits; pass `cursor` as `since` for the next page."""

    items: list[ChangeOut]
    cursor: str
    more: bool = Field(description="Another page may be there already.")


class SubscriptionIn(Model):
    """Let a space receive copies of what another space holds."""

    space: Name = Field(description="The subscriber; you need the right to write in it.")
    source: Name = Field(description="The space to follow; you need the right to read it.")
    filters: Filters = Field(default_factory=Filters, description="As in recall; what stops to match is archived.")
    from_start: bool = Field(False, description="Also what the source holds already.")
    include_copies: bool = Field(False, description="Also what the source has from its own subscriptions.")


class SubscriptionOut(Model):
    """A subscription and how far it has come."""

    id: UUID
    space: str
    source: str
    filters: Filters
    include_copies: bool
    subscriber: str = Field(description="The principal whose rights it uses.")
    state: SubscriptionState
    reason: str | None = Field(description="Why it is suspended.")
    position: int = Field(description="The last operation of the source that was delivered.")
    behind: int = Field(description="Operations of the source that are still to be delivered.")
    created_at: datetime


class SubscriptionList(Model):
    """Subscriptions into spaces that you may read, and to spaces that you may share."""

    items: list[SubscriptionOut]


class WebhookIn(Model):
    """Let a URL be told of a space's changes."""

    space: Name = "default"
    url: str = Field(max_length=2000, description="https, or http on a loopback address.")


class WebhookOut(Model):
    """A webhook and how its deliveries go; never its secret."""

    id: UUID
    space: str
    url: str
    owner: str = Field(description="The principal whose rights it uses.")
    state: WebhookState
    cursor: str = Field(description="Of the change feed: what lies before it was delivered.")
    failures: int = Field(description="Tries since the last success.")
    failing_since: datetime | None
    next_try_at: datetime | None
    last_error: str | None
    created_at: datetime


class WebhookCreated(WebhookOut):
    """A new webhook with its secret, which is shown this once."""

    secret: str = Field(description="Signs the messages (Standard Webhooks): whsec_ and 32 bytes in base64.")


class WebhookList(Model):
    """The tenant's webhooks, oldest first."""

    items: list[WebhookOut]


class WebhookData(Model):
    """A page of the change feed, without content."""

    space: str
    items: list[ChangeOut]
    cursor: str


class WebhookMessage(Model):
    """The body of a message, in the form of the Standard Webhooks specification."""

    type: Literal["memory.changes"] = "memory.changes"
    timestamp: datetime = Field(description="When the last of its changes was recorded.")
    data: WebhookData

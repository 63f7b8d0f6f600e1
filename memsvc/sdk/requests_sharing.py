"""What the methods on sharing send: pure, shared by both clients."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypedDict
from uuid import UUID

from memsvc.sdk.requests import Call, fetch, name_segment, post, read_nothing, segment
from memsvc.wire import Filters
from memsvc.wire.sharing import (
    ChangePage,
    GrantIn,
    GrantOut,
    GroupIn,
    GroupOut,
    Right,
    SubscriptionIn,
    SubscriptionOut,
    WebhookCreated,
    WebhookIn,
)


class SubscribeOptions(TypedDict, total=False):
    """`SubscriptionIn` without its spaces; what is left out takes the service's default."""

    filters: Filters | Mapping[str, object]
    from_start: bool
    include_copies: bool


class GrantTarget(TypedDict, total=False):
    """What is granted on, `space` or `memory`, and to whom, `principal` or `group`."""

    space: str
    memory: UUID | str
    principal: str
    group: str


def grant(rights: Sequence[Right], target: GrantTarget) -> Call[GrantOut]:
    """`POST /v1/grants`; the same again changes nothing, so it is retried."""
    return post("/v1/grants", GrantIn, {**target, "rights": list(rights)}, GrantOut)


def make_group(name: str) -> Call[GroupOut]:
    """`POST /v1/groups`."""
    return post("/v1/groups", GroupIn, {"name": name}, GroupOut, retried=False)


def member(group: str, principal: str, *, into: bool) -> Call[GroupOut]:
    """`PUT` or `DELETE /v1/groups/{name}/members/{principal}`."""
    path = f"/v1/groups/{name_segment(group)}/members/{name_segment(principal)}"
    return replace(fetch(path, GroupOut), method="PUT" if into else "DELETE")


def subscribe(source: str, space: str, options: SubscribeOptions) -> Call[SubscriptionOut]:
    """`POST /v1/subscriptions`."""
    fields = {**options, "source": source, "space": space}
    return post("/v1/subscriptions", SubscriptionIn, fields, SubscriptionOut, retried=False)


def make_webhook(url: str, space: str) -> Call[WebhookCreated]:
    """`POST /v1/webhooks`; not retried, since a second one would tell everything twice."""
    return post("/v1/webhooks", WebhookIn, {"url": url, "space": space}, WebhookCreated, retried=False)


def delete(kind: str, which: UUID | str) -> Call[None]:
    """`DELETE` of a grant, a subscription or a webhook by its id."""
    return Call("DELETE", f"/v1/{kind}/{segment(which)}", read_nothing)


def delete_group(name: str) -> Call[None]:
    """`DELETE /v1/groups/{name}`."""
    return Call("DELETE", f"/v1/groups/{name_segment(name)}", read_nothing)


def resume_path(kind: str, which: UUID | str) -> str:
    """Where a subscription or a webhook is resumed."""
    return f"/v1/{kind}/{segment(which)}/resume"


def changes(space: str, since: str, *, limit: int, wait: float, memories: bool) -> Call[ChangePage]:
    """`GET /v1/changes`."""
    params = {
        "space": space,
        "since": since,
        "limit": limit,
        "wait": wait or None,
        "include": "memory" if memories else None,
    }
    return fetch("/v1/changes", ChangePage, params)

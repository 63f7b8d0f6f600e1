"""`/v1/principals`, `/v1/groups`, `/v1/grants`, `/v1/subscriptions`, `/v1/webhooks`: who may see and follow what."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Response

from memsvc.api.auth import Admin, Reader, Writer
from memsvc.api.services import ServicesDep
from memsvc.errors import FieldError, InvalidRequestError
from memsvc.ids import GrantId, MemoryId, SubscriptionId, WebhookId
from memsvc.ingest.prepare import UTC_ZONE, to_utc
from memsvc.lifecycle import sharing, subscriptions, webhooks
from memsvc.lifecycle.sharing import GrantOrder
from memsvc.lifecycle.subscriptions import SubscribeOrder
from memsvc.store import sharing as shared
from memsvc.store import subscriptions as subscribed
from memsvc.store import webhooks as hooks
from memsvc.store.access import When
from memsvc.store.sharing import Grant, Group
from memsvc.store.subscriptions import Subscription
from memsvc.store.webhooks import Webhook
from memsvc.wire import Filters
from memsvc.wire.sharing import (
    GrantIn,
    GrantOut,
    GrantPage,
    GroupIn,
    GroupList,
    GroupOut,
    PrincipalList,
    SubscriptionIn,
    SubscriptionList,
    SubscriptionOut,
    WebhookCreated,
    WebhookIn,
    WebhookList,
    WebhookOut,
)

router = APIRouter(prefix="/v1")


@router.get("/principals", summary="List principals")
async def list_principals(caller: Reader, services: ServicesDep) -> PrincipalList:
    """The names to which something can be granted; `memsvc keys create` makes them."""
    async with services.database.read(caller.tenant_id) as session:
        return PrincipalList(items=await shared.list_principals(session))


@router.post("/groups", status_code=201, summary="Make a group")
async def add_group(request: GroupIn, caller: Admin, services: ServicesDep) -> GroupOut:
    """A named set of principals, empty at first."""
    return _group(await sharing.make_group(services.ingest, caller, request.name, now=services.clock()))


@router.get("/groups", summary="List groups")
async def list_groups(caller: Admin, services: ServicesDep) -> GroupList:
    """The tenant's groups with their members."""
    async with services.database.read(caller.tenant_id) as session:
        return GroupList(items=[_group(group) for group in await shared.list_groups(session)])


@router.delete("/groups/{name}", status_code=204, summary="Remove a group")
async def delete_group(name: str, caller: Admin, services: ServicesDep) -> None:
    """What was granted to it ends with it."""
    await sharing.remove_group(services.ingest, caller, name)


@router.put("/groups/{name}/members/{principal}", summary="Put a principal into a group")
async def add_member(name: str, principal: str, caller: Admin, services: ServicesDep) -> GroupOut:
    """What is granted to the group is granted to it at once."""
    return _group(await sharing.set_member(services.ingest, caller, name, principal, member=True))


@router.delete("/groups/{name}/members/{principal}", summary="Take a principal out of a group")
async def remove_member(name: str, principal: str, caller: Admin, services: ServicesDep) -> GroupOut:
    """What was granted to it through the group alone ends at once."""
    return _group(await sharing.set_member(services.ingest, caller, name, principal, member=False))


@router.post("/grants", status_code=201, summary="Grant rights")
async def add_grant(request: GrantIn, caller: Writer, services: ServicesDep, response: Response) -> GrantOut:
    """Let somebody have exactly these rights on a space or a memory; 200 when it changes a grant that he has."""
    order = GrantOrder(
        space=request.space,
        memory=None if request.memory is None else MemoryId(request.memory),
        principal=request.principal,
        group=request.group,
        rights=request.rights,
    )
    found, new = await sharing.grant(services.ingest, caller, order, now=services.clock())
    if not new:
        response.status_code = 200
    return _grant(found)


@router.get("/grants", summary="List grants")
async def list_grants(
    caller: Reader,
    services: ServicesDep,
    space: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: UUID | None = None,
) -> GrantPage:
    """Those that you gave, have, or may take back."""
    async with services.database.read(caller.tenant_id) as session:
        found = await shared.list_grants(
            session,
            caller=caller,
            when=When(services.clock()),
            space=space,
            after=None if cursor is None else GrantId(cursor),
            limit=limit + 1,
        )
    page = found[:limit]
    return GrantPage(items=[_grant(one) for one in page], next_cursor=str(page[-1].id) if len(found) > limit else None)


@router.delete("/grants/{grant_id}", status_code=204, summary="Take a grant back")
async def delete_grant(grant_id: UUID, caller: Writer, services: ServicesDep) -> None:
    """Who gave it may, and who may share what it is on; it holds at once."""
    await sharing.revoke(services.ingest, caller, GrantId(grant_id), now=services.clock())


@router.post("/subscriptions", status_code=201, summary="Subscribe a space to another")
async def add_subscription(request: SubscriptionIn, caller: Writer, services: ServicesDep) -> SubscriptionOut:
    """Copies of what matches come into the space, change with their sources, and are erased with them."""
    order = SubscribeOrder(
        space=request.space,
        source=request.source,
        filters=_in_utc(request.filters),
        from_start=request.from_start,
        include_copies=request.include_copies,
    )
    return _subscription(await subscriptions.subscribe(services.ingest, caller, order, now=services.clock()))


@router.get("/subscriptions", summary="List subscriptions")
async def list_subscriptions(caller: Reader, services: ServicesDep) -> SubscriptionList:
    """Those into spaces that you may read, and to spaces that you may share."""
    async with services.database.read(caller.tenant_id) as session:
        found = await subscribed.list_subscriptions(session, caller)
    return SubscriptionList(items=[_subscription(one) for one in found])


@router.delete("/subscriptions/{subscription_id}", status_code=204, summary="End a subscription")
async def delete_subscription(subscription_id: UUID, caller: Writer, services: ServicesDep) -> None:
    """The copies stay; they are still erased with their sources."""
    await subscriptions.unsubscribe(services.ingest, caller, SubscriptionId(subscription_id))


@router.post("/subscriptions/{subscription_id}/resume", summary="Resume a suspended subscription")
async def resume_subscription(subscription_id: UUID, caller: Writer, services: ServicesDep) -> SubscriptionOut:
    """From where it stopped, and from now on with your rights."""
    return _subscription(await subscriptions.resume(services.ingest, caller, SubscriptionId(subscription_id)))


@router.post("/webhooks", status_code=201, summary="Make a webhook")
async def add_webhook(request: WebhookIn, caller: Admin, services: ServicesDep) -> WebhookCreated:
    """A URL that is told of a space's changes from now on. Its secret is shown this once."""
    made = await webhooks.make_webhook(services.ingest, caller, request.space, request.url, now=services.clock())
    return WebhookCreated(**_webhook(made).model_dump(), secret=webhooks.show_secret(made.secret))


@router.get("/webhooks", summary="List webhooks")
async def list_webhooks(caller: Admin, services: ServicesDep) -> WebhookList:
    """The tenant's webhooks, and how their deliveries go."""
    async with services.database.read(caller.tenant_id) as session:
        return WebhookList(items=[_webhook(one) for one in await hooks.list_webhooks(session)])


@router.delete("/webhooks/{webhook_id}", status_code=204, summary="Remove a webhook")
async def delete_webhook(webhook_id: UUID, caller: Admin, services: ServicesDep) -> None:
    """A message on its way may still arrive."""
    await webhooks.remove_webhook(services.ingest, caller, WebhookId(webhook_id))


@router.post("/webhooks/{webhook_id}/resume", summary="Resume a paused webhook")
async def resume_webhook(webhook_id: UUID, caller: Admin, services: ServicesDep) -> WebhookOut:
    """From where it stopped, at once; also when it only waits for its next try."""
    return _webhook(await webhooks.resume_webhook(services.ingest, caller, WebhookId(webhook_id)))


def _in_utc(filters: Filters) -> Filters:
    start, end = (
        None if moment is None else to_utc(moment, UTC_ZONE) for moment in (filters.occurred_from, filters.occurred_to)
    )
    if start is not None and end is not None and start > end:
        fault = FieldError("filters.occurred_from", "is after `occurred_to`", "Swap them.")
        raise InvalidRequestError("the filters cannot be used", fields=(fault,))
    times: dict[str, datetime | None] = {"occurred_from": start, "occurred_to": end}
    return filters.model_copy(update={name: value for name, value in times.items() if value is not None})


def _group(group: Group) -> GroupOut:
    return GroupOut(name=group.name, members=list(group.members), created_at=group.created_at)


def _grant(grant: Grant) -> GrantOut:
    values: dict[str, Any] = {name: getattr(grant, name) for name in GrantOut.model_fields if name != "memory"}
    return GrantOut.model_construct(**values, memory=grant.memory_id)


def _subscription(found: Subscription) -> SubscriptionOut:
    renamed = {"filters": Filters.model_validate(found.filter), "subscriber": found.principal}
    values: dict[str, Any] = {
        name: getattr(found, name) for name in SubscriptionOut.model_fields if name not in renamed
    }
    return SubscriptionOut.model_construct(**values | renamed)


def _webhook(webhook: Webhook) -> WebhookOut:
    values: dict[str, Any] = {name: getattr(webhook, name) for name in WebhookOut.model_fields}
    return WebhookOut.model_construct(**values)

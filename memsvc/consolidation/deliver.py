"""The job `deliver`: what happened in a space is brought to the spaces and webhooks that follow it.

Subscriptions are served exactly once, webhooks at least once: a message has an id that stays the same at each try.
"""

import asyncio
import hashlib
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from http import HTTPStatus
from typing import Any

import httpx
import structlog

from memsvc import __version__
from memsvc.errors import NotFoundError
from memsvc.ids import SpaceId, TenantId, WebhookId
from memsvc.ingest.write import Ingest
from memsvc.lifecycle.subscriptions import deliver_all
from memsvc.lifecycle.webhooks import is_loopback, sign
from memsvc.queue import Later, enqueue
from memsvc.store import access, feed, sharing, subscriptions, webhooks
from memsvc.store.access import When
from memsvc.store.database import WriteSession
from memsvc.store.feed import Change, Cursor, FeedPage
from memsvc.store.webhooks import Webhook
from memsvc.wire.sharing import ChangeOut, WebhookData, WebhookMessage

log = structlog.get_logger(__name__)

Clock = Callable[[], datetime]
PAGE = 100
PAGES_AT_ONCE = 20
CONNECT_S, ANSWER_S = 5.0, 15.0
# A worker that holds a webhook for longer than this is dead.
CLAIM = timedelta(seconds=60)
FIRST_WAIT_S, LONGEST_WAIT_S = 5, 3600
GIVE_UP_AFTER = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Message:
    """One message, the same at each try but for its time and signature."""

    webhook: Webhook
    id: str
    body: bytes = field(repr=False)
    end: Cursor
    more: bool


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a try failed, in words that name neither URL nor secret; `gone`: the receiver wants no more."""

    error: str
    retry_after_s: int = 0
    gone: bool = False


async def deliver(ingest: Ingest, tenant_id: TenantId, space_id: SpaceId, *, clock: Clock) -> None:
    """Serve all who follow the space. What cannot be delivered now is tried again by a job of its own."""
    await deliver_all(ingest, tenant_id, space_id, clock=clock)
    async with ingest.database.read(tenant_id) as session:
        due = [webhook_id for webhook_id, _ in await webhooks.active(session, space_id)]
    await asyncio.gather(*(_serve(ingest, tenant_id, webhook_id, clock) for webhook_id in due))
    async with ingest.database.write(tenant_id) as session:
        # Also those that another worker holds: if it dies, nobody else would try again.
        waiting = await webhooks.active(session, space_id)
        if not waiting and not await subscriptions.active(session, space_id):
            await subscriptions.count_followers(session, space_id)  # a subscriber was erased, say
        for webhook_id, next_try_at in waiting:
            if next_try_at is not None:
                await _again(ingest, session, space_id, webhook_id, next_try_at - clock())


async def _serve(ingest: Ingest, tenant_id: TenantId, webhook_id: WebhookId, clock: Clock) -> None:
    for sent in range(PAGES_AT_ONCE):
        message = await _next_message(ingest, tenant_id, webhook_id, clock())
        if message is None:
            return
        failure = await send(message, now=clock())
        async with ingest.database.write(tenant_id) as session:
            if failure is not None:
                await _note_failure(session, message.webhook, failure, clock())
                return
            await webhooks.note_delivered(session, webhook_id, message.end, tried=True)
            if message.more and sent == PAGES_AT_ONCE - 1:  # let other spaces have their turn
                await enqueue(ingest.queue, session, "deliver", message.webhook.space_id)


async def _next_message(ingest: Ingest, tenant_id: TenantId, webhook_id: WebhookId, now: datetime) -> Message | None:
    """What is to be sent next, claimed; None when there is nothing, or it is not due, or somebody else's."""
    async with ingest.database.write(tenant_id) as session:
        webhook = await webhooks.claim(session, webhook_id, now=now, until=now + CLAIM)
        if webhook is None:
            return None
        page = await _page(session, webhook, now)
        if page is None:
            return None
        if not page.items:
            await webhooks.note_delivered(session, webhook_id, page.cursor, tried=False)
            return None
        await webhooks.set_sending(session, webhook_id, page.cursor)
    return _message(webhook, page)


async def _page(session: WriteSession, webhook: Webhook, now: datetime) -> FeedPage | None:
    """The changes of the message on its way, else of the next one; None when its owner may not be told any more."""
    caller = await sharing.acting_as(session, webhook.principal_id)
    reason = f"its owner {webhook.owner!r} has no valid API key any more"
    if caller is not None:
        reason = f"its owner {webhook.owner!r} may no longer read the space"
        try:
            await access.require(session, caller, webhook.space, "read")
        except NotFoundError:
            caller = None
    if caller is None:
        await webhooks.pause(session, webhook.id, reason)
        return None
    return await feed.read_changes(
        session,
        webhook.space_id,
        since=Cursor.parse(webhook.cursor),
        until=None if webhook.sending is None else Cursor.parse(webhook.sending),
        limit=PAGE,
        caller=caller,
        when=When(now),
    )


def _message(webhook: Webhook, page: FeedPage) -> Message:
    named = hashlib.sha256(f"{webhook.id} {webhook.cursor} {page.cursor}".encode()).hexdigest()
    data = WebhookData(space=webhook.space, items=[_change(item) for item in page.items], cursor=str(page.cursor))
    body = WebhookMessage(timestamp=page.items[-1].recorded_at, data=data)
    return Message(webhook, f"msg_{named[:32]}", body.model_dump_json().encode(), page.cursor, page.more)


def _change(change: Change) -> ChangeOut:
    values: dict[str, Any] = {
        "number": change.number,
        "operation_id": change.operation_id,
        "operation": change.kind,
        "actor": change.actor,
        "recorded_at": change.recorded_at,
        "memory_id": change.memory_id,
        "change": change.change,
        "version": change.version,
        "state": change.state,
        "cursor": str(change.cursor),
    }
    return ChangeOut.model_validate(values)


async def send(message: Message, *, now: datetime) -> Failure | None:
    """One try; None when the receiver answered 2xx. Redirects are not followed, and its answer is not read."""
    timestamp = int(now.timestamp())
    headers = {
        "content-type": "application/json",
        "user-agent": f"memsvc/{__version__}",
        "webhook-id": message.id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(message.webhook.secret, message.id, timestamp, message.body),
    }
    url = message.webhook.url
    timeout = httpx.Timeout(ANSWER_S, connect=CONNECT_S)
    try:
        async with (
            asyncio.timeout(CONNECT_S + ANSWER_S),  # also for one who sends a byte now and then
            httpx.AsyncClient(timeout=timeout, verify=_tls(), trust_env=not is_loopback(httpx.URL(url).host)) as client,
            client.stream("POST", url, content=message.body, headers=headers) as response,
        ):
            return _failure(response)
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError) as error:
        return Failure(f"no answer: {type(error).__name__}")


@cache
def _tls() -> ssl.SSLContext:
    """Reading the certificates takes longer than a message."""
    return httpx.create_ssl_context()


def _failure(response: httpx.Response) -> Failure | None:
    if response.is_success:
        return None
    wait = response.headers.get("retry-after", "")
    return Failure(
        f"answered HTTP {response.status_code}",
        retry_after_s=min(int(wait), LONGEST_WAIT_S) if wait.isascii() and wait.isdigit() and len(wait) < 9 else 0,
        gone=response.status_code == HTTPStatus.GONE,
    )


async def _note_failure(session: WriteSession, webhook: Webhook, failure: Failure, now: datetime) -> None:
    wait_s = max(failure.retry_after_s, min(FIRST_WAIT_S * 2 ** min(webhook.failures, 20), LONGEST_WAIT_S))
    await webhooks.note_failure(
        session, webhook.id, failure.error, now=now, next_try_at=now + timedelta(seconds=wait_s)
    )
    log.warning("webhook_failed", webhook=str(webhook.id), error=failure.error, failures=webhook.failures + 1)
    if failure.gone or (webhook.failing_since is not None and now - webhook.failing_since >= GIVE_UP_AFTER):
        await webhooks.pause(session, webhook.id, failure.error)
        log.warning("webhook_paused", webhook=str(webhook.id))


async def _again(
    ingest: Ingest, session: WriteSession, space_id: SpaceId, webhook_id: WebhookId, wait: timedelta
) -> None:
    seconds = max(1, int(wait.total_seconds()) + 1)
    await enqueue(ingest.queue, session, "deliver", space_id, later=Later(str(webhook_id), seconds))

"""Making webhooks, looking after them, and signing what they send (Standard Webhooks, version 1.0.0)."""

import base64
import hashlib
import hmac
import ipaddress
import secrets
from datetime import datetime
from urllib.parse import SplitResult, urlsplit

from memsvc.errors import FieldError, InvalidRequestError
from memsvc.ids import WebhookId
from memsvc.ingest.write import Ingest
from memsvc.queue import enqueue
from memsvc.store import access, feed, subscriptions, webhooks
from memsvc.store.feed import Cursor
from memsvc.store.keys import Caller
from memsvc.store.webhooks import Webhook

SECRET_PREFIX = "whsec_"  # noqa: S105 - the form of every secret, none itself
SECRET_BYTES = 32


async def make_webhook(ingest: Ingest, caller: Caller, space: str, url: str, *, now: datetime) -> Webhook:
    """Let a URL be told of what happens in a space from now on, as far as the caller may read it."""
    check_url(url)
    async with ingest.database.write(caller.tenant_id) as session:
        space_id = await access.require(session, caller, space, "read")
        # First, since it waits for the space's writer: his operation is then either before the cursor or told of.
        await subscriptions.count_followers(session, space_id)
        cursor = Cursor(await feed.last_number(session, space_id))
        secret = secrets.token_bytes(SECRET_BYTES)
        webhook_id = await webhooks.insert_webhook(
            session, space_id, url, secret, cursor=cursor, caller=caller, now=now
        )
        await subscriptions.count_followers(session, space_id)
        return await webhooks.get_webhook(session, webhook_id)


async def remove_webhook(ingest: Ingest, caller: Caller, webhook_id: WebhookId) -> None:
    """Remove a webhook; a message on its way may still arrive."""
    async with ingest.database.write(caller.tenant_id) as session:
        found = await webhooks.get_webhook(session, webhook_id)
        await webhooks.delete_webhook(session, webhook_id)
        await subscriptions.count_followers(session, found.space_id)


async def resume_webhook(ingest: Ingest, caller: Caller, webhook_id: WebhookId) -> Webhook:
    """Try again at once, from where it stopped."""
    async with ingest.database.write(caller.tenant_id) as session:
        found = await webhooks.get_webhook(session, webhook_id)
        await webhooks.resume(session, webhook_id)
        await enqueue(ingest.queue, session, "deliver", found.space_id)
        return await webhooks.get_webhook(session, webhook_id)


def check_url(url: str) -> None:
    """`InvalidRequestError` unless it is https, or http to this machine itself, and carries no credentials."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, SplitResult("", "", "", "", "")
    if not host or parts.scheme not in {"https", "http"} or not url.isprintable() or " " in url:
        problem, remedy = "is no URL of a web server", "Send one such as https://example.org/hooks/memsvc."
    elif parts.username is not None or parts.password is not None:
        problem, remedy = "carries a user name or password", "Leave them out: messages are signed with the secret."
    elif parts.scheme == "http" and not is_loopback(host):
        problem, remedy = "is not https", "Use https; http is for loopback addresses alone."
    else:
        return
    raise InvalidRequestError("the url cannot be used", fields=(FieldError("url", problem, remedy),))


def is_loopback(host: str) -> bool:
    """Whether the host is this machine by its name or address alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def show_secret(secret: bytes) -> str:
    """The form in which receivers' libraries take it."""
    return SECRET_PREFIX + base64.b64encode(secret).decode()


def sign(secret: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """The header `webhook-signature`: HMAC-SHA256 over `id.timestamp.body`."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()

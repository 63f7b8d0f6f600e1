"""Webhooks: whom to tell of a space's changes, and how far he has been told."""

from dataclasses import dataclass, field
from datetime import datetime

from psycopg.rows import tuple_row

from memsvc.errors import NotFoundError
from memsvc.ids import PrincipalId, SpaceId, WebhookId, new_uuid
from memsvc.store.database import ReadSession, WriteSession
from memsvc.store.feed import Cursor
from memsvc.store.keys import Caller


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook with the names its ids stand for.

    What lies before `cursor` was delivered; a message up to `sending` is on its way, the same at each try.
    """

    id: WebhookId
    space_id: SpaceId
    space: str
    principal_id: PrincipalId
    owner: str
    url: str
    secret: bytes = field(repr=False)
    cursor: str
    sending: str | None
    state: str
    failures: int
    failing_since: datetime | None
    next_try_at: datetime | None
    last_error: str | None
    created_at: datetime


_SELECT = """
SELECT w.id, w.space_id, sp.name, w.principal_id, p.name, w.url, w.secret, w.cursor, w.sending, w.state, w.failures,
    w.failing_since, w.next_try_at, w.last_error, w.created_at
FROM webhooks w
JOIN spaces sp ON sp.tenant_id = w.tenant_id AND sp.id = w.space_id
JOIN principals p ON p.tenant_id = w.tenant_id AND p.id = w.principal_id
WHERE w.tenant_id = %(tenant)s
"""


async def list_webhooks(session: ReadSession) -> list[Webhook]:
    """The tenant's webhooks, oldest first."""
    rows = await session.fetch(f"{_SELECT} ORDER BY w.id", {"tenant": session.tenant_id}, tuple_row)
    return [Webhook(*row) for row in rows]


async def get_webhook(session: ReadSession, webhook_id: WebhookId) -> Webhook:
    """The webhook; `NotFoundError` when there is none."""
    rows = await session.fetch(
        f"{_SELECT} AND w.id = %(id)s", {"tenant": session.tenant_id, "id": webhook_id}, tuple_row
    )
    if not rows:
        raise NotFoundError(f"there is no webhook {webhook_id}", remedy="GET /v1/webhooks lists them.")
    return Webhook(*rows[0])


async def insert_webhook(
    session: WriteSession, space_id: SpaceId, url: str, secret: bytes, *, cursor: Cursor, caller: Caller, now: datetime
) -> WebhookId:
    """Let that URL be told of what happens in the space after `cursor`, as far as the caller may read it."""
    webhook_id = WebhookId(new_uuid())
    await session.run(
        "INSERT INTO webhooks (tenant_id, id, space_id, principal_id, url, secret, cursor, created_at) "
        "VALUES (%(tenant)s, %(id)s, %(space)s, %(principal)s, %(url)s, %(secret)s, %(cursor)s, %(now)s)",
        {
            "tenant": session.tenant_id,
            "id": webhook_id,
            "space": space_id,
            "principal": caller.principal_id,
            "url": url,
            "secret": secret,
            "cursor": str(cursor),
            "now": now,
        },
    )
    return webhook_id


async def delete_webhook(session: WriteSession, webhook_id: WebhookId) -> None:
    """Remove a webhook."""
    await session.run(
        "DELETE FROM webhooks WHERE tenant_id = %(tenant)s AND id = %(id)s",
        {"tenant": session.tenant_id, "id": webhook_id},
    )


async def resume(session: WriteSession, webhook_id: WebhookId) -> None:
    """Try again at once, as if nothing had failed."""
    await session.run(
        "UPDATE webhooks SET state = 'active', failures = 0, failing_since = NULL, next_try_at = NULL "
        "WHERE tenant_id = %(tenant)s AND id = %(id)s",
        {"tenant": session.tenant_id, "id": webhook_id},
    )


async def active(session: ReadSession, space_id: SpaceId) -> list[tuple[WebhookId, datetime | None]]:
    """The webhooks to serve, oldest first, and not before when."""
    rows = await session.fetch(
        "SELECT id, next_try_at FROM webhooks WHERE tenant_id = %(tenant)s AND space_id = %(space)s "
        "AND state = 'active' ORDER BY id",
        {"tenant": session.tenant_id, "space": space_id},
        tuple_row,
    )
    return [(row[0], row[1]) for row in rows]


async def claim(session: WriteSession, webhook_id: WebhookId, *, now: datetime, until: datetime) -> Webhook | None:
    """Keep the webhook for oneself until then; None when it is not due, or somebody else has it.

    The claim is a time, not a lock, since no transaction is open while a message travels.
    """
    claimed = await session.run(
        "UPDATE webhooks SET next_try_at = %(until)s WHERE tenant_id = %(tenant)s AND id = %(id)s "
        "AND state = 'active' AND (next_try_at IS NULL OR next_try_at <= %(now)s)",
        {"tenant": session.tenant_id, "id": webhook_id, "now": now, "until": until},
    )
    return await get_webhook(session, webhook_id) if claimed else None


async def set_sending(session: WriteSession, webhook_id: WebhookId, end: Cursor) -> None:
    """Fix where the next message ends."""
    await session.run(
        "UPDATE webhooks SET sending = %(end)s WHERE tenant_id = %(tenant)s AND id = %(id)s",
        {"tenant": session.tenant_id, "id": webhook_id, "end": str(end)},
    )


async def note_delivered(session: WriteSession, webhook_id: WebhookId, cursor: Cursor, *, tried: bool) -> None:
    """What lies before `cursor` is delivered; `tried`: by a message, which proves that the receiver is there."""
    forgiven = ", failures = 0, failing_since = NULL, last_error = NULL" if tried else ""
    # One that was slow, and whose claim ran out, does not set back who went on.
    still = "AND sending = %(cursor)s" if tried else ""
    await session.run(
        f"UPDATE webhooks SET cursor = %(cursor)s, sending = NULL, next_try_at = NULL{forgiven} "
        f"WHERE tenant_id = %(tenant)s AND id = %(id)s {still}",
        {"tenant": session.tenant_id, "id": webhook_id, "cursor": str(cursor)},
    )


async def note_failure(
    session: WriteSession, webhook_id: WebhookId, error: str, *, now: datetime, next_try_at: datetime
) -> None:
    """A try has failed: the next one is then, with the same message."""
    await session.run(
        "UPDATE webhooks SET failures = failures + 1, failing_since = coalesce(failing_since, %(now)s), "
        "last_error = %(error)s, next_try_at = %(next)s WHERE tenant_id = %(tenant)s AND id = %(id)s",
        {"tenant": session.tenant_id, "id": webhook_id, "error": error, "now": now, "next": next_try_at},
    )


async def pause(session: WriteSession, webhook_id: WebhookId, error: str) -> None:
    """Send nothing until somebody resumes it."""
    await session.run(
        "UPDATE webhooks SET state = 'paused', last_error = %(error)s, next_try_at = NULL "
        "WHERE tenant_id = %(tenant)s AND id = %(id)s",
        {"tenant": session.tenant_id, "id": webhook_id, "error": error},
    )

# ruff: noqa: UP028 - `yield from` has no asynchronous form
"""Synchronous: generated from `_async_sharing.py` by `tools/generate_sync.py`; change that file."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Unpack
from uuid import UUID

from memsvc.sdk import requests
from memsvc.sdk import requests_sharing as sharing
from memsvc.sdk._sync_send import Send
from memsvc.sdk.requests_sharing import GrantTarget, SubscribeOptions
from memsvc.wire.sharing import (
    ChangeOut,
    ChangePage,
    GrantOut,
    GrantPage,
    GroupList,
    GroupOut,
    PrincipalList,
    Right,
    SubscriptionList,
    SubscriptionOut,
    WebhookCreated,
    WebhookList,
    WebhookOut,
)

# Shorter than the client's own time-out, 30 s by default.
WAIT_S = 20.0


class Sharing:
    """Who may see and do what, and following what others write.

    All methods raise what the client's do.
    """

    def __init__(self, send: Send) -> None:
        self._send = send

    def grant(self, rights: Sequence[Right], **target: Unpack[GrantTarget]) -> GrantOut:
        """Let a `principal` or a `group` have exactly these rights on a `space` or on a `memory`.

        Rights are "read", "write", "share" and "erase". `Forbidden` unless you may share it and have them yourself.
        """
        return self._send(sharing.grant(rights, target))

    def revoke(self, grant_id: UUID | str) -> None:
        """Take a grant back; it holds at once."""
        self._send(sharing.delete("grants", grant_id))

    def grants(self, space: str | None = None, *, limit: int = 100, cursor: str | None = None) -> GrantPage:
        """The grants (of a space) that you gave, have, or may take back; a page of them."""
        params = {"space": space, "limit": limit, "cursor": cursor}
        return self._send(requests.fetch("/v1/grants", GrantPage, params))

    def principals(self) -> PrincipalList:
        """The names to which something can be granted."""
        return self._send(requests.fetch("/v1/principals", PrincipalList))

    def groups(self) -> GroupList:
        """The groups and their members. All methods on groups need the scope `admin`."""
        return self._send(requests.fetch("/v1/groups", GroupList))

    def make_group(self, name: str) -> GroupOut:
        """A new group, without members."""
        return self._send(sharing.make_group(name))

    def remove_group(self, name: str) -> None:
        """Remove a group; what was granted to it ends with it."""
        self._send(sharing.delete_group(name))

    def add_to_group(self, group: str, principal: str) -> GroupOut:
        """Put a principal into a group."""
        return self._send(sharing.member(group, principal, into=True))

    def remove_from_group(self, group: str, principal: str) -> GroupOut:
        """Take a principal out of a group."""
        return self._send(sharing.member(group, principal, into=False))

    def subscribe(self, source: str, *, space: str, **options: Unpack[SubscribeOptions]) -> SubscriptionOut:
        """Let `space` receive copies of what `source` holds.

        Options: `filters` as in recall, `from_start` (also what is there already), `include_copies` (also what the
        source has from its own subscriptions). `Conflict` when a cycle would close.
        """
        return self._send(sharing.subscribe(source, space, options))

    def unsubscribe(self, subscription_id: UUID | str) -> None:
        """End a subscription; the copies stay, and are still erased with their sources."""
        self._send(sharing.delete("subscriptions", subscription_id))

    def subscriptions(self) -> SubscriptionList:
        """The subscriptions that you may know of: whether each is active, and how far behind."""
        return self._send(requests.fetch("/v1/subscriptions", SubscriptionList))

    def resume_subscription(self, subscription_id: UUID | str) -> SubscriptionOut:
        """Deliver again where it was suspended, from now on with your rights."""
        path = sharing.resume_path("subscriptions", subscription_id)
        return self._send(replace(requests.fetch(path, SubscriptionOut), method="POST"))

    def make_webhook(self, url: str, *, space: str = "default") -> WebhookCreated:
        """Let a URL be told of a space's changes; keep the `secret`. All methods on webhooks need the scope `admin`."""
        return self._send(sharing.make_webhook(url, space))

    def remove_webhook(self, webhook_id: UUID | str) -> None:
        """Remove a webhook."""
        self._send(sharing.delete("webhooks", webhook_id))

    def webhooks(self) -> WebhookList:
        """The webhooks, and how their deliveries go."""
        return self._send(requests.fetch("/v1/webhooks", WebhookList))

    def resume_webhook(self, webhook_id: UUID | str) -> WebhookOut:
        """Send again, from where it stopped."""
        path = sharing.resume_path("webhooks", webhook_id)
        return self._send(replace(requests.fetch(path, WebhookOut), method="POST"))

    def changes(
        self,
        space: str = "default",
        since: str = "0",
        *,
        limit: int = 100,
        wait: float = 0,
        include_memory: bool = False,
    ) -> ChangePage:
        """One page of a space's changes after the cursor `since`; its `cursor` is where the next one begins.

        `wait`: seconds to wait for a first change, 30 at most, and less than the client's time-out.
        """
        return self._send(sharing.changes(space, since, limit=limit, wait=wait, memories=include_memory))

    def follow(
        self, space: str = "default", since: str = "0", *, include_memory: bool = False, wait: float = WAIT_S
    ) -> Iterator[ChangeOut]:
        """All changes of a space, for ever, each once.

        To go on after a restart, keep the `cursor` of the last change that you have dealt with and pass it as `since`.
        """
        while True:
            page = self.changes(space, since, wait=wait, include_memory=include_memory)
            for change in page.items:
                yield change
            since = page.cursor

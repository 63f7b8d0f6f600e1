"""Synchronous: generated from `_async_core.py` by `tools/generate_sync.py`; change that file."""

from collections.abc import Mapping

from memsvc.sdk import requests
from memsvc.sdk._sync_send import Send
from memsvc.sdk.requests import Moment
from memsvc.wire.core import CoreEdit, CoreMemory, CoreSection


class Core:
    """The core memory of a space: small, labelled sections that every context begins with.

    `version`: with the version of a section that was read, a change raises `PreconditionFailed` when it is no longer
    the current one. All methods raise what the client's do.
    """

    def __init__(self, send: Send) -> None:
        self._send = send

    def get(self, *, space: str = "default", as_of_valid: Moment = None, as_of_known: Moment = None) -> CoreMemory:
        """All sections, as they are or were at another time."""
        params = {"space": space, "as_of_valid": as_of_valid, "as_of_known": as_of_known}
        return self._send(requests.fetch("/v1/core", CoreMemory, params))

    def append(
        self, label: str, text: str, *, space: str = "default", reason: str | None = None, version: int | None = None
    ) -> CoreSection:
        """Add a line to a section, made when it is new."""
        return self._edit(label, {"mode": "append", "text": text, "reason": reason}, space, version)

    def replace(
        self,
        label: str,
        old: str,
        text: str,
        *,
        space: str = "default",
        reason: str | None = None,
        version: int | None = None,
    ) -> CoreSection:
        """Put `text` in the place of `old`, which must occur once in the section."""
        fields = {"mode": "replace", "old": old, "text": text, "reason": reason}
        return self._edit(label, fields, space, version)

    def rewrite(
        self, label: str, text: str, *, space: str = "default", reason: str | None = None, version: int | None = None
    ) -> CoreSection:
        """Set a section whole."""
        return self._edit(label, {"mode": "rewrite", "text": text, "reason": reason}, space, version)

    def remove(self, label: str, *, space: str = "default", version: int | None = None) -> None:
        """Archive a section; undoing the operation brings it back."""
        self._send(requests.delete_core(label, space, version))

    def _edit(self, label: str, fields: Mapping[str, object], space: str, version: int | None) -> CoreSection:
        params = {"space": space}
        path = requests.core_path(label)
        return self._send(
            requests.post(path, CoreEdit, fields, CoreSection, params=params, version=version, retried=False)
        )

"""Synchronous: generated from `_async_send.py` by `tools/generate_sync.py`; change that file."""

from typing import Protocol, TypeVar

from memsvc.sdk.requests import Call

Answer = TypeVar("Answer")


class Send(Protocol):
    """The client's way to send a call."""

    def __call__(self, call: Call[Answer]) -> Answer:
        """The answer, after as many tries as the client makes."""

"""How the parts of the client send: through the client, with its retries."""

from typing import Protocol, TypeVar

from memsvc.sdk.requests import Call

Answer = TypeVar("Answer")


class Send(Protocol):
    """The client's way to send a call."""

    async def __call__(self, call: Call[Answer]) -> Answer:
        """The answer, after as many tries as the client makes."""

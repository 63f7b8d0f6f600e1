"""Many items: cut into batches, sent one after another or a few at a time, and counted."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from uuid import UUID

from memsvc.sdk.errors import MemsvcClientError
from memsvc.sdk.requests import MAX_ITEMS, Call, TextLike, WriteOptions, new_idempotency_key, validated, write
from memsvc.wire import MessageIn, TextIn, WriteResponse

MAX_BATCH_CHARACTERS = 4_000_000  # far below the service's limit on a body, also when each takes four bytes

ItemLike = MessageIn | TextLike
Item = MessageIn | TextIn


@dataclass(frozen=True, slots=True)
class BulkResult:
    """What became of all items; `pending` counts those whose embeddings are still to come."""

    stored: int
    created: int
    duplicates: int
    pending: int
    receipts: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class Batch:
    """One request of a bulk write and the sessions that it adds messages to."""

    call: Call[WriteResponse]
    sessions: frozenset[str | None]


class Tally:
    """Counts what is stored; used as a context, it adds to an error how to go on from there."""

    def __init__(self, key: str | None, on_progress: Callable[[int], object] | None) -> None:
        self.key = key or new_idempotency_key()
        self._on_progress = on_progress
        self._stored = self._created = self._duplicates = self._pending = 0
        self._receipts: list[UUID] = []

    def record(self, answer: WriteResponse) -> None:
        """Count one batch and tell the caller's `on_progress`."""
        self._stored += answer.receipt.stored
        self._created += answer.receipt.created
        self._duplicates += answer.receipt.duplicates
        self._pending += answer.receipt.pending
        self._receipts.append(answer.receipt.id)
        if self._on_progress is not None:
            self._on_progress(self._stored)

    def result(self) -> BulkResult:
        """The counts so far."""
        return BulkResult(self._stored, self._created, self._duplicates, self._pending, tuple(self._receipts))

    def __enter__(self) -> "Tally":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, MemsvcClientError):
            error.add_note(
                f"{self._stored} items are stored. To send the rest, repeat the call with "
                f"the idempotency key {self.key}: what is stored already is not stored again."
            )


def as_item(value: object, *, within: str) -> Item:
    """One item: a mapping with a `role` is a message, any other a text, and so is a plain string."""
    if isinstance(value, MessageIn | TextIn):
        return value
    if isinstance(value, str):
        return validated(TextIn, {"content": value}, within=within)
    if isinstance(value, Mapping):
        if "role" in value:
            return validated(MessageIn, value, within=within)
        return validated(TextIn, value, within=within)
    raise TypeError(f"{within} must be a MessageIn, TextIn, mapping or str, not {type(value).__name__}")


def cut(items: Iterable[ItemLike], batch_size: int, options: WriteOptions, key: str) -> Iterator[Batch]:
    """Batches of at most `batch_size` items and about 4 million characters, made as they are asked for.

    The n-th batch has the key `<key>:<n>`, so the same items sent again with the same `key` are stored once.
    """
    if not 1 <= batch_size <= MAX_ITEMS:
        raise ValueError(f"batch_size must be from 1 to {MAX_ITEMS}, not {batch_size}")
    held: list[Item] = []
    characters = number = 0
    for index, value in enumerate(items):
        item = as_item(value, within=f"items[{index}]")
        if held and (len(held) == batch_size or characters + len(item.content) > MAX_BATCH_CHARACTERS):
            yield _batch(held, options, f"{key}:{number}")
            held, characters, number = [], 0, number + 1
        held.append(item)
        characters += len(item.content)
    if held:
        yield _batch(held, options, f"{key}:{number}")


def send_in_order(send: Callable[[Call[WriteResponse]], WriteResponse], batches: Iterable[Batch], tally: Tally) -> None:
    """Send one batch after another."""
    for batch in batches:
        tally.record(send(batch.call))


async def send_concurrently(
    send: Callable[[Call[WriteResponse]], Awaitable[WriteResponse]],
    batches: Iterable[Batch],
    tally: Tally,
    concurrency: int,
) -> None:
    """Keep up to `concurrency` batches on their way, but never two that add to one session.

    The service numbers a session's messages as they arrive, so those must arrive in order. After a failure
    nothing new is sent; what is on its way is waited for and counted.
    """
    if concurrency < 1:
        raise ValueError(f"concurrency must be at least 1, not {concurrency}")
    running: dict[asyncio.Future[WriteResponse], Batch] = {}
    try:
        for batch in batches:
            while len(running) >= concurrency or any(batch.sessions & other.sessions for other in running.values()):
                await _settle(running, tally)
            running[asyncio.ensure_future(send(batch.call))] = batch
        while running:
            await _settle(running, tally)
    except asyncio.CancelledError:
        for task in running:
            task.cancel()
        raise
    finally:
        for outcome in await asyncio.gather(*running, return_exceptions=True):
            if isinstance(outcome, WriteResponse):
                tally.record(outcome)


async def _settle(running: dict[asyncio.Future[WriteResponse], Batch], tally: Tally) -> None:
    done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    failures = []
    for task in done:
        del running[task]
        failure = task.exception()
        if failure is None:
            tally.record(task.result())
        else:
            failures.append(failure)
    if failures:
        raise failures[0]


def _batch(items: list[Item], options: WriteOptions, key: str) -> Batch:
    messages = [item for item in items if isinstance(item, MessageIn)]
    texts = [item for item in items if isinstance(item, TextIn)]
    sessions = frozenset(message.session or options.get("session") for message in messages)
    return Batch(write(messages, texts, options, key), sessions)

"""Between many callers and one encoder: requests become batches, and queries never wait for documents.

Queries have a thread of their own: an idle one starts at once, and what arrives while it is busy is answered together.
Documents have a thread a lane of the encoder, are sorted by length over all requests, and are computed a batch at a
time; lanes never wait for one another, nor for the event loop. A queue that is full refuses with the seconds until
there is room.
"""

import asyncio
import hashlib
import math
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence, Sized
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Self, TypeVar

import numpy as np

from memsvc.config import Settings
from memsvc.errors import BusyError, EncoderUnavailableError, MemsvcError
from memsvc.inference import metrics
from memsvc.inference.breaker import CircuitBreaker
from memsvc.inference.types import Embeddings, Encoder, Prepared, PreparingEncoder, QueryEmbedding
from memsvc.inference.vectors import require_within
from memsvc.inference.waiting import DocumentPool, DocumentRequest, Waiting

T = TypeVar("T")

MAX_QUERIES = 32
# Batches of documents handed over beyond those that run, so that a lane goes on while the event loop is busy.
BATCHES_AHEAD = 1
CACHED_QUERIES = 1024
# Until the encoder has been measured: about what a small model does on two cores.
_FIRST_TEXTS_PER_S = 100.0
_SHORTEST_RETRY_S, _LONGEST_RETRY_S = 1.0, 300.0


@dataclass(slots=True, eq=False)
class _Query:
    text: str
    future: asyncio.Future[QueryEmbedding]
    since: float


class EncoderBatcher:
    """Shares `encoder` among the tasks of one event loop; it owns the encoder and closes it.

    `queue_texts` bounds the documents that wait, and apart from them the queries that wait. A request alone in an
    empty queue is taken whatever its size: it could never be smaller.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        batch_tokens: int = 8192,
        max_wait_ms: float = 2.0,
        queue_texts: int = 20_000,
        breaker: CircuitBreaker | None = None,
    ) -> None:
        self.encoder = encoder
        self._preparing = encoder if isinstance(encoder, PreparingEncoder) else None
        self._lanes = 1 if self._preparing is None else self._preparing.lanes
        self._batch_tokens = (
            batch_tokens if self._preparing is None else min(batch_tokens, self._preparing.batch_tokens)
        )
        self._max_wait_s = max_wait_ms / 1000
        self._queue_texts = queue_texts
        self._breaker = breaker or CircuitBreaker()
        self._queries: deque[_Query] = deque()
        self._documents = DocumentPool()
        self._preparing_texts = 0
        self._cache: OrderedDict[bytes, QueryEmbedding] = OrderedDict()
        self._texts_per_s = _FIRST_TEXTS_PER_S
        self._last_queries = 0
        self._asked = asyncio.Event()
        self._written = asyncio.Event()
        self._runners: list[asyncio.Task[None]] = []
        self._closed = False
        self._querying = ThreadPoolExecutor(1, "encoder-queries")
        self._encoding = ThreadPoolExecutor(self._lanes, "encoder")
        # Tokenising the next request beside the batches that run keeps the encoder's threads for computing.
        self._tokenizing = ThreadPoolExecutor(1, "tokenizer")

    @classmethod
    def from_settings(cls, encoder: Encoder, settings: Settings) -> Self:
        """With the limits that the settings give."""
        return cls(
            encoder,
            batch_tokens=settings.encoder_batch_tokens,
            max_wait_ms=settings.encoder_max_wait_ms,
            queue_texts=settings.encoder_queue_texts,
        )

    @property
    def available(self) -> bool:
        """False while the encoder is given a pause after repeated failures, and once closed."""
        return self._breaker.closed and not self._closed

    async def encode_query(self, text: str) -> QueryEmbedding:
        """Its vector and tokens, read-only. Raises `BusyError` or `EncoderUnavailableError`."""
        # A digest, so that no query outlives its answer in memory.
        key = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        known = self._cache.get(key)
        metrics.QUERY_CACHE.labels("miss" if known is None else "hit").inc()
        if known is not None:
            self._cache.move_to_end(key)
            return known
        self._require_open()
        self._admit("queries", len(self._queries), 1)
        query = _Query(text, asyncio.get_running_loop().create_future(), perf_counter())
        self._queries.append(query)
        self._start_work(self._asked)
        try:
            embedding = await query.future
        finally:
            if query in self._queries:
                self._queries.remove(query)
            self._show_depth()
        self._cache[key] = embedding
        if len(self._cache) > CACHED_QUERIES:
            self._cache.popitem(last=False)
        return embedding

    async def encode_documents(self, texts: Sequence[str], *, within_s: float | None = None) -> Embeddings:
        """In the order given; a row of NaN for each that is not done within `within_s`.

        Raises `ValueError` for a text over the encoder's limit, `BusyError` when too many texts wait, and
        `EncoderUnavailableError` when a batch with one of them failed.
        """
        self._require_open()
        dimension = self.encoder.spec.dimension
        if not texts:
            return Embeddings(np.empty((0, dimension), np.float32), ())
        self._admit("documents", len(self._documents) + self._preparing_texts, len(texts))
        since = perf_counter()
        self._preparing_texts += len(texts)
        try:
            documents = await self._in_thread(self._tokenizing, lambda: self._prepare(texts))
        finally:
            self._preparing_texts -= len(texts)
        self._require_open()
        future: asyncio.Future[Embeddings] = asyncio.get_running_loop().create_future()
        vectors = np.full((len(texts), dimension), np.nan, np.float32)
        request = DocumentRequest(documents, vectors, future, since)
        self._documents.add(request)
        self._start_work(self._written)
        try:
            return await asyncio.wait_for(future, within_s)
        except TimeoutError:
            return Embeddings(vectors, request.codes)
        finally:
            self._documents.discard(request)
            self._show_depth()

    async def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, special tokens included."""
        if self._closed:
            raise _closing()
        return await self._in_thread(self._tokenizing, lambda: self.encoder.count_tokens(texts))

    async def close(self) -> None:
        """Finish the batches that run, refuse what waits and what comes, and close the encoder."""
        if self._closed:
            return
        self._closed = True
        self._asked.set()
        self._written.set()
        await asyncio.gather(*self._runners)
        self._querying.shutdown(wait=True)
        self._encoding.shutdown(wait=True)
        self._tokenizing.shutdown(wait=True, cancel_futures=True)
        self.encoder.close()

    def _require_open(self) -> None:
        if self._closed:
            raise _closing()
        self._breaker.check()

    def _admit(self, kind: str, waiting: int, more: int) -> None:
        if waiting and waiting + more > self._queue_texts:
            metrics.REFUSED.labels(kind).inc()
            ahead = len(self._documents) + self._preparing_texts + len(self._queries)
            seconds = ahead / self._texts_per_s
            raise BusyError(
                f"{ahead} texts wait for the encoder",
                retry_after_s=float(math.ceil(min(_LONGEST_RETRY_S, max(_SHORTEST_RETRY_S, seconds)))),
            )

    def _prepare(self, texts: Sequence[str]) -> list[Prepared]:
        if self._preparing is not None:
            return self._preparing.prepare_documents(texts)
        lengths = self.encoder.count_tokens(texts)
        # Checked before texts of several callers meet in a batch: only the one that is too long may fail.
        require_within(lengths, self.encoder.spec.max_tokens)
        return [Prepared(tokens, text) for tokens, text in zip(lengths, texts, strict=True)]

    def _encode_batch(self, found: Sequence[Waiting]) -> Embeddings:
        documents = [waiting.document for waiting in found]
        if self._preparing is not None:
            return self._preparing.encode_prepared(documents)
        vectors = self.encoder.encode_documents([str(document.payload) for document in documents])
        return Embeddings(vectors, [b""] * len(documents))

    def _embed_queries(self, texts: Sequence[str]) -> list[QueryEmbedding]:
        if self._preparing is not None:
            found = self._preparing.embed_queries(texts)
        else:
            # Copied, so that a cached row does not keep those beside it.
            found = [QueryEmbedding(vector.copy()) for vector in self.encoder.encode_queries(texts)]
        for embedding in found:  # the cache gives the same arrays to every asker
            for values in (embedding.vector, embedding.tokens, embedding.spans):
                if values is not None:
                    values.setflags(write=False)
        return found

    def _start_work(self, arrived: asyncio.Event) -> None:
        self._show_depth()
        arrived.set()
        if not self._runners:
            ahead = 0 if self._preparing is None else BATCHES_AHEAD
            self._runners = [asyncio.create_task(self._run(self._asked, self._queries, self._run_queries))]
            self._runners += [
                asyncio.create_task(self._run(self._written, self._documents, self._run_documents))
                for _ in range(self._lanes + ahead)
            ]

    async def _run(self, arrived: asyncio.Event, waiting: Sized, run_batch: Callable[[], Awaitable[None]]) -> None:
        try:
            while not self._closed:
                await arrived.wait()
                if not self._breaker.closed:
                    self._refuse_waiting(self._pause_error())
                elif waiting:
                    await run_batch()
                if not waiting and not self._closed:
                    arrived.clear()
        finally:
            self._refuse_waiting(_closing())

    async def _run_queries(self) -> None:
        batch = self._take_queries(MAX_QUERIES)
        if self._last_queries > 1 and len(batch) < self._last_queries:
            # Askers that were answered together ask again together: wait a little for as many as came last time.
            await asyncio.sleep(self._max_wait_s)
            batch += self._take_queries(MAX_QUERIES - len(batch))
        batch = [query for query in batch if not query.future.done()]
        self._last_queries = len(batch)
        if not batch:  # all were cancelled while they gathered
            return
        started = perf_counter()
        for query in batch:
            metrics.WAIT_SECONDS.labels("queries").observe(started - query.since)
        outcome = await self._attempt(
            self._querying, "queries", len(batch), lambda: self._embed_queries([query.text for query in batch])
        )
        for place, query in enumerate(batch):
            if query.future.done():
                continue
            if isinstance(outcome, BaseException):
                query.future.set_exception(outcome)
            else:
                query.future.set_result(outcome[place])

    def _take_queries(self, most: int) -> list[_Query]:
        return [self._queries.popleft() for _ in range(min(most, len(self._queries)))]

    async def _run_documents(self) -> None:
        found = self._documents.take(self._batch_tokens)
        started = perf_counter()
        for waiting in found:
            if not waiting.request.started:
                waiting.request.started = True
                metrics.WAIT_SECONDS.labels("documents").observe(started - waiting.request.since)
        metrics.PADDED_TOKENS.observe(len(found) * found[-1].tokens)
        outcome = await self._attempt(self._encoding, "documents", len(found), lambda: self._encode_batch(found))
        if not isinstance(outcome, BaseException):
            side_by_side = len(self._runners) - 1  # all but the one that runs queries
            self._texts_per_s += 0.2 * (side_by_side * len(found) / (perf_counter() - started) - self._texts_per_s)
        for place, waiting in enumerate(found):
            request = waiting.request
            if request.future.done():
                continue
            if isinstance(outcome, BaseException):
                self._documents.discard(request)
                request.future.set_exception(outcome)
                continue
            request.vectors[waiting.place] = outcome.vectors[place]
            request.codes[waiting.place] = outcome.codes[place]
            request.left -= 1
            if not request.left:
                request.future.set_result(Embeddings(request.vectors, request.codes))

    async def _attempt(
        self, threads: ThreadPoolExecutor, kind: str, texts: int, encode: Callable[[], T]
    ) -> T | BaseException:
        """What the encoder's thread returned or raised; an error is the callers', never the runner's."""
        self._show_depth()
        metrics.BATCH_TEXTS.labels(kind).observe(texts)
        running = asyncio.get_running_loop().run_in_executor(threads, encode)
        with metrics.ENCODE_SECONDS.labels(kind).time():
            await asyncio.wait([running])
        error = running.exception()
        if error is None:
            self._breaker.succeeded()
            return running.result()
        metrics.FAILED_BATCHES.labels(kind).inc()
        if isinstance(error, EncoderUnavailableError):
            self._breaker.failed(error.retry_after_s)
        return error

    def _pause_error(self) -> MemsvcError:
        try:
            self._breaker.check()
        except EncoderUnavailableError as error:
            return error
        return EncoderUnavailableError()

    def _refuse_waiting(self, error: MemsvcError) -> None:
        futures: list[asyncio.Future[Any]] = [query.future for query in self._queries]
        futures += [request.future for request in self._documents.clear()]
        for future in futures:
            if not future.done():
                future.set_exception(error)
        self._queries.clear()
        self._show_depth()

    def _show_depth(self) -> None:
        metrics.WAITING.labels("queries").set(len(self._queries))
        metrics.WAITING.labels("documents").set(len(self._documents) + self._preparing_texts)

    async def _in_thread(self, thread: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(thread, work)


def _closing() -> MemsvcError:
    return EncoderUnavailableError("the service is shutting down", retry_after_s=5.0)

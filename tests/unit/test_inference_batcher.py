"""Between many callers and one encoder: order, priority, limits, failures."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Sequence

import numpy as np
import pytest

from memsvc.config import Settings
from memsvc.errors import BusyError, EncoderUnavailableError
from memsvc.inference import batcher as module
from memsvc.inference.batcher import EncoderBatcher
from memsvc.inference.breaker import CircuitBreaker
from memsvc.inference.fake import FakeEncoder
from memsvc.inference.types import Embeddings, Prepared, PreparingEncoder, QueryEmbedding, Vectors


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def encoder() -> FakeEncoder:
    return FakeEncoder()


@pytest.fixture
async def batcher(encoder: FakeEncoder, clock: Clock) -> AsyncIterator[EncoderBatcher]:
    made = EncoderBatcher(encoder, batch_tokens=40, max_wait_ms=0, queue_texts=20, breaker=CircuitBreaker(clock))
    yield made
    encoder.resume()
    await made.close()


async def until(condition: Callable[[], bool]) -> None:
    """Let other tasks and threads go on until something is so."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is awaited happens in the encoder's thread too
            await asyncio.sleep(0.001)


async def occupy(batcher: EncoderBatcher, encoder: FakeEncoder) -> asyncio.Future[object]:
    """A query and a document that hold the encoder until it is resumed."""
    encoder.pause()
    query = asyncio.create_task(batcher.encode_query("holds the encoder"))
    await until(lambda: len(encoder.calls) == 1)
    document = asyncio.create_task(batcher.encode_documents(["holds it too"]))
    await until(lambda: len(encoder.calls) == 2)
    return asyncio.gather(query, document)


def calls_after(encoder: FakeEncoder, kind: str) -> list[tuple[str, ...]]:
    """What was encoded after the two that held the encoder, oldest first."""
    return [call.texts for call in encoder.calls[2:] if call.kind == kind]


def words(count: int) -> str:
    return "w " * count


def waiting(batcher: EncoderBatcher) -> tuple[int, int]:
    return len(batcher._queries), len(batcher._documents)


async def test_results_are_those_of_the_encoder_in_the_order_asked(batcher: EncoderBatcher) -> None:
    texts = [f"text {number} {words(number % 7)}" for number in range(50)]
    expected = FakeEncoder().encode_documents(texts)
    assert ((await batcher.encode_documents(texts)).vectors == expected).all()
    assert ((await batcher.encode_query(texts[3])).vector == expected[3]).all()
    assert await batcher.count_tokens(["one two"]) == [4]
    assert (await batcher.encode_documents([])).vectors.shape == (0, 64)


async def test_concurrent_requests_do_not_mix(batcher: EncoderBatcher) -> None:
    requests = [[f"text {a} {b} {words(b)}" for b in range(a % 4 + 1)] for a in range(8)]
    found = await asyncio.gather(*(batcher.encode_documents(texts) for texts in requests))
    for made, texts in zip(found, requests, strict=True):
        assert (made.vectors == FakeEncoder().encode_documents(texts)).all()


async def test_documents_are_sorted_by_length_over_all_requests(batcher: EncoderBatcher, encoder: FakeEncoder) -> None:
    holding = await occupy(batcher, encoder)
    tasks = [
        asyncio.create_task(batcher.encode_documents([words(18), words(2)])),
        asyncio.create_task(batcher.encode_documents([words(17), words(3)])),
    ]
    await until(lambda: waiting(batcher) == (0, 4))
    encoder.resume()
    await asyncio.gather(holding, *tasks)
    assert [sorted(map(len, texts)) for texts in calls_after(encoder, "documents")] == [[34, 36], [4, 6]]


async def test_no_slice_is_larger_than_a_batch_may_be(batcher: EncoderBatcher, encoder: FakeEncoder) -> None:
    texts = [words(number % 30) for number in range(20)]
    await batcher.encode_documents(texts)
    for call in encoder.calls:
        assert len(call.texts) * max(encoder.count_tokens(call.texts)) <= 40


async def test_a_query_never_waits_for_documents(batcher: EncoderBatcher) -> None:
    encoder = batcher.encoder
    assert isinstance(encoder, FakeEncoder)
    encoder.hold = "documents"
    encoder.pause()
    bulk = asyncio.create_task(batcher.encode_documents([words(30)] * 10))
    await until(lambda: waiting(batcher) == (0, 9))
    assert (await batcher.encode_query("urgent")).vector.shape == (64,)
    assert not bulk.done()
    encoder.resume()
    await bulk


async def test_a_small_request_does_not_wait_for_a_bulk_one(batcher: EncoderBatcher, encoder: FakeEncoder) -> None:
    holding = await occupy(batcher, encoder)
    bulk = asyncio.create_task(batcher.encode_documents([words(30)] * 10))
    await until(lambda: waiting(batcher) == (0, 10))
    small = asyncio.create_task(batcher.encode_documents(["short"]))
    await until(lambda: waiting(batcher) == (0, 11))
    encoder.resume()
    await asyncio.gather(holding, small, bulk)
    places = [place for place, texts in enumerate(calls_after(encoder, "documents")) if "short" in texts]
    assert places[0] <= 1


async def test_waiting_queries_share_a_batch(batcher: EncoderBatcher, encoder: FakeEncoder) -> None:
    holding = await occupy(batcher, encoder)
    tasks = [asyncio.create_task(batcher.encode_query(f"query {number}")) for number in range(5)]
    await until(lambda: waiting(batcher) == (5, 0))
    encoder.resume()
    await asyncio.gather(holding, *tasks)
    assert [len(texts) for texts in calls_after(encoder, "queries")] == [5]


async def test_documents_go_on_under_a_stream_of_queries(batcher: EncoderBatcher) -> None:
    numbers = itertools.count()
    stop = asyncio.Event()

    async def ask() -> None:
        while not stop.is_set():
            await batcher.encode_query(f"query {next(numbers)}")

    askers = [asyncio.create_task(ask()) for _ in range(4)]
    async with asyncio.timeout(10):
        await batcher.encode_documents([words(30) for _ in range(5)])
    stop.set()
    await asyncio.gather(*askers)


async def test_a_full_queue_refuses_and_says_for_how_long(batcher: EncoderBatcher, encoder: FakeEncoder) -> None:
    holding = await occupy(batcher, encoder)
    bulk = asyncio.create_task(batcher.encode_documents(["text"] * 20))
    await until(lambda: waiting(batcher) == (0, 20))
    with pytest.raises(BusyError) as caught:
        await batcher.encode_documents(["one more"])
    assert caught.value.retry_after_s is not None
    assert caught.value.retry_after_s >= 1
    query = asyncio.create_task(batcher.encode_query("recall goes on"))
    await until(lambda: waiting(batcher) == (1, 20))
    encoder.resume()
    await asyncio.gather(holding, bulk, query)
    assert (await batcher.encode_documents(["one more"])).vectors.shape == (1, 64)


async def test_what_is_not_done_in_time_is_not_a_number_and_no_longer_waits(
    batcher: EncoderBatcher, encoder: FakeEncoder
) -> None:
    holding = await occupy(batcher, encoder)
    found = await batcher.encode_documents(["late", "later"], within_s=0.01)
    assert np.isnan(found.vectors).all()
    assert waiting(batcher) == (0, 0)
    encoder.resume()
    await holding
    assert not np.isnan((await batcher.encode_documents(["in time"], within_s=60)).vectors).any()


async def test_queries_are_bounded_too(batcher: EncoderBatcher, encoder: FakeEncoder) -> None:
    holding = await occupy(batcher, encoder)
    tasks = [asyncio.create_task(batcher.encode_query(f"query {number}")) for number in range(20)]
    await until(lambda: waiting(batcher) == (20, 0))
    with pytest.raises(BusyError):
        await batcher.encode_query("one more")
    encoder.resume()
    await asyncio.gather(holding, *tasks)


async def test_a_request_larger_than_the_queue_is_taken_when_it_is_alone(batcher: EncoderBatcher) -> None:
    assert (await batcher.encode_documents(["text"] * 50)).vectors.shape == (50, 64)


async def test_a_cancelled_request_leaves_the_queue(batcher: EncoderBatcher, encoder: FakeEncoder) -> None:
    holding = await occupy(batcher, encoder)
    document = asyncio.create_task(batcher.encode_documents(["never encoded", "nor this"]))
    query = asyncio.create_task(batcher.encode_query("never asked"))
    await until(lambda: waiting(batcher) == (1, 2))
    document.cancel()
    query.cancel()
    await asyncio.gather(document, query, return_exceptions=True)
    assert waiting(batcher) == (0, 0)
    encoder.resume()
    await holding
    assert (await batcher.encode_documents(["later"])).vectors.shape == (1, 64)
    assert [call.texts for call in encoder.calls[2:]] == [("later",)]


async def test_a_request_cancelled_while_its_batch_runs_harms_no_other(
    batcher: EncoderBatcher, encoder: FakeEncoder
) -> None:
    encoder.pause()
    first = asyncio.create_task(batcher.encode_documents(["first", words(30)]))
    await until(lambda: len(encoder.calls) == 1)
    second = asyncio.create_task(batcher.encode_documents(["second"]))
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    encoder.resume()
    assert ((await second).vectors == FakeEncoder().encode_documents(["second"])).all()


class PoisonedEncoder(FakeEncoder):
    """Fails a batch that holds a certain text."""

    def _encode(self, kind: str, texts: Sequence[str]) -> Vectors:
        if "poison" in texts:
            raise RuntimeError("broken")
        return super()._encode(kind, texts)


async def test_a_failure_reaches_only_its_batch() -> None:
    encoder = PoisonedEncoder()
    batcher = EncoderBatcher(encoder, batch_tokens=40)
    holding = await occupy(batcher, encoder)
    failing = asyncio.create_task(batcher.encode_documents(["poison", words(30)]))
    good = asyncio.create_task(batcher.encode_documents([words(20)]))
    await until(lambda: waiting(batcher) == (0, 3))
    encoder.resume()
    found = await asyncio.gather(holding, failing, good, return_exceptions=True)
    await batcher.close()
    assert isinstance(found[1], RuntimeError)
    assert not isinstance(found[2], BaseException)
    assert (found[2].vectors == FakeEncoder().encode_documents([words(20)])).all()


async def test_a_text_over_the_limit_fails_its_own_request_alone(batcher: EncoderBatcher) -> None:
    good = batcher.encode_documents(["good"])
    bad = batcher.encode_documents([words(300)])
    found = await asyncio.gather(good, bad, return_exceptions=True)
    assert isinstance(found[0], Embeddings)
    assert isinstance(found[1], ValueError)


async def test_after_three_failures_the_encoder_is_given_a_pause(
    batcher: EncoderBatcher, encoder: FakeEncoder, clock: Clock
) -> None:
    encoder.fail = True
    for _ in range(3):
        with pytest.raises(EncoderUnavailableError):
            await batcher.encode_documents(["text"])
    assert not batcher.available
    with pytest.raises(EncoderUnavailableError, match="pause") as caught:
        await batcher.encode_query("text")
    assert caught.value.retry_after_s == 2
    assert len(encoder.calls) == 3
    clock.now += 2
    encoder.fail = False
    assert (await batcher.encode_documents(["text"])).vectors.shape == (1, 64)
    assert batcher.available


async def test_each_failed_attempt_makes_the_pause_longer(
    batcher: EncoderBatcher, encoder: FakeEncoder, clock: Clock
) -> None:
    encoder.fail = EncoderUnavailableError("down")
    pauses = []
    for attempt in range(9):
        with pytest.raises(EncoderUnavailableError):
            await batcher.encode_documents(["text"])
        if attempt >= 2:
            with pytest.raises(EncoderUnavailableError) as caught:
                await batcher.encode_query("text")
            pauses.append(caught.value.retry_after_s)
            clock.now += caught.value.retry_after_s or 0
    assert pauses == [2, 4, 8, 16, 32, 60, 60]


async def test_a_repeated_query_is_answered_from_memory(batcher: EncoderBatcher, encoder: FakeEncoder) -> None:
    first = await batcher.encode_query("again")
    assert await batcher.encode_query("again") is first
    assert len(encoder.calls) == 1
    assert not first.vector.flags.writeable


async def test_the_memory_of_queries_is_bounded(
    batcher: EncoderBatcher, encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CACHED_QUERIES", 2)
    for text in ("a", "b", "a", "c", "a", "b"):
        await batcher.encode_query(text)
    assert [call.texts[0] for call in encoder.calls] == ["a", "b", "c", "b"]


async def test_closing_finishes_the_batch_that_runs_and_refuses_the_rest(encoder: FakeEncoder) -> None:
    batcher = EncoderBatcher.from_settings(encoder, Settings())
    holding = await occupy(batcher, encoder)
    waits = asyncio.create_task(batcher.encode_documents(["waits"]))
    await until(lambda: waiting(batcher) == (0, 1))
    closing = asyncio.create_task(batcher.close())
    await asyncio.sleep(0)
    encoder.resume()
    await closing
    query, document = await holding
    assert (query.vector.shape, document.vectors.shape) == ((64,), (1, 64))
    with pytest.raises(EncoderUnavailableError, match="shutting down"):
        await waits
    with pytest.raises(EncoderUnavailableError, match="shutting down"):
        await batcher.encode_documents(["late"])
    await batcher.close()
    assert encoder.closed
    assert not batcher.available


class TokenizingEncoder(FakeEncoder):
    """Tokenises apart from computing, and notes how often."""

    batch_tokens = 20
    lanes = 1

    def __init__(self) -> None:
        super().__init__()
        self.prepared: list[str] = []

    def prepare_documents(self, texts: Sequence[str]) -> list[Prepared]:
        self.prepared += texts
        return [Prepared(tokens, text) for tokens, text in zip(self.count_tokens(texts), texts, strict=True)]

    def encode_prepared(self, documents: Sequence[Prepared]) -> Embeddings:
        vectors = self.encode_documents([str(document.payload) for document in documents])
        return Embeddings(vectors, [bytes(str(document.payload), "utf-8") for document in documents])

    def embed_queries(self, texts: Sequence[str]) -> list[QueryEmbedding]:
        return [QueryEmbedding(vector) for vector in self.encode_queries(texts)]


async def test_an_encoder_that_prepares_sees_each_text_once_in_batches_of_its_own_size() -> None:
    encoder = TokenizingEncoder()
    assert isinstance(encoder, PreparingEncoder)
    batcher = EncoderBatcher(encoder, batch_tokens=8192)
    texts = [words(number) for number in range(12)]
    found = await batcher.encode_documents(texts)
    await batcher.close()
    assert (found.vectors == FakeEncoder().encode_documents(texts)).all()
    assert list(found.codes) == [text.encode() for text in texts]
    assert encoder.prepared == texts
    assert all(len(call.texts) * max(encoder.count_tokens(call.texts)) <= 20 for call in encoder.calls)


async def test_lanes_run_side_by_side_with_a_batch_ready_for_the_first_that_is_free() -> None:
    encoder = TokenizingEncoder()
    encoder.lanes = 2
    encoder.pause()
    batcher = EncoderBatcher(encoder)
    bulk = asyncio.create_task(batcher.encode_documents([words(15)] * 6))
    await until(lambda: len(encoder.calls) == 2)
    await until(lambda: waiting(batcher) == (0, 3))
    assert len(encoder.calls) == 2
    encoder.resume()
    assert (await bulk).vectors.shape == (6, 64)
    await batcher.close()

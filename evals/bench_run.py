"""The service against its own parts, in one run on one machine: only ratios carry over to another."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median
from time import perf_counter
from uuid import uuid4

from evals import locomo
from evals.bench_encoder import EncoderProcess
from evals.bench_sql import DenseScan, dense_scan
from evals.metrics import percentile
from evals.service import Service
from memsvc.demo.sample import load_sample
from memsvc.sdk import MemoryClient

CLIENTS = 16
K = 10
# As many requests in flight as the SDK's `add_many` has.
WRITERS = 4
_BATCH = 100

EXPLANATION = """\
- `bench.ingest_over_encoder`: turns per second stored and searchable over HTTP, written as the SDK's `add_many` does,
  over turns per second of the encoder alone, which gets all of them at once. 1 would mean that only the encoder costs
  anything.
- `bench.recall_over_parts`: p50 of a recall over HTTP, over the p50 of encoding its query plus that of one dense
  statement on a direct connection. Below 1 is not to be expected; it holds what fusion, reranking and HTTP add.
- `bench.concurrency_16`: recalls per second of 16 clients over those of one.

No two queries are alike, so that no cache answers; rounds of the things compared alternate, and medians count."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured; `rounds` of `items` turns and of `queries` queries, in a space of `memories`."""

    items: int
    memories: int
    queries: int
    rounds: int
    seed: int

    def settings(self) -> dict[str, int]:
        """As they stand in `summary.json`."""
        names = ("items", "memories", "queries", "rounds", "seed")
        return {f"settings.{name}": getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class Texts:
    """Turns to store and questions to ask; each list is used in turn, with a number added once it is used up."""

    turns: tuple[str, ...]
    questions: tuple[str, ...]

    def shuffled(self, seed: int) -> "Texts":
        """The same texts in the seed's order, so that rounds see short and long ones alike."""
        random = Random(seed)  # noqa: S311 - an order
        return Texts(
            tuple(random.sample(self.turns, len(self.turns))),
            tuple(random.sample(self.questions, len(self.questions))),
        )


def load_texts(data: Path | None) -> Texts:
    """Turns and questions of LoCoMo data, else of the sample that ships with the package."""
    if data is None:
        sample = load_sample()
        return Texts(tuple(turn.content for turn in sample.turns), tuple(item.question for item in sample.questions))
    conversations = list(locomo.load(data).conversations())
    turns = dict.fromkeys(turn.content for item in conversations for turn in item.turns)
    questions = dict.fromkeys(question.text for item in conversations for question in item.questions)
    return Texts(tuple(turns), tuple(questions))


def distinct(texts: Sequence[str], start: int, number: int) -> list[str]:
    """`number` texts from place `start` of the endless list that numbers the texts from their second use on."""
    found = []
    for place in range(start, start + number):
        cycle, index = divmod(place, len(texts))
        found.append(texts[index] if cycle == 0 else f"{texts[index]} (no. {cycle + 1})")
    return found


def measure(
    service: Service, texts: Texts, size: Size, *, database_url: str | None, say: Callable[[str], object]
) -> dict[str, float]:
    """All three ratios with the values they are made of."""
    texts = texts.shuffled(size.seed)
    space = f"bench-{uuid4().hex[:12]}"  # a used space would be searched too
    with EncoderProcess() as encoder, service.client() as client:
        say("ingest against the encoder")
        found = measure_ingest(client, encoder, texts, size, space=f"{space}-in")
        say(f"storing {size.memories} memories")
        store(client, distinct(texts.turns, 0, size.memories), space=space)
        say("recall against its parts")
        with dense_scan(service, space, database_url) as scan:
            found |= measure_recall(client, encoder, scan, distinct(texts.questions, 0, size.queries), space=space)
    say(f"one client against {CLIENTS}")
    return found | measure_concurrency(service, texts, size, space=space)


def measure_ingest(
    client: MemoryClient, encoder: EncoderProcess, texts: Texts, size: Size, *, space: str
) -> dict[str, float]:
    """Rounds of both, each with texts of its own, the order swapped every time."""
    store(client, distinct(texts.turns, 0, 20), space=f"{space}-warm")
    rates: dict[str, list[float]] = {"service": [], "encoder": []}
    for number in range(size.rounds):
        batch = distinct(texts.turns, 20 + number * size.items, size.items)
        for name in ("service", "encoder") if number % 2 == 0 else ("encoder", "service"):
            if name == "service":
                seconds = store(client, batch, space=f"{space}-{number}")
            else:
                seconds = encoder.encode_documents(batch)
            rates[name].append(size.items / seconds)
    service_rate, encoder_rate = median(rates["service"]), median(rates["encoder"])
    return {
        "bench.ingest_over_encoder": service_rate / encoder_rate,
        "bench.ingest.items_per_s": service_rate,
        "bench.encoder.items_per_s": encoder_rate,
    }


def store(client: MemoryClient, texts: Sequence[str], *, space: str) -> float:
    """Seconds until all of them are stored and searchable, by several writers as a bulk load has them."""

    def write(first: int) -> None:
        messages = [{"role": "user", "content": text} for text in texts[first : first + _BATCH]]
        written = client.add(messages=messages, space=space, session=f"bench-{first}", wait=True)
        if not written.receipt.searchable:
            client.wait_searchable(written.receipt.id, timeout=600.0)

    started = perf_counter()
    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(write, range(0, len(texts), _BATCH)))
    return perf_counter() - started


def measure_recall(
    client: MemoryClient, encoder: EncoderProcess, scan: DenseScan, queries: Sequence[str], *, space: str
) -> dict[str, float]:
    """Each query three ways, one after the other; medians of each."""
    client.recall("Where did we begin?", space=space, k=K)
    recalls, encodings, scans = [], [], []
    for query in queries:
        started = perf_counter()
        client.recall(query, space=space, k=K)
        recalls.append((perf_counter() - started) * 1000)
        encoded = encoder.encode_query(query)
        encodings.append(encoded.milliseconds)
        scans.append(scan.milliseconds(encoded.vector))
    return {
        "bench.recall_over_parts": median(recalls) / (median(encodings) + median(scans)),
        "bench.recall.p50_ms": median(recalls),
        "bench.recall.p95_ms": percentile(recalls, 0.95),
        "bench.encode_query.p50_ms": median(encodings),
        "bench.dense_sql.p50_ms": median(scans),
    }


def measure_concurrency(service: Service, texts: Texts, size: Size, *, space: str) -> dict[str, float]:
    """Rounds of one client and of 16, each client with its own connection and queries nobody else asks."""
    rates: dict[int, list[float]] = {1: [], CLIENTS: []}
    used = size.queries  # those that measure_recall asked
    for _ in range(size.rounds):
        for clients in rates:
            queries = distinct(texts.questions, used, size.queries)
            used += size.queries
            rates[clients].append(recalls_per_s(service, queries, clients=clients, space=space))
    one, many = median(rates[1]), median(rates[CLIENTS])
    return {
        "bench.concurrency_16": many / one,
        "bench.recall.one_client_per_s": one,
        "bench.recall.sixteen_clients_per_s": many,
    }


def recalls_per_s(service: Service, queries: Sequence[str], *, clients: int, space: str) -> float:
    """Recalls per second of all clients together; connections are opened before the clock starts."""
    opened = [service.client() for _ in range(clients)]
    try:
        for client in opened:
            client.health()
        with ThreadPoolExecutor(clients) as pool:
            started = perf_counter()
            shares = [pool.submit(_ask_all, opened[n], queries[n::clients], space) for n in range(clients)]
            for share in shares:
                share.result()
            return len(queries) / (perf_counter() - started)
    finally:
        for client in opened:
            client.close()


def _ask_all(client: MemoryClient, queries: Sequence[str], space: str) -> None:
    for query in queries:
        client.recall(query, space=space, k=K)

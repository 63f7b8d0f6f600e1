"""The ratios: what is compared with what, on texts that are all different."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest
from evals_samples import FakeService, locomo_sample
from typer.testing import CliRunner

from evals import bench_run, service
from evals.bench_encoder import EncodedQuery, EncoderProcess, EncoderStoppedError
from evals.bench_run import Size, distinct, load_texts
from evals.bench_sql import DenseScan, SpaceNotSeenError, dense_scan
from evals.cli import app
from evals.service import Service

SIZE = Size(items=30, memories=100, queries=20, rounds=2, seed=1)

# Stands in for the encoder's process: the same lines in and out, without a model.
STAND_IN = """
import json, sys
for line in sys.stdin:
    request = json.loads(line)
    if request.get("query") == "end":
        sys.exit(3)
    answer = {"seconds": 0.25 * len(request.get("documents", "."))}
    if "query" in request:
        answer["vector"] = [0.6, 0.8]
    print(json.dumps(answer), flush=True)
"""


class FakeEncoder:
    """Takes 10 ms a text, by its own account."""

    def __enter__(self) -> "FakeEncoder":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def encode_documents(self, texts: Sequence[str]) -> float:
        return 0.01 * len(texts)

    def encode_query(self, text: str) -> EncodedQuery:
        return EncodedQuery((1.0, 0.0), 10.0)


@dataclass(frozen=True)
class FakeScan:
    def milliseconds(self, vector: Sequence[float]) -> float:
        assert tuple(vector) == (1.0, 0.0)
        return 2.0


def test_texts_repeat_only_with_a_number() -> None:
    assert distinct(("a", "b"), 0, 5) == ["a", "b", "a (no. 2)", "b (no. 2)", "a (no. 3)"]
    assert distinct(("a", "b"), 3, 2) == ["b (no. 2)", "a (no. 3)"]


def test_texts_come_from_the_sample_or_from_locomo_data(tmp_path: Path) -> None:
    sample = load_texts(None)
    assert len(sample.turns) > 50
    assert len(sample.questions) == 15
    path = tmp_path / "locomo.json"
    path.write_text(json.dumps([locomo_sample()]))
    given = load_texts(path)
    assert given.turns[1] == "My kayak needs a new rudder."
    assert len(given.questions) == 5
    assert given.shuffled(1) == given.shuffled(1)
    assert sorted(given.shuffled(2).turns) == sorted(given.turns)


def measure(monkeypatch: pytest.MonkeyPatch, fake: FakeService) -> dict[str, float]:
    @contextmanager
    def scan(_: object, space: str, database_url: str | None) -> Iterator[FakeScan]:
        assert len(fake.spaces[space]) == SIZE.memories
        assert database_url == "postgresql://somewhere"
        yield FakeScan()

    monkeypatch.setattr(bench_run, "EncoderProcess", FakeEncoder)
    monkeypatch.setattr(bench_run, "dense_scan", scan)
    return bench_run.measure(
        cast("Service", fake),
        load_texts(None),
        SIZE,
        database_url="postgresql://somewhere",
        say=lambda _: None,
    )


def test_ratios_are_those_of_the_values_beside_them(monkeypatch: pytest.MonkeyPatch) -> None:
    found = measure(monkeypatch, FakeService())
    assert found["bench.encoder.items_per_s"] == pytest.approx(100)
    assert found["bench.ingest_over_encoder"] == pytest.approx(found["bench.ingest.items_per_s"] / 100)
    assert found["bench.encode_query.p50_ms"] == 10
    assert found["bench.dense_sql.p50_ms"] == 2
    assert found["bench.recall_over_parts"] == pytest.approx(found["bench.recall.p50_ms"] / 12)
    rates = found["bench.recall.sixteen_clients_per_s"], found["bench.recall.one_client_per_s"]
    assert found["bench.concurrency_16"] == pytest.approx(rates[0] / rates[1])


def test_no_query_is_asked_twice_and_no_turn_stored_twice_in_a_space(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeService()
    asked: list[str] = []
    answer = fake.answer

    def recorded(request: object) -> object:
        content = getattr(request, "content", b"")
        if b'"query"' in content:
            asked.append(json.loads(content)["query"])
        return answer(request)  # type: ignore[arg-type]

    monkeypatch.setattr(fake, "answer", recorded)
    measure(monkeypatch, fake)
    assert len(asked) == 1 + SIZE.queries * (1 + 2 * SIZE.rounds)
    assert len(set(asked)) == len(asked)
    for memories in fake.spaces.values():
        contents = [message["content"] for message in memories.values()]
        assert len(set(contents)) == len(contents)


def test_the_encoder_process_answers_and_ends() -> None:
    with EncoderProcess([sys.executable, "-c", STAND_IN]) as encoder:
        assert encoder.encode_documents(["a", "b", "c"]) == 0.75
        assert encoder.encode_query("q") == EncodedQuery((0.6, 0.8), 250.0)
        with pytest.raises(EncoderStoppedError, match="status 3"):
            encoder.encode_query("end")
    with pytest.raises(EncoderStoppedError, match="not running"):
        encoder.encode_query("q")


def test_an_encoder_that_cannot_start_is_an_error() -> None:
    with pytest.raises(EncoderStoppedError, match="status 5"), EncoderProcess([sys.executable, "-c", "exit(5)"]):
        pass


def test_a_given_service_needs_the_database_named() -> None:
    with pytest.raises(SpaceNotSeenError, match="--database-url"), dense_scan(Service("http://x", None), "s", None):
        pass


def test_the_dense_statement_orders_by_distance() -> None:
    seen: list[tuple[str, tuple[object, ...]]] = []

    class Connection:
        def execute(self, statement: str, parameters: tuple[object, ...]) -> "Connection":
            seen.append((statement, parameters))
            return self

        def fetchall(self) -> list[object]:
            return []

    scan = DenseScan(Connection(), "tenant", "space")  # type: ignore[arg-type]
    assert scan.milliseconds((0.5, -0.25)) >= 0
    statement, parameters = seen[0]
    assert "ORDER BY distance LIMIT" in statement
    assert parameters == ("[0.5,-0.25]", "tenant", "space", 100)


def test_the_command_writes_values_and_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def serving(*_: object) -> Iterator[Service]:
        yield Service("http://x", "k")

    monkeypatch.setattr(service, "serving", serving)
    monkeypatch.setattr(bench_run, "measure", lambda *_, **__: {"bench.concurrency_16": 3.5})
    result = CliRunner().invoke(app, ["bench", "--out", str(tmp_path), "--items", "40"])
    assert result.exit_code == 0, result.output
    figures = json.loads((tmp_path / "summary.json").read_text())
    assert figures["bench.concurrency_16"] == 3.5
    assert figures["settings.items"] == 40
    assert "`bench.concurrency_16` | 3.5" in (tmp_path / "report.md").read_text()

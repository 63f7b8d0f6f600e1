"""A run from data to report, on a service in memory: what is sent, scored, written, and taken up again."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from evals_samples import FakeService, locomo_sample, longmemeval_instance
from typer.testing import CliRunner

from evals import report, runner, service, suites, summary
from evals.cli import app
from evals.corpus import Suite, Turn
from evals.records import CONVERSATIONS, QUESTIONS, Log
from evals.runner import Plan, Watcher
from evals.service import Footprint, Service
from memsvc.sdk import MemsvcClientError

QUIET = Watcher(say=lambda _: None, advance=lambda _: None)


@pytest.fixture
def locomo(tmp_path: Path) -> Suite:
    path = tmp_path / "locomo.json"
    path.write_text(json.dumps([locomo_sample(), locomo_sample() | {"sample_id": "pair-2"}]))
    return suites.load("locomo", path)


def run(plan: Plan, fake: FakeService, folder: Path, *, resume: bool = False) -> summary.Summary:
    log = Log(folder, plan.settings_hash)
    with fake.client() as client:
        questions, conversations = runner.run(plan, client, log, resume=resume, watcher=QUIET)
    return summary.summarize(plan, questions, conversations, Footprint(bytes=9000, memories=9))


def test_turns_are_stored_with_speaker_session_and_time(locomo: Suite, tmp_path: Path) -> None:
    fake = FakeService()
    run(Plan(locomo, k=10), fake, tmp_path)
    spaces = sorted(fake.spaces)
    assert [name.rpartition("-")[0] for name in spaces] == ["eval-locomo-pair-1", "eval-locomo-pair-2"]
    stored = list(fake.spaces[spaces[0]].values())
    assert len(stored) == 4
    assert stored[0]["name"] == "Ines"
    assert stored[0]["session"] == "session_1"
    assert datetime.fromisoformat(stored[0]["timestamp"]) == datetime(2023, 5, 8, 13, 56, tzinfo=UTC)


def test_locomo_figures(locomo: Suite, tmp_path: Path) -> None:
    figures = run(Plan(locomo, k=10, contexts=3), FakeService(), tmp_path)
    assert figures["n.conversations"] == 2
    assert figures["n.questions"] == 6, "two of each of three headline types; one type has no evidence"
    assert figures["n.asked"] == 8
    assert figures["n.skipped"] == 2
    assert figures["n.skipped/no evidence"] == 2
    assert figures["n.malformed"] == 8
    assert figures["turn.recall@10"] == 1
    assert figures["turn.recall@1/single-hop"] == 1
    assert figures["turn.recall@1/multi-hop"] == 0.5
    assert figures["turn.n"] == 6
    assert "turn.recall@10/adversarial" in figures
    assert "turn.recall@10/open-domain" not in figures
    assert figures["context.tokens"] == 120
    assert figures["context.n"] == 3
    assert figures["bytes_per_memory"] == 1000
    assert figures["settings.encoder"] == "words"
    assert figures["turn.recall@10.ci95_low"] == 1


def test_every_question_leaves_a_line(locomo: Suite, tmp_path: Path) -> None:
    run(Plan(locomo, k=2), FakeService(), tmp_path)
    lines = [json.loads(line) for line in (tmp_path / QUESTIONS).read_text().splitlines()]
    assert len(lines) == 10
    assert lines[0]["id"] == "pair-1/1"
    assert lines[0]["ranked"][0] == {"id": "D1:1", "session": "session_1", "score": 3.0}
    assert len(lines[0]["ranked"]) == 2
    assert lines[0]["latency_ms"] > 0
    assert lines[3]["skip"] == "no evidence"
    assert lines[3]["metrics"] is None


def test_a_run_that_was_cut_off_goes_on_after_the_last_finished_conversation(locomo: Suite, tmp_path: Path) -> None:
    plan = Plan(locomo, k=10, contexts=0)
    broken = FakeService(fail_after_recalls=7)
    with pytest.raises(MemsvcClientError):
        run(plan, broken, tmp_path)
    assert len((tmp_path / QUESTIONS).read_text().splitlines()) > 5
    with (tmp_path / QUESTIONS).open("a") as file:
        file.write('{"settings": "half a li')
    fresh = FakeService()
    figures = run(plan, fresh, tmp_path, resume=True)
    assert len(fresh.spaces) == 1, "the first conversation is not stored again"
    assert (figures["n.conversations"], figures["n.asked"]) == (2, 8)
    assert len((tmp_path / QUESTIONS).read_text().splitlines()) == 10
    whole = run(plan, FakeService(), tmp_path / "whole")
    keys = [key for key in whole if key.startswith(("turn.", "session.", "n."))]
    assert {key: whole[key] for key in keys} == {key: figures[key] for key in keys}


def test_resuming_with_other_settings_or_not_at_all_begins_anew(locomo: Suite, tmp_path: Path) -> None:
    run(Plan(locomo, k=10), FakeService(), tmp_path)
    for plan, resume in ((Plan(locomo, k=5), True), (Plan(locomo, k=5), False)):
        fake = FakeService()
        run(plan, fake, tmp_path, resume=resume)
        assert len(fake.spaces) == 2
        assert len((tmp_path / CONVERSATIONS).read_text().splitlines()) == 2


def test_what_the_service_had_already_does_not_count_as_ingest_speed(locomo: Suite, tmp_path: Path) -> None:
    fake = FakeService()
    assert "ingest.items_per_s" in run(Plan(locomo, k=10), fake, tmp_path / "first")
    again = run(Plan(locomo, k=10), fake, tmp_path / "second")
    assert "ingest.items_per_s" not in again
    assert again["n.turns"] == 8


def test_longmemeval_is_scored_both_ways(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    unanswered = longmemeval_instance("q2")
    unanswered["haystack_sessions"][1][2]["has_answer"] = False
    path.write_text(json.dumps([longmemeval_instance(), unanswered, longmemeval_instance("q3_abs")]))
    loaded = suites.load("longmemeval", path)
    figures = run(Plan(loaded, k=loaded.default_k), FakeService(), tmp_path)
    assert figures["official.run.n"] == 1, "q2 has its answer with the assistant alone"
    assert figures["official.print.n"] == 2
    assert figures["official.run.turn.recall_any@3"] == 1
    assert figures["official.print.turn.recall_any@3"] == 0.5
    assert figures["official.print.turn.recall_all@3"] == 1
    assert figures["official.run.session.recall_any@3"] == 1
    assert figures["n.skipped/abstention"] == 1
    assert figures["turn.n"] == 2, "the plain metrics count the assistant's turns too"
    text = report.render(figures, loaded.notes, [])
    assert "## Scored as published" in text
    assert "| official.print.session | 2 | 3 |" in text


def test_other_memories_hold_their_rank(locomo: Suite) -> None:
    plan = Plan(locomo, k=3)
    conversation = next(plan.conversations())
    fake = FakeService()
    with fake.client() as client:
        haystack = runner.place(plan, conversation)
        runner.ingest(plan, client, haystack)
        text = "Which quince tree was planted behind the workshop?"
        client.add(messages=[{"role": "user", "content": text}], space=haystack.space)
        record = runner.ask(plan, client, haystack, conversation.questions[0])
    assert record.ranked[1].id == "D1:1"
    assert record.metrics is not None
    assert (record.metrics["turn.recall@1"], record.metrics["turn.recall@3"]) == (0, 1)


def test_batches_keep_the_order_and_both_limits() -> None:
    turns = [Turn(str(n), "s", "user", "x") for n in range(450)]
    assert [len(batch) for batch in runner.batches(turns)] == [200, 200, 50]
    long = [Turn(str(n), "s", "user", "x" * 600_000) for n in range(3)]
    assert [[turn.id for turn in batch] for batch in runner.batches(long)] == [["0"], ["1"], ["2"]]
    assert list(runner.batches([])) == []


def test_empty_turns_are_left_out_and_counted(tmp_path: Path) -> None:
    sample = locomo_sample()
    sample["conversation"]["session_1"][1]["text"] = "  "
    (tmp_path / "one.json").write_text(json.dumps(sample))
    figures = run(Plan(suites.load("locomo", tmp_path / "one.json"), k=5), FakeService(), tmp_path / "out")
    assert (figures["n.turns"], figures["n.empty_turns"]) == (3, 1)


def test_the_seed_draws_the_context_questions(locomo: Suite) -> None:
    drawn = [runner.context_sample(Plan(locomo, k=5, seed=seed, contexts=4)) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert all(len(sample) == 4 for sample in drawn)
    assert not any(name.endswith("/4") for sample in drawn for name in sample), "those are skipped"


def test_report_files(locomo: Suite, tmp_path: Path) -> None:
    figures = run(Plan(locomo, k=10), FakeService(), tmp_path)
    report.write(tmp_path, figures | {"extra": float("nan")}, locomo.notes)
    written = json.loads((tmp_path / "summary.json").read_text())
    assert written["extra"] is None
    assert written["turn.recall@10"] == 1
    text = (tmp_path / "report.md").read_text()
    assert "**turn.recall@10: 1.0000**" in text
    assert "Headline: categories 1-4." in text
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == ["recall_by_type.png", "recall_curve.png"]


def test_a_report_without_a_single_scored_question() -> None:
    text = report.render({"settings.label": "Nothing", "n.asked": 0}, [], [])
    assert "**turn.recall@10: -**" in text
    assert report.table(("a",), [("x|y",)]) == "| a |\n| --- |\n| x\\|y |"


def test_the_command_runs_a_suite(locomo: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeService()
    seen: dict[str, Any] = {}

    @contextmanager
    def serving(url: str | None, key: str | None) -> Iterator[FakeService]:
        seen.update(url=url, key=key)
        yield fake

    monkeypatch.setattr(service, "serving", serving)
    monkeypatch.setattr(service, "footprint", lambda _: None)
    out = tmp_path / "out"
    arguments = ["run", "--suite", "locomo", "--data", str(tmp_path / "locomo.json"), "--out", str(out)]
    result = CliRunner().invoke(app, [*arguments, "--limit", "2", "--url", "http://service", "--key", "k"])
    assert result.exit_code == 0, result.output
    assert seen == {"url": "http://service", "key": "k"}
    figures = json.loads((out / "summary.json").read_text())
    assert (figures["n.asked"], figures["settings.limit"], figures["settings.k"]) == (2, 2, 50)
    assert "bytes_per_memory" not in figures
    assert "turn.recall@10: 1.0000" in result.output


def test_the_command_names_what_is_wrong(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["run", "--suite", "beam", "--data", str(tmp_path / "absent")])
    assert result.exit_code == 1
    assert "no such file or folder" in result.output


def test_a_given_service_is_used_and_one_of_its_own_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    with service.serving("http://somewhere", "k") as target:
        assert asdict(target) == {"url": "http://somewhere", "key": "k", "data_dir": None}
    events = []

    class Process:
        url, api_key = "http://127.0.0.1:5", "own"

        def __init__(self, data_dir: Path) -> None:
            self.data_dir = data_dir

        def __enter__(self) -> "Process":
            events.append("started")
            return self

        def __exit__(self, *_: object) -> None:
            events.append("stopped")

    monkeypatch.setattr(service, "ServiceProcess", Process)
    with service.serving(None, None) as target:
        assert (target.url, target.key) == ("http://127.0.0.1:5", "own")
        assert target.data_dir is not None
        folder = target.data_dir.parent
        assert folder.exists()
    assert events == ["started", "stopped"]
    assert not folder.exists()


def test_footprint_needs_an_admin_key() -> None:
    target = Service("http://127.0.0.1:1", "key")
    stored = httpx.MockTransport(FakeService(spaces={"s": {}}).answer)
    assert service.footprint(target, transport=stored) == Footprint(bytes=0, memories=0)
    refused = httpx.MockTransport(lambda _: httpx.Response(403))
    assert service.footprint(target, transport=refused) is None

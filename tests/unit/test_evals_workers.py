"""The evaluation of workers: what its parts ask of a service, how they count, and what they keep."""

import json
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import httpx
import pytest
from evals_samples import FakeService, locomo_sample
from evals_upkept import Upkept
from typer.testing import CliRunner

from evals import workers_budget, workers_cost, workers_planted, workers_recall, workers_run, workers_undo, workers_year
from evals.cli import app
from evals.corpus import DatasetError
from evals.llm_server import Question
from evals.planted import cases
from evals.service import Service
from evals.workers_llm import Diligent, reply
from evals.workers_run import Order
from evals.workers_service import Target
from evals.year import simulate
from memsvc.inference.llm import Message
from memsvc.inference.llm_prompts import Prompt
from memsvc.upkeep.thinking_outputs import PROMPTS


def reach(fake: FakeService) -> Target:
    http = httpx.Client(base_url="http://127.0.0.1:1", transport=httpx.MockTransport(fake.answer))
    return Target(Service("http://127.0.0.1:1", "key"), fake.client(), http)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "locomo").mkdir()
    (tmp_path / "locomo" / "locomo.json").write_text(json.dumps([locomo_sample()]))
    return tmp_path


@pytest.fixture(autouse=True)
def _without_a_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers_budget, "sleep", lambda _: None)
    for module in (workers_recall, workers_year):
        monkeypatch.setattr(module, "unobserved", lambda _: nullcontext())


def silent(_: str) -> None:
    pass


def test_work_goes_on_while_there_is_more() -> None:
    fake = Upkept(per_run=2)
    target = reach(fake)
    target.client.add(messages=[{"role": "user", "content": f"Turn {n}."} for n in range(5)], space="s")
    runs = target.work("consolidate", "s")
    assert [len(run.changes) for run in runs] == [2, 2, 1]
    assert len(fake.facts) == 5


def test_an_error_says_what_the_service_said() -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(404, text="no such space"))
    target = replace(reach(FakeService()), http=httpx.Client(base_url="http://127.0.0.1:1", transport=transport))
    with pytest.raises(httpx.HTTPStatusError, match="no such space"):
        target.run("forget", "s")


def test_a_planted_case_is_told_session_by_session() -> None:
    for case in [replace(case, apart=apart) for case in cases()[:2] for apart in (True, False)]:
        fake = Upkept(per_run=100)
        found = workers_planted.tell(reach(fake), case)
        sessions = {(line.session, line.space) for line in case.lines}
        assert fake.runs["/v1/consolidate"] == (len(sessions) if case.apart else 0) + len(fake.spaces)
        turns = [each for each in found.memories if each.kind == "turn"]
        assert {name for each in turns for name in each.sources} == {line.id for line in case.lines}
        facts = [each for each in found.memories if each.kind == "fact"]
        assert sorted(next(iter(each.sources)) for each in facts) == sorted(line.id for line in case.lines)


def test_planted_cases_leave_a_line_each(tmp_path: Path) -> None:
    found = workers_planted.measure(reach(Upkept(per_run=100)), tmp_path, seed=0, limit=6, say=silent)
    assert found["planted.n"] == 6
    assert found["planted.supersede_recall"] == 0
    rows = [json.loads(line) for line in (tmp_path / "planted.jsonl").read_text().splitlines()]
    assert [row["case"] for row in rows] == [case.id for case in workers_planted.spread(cases(), 6)]


def test_a_few_planted_cases_are_spread_over_all() -> None:
    every = cases()
    assert workers_planted.spread(every, None) == workers_planted.spread(every, 10_000) == every
    few = workers_planted.spread(every, 60)
    assert len({case.id for case in few}) == 60
    assert len({case.category for case in few}) >= 7


def test_recall_is_asked_before_and_after_and_after_forgetting(data: Path) -> None:
    fake = Upkept(per_run=2)
    found = workers_recall.measure(reach(fake), data, forget=True, limit=None, names=("locomo",), seed=0, say=silent)
    assert found["recall.locomo.n.turns"] == 4
    assert found["recall.locomo.n.learn"] == 4
    assert found["recall.locomo.n"] == 3
    assert found["recall.locomo.recall@10.before"] == found["recall.locomo.strict.recall@10.before"] == 1
    assert found["forget.locomo.forgot_30.archived"] == 0.25
    assert found["forget.locomo.forgot_50.archived"] == 0.5
    assert len(fake.archived) == 2


def test_a_fact_counts_for_the_one_turn_that_it_is_drawn_from(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Upkept()
    target = reach(fake)
    suite = workers_recall.suites.load("locomo", data / "locomo")
    placed = workers_recall.store(target, suite, limit=None, seed=0)
    target.work("consolidate", placed.haystacks[0].space)
    space = fake.spaces[placed.haystacks[0].space]
    for turn in [one for one in space if one not in fake.facts]:
        space[turn]["content"] = "gone"
    monkeypatch.setattr(workers_recall, "K", 1)
    workers_recall.ask(target, placed, "first")
    scores = placed.rounds["first"]
    assert [score.strict for score in scores] == [0, 0, 0]
    assert scores[0].loose == 1


def test_a_difference_has_a_paired_interval() -> None:
    placed = workers_recall.Placed(cast("Any", None), [])
    score = workers_recall.Score
    placed.rounds = {
        "before": [score(0.0, 0.0), score(1.0, 1.0), score(0.5, 0.5), score(1.0, 1.0)],
        "after": [score(1.0, 0.0), score(1.0, 1.0), score(0.5, 0.5), score(1.0, 0.0)],
    }
    found = workers_recall.compare(placed, "after", "recall.x", seed=0)
    assert found["recall.x.recall@10.before"] == 0.625
    assert found["recall.x.recall@10"] == 0.875
    assert found["recall.x.difference"] == 0.25
    assert found["recall.x.strict.difference"] == -0.25
    low, high = found["recall.x.difference.ci95_low"], found["recall.x.difference.ci95_high"]
    assert cast("float", low) == 0
    assert cast("float", high) >= 0.5


def test_uses_of_a_year_are_reported_once_a_time() -> None:
    fake = Upkept()
    target = reach(fake)
    simulated = simulate(0, 0.02)
    fake.spaces["year"] = {}
    workers_year.store(target, simulated.turns)
    assert len(fake.spaces["year"]) == len(simulated.turns)
    few = replace(simulated, probes=tuple(probe for probe in simulated.probes if probe.frequent)[:3])
    found = workers_year.ask(target, few)
    workers_year.use(target, few)
    assert len(fake.feedback) == 6 * sum(found)
    assert len({each["episode"] for each in fake.feedback}) == len(fake.feedback)
    assert {each["verdict"] for each in fake.feedback} <= {"helpful"}


def test_an_undo_is_measured_against_what_was_before(data: Path) -> None:
    """Nothing comes back in the fake: the shares tell so."""
    fake = Upkept(per_run=2)
    target = reach(fake)
    conversation = next(iter(workers_recall.suites.load("locomo", data / "locomo").conversations()))
    target.client.add(messages=[{"role": "user", "content": turn.content} for turn in conversation.turns], space="s")
    undoing = workers_undo.Undoing(target, "s", conversation, say=silent)
    undoing.work("consolidate")
    undoing.work("forget")
    assert [step.name for step in undoing.steps] == ["consolidate", "consolidate"]
    found = undoing.take_back()
    assert fake.undone == [str(step.operations[0]) for step in reversed(undoing.steps)]
    assert found["undo.steps"] == 2
    assert cast("float", found["undo.exact"]) < 1
    assert found["undo.steps_exact"] == 0
    assert found["undo.steps_refused"] == 0


def test_an_undo_that_is_refused_restores_nothing(data: Path) -> None:
    fake = Upkept(per_run=2)
    target = reach(fake)
    conversation = next(iter(workers_recall.suites.load("locomo", data / "locomo").conversations()))
    target.client.add(messages=[{"role": "user", "content": "A heron on a jetty."}], space="s")
    said: list[str] = []
    undoing = workers_undo.Undoing(target, "s", conversation, say=said.append)
    undoing.work("consolidate")
    fake.refuses_undo = True
    found = undoing.take_back()
    assert (found["undo.exact"], found["undo.steps_refused"], found["undo.steps"]) == (0, 1, 1)
    assert "changed since" in said[0]


def test_answers_are_the_same_when_ids_order_and_scores_are() -> None:
    one, two = uuid4(), uuid4()
    first = (((one, 9.5), (two, 0.25)), ((one, 1.0),))
    assert workers_undo.same(first, first) == 1
    assert workers_undo.same(first, (((two, 9.5), (one, 0.25)), ((one, 1.0),))) == 0.5
    assert workers_undo.same(first, (((one, 9.5), (two, 0.2501)), ((one, 1.0),))) == 0.5
    assert workers_undo.same(first, (((one, 9.5),), ((one, 1.0),))) == 0.5
    assert workers_undo.same(first, (((one, 9.500001), (two, 0.25)), ((one, 1.0),))) == 1


def test_throughput_is_a_ratio_of_medians(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Encoder:
        def __enter__(self) -> "Encoder":
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def encode_documents(self, texts: Sequence[str]) -> float:
            return 0.1 * len(texts)

    turns = [replace(turn, id=f"{turn.id}-{n}") for n in range(200) for turn in workers_cost.real_turns(data)]
    monkeypatch.setattr(workers_cost, "EncoderProcess", Encoder)
    monkeypatch.setattr(workers_cost, "real_turns", lambda _: iter(turns))
    fake = Upkept(per_run=1000)
    found = workers_cost.measure_throughput(reach(fake), data, turns=100, rounds=3, say=silent)
    assert found["throughput.encoder.turns_per_s"] == pytest.approx(10)
    ours = cast("float", found["throughput.consolidate.turns_per_s"])
    assert found["throughput.over_encoder"] == pytest.approx(ours / 10)
    assert [len(space) for space in fake.spaces.values()] == [120, 200, 200, 200]


@pytest.mark.parametrize("prompt", PROMPTS, ids=lambda prompt: prompt.name)
def test_the_diligent_model_answers_in_the_form_of_every_prompt(prompt: Prompt[Any]) -> None:
    data: dict[str, Any] = {
        "extract_facts": {
            "most": 3,
            "attributes": [],
            "turns": [
                {"turn": 1, "speaker": "Ada", "said_at": None, "text": "Hi."},
                {"turn": 2, "speaker": "Ada", "said_at": None, "text": "I planted a quince tree behind the workshop."},
            ],
        },
        "summarize": {"most": 3, "sources": [{"source": 1, "text": "The rudder arrived. It fits."}]},
        "verify": {"sentences": [{"sentence": 1, "text": "The rudder arrived.", "sources": ["The rudder arrived."]}]},
        "judge": {"first": {"text": "a"}, "second": {"text": "b"}},
    }[prompt.name]
    model = Diligent()
    asked = {"messages": [{"role": message.role, "content": message.content} for message in _request(prompt, data)]}
    output = prompt.read(model.answer(Question(prompt.name, data, 0, asked)).text)
    assert model.calls == {prompt.name: 1}
    assert model.input_tokens > 100
    if prompt.name == "extract_facts":
        (fact,) = output.facts
        assert (fact.turn, fact.quote) == (2, "I planted a quince tree behind the workshop.")
    if prompt.name == "summarize":
        assert [sentence.text for sentence in output.sentences] == ["The rudder arrived."]


def _request(prompt: Prompt[Any], data: dict[str, Any]) -> tuple[Message, ...]:
    return prompt.request(data, max_tokens=100).messages


def test_the_diligent_model_knows_no_other_purpose() -> None:
    assert reply("guess", {}) == {}


def order(tmp_path: Path, **fields: Any) -> Order:
    return Order(data=tmp_path, out=tmp_path / "out", **fields)


def test_parts_are_kept_and_left_out_when_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[tuple[str, ...]] = []

    def fake(_: Order, group: Sequence[str], __: object) -> dict[str, Any]:
        measured.append(tuple(group))
        return {f"{part}.value": 0.25 for part in group} | {"other.value": 1.0}

    monkeypatch.setattr(workers_run, "MEASURES", dict.fromkeys(workers_run.PARTS, fake))
    first = workers_run.run(order(tmp_path, parts=("llm",)), say=silent)
    assert measured == [("llm",)]
    assert first["llm.value"] == 0.25
    assert "other.value" not in first
    both = workers_run.run(order(tmp_path, parts=("recall", "forget", "llm"), resume=True), say=silent)
    assert measured == [("llm",), ("recall", "forget")]
    assert {both["llm.value"], both["recall.value"], both["forget.value"]} == {0.25}
    assert json.loads((tmp_path / "out" / "summary.json").read_text()) == both
    workers_run.run(order(tmp_path, parts=("llm",), resume=True, seed=1), say=silent)
    assert measured[-1] == ("llm",)
    other = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert "recall.value" not in other
    assert other["settings.seed"] == 1


def test_the_report_says_which_targets_are_met() -> None:
    text = workers_run.render(
        {"planted.supersede_precision": 0.96, "planted.echo_relearned": 0.02, "undo.exact": 1.0, "llm.calls": 7}
    )
    assert "| supersede precision, planted changes | >= 0.95 | 0.9600 | yes |" in text
    assert "| echoes that are learned again | <= 0.01 | 0.0200 | **no** |" in text
    assert "| calls to a model per 1,000 turns | <= 40 | - | - |" in text
    assert "| `llm.calls` | 7 |" in text


def test_forgetting_is_measured_with_recall() -> None:
    assert workers_run.groups(("forget",)) == [("recall", "forget")]
    assert workers_run.groups(("recall", "year")) == [("recall",), ("year",)]
    assert workers_run.groups(workers_run.PARTS)[:2] == [("planted",), ("recall", "forget")]


def test_unknown_parts_and_sets_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no part guess; there are planted"):
        workers_run.read_parts(["guess"])
    with pytest.raises(DatasetError, match="no set guess"):
        workers_run.read_sets(["guess"])
    assert workers_run.read_parts(None) == workers_run.PARTS
    ran = CliRunner().invoke(app, ["workers", "--data", str(tmp_path), "--part", "guess"])
    assert ran.exit_code == 1
    assert "no part guess" in ran.output


def test_the_command_reports_its_targets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers_run, "MEASURES", dict.fromkeys(workers_run.PARTS, lambda *_: {"undo.exact": 1.0}))
    out = tmp_path / "out"
    ran = CliRunner().invoke(app, ["workers", "--data", str(tmp_path), "--out", str(out), "--part", "undo"])
    assert ran.exit_code == 0, ran.output
    assert "recalls that an undo restores exactly: 1.0000" in ran.output
    assert json.loads((out / "summary.json").read_text())["settings.year_scale"] == 0.1


def test_the_year_ends_on_the_day_of_the_run() -> None:
    today = datetime(2026, 4, 1, tzinfo=UTC)
    assert simulate(0, 0.02, today).turns[-1].at <= today

"""The ablation: which variants there are, how they are compared, why evidence is missed, and what is published."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from evals_recipes import ARMS, WEIGHTS, Recipes, built_in
from evals_samples import locomo_sample, longmemeval_instance
from typer.testing import CliRunner

from evals import ablate_failures, ablate_figures, ablate_report, ablate_run, ablate_variants
from evals.ablate_failures import Case
from evals.ablate_model import Asked, SetFigures, Storage
from evals.asking import Answer
from evals.cli import app
from evals.corpus import Conversation, Question, Turn
from evals.service import Service
from evals.workers_service import Target


def reach(fake: Recipes) -> Target:
    http = httpx.Client(base_url="http://127.0.0.1:1", transport=httpx.MockTransport(fake.answer))
    return Target(Service("http://127.0.0.1:1", "key"), fake.client(), http)


def variants() -> dict[str, Any]:
    found = ablate_variants.derive([built_in(), built_in("plain", second_stage=False)], ARMS)
    assert len({variant.name for variant in found}) == len(found)
    return {variant.name: variant.settings for variant in found}


def test_the_service_says_which_stages_find_anything() -> None:
    fake = Recipes()
    assert ablate_variants.find_arms(fake.client(), "s", WEIGHTS) == ("words", "words_window", "late")


def test_every_stage_is_removed_where_it_weighs_anything() -> None:
    found = variants()
    assert found["without words"] == {"weights": {"words": 0.0}}
    assert found["without early"] == {"weights": {"early": 0.0}}
    assert "without late" not in found, "it is off in the base"
    assert "without words + words_window" not in found, "nothing would be left that finds"


def test_arms_are_alone_and_cues_beside_them() -> None:
    found = variants()
    off = dict.fromkeys(WEIGHTS, 0.0)
    assert found["words alone"] == {"weights": {**off, "words": 2.0}}
    assert found["late alone"] == {"weights": {**off, "late": 1.0}}
    assert found["words + words_window alone"] == {"weights": {**off, "words": 2.0, "words_window": 1.0}}
    assert found["the arms alone"] == found["words + words_window alone"], "what is off in the base stays off"
    assert found["early beside the arms"] == {"weights": {**off, "words": 2.0, "words_window": 1.0, "early": 0.5}}
    assert "early alone" not in found


def test_settings_are_turned_the_other_way() -> None:
    found = variants()
    assert found["second_stage off"] == {"second_stage": False}
    assert found["archived on"] == {"archived": True}
    assert found["window off"] == {"window": [1.0]}
    assert found["diversity off"] == {"diversity": {"threshold": 0.9, "penalty": 0.0, "spread": 0.0}}
    assert found["diversity without spread"] == {"diversity": {"threshold": 0.9, "penalty": 2.0, "spread": 0.0}}
    assert found["candidates 50"] == {"candidates": 50}
    assert found["candidates 200"] == {"candidates": 200}
    assert found["balanced"] is None
    assert found["plain"] is None


def test_a_stage_that_another_recipe_uses_is_added() -> None:
    other = built_in("keen", weights={**WEIGHTS, "late": 3.0})
    found = {variant.name: variant.settings for variant in ablate_variants.derive([built_in(), other], ARMS)}
    assert found["with late"] == {"weights": {"late": 3.0}}
    assert "with late" not in variants()


def test_recipes_of_a_space_do_not_count_as_built_in() -> None:
    own = built_in("mine").model_copy(update={"version": 3})
    assert "mine" not in {variant.name for variant in ablate_variants.derive([built_in(), own], ARMS)}


def test_a_turn_counts_once_and_sessions_rank_by_their_first_turn() -> None:
    question = Question("q", "Which?", "t", gold_turns=("a", "b"), gold_sessions=("s2",))
    answer = Answer(("x", "a", "", "y", "z", "w"), ("s1", "s2"), (), 1.0, "words", degraded=False)
    found = ablate_figures.score(answer, question, ("turn.recall@5", "turn.mrr", "session.recall@5"))
    assert found == {"turn.recall@5": 0.5, "turn.mrr": 0.5, "session.recall@5": 1.0}
    deep = Answer(("x",) * 10 + ("a",), (), (), 1.0, "words", degraded=False)
    assert ablate_figures.score_oracle(deep, question) == {
        "turn.recall@10": 0.0,
        "turn.recall@50": 0.5,
        "turn.recall@200": 0.5,
        "turn.recall_any@200": 1.0,
    }


def asked(name: str, groups: tuple[str, ...], base: float, other: float) -> Asked:
    scores = {"balanced": {"turn.recall@10": base}, "other": {"turn.recall@10": other}}
    return Asked(name, groups[-1], groups, scores, {"balanced": 2.0, "other": 4.0}, {"turn.recall@200": 1.0})


def test_differences_are_paired_by_question_in_each_group() -> None:
    rows = [asked("1", ("all", "x"), 1.0, 0.0), asked("2", ("all", "y"), 0.0, 0.0), asked("3", ("alone",), 0.0, 1.0)]
    groups = ablate_figures.kept_groups(rows)
    assert {group: len(found) for group, found in groups.items()} == {"all": 2, "alone": 1, "x": 1, "y": 1}
    found = ablate_figures.differences(groups, ["balanced", "other"], ["turn.recall@10"], base="balanced", seed=0)
    assert found["all"] == {"other": {"turn.recall@10": (-0.5, -1.0, 0.0)}}
    assert found["alone"] == {"other": {"turn.recall@10": (1.0, 1.0, 1.0)}}
    assert ablate_figures.means(groups, ["other"])["all"] == {"other": {"turn.recall@10": 0.0}}


def test_a_group_of_all_questions_is_left_out() -> None:
    rows = [asked("1", ("all", "evidence by user", "x"), 1.0, 0.0), asked("2", ("all", "evidence by user", "y"), 0, 0)]
    assert list(ablate_figures.kept_groups(rows)) == ["all", "x", "y"]


def turn(name: str, session: str, content: str, speaker: str = "Ines") -> Turn:
    return Turn(name, session, "user", content, name=speaker)


BEFORE = turn("2", "s1", "Did the harbour office ever answer you about the mooring fee?", "Tomas")
TALK = (
    turn("1", "s1", "The mooring fee went up again."),
    BEFORE,
    turn("3", "s1", "Nope, still silence."),
    turn("4", "s2", "The harbour office closes at noon.", "Tomas"),
    turn("5", "s3", "From now on answer in Portuguese."),
    turn("6", "s3", "Our cat is called Biscuit."),
)


def case(text: str, gold: str, first: tuple[str, ...] = ("4",), deep: tuple[str, ...] = ("4", "3", "5", "6")) -> Case:
    sessions = tuple({one.session for one in TALK if one.id == gold})
    question = Question(f"q/{text}", text, "kind", (gold,), sessions)
    return Case(question, Conversation("c", TALK, ()), first, deep, ("The harbour office closes at noon.",))


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (case("Is there word from the harbour?", "3", deep=("4",)), "not among 200 candidates"),
        (case("Write a poem about rain", "5"), "standing instruction"),
        (case("How long did the harbour stay silent?", "3"), "asks about order or over time"),
        (case("How many answers came from the harbour?", "3"), "list or count"),
        (case("Is there word from the harbour office?", "3"), "elliptical reply"),
        (case("Is Tomas fond of a pet?", "6"), "named person other than speaker"),
        (case("Is there a pet at home?", "6"), "no word in common"),
        (case("Is the cat at the harbour office?", "6"), "other session's paraphrase"),
        (case("Is the cat called by name?", "6", first=("5",)), "other turn of the session"),
        (case("Is the cat called by name?", "6", first=()), "other"),
    ],
)
def test_a_miss_has_a_reason(found: Case, expected: str) -> None:
    assert ablate_failures.reasons(found)[0] == expected


def test_only_misses_count_and_the_worst_come_first() -> None:
    hit = case("Is the cat here?", "6", first=("6",))
    half = Case(
        Question("q/half", "Is the fee due?", "kind", ("1", "4"), ("s1", "s2")),
        Conversation("c", TALK, ()),
        ("4",),
        ("4", "1"),
        (),
    )
    missed = [case(f"Is there a pet, try {number}?", "6") for number in range(40)]
    assert ablate_failures.missing([hit, half]) == [half]
    worst = ablate_failures.worst([hit, half, *missed], seed=0)
    assert len(worst) == 30
    assert half not in worst, "half of its evidence was found"
    assert worst != ablate_failures.worst([hit, half, *missed], seed=1)
    counts = ablate_failures.count(worst)
    assert (counts["no word in common"], sum(counts.values())) == (30, 30)
    assert ablate_failures.count_all(worst)["other session's paraphrase"] == 30


def test_the_gallery_quotes_questions_ranks_and_hits() -> None:
    text = ablate_failures.render("Set", [case("Is there word from the harbour office?", "3")])
    assert "**Is there word from the harbour office?**" in text
    assert "- 3, rank 2: Ines, s1: Nope, still silence." in text
    assert "1. (Tomas, s2) The harbour office closes at noon." in text
    assert "Reason: elliptical reply. Also: no word in common, other session's paraphrase." in text


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ((-0.0123, -0.02, -0.004), "**-.012** (-.020 to -.004)"),
        ((0.001, -0.01, 0.012), "+.001 (-.010 to +.012)"),
        ((0.0001, 0.0, 0.0004), "0 (0 to 0)"),
        ((1.0, 1.0, 1.0), "**+1.000** (+1.000 to +1.000)"),
        (None, "-"),
    ],
)
def test_differences_as_they_are_printed(found: tuple[float, float, float] | None, expected: str) -> None:
    assert ablate_report.difference(found) == expected


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Recipes:
    fake = Recipes()

    @contextmanager
    def own_service() -> Iterator[Target]:
        yield reach(fake)

    monkeypatch.setattr(ablate_run, "own_service", own_service)
    monkeypatch.setattr(ablate_run, "weigh", lambda *_: Storage(8000, 8, 4, {"chunks": 9000}, {"vec": 400}))
    return fake


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "locomo").mkdir()
    (tmp_path / "locomo" / "locomo.json").write_text(json.dumps([locomo_sample()]))
    return tmp_path


def test_an_ablation_from_data_to_page(service: Recipes, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["ablate", "--data", str(data), "--out", str(out), "--suite", "locomo"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "LoCoMo: turn.recall@10 of balanced 1.000" in result.output

    kept = json.loads((out / "ablation.json").read_text())["sets"][0]
    assert kept["arms"] == list(ARMS)
    assert kept["questions"]["all"] == 3
    assert kept["questions"]["adversarial"] == 1
    assert kept["differences"]["all"]["without words"]["turn.recall@10"] == [-1.0, -1.0, -1.0]
    assert kept["differences"]["all"]["without early"]["turn.recall@10"] == [0.0, 0.0, 0.0]
    assert kept["latency"]["balanced"]["p50"] > 0
    assert kept["storage"] == {
        "bytes": 8000,
        "memories": 8,
        "turns": 4,
        "tables": {"chunks": 9000},
        "columns": {"vec": 400},
    }
    assert sum(kept["missed"].values()) == 0
    assert json.loads(json.dumps(SetFigures.from_json(kept).to_json())) == kept

    page = (out / "ablation.md").read_text()
    assert "| without words |" in page
    assert "| encoder | words |" in page
    assert "| `chunks` | 1,125 | 2,250 |" in page
    assert "| `chunks.vec`, of turns |  | 100 |" in page
    assert page.count("](img/ablation-") == 2
    assert sorted(path.name for path in (out / "img").iterdir()) == ["ablation-locomo.png", "ablation-oracle.png"]
    sample = locomo_sample()
    said = [message["text"] for message in sample["conversation"]["session_1"]]
    for words in (*said, *(question["question"] for question in sample["qa"])):
        assert words not in page
        assert words not in (out / "ablation.json").read_text()

    asked = len(service.asked)
    assert {k for _, k, _ in service.asked} == {10, 200}
    again = CliRunner().invoke(app, [*arguments, "--resume"])
    assert again.exit_code == 0
    assert "there already" in again.output
    assert len(service.asked) == asked
    assert (out / "ablation.md").read_text() == page
    assert CliRunner().invoke(app, [*arguments, "--resume", "--seed", "1"]).exit_code == 0
    assert len(service.asked) == 2 * asked


def test_sessions_are_scored_where_gold_names_them(service: Recipes, tmp_path: Path) -> None:
    (tmp_path / "longmemeval").mkdir()
    (tmp_path / "longmemeval" / "s.json").write_text(json.dumps([longmemeval_instance()]))
    out = tmp_path / "out"
    found = ablate_run.run(ablate_run.Order(tmp_path, out, ("longmemeval",)), say=lambda _: None)[0]
    assert found.metrics[-2:] == ("session.recall@5", "session.recall@10")
    assert found.values["all"]["balanced"]["session.recall@5"] == 1
    assert found.differences["all"]["without words"]["session.recall@5"] == (-1.0, -1.0, -1.0)
    page = (out / "ablation.md").read_text()
    assert "| session recall@5 | session recall@10 |" in page
    assert "| difference of session recall@5 |" in page


def test_a_query_is_known_before_variants_are_timed(service: Recipes, data: Path, tmp_path: Path) -> None:
    ablate_run.run(ablate_run.Order(data, tmp_path / "out", ("locomo",), limit=1), say=lambda _: None)
    question = locomo_sample()["qa"][0]["question"]
    timed = [(query, recipe) for query, _, recipe in service.asked][1:]
    assert timed[0] == (question, "balanced")
    assert timed[1] == (question + " ", "balanced"), "nobody asked in these letters before"
    assert {query for query, _ in timed[2:]} == {question}
    assert len({recipe for _, recipe in timed[2:]}) == len(timed[2:])


def test_learned_weights_are_one_variant_more(service: Recipes, data: Path, tmp_path: Path) -> None:
    order = ablate_run.Order(data, tmp_path / "out", ("locomo",), limit=1, weights={"words": 3.0})
    found = ablate_run.run(order, say=lambda _: None)[0]
    assert found.kinds["learned weights"] == "setting"
    assert any(weights["words"] == 3 for weights in service.recipes.values())


def test_a_file_that_holds_no_weights_is_refused(data: Path, tmp_path: Path) -> None:
    (tmp_path / "weights.json").write_text('{"format": "another"}')
    arguments = ["ablate", "--data", str(data), "--out", str(tmp_path / "out"), "--weights"]
    result = CliRunner().invoke(app, [*arguments, str(tmp_path / "weights.json")])
    assert result.exit_code == 1
    assert "no weights of version 1" in result.output

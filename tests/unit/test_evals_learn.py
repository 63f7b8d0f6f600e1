"""Learned weights of fusion: the loss, the fit, the splits, and the file."""

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
from evals_recipes import WEIGHTS, Recipes
from evals_samples import locomo_sample
from typer.testing import CliRunner

from evals import learn_fit, learn_run
from evals.cli import app
from evals.corpus import DatasetError
from evals.learn_file import read_weights
from evals.learn_fit import Listing
from evals.service import Service
from evals.workers_service import Target

BASE = np.array([1.0, 1.0, 0.5])


def listing(
    values: Sequence[Sequence[float]], *, suite: str = "one", group: str = "g", question: str = "q", gold: str = "a"
) -> Listing:
    """Candidates a, b, c... of which `gold` is the evidence."""
    turns = tuple("abcdefgh"[: len(values)])
    return Listing(suite, group, question, turns, (gold,), np.array(values, dtype=np.float64))


def telling(count: int, *, suite: str = "one", first: int = 0) -> list[Listing]:
    """Lists in which stage 0 points at the evidence, stage 1 away from it, and stage 2 is silent."""
    noise = np.random.default_rng(first).normal(scale=0.3, size=(count, 4, 2))
    found = []
    for number in range(count):
        values = np.zeros((4, 3))
        values[:, :2] = noise[number]
        values[0] += [1.0, -1.0, 0.0]
        name = f"{suite}-{first + number}"
        found.append(listing(values.tolist(), suite=suite, group=name, question=name))
    return found


def test_the_loss_of_equal_scores_is_the_logarithm_of_their_number() -> None:
    batch = learn_fit._pad([listing([[1.0], [1.0]]), listing([[2.0], [2.0], [2.0]])], np.array([1.0]))
    loss, slope = learn_fit._listwise(batch, np.array([0.7]))
    assert loss == pytest.approx((math.log(2) + math.log(3)) / 2)
    assert slope == pytest.approx([0.0])


def test_the_loss_worked_out_by_hand() -> None:
    # Scores 1 and 0, the evidence first: -log(e / (e + 1)); its slope is the guess for the other, below 0.
    loss, slope = learn_fit._listwise(learn_fit._pad([listing([[1.0], [0.0]])], np.array([1.0])), np.array([1.0]))
    assert loss == pytest.approx(math.log(1 + math.exp(-1)))
    assert slope == pytest.approx([-1 / (1 + math.e)])


def test_the_slope_is_that_of_the_loss() -> None:
    batch = learn_fit._pad(telling(5), np.ones(3))
    weights = np.array([0.3, 0.2, 0.0])
    _, slope = learn_fit._listwise(batch, weights)
    for stage in range(3):
        step = np.zeros(3)
        step[stage] = 1e-6
        ahead, behind = learn_fit._listwise(batch, weights + step)[0], learn_fit._listwise(batch, weights - step)[0]
        assert slope[stage] == pytest.approx((ahead - behind) / 2e-6, abs=1e-6)


def test_a_stage_that_points_away_is_turned_off_and_a_silent_one_left_alone() -> None:
    listings = telling(30)
    weights = learn_fit.fit(listings, BASE, l2=1e-3)
    assert weights[0] > 0
    assert weights[1] == 0
    assert weights[2] == BASE[2]
    assert learn_fit.scale(listings, weights, BASE) == pytest.approx(1), "as far apart as before"
    assert all(learn_fit.score(one, weights)["turn.recall@5"] == 1 for one in listings)


def test_every_set_weighs_the_same_however_many_questions_it_has() -> None:
    def opposed(suite: str, count: int, stage: int) -> list[Listing]:
        values = np.zeros((2, 3))
        values[0, stage] = values[1, 1 - stage] = 1.0
        return [listing(values.tolist(), suite=suite, question=str(number)) for number in range(count)]

    weights = learn_fit.fit([*opposed("small", 2, 0), *opposed("large", 40, 1)], BASE, l2=1e-3)
    assert weights[0] == pytest.approx(weights[1], rel=1e-3)


def test_lists_without_evidence_teach_nothing() -> None:
    with pytest.raises(ValueError, match="no list"):
        learn_fit.fit([listing([[1.0, 0.0, 0.0]], gold="z")], BASE, l2=1e-3)


def test_a_list_is_ranked_by_the_weights_and_misses_what_is_no_candidate() -> None:
    one = Listing("s", "g", "q", ("a", "", "c"), ("c", "z"), np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0]]))
    assert learn_fit.score(one, np.array([1.0, 0.0]))["turn.mrr"] == pytest.approx(1 / 3)
    found = learn_fit.score(one, np.array([0.0, 1.0]))
    assert (found["turn.mrr"], found["turn.recall@10"]) == (1.0, 0.5)


def test_a_set_is_measured_by_weights_that_never_saw_it() -> None:
    listings = [*telling(10, suite="one"), *telling(10, suite="two", first=50)]
    found = learn_fit.across_sets(listings, BASE, l2=1e-3)
    assert found["one"] == pytest.approx(learn_fit.fit(listings[10:], BASE, l2=1e-3))
    assert found["two"] == pytest.approx(learn_fit.fit(listings[:10], BASE, l2=1e-3))
    assert learn_fit.across_sets(listings[:10], BASE, l2=1e-3) == {}


def test_a_conversation_is_on_one_side_of_a_split() -> None:
    listings = [listing([[1.0, 0, 0], [0, 0, 0]], group=f"g{number % 7}", question=str(number)) for number in range(21)]
    folds = learn_fit.fold_of(listings)
    assert [folds["one", f"g{number}"] for number in range(7)] == [0, 1, 2, 3, 4, 0, 1]
    assert sorted(learn_fit.across_conversations(listings, BASE, l2=1e-3)) == [0, 1, 2, 3, 4]
    assert learn_fit.across_conversations(listings[:1], BASE, l2=1e-3) == {}


def test_a_comparison_is_paired_with_the_base() -> None:
    listings = [listing([[0.0, 1.0, 0], *[[1.0, 0.0, 0]] * 6], question=str(number)) for number in range(4)]
    found = learn_fit.compare(listings, lambda _: np.array([0.0, 1.0, 0.0]), np.array([1.0, 0.0, 0.0]), seed=0)
    assert found["turn.recall@5"] == (1.0, 1.0, 1.0, 1.0)
    assert found["turn.recall@10"] == (1.0, 0.0, 0.0, 0.0)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Recipes:
    fake = Recipes()

    @contextmanager
    def own_service() -> Iterator[Target]:
        http = httpx.Client(base_url="http://127.0.0.1:1", transport=httpx.MockTransport(fake.answer))
        yield Target(Service("http://127.0.0.1:1", "key"), fake.client(), http)

    monkeypatch.setattr(learn_run, "own_service", own_service)
    return fake


def test_weights_are_learned_from_what_recall_explains(service: Recipes, tmp_path: Path) -> None:
    (tmp_path / "locomo").mkdir()
    (tmp_path / "locomo" / "locomo.json").write_text(
        json.dumps([locomo_sample(), locomo_sample() | {"sample_id": "pair-2"}])
    )
    out = tmp_path / "out"
    arguments = ["learn", "--data", str(tmp_path), "--out", str(out), "--suite", "locomo"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert {k for _, k, _ in service.asked} == {100}
    assert len(service.asked) == 6, "the headline's questions"
    probing = next(iter(service.recipes.values()))
    assert probing == WEIGHTS | {"late": 1e-3}

    weights = read_weights(out / "weights.json")
    assert list(weights) == list(WEIGHTS)
    assert weights["words_window"] == 1.0, "never explained, so it keeps its own"
    kept = json.loads((out / "weights.json").read_text())
    assert kept["base_weights"] == WEIGHTS
    assert kept["training"]["questions"] == {"locomo": 6}
    assert kept["training"]["other_sets"] == {}
    assert set(kept["training"]["other_conversations"]) == {"locomo"}
    page = (out / "report.md").read_text()
    assert "| `words` | 2.0 |" in page
    for question in locomo_sample()["qa"]:
        assert question["question"] not in page + json.dumps(kept)


def test_a_value_is_what_a_stage_adds_at_weight_one(service: Recipes, tmp_path: Path) -> None:
    (tmp_path / "locomo.json").write_text(json.dumps([locomo_sample()]))
    suite = learn_run.suites.load("locomo", tmp_path / "locomo.json")
    with learn_run.own_service() as target:
        collected = learn_run.collect(target, suite, limit=1, say=lambda _: None)
    only = collected.listings[0]
    assert only.group == only.question, "a set of one conversation is split by question"
    assert only.turns[0] == "D1:1"
    assert only.values[0] == pytest.approx([3.0, 0.0, 1.0, 0.0]), "three words, rank 1; what has no weight is left out"


def test_nothing_to_learn_from_is_said(tmp_path: Path) -> None:
    suite = learn_run.suites.load("locomo", _one(tmp_path))
    collected = learn_run.Collected(suite, {"words": 1.0}, (listing([[1.0]], gold="z"),))
    with pytest.raises(DatasetError, match="no list"):
        learn_run.learn([collected], l2=1e-3, seed=0)


def _one(folder: Path) -> Path:
    path = folder / "one.json"
    path.write_text(json.dumps(locomo_sample()))
    return path

"""Metrics, ours and LongMemEval's: literal rankings with values worked out by hand."""

import math

import numpy as np
import pytest

from evals import longmemeval_official, metrics


def test_recall_is_the_share_of_the_evidence() -> None:
    found = metrics.score("turn", ["x", "a", "y", "b"], ["a", "b", "c"])
    assert found["turn.recall@1"] == 0
    assert found["turn.recall@3"] == pytest.approx(1 / 3)
    assert found["turn.recall@5"] == pytest.approx(2 / 3)
    assert found["turn.recall_any@1"] == 0
    assert found["turn.recall_any@3"] == 1
    assert found["turn.recall_all@50"] == 0
    assert metrics.score("turn", ["b", "a"], ["a", "b"])["turn.recall_all@3"] == 1


def test_standard_ndcg_discounts_from_the_second_rank_on() -> None:
    gained = 1 / math.log2(3) + 1 / math.log2(5)
    ideal = 1 + 1 / math.log2(3)
    assert metrics.ndcg(["x", "a", "y", "b"], ["a", "b"], 10) == pytest.approx(gained / ideal)
    assert metrics.ndcg(["a"], ["a"], 10) == 1
    assert metrics.ndcg(["x", "a"], ["a"], 1) == 0


def test_no_gold_is_no_score() -> None:
    assert metrics.score("turn", ["a"], []) == {}
    with pytest.raises(ValueError, match="no recall"):
        metrics.recall(["a"], [], 1)
    with pytest.raises(ValueError, match="no nDCG"):
        metrics.ndcg(["a"], [], 1)


def test_sessions_rank_by_their_first_turn() -> None:
    assert metrics.first_hits(["s2", "s1", "s2", "s3"]) == ["s2", "s1", "s3"]


def test_means_are_over_the_rows_that_have_the_key() -> None:
    assert metrics.means([{"a": 1.0, "b": 1.0}, {"a": 0.0}]) == {"a": 0.5, "b": 1.0}


def test_percentiles_and_intervals() -> None:
    assert metrics.percentile([1.0, 2.0, 3.0], 0.5) == 2
    assert math.isnan(metrics.percentile([], 0.5))
    values = [0.0, 1.0] * 50
    low, high = metrics.interval(values, seed=3, rounds=500)
    assert 0.35 < low < 0.5 < high < 0.65
    assert metrics.interval(values, seed=3, rounds=500) == (low, high)
    assert all(math.isnan(value) for value in metrics.interval([], seed=0))


def test_the_reciprocal_rank_is_that_of_the_first_gold() -> None:
    assert metrics.reciprocal_rank(["x", "b", "a"], ["a", "b"]) == 0.5
    assert metrics.reciprocal_rank(["x"], ["a"]) == 0
    assert metrics.score("turn", ["x", "y", "z", "a"], ["a"])["turn.mrr"] == 0.25
    with pytest.raises(ValueError, match="no reciprocal rank"):
        metrics.reciprocal_rank(["a"], [])


def test_paired_intervals_of_two_questions() -> None:
    # Two draws of 0 and 1 have the mean 0, .5 or 1 with the chances 1/4, 1/2, 1/4: more than 2.5% lie at either end.
    assert metrics.paired_intervals(np.array([[0.0], [1.0]]), seed=0).tolist() == [[0.0, 1.0]]


def test_a_change_that_all_questions_share_has_no_spread() -> None:
    changes = np.array([[0.25, -1.0]] * 7)
    assert metrics.paired_intervals(changes, seed=5, rounds=100) == pytest.approx(np.array([[0.25] * 2, [-1.0] * 2]))


def test_columns_are_resampled_together() -> None:
    first = np.random.default_rng(1).normal(size=50)
    found = metrics.paired_intervals(np.stack([first, 2 * first, -first], axis=1), seed=2, rounds=1500)
    assert found[1] == pytest.approx(2 * found[0])
    assert found[2] == pytest.approx(-found[0][::-1])
    again = metrics.paired_intervals(first.reshape(-1, 1), seed=2, rounds=1500)
    assert again[0] == pytest.approx(found[0]), "the same seed draws the same questions"


def test_an_interval_is_as_wide_as_the_normal_one() -> None:
    # 200 questions get better by 1, 200 by 0: mean .5, standard error .5 / 20, so .5 -+ 1.96 * .025.
    low, high = metrics.paired_intervals(np.array([[0.0], [1.0]] * 200), seed=3)[0]
    assert low == pytest.approx(0.451, abs=0.005)
    assert high == pytest.approx(0.549, abs=0.005)


def test_no_questions_have_no_interval() -> None:
    assert np.isnan(metrics.paired_intervals(np.empty((0, 2)), seed=0)).all()


CORPUS = ["other_1_1", "other_1_3", "noans_q_1", "answer_q_3", "answer_q_5", "answer_r_1"]


def test_published_dcg_counts_the_first_two_ranks_alike() -> None:
    assert longmemeval_official.dcg([1, 1, 1]) == pytest.approx(1 + 1 + 1 / math.log2(3))
    gold = {"answer_q_3", "answer_q_5", "answer_r_1"}
    ranked = ["other_1_1", "answer_q_3", "noans_q_1", "answer_r_1"]
    expected = (1 + 1 / math.log2(4)) / (1 + 1 + 1 / math.log2(3))
    assert longmemeval_official.ndcg(ranked, gold, CORPUS, 5) == pytest.approx(expected)
    assert longmemeval_official.ndcg(["answer_q_3"], gold, CORPUS, 1) == 1


def test_published_turn_scores() -> None:
    found = longmemeval_official.score(["other_1_1", "answer_q_3", "answer_q_5", "answer_r_1"], CORPUS)
    assert found["official.gold"] == 3
    assert found["official.turn.recall_any@1"] == 0
    assert found["official.turn.recall_any@3"] == 1
    assert found["official.turn.recall_all@3"] == 0
    assert found["official.turn.recall_all@5"] == 1


def test_published_session_scores_grow_until_k_sessions_are_named() -> None:
    sessions = ["answer_q", "answer_q", "other_1", "noans_q", "answer_r"]
    assert longmemeval_official.depth_for_sessions(sessions, 1) == 1
    assert longmemeval_official.depth_for_sessions(sessions, 2) == 3
    assert longmemeval_official.depth_for_sessions(sessions, 4) == 5
    assert longmemeval_official.depth_for_sessions(sessions, 9) == 9
    ranked = ["answer_q_3", "answer_q_5", "other_1_1", "noans_q_1", "answer_r_1"]
    found = longmemeval_official.score(ranked, CORPUS)
    assert found["official.session.recall_all@3"] == 0
    assert found["official.session.recall_all@5"] == 1
    assert found["official.short@1"] == 0
    assert found["official.short@3"] == 0
    assert found["official.short@10"] == 1, "five of six turns were ranked"


def test_an_empty_gold_counts_as_the_published_scripts_count_it() -> None:
    found = longmemeval_official.score(["noans_q_1"], ["noans_q_1", "other_1_1"])
    assert found["official.gold"] == 0
    assert found["official.turn.recall_any@5"] == 0
    assert found["official.turn.recall_all@5"] == 1
    assert found["official.turn.ndcg_any@5"] == 0

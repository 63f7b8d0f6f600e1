"""BM25 against values worked out by hand."""

import math

import numpy as np
import pytest

from memsvc.retrieval.bm25 import Bm25, LexicalStats, idf, score_terms

POSTING = np.dtype([("chunk", "<u4"), ("tf", "<u2"), ("length", "<u2")])
SETTINGS = Bm25(k1=1.0, b=0.5)
STATS = LexicalStats(chunks=4, mean_length=10.0)
POSTINGS = {
    "tea": np.array([(7, 1, 10), (9, 3, 20)], POSTING),
    "green": np.array([(9, 1, 20)], POSTING),
}


def test_scores_follow_the_formula() -> None:
    scores = score_terms(["tea", "green"], POSTINGS, STATS, SETTINGS)
    tea, green = math.log(1 + 2.5 / 2.5), math.log(1 + 3.5 / 1.5)
    # Chunk 9 is twice the mean length, so its k1 is multiplied by 1 - .5 + .5 * 2 = 1.5.
    assert scores.chunk.tolist() == [7, 9]
    assert scores.score == pytest.approx([tea * 2 / 2, tea * 6 / 4.5 + green * 2 / 2.5])
    assert scores.attainable == pytest.approx(tea + green)


def test_a_term_that_the_space_does_not_know_lowers_the_share() -> None:
    known = score_terms(["tea"], POSTINGS, STATS, SETTINGS)
    partly = score_terms(["tea", "zeppelin"], POSTINGS, STATS, SETTINGS)
    assert partly.score.tolist() == known.score.tolist()
    assert partly.share(partly.score)[0] < known.share(known.score)[0]


def test_repeating_a_query_term_changes_nothing() -> None:
    assert score_terms(["tea", "tea"], POSTINGS, STATS, SETTINGS).score.tolist() == pytest.approx(
        score_terms(["tea"], POSTINGS, STATS, SETTINGS).score.tolist()
    )


def test_chunks_without_a_term_score_zero() -> None:
    scores = score_terms(["tea"], POSTINGS, STATS, SETTINGS)
    assert scores.at(np.array([100, 9, 1])).tolist() == [0.0, scores.score[1], 0.0]


def test_best_breaks_ties_by_number() -> None:
    twins = {"tea": np.array([(8, 1, 10), (3, 1, 10), (5, 2, 10)], POSTING)}
    assert score_terms(["tea"], twins, STATS, SETTINGS).best(2) == [5, 3]


@pytest.mark.parametrize("terms", [[], ["zeppelin"]])
def test_nothing_matched_is_zero_everywhere(terms: list[str]) -> None:
    scores = score_terms(terms, POSTINGS, STATS, SETTINGS)
    found = scores.at(np.array([7, 9]))
    assert found.tolist() == [0.0, 0.0]
    assert scores.share(found).tolist() == [0.0, 0.0]
    assert scores.best(5) == []


def test_idf_is_never_negative_even_when_counts_lag_behind() -> None:
    assert idf(4, 4) > 0
    assert idf(3, 4) == 0.0
    assert idf(4, 1) > idf(4, 2)

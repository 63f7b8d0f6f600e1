"""Confidence: from what a recall found to a number, and to "nothing bears on it"."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memsvc.retrieval.bm25 import Bm25, LexicalStats, score_terms
from memsvc.retrieval.confidence import (
    NOTHING_FOUND,
    Findings,
    WordMatches,
    assess,
    judge,
    read_signals,
)

ENCODER = "all-MiniLM-L6-v2"
GOOD = {"around_best": 0.65, "around_fifth": 0.5, "rare_best": 0.7, "rare_twentieth": 0.35}
POOR = {"around_best": 0.25, "around_fifth": 0.2, "rare_best": 0.25, "rare_twentieth": 0.2}


def matches(rows: list[list[float]], weights: list[float] | None = None) -> WordMatches:
    given_weights = np.ones(len(rows[0]), np.float32) if weights is None else np.array(weights, np.float32)
    return WordMatches(given_weights, np.array(rows, np.float32))


def findings(
    terms: WordMatches | None,
    *,
    around: list[float] | None = None,
    tokens: WordMatches | None = None,
    lexical: list[float] | None = None,
    named: list[bool] | None = None,
) -> Findings:
    count = len(next(found.matches for found in (terms, tokens) if found is not None))
    return Findings(
        around=None if around is None else np.array(around, np.float32),
        terms=terms,
        tokens=tokens,
        lexical=np.array(lexical or [0.0] * count, np.float32),
        named=np.array(named or [False] * count, np.bool_),
    )


def test_nothing_found_is_no_evidence() -> None:
    empty = Findings(None, None, None, np.empty(0, np.float32), np.empty(0, np.bool_))
    assert assess(empty, encoder=ENCODER) == NOTHING_FOUND
    assert (NOTHING_FOUND.confidence, NOTHING_FOUND.no_evidence) == (0.0, True)


def test_good_matches_are_evidence_and_poor_ones_none() -> None:
    good, poor = judge(GOOD, encoder=ENCODER), judge(POOR, encoder=ENCODER)
    assert good.confidence is not None
    assert poor.confidence is not None
    assert good.confidence > 0.9
    assert poor.confidence < 0.2
    assert (good.no_evidence, poor.no_evidence) == (False, True)


@given(st.sampled_from(sorted(GOOD)), st.floats(0, 1), st.floats(0, 1))
def test_a_better_match_never_lowers_confidence(name: str, first: float, second: float) -> None:
    low, high = sorted((first, second))
    worse, better = judge(POOR | {name: low}, encoder=ENCODER), judge(POOR | {name: high}, encoder=ENCODER)
    assert worse.confidence is not None
    assert better.confidence is not None
    assert 0 <= worse.confidence <= better.confidence <= 1


@given(st.floats(-2, 2), st.floats(-2, 2))
def test_the_more_another_said_the_less_is_trusted(first: float, second: float) -> None:
    low, high = sorted((first, second))
    assert (judge(GOOD | {"speaker": low}, encoder=ENCODER).confidence or 0) <= (
        judge(GOOD | {"speaker": high}, encoder=ENCODER).confidence or 0
    )


def test_who_said_it_does_not_lift_what_nothing_bears_on() -> None:
    plain, praised = judge(POOR, encoder=ENCODER), judge(POOR | {"speaker": 0.9}, encoder=ENCODER)
    assert praised == type(praised)(plain.confidence, True, POOR | {"speaker": 0.9})


def test_who_said_it_decides_nothing_about_evidence() -> None:
    assert not judge(GOOD | {"speaker": -0.6}, encoder=ENCODER).no_evidence
    assert (judge(GOOD | {"speaker": -0.6}, encoder=ENCODER).confidence or 1) < 0.5


def test_a_missing_signal_counts_as_an_average_one() -> None:
    few = {name: value for name, value in GOOD.items() if name != "rare_twentieth"}
    average = 0.304  # the mean of `rare_twentieth` in confidence.json, to rounding
    found, expected = judge(few, encoder=ENCODER), judge(few | {"rare_twentieth": average}, encoder=ENCODER)
    assert found.confidence == pytest.approx(expected.confidence, abs=0.02)


@pytest.mark.parametrize(
    "signals",
    [
        GOOD,
        {"around_best": 0.65, "around_fifth": 0.5, "held": 0.9},
        {"held": 0.9, "covered": 0.8, "covered_tenth": 0.4, "rarity": 3.0},
    ],
    ids=["with tokens", "vectors and words", "words alone"],
)
def test_every_model_trusts_a_good_find(signals: dict[str, float]) -> None:
    found = judge(signals, encoder=ENCODER)
    assert found.confidence is not None
    assert found.confidence > 0.85
    assert not found.no_evidence


def test_vectors_of_another_encoder_say_nothing() -> None:
    words = {"held": 0.9, "covered": 0.8, "covered_tenth": 0.4, "rarity": 3.0}
    assert judge(POOR | words, encoder="another") == type(NOTHING_FOUND)(
        judge(words, encoder="another").confidence, False, POOR | words
    )
    silent = judge(POOR, encoder="another")
    assert (silent.confidence, silent.no_evidence) == (None, False)


def test_more_words_covered_is_more_confidence() -> None:
    terms = [[1.0, 1.0, 1.0, 0.0]], [[1.0, 1.0, 0.0, 0.0]], [[1.0, 0.0, 0.0, 0.0]], [[0.0, 0.0, 0.0, 0.0]]
    found = [assess(findings(matches(rows)), encoder=ENCODER).confidence or 0 for rows in terms]
    assert found == sorted(found, reverse=True)
    assert len(set(found)) == len(found)


def test_signals_of_a_shortlist() -> None:
    terms = matches([[1, 1], [1, 0], [0, 0]], [3.0, 1.0])
    tokens = matches([[0.9, 0.4, 0.8, 0.1], [0.5, 0.5, 0.5, 0.5], [float("nan")] * 4], [3.0, 2.0, 1.0, 0.5])
    signals = read_signals(
        findings(terms, around=[0.6, 0.5, 0.1], tokens=tokens, lexical=[0.9, 0.5, 0.0], named=[True, False, False])
    )
    assert signals == pytest.approx(
        {
            "around_best": 0.6,
            "rare_best": 0.4,  # of the first memory alone, which the named speaker said; the lightest word is not read
            "rarity": 2.0,
            "held": 1.0,
            "covered": 1.0,
            "speaker": 0.9 - 0.25,
        }
    )


def test_a_speaker_is_no_signal_where_all_said_it_or_none() -> None:
    for named in ([True, True], [False, False]):
        signals = read_signals(findings(matches([[1], [1]]), lexical=[0.9, 0.1], named=named))
        assert "speaker" not in signals


def test_which_chunks_hold_which_words() -> None:
    postings = {"row": np.array([(4, 1, 3), (7, 2, 3)], [("chunk", "<i8"), ("tf", "<u2"), ("length", "<u2")])}
    scores = score_terms(["row", "boat"], postings, LexicalStats(3, 3.0), Bm25(0.9, 0.4))
    assert scores.held(np.array([7, 5, 4])).tolist() == [[1, 0], [0, 0], [1, 0]]
    nothing = score_terms(["boat"], {}, LexicalStats(3, 3.0), Bm25(0.9, 0.4))
    assert nothing.held(np.array([7, 5])).tolist() == [[0], [0]]
    assert score_terms([], {}, LexicalStats(3, 3.0), Bm25(0.9, 0.4)).held(np.array([7])).shape == (1, 0)

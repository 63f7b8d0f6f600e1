"""Late interaction: what words weigh, whose match counts, and what a memory without codes gets."""

import numpy as np
import pytest
from numpy.typing import NDArray

from memsvc.inference.token_codes import BITS, pack, project
from memsvc.retrieval.late import OFFSETS, match, score, weigh

AXES = np.eye(BITS, dtype=np.float32)


def spans_of(query: str, *pieces: str) -> NDArray[np.int64]:
    found, at = [], 0
    for piece in pieces:
        at = query.index(piece, at)
        found.append((at, at + len(piece)))
        at += len(piece)
    return np.array(found, np.int64)


def window(own: int, *, before: int = -1, before_that: int = -1, after: int = -1) -> NDArray[np.int64]:
    by_offset = {0: own, -1: before, -2: before_that, 1: after}
    return np.array([[by_offset[offset] for offset in OFFSETS]], np.int64)


def test_a_rare_word_weighs_more_and_a_stop_word_or_mark_nothing() -> None:
    query = "Where does Ana keep bees?"
    weights = weigh(
        query, spans_of(query, "Where", "does", "Ana", "keep", "bees", "?"), {"ana": 1, "keep": 2, "bee": 4}
    )
    assert weights.tolist() == [0, 0, 1, 2, 4, 0]


def test_the_pieces_of_a_word_share_its_weight() -> None:
    query = "Ana's kayaking"
    weights = weigh(query, spans_of(query, "Ana", "'", "s", "kay", "##aking"[2:]), {"ana": 3, "kayak": 2})
    assert weights == pytest.approx([3 / 3**0.5] * 3 + [2 / 2**0.5] * 2)


def test_a_word_that_the_space_does_not_hold_still_weighs() -> None:
    query = "quartz now"
    assert weigh(query, spans_of(query, "quartz", "now"), {"quartz": 9}).tolist() == [9, 0]


def test_without_any_idf_all_words_weigh_the_same() -> None:
    query = "the quartz mine"
    assert weigh(query, spans_of(query, "the", "quartz", "mine"), {}).tolist() == [0, 1, 1]


def test_spaces_and_prefixes_outside_words_weigh_nothing() -> None:
    assert weigh("... bees", np.array([[0, 3], [4, 8]]), {"bee": 2}).tolist() == [0, 2]


def test_a_short_turn_is_read_with_its_neighbours_and_a_long_one_alone() -> None:
    asked = project(AXES[:1])
    codes = {1: pack(AXES[5:7]), 2: pack(AXES[:1]), 3: pack(AXES[5:55])}
    alone = match(codes, window(1), asked)[0, 0]
    exact = match(codes, window(2), asked)[0, 0]
    assert alone < 0.3 < 0.9 < exact
    assert match(codes, window(1, before=2), asked)[0, 0] == pytest.approx(0.92 * exact)
    assert match(codes, window(1, before_that=2), asked)[0, 0] == pytest.approx(0.85 * exact)
    assert match(codes, window(1, after=2), asked)[0, 0] == pytest.approx(0.85 * exact)
    assert match(codes, window(3, before=2), asked)[0, 0] == match(codes, window(3), asked)[0, 0]


def test_one_in_between_is_read_with_its_neighbours_in_part() -> None:
    asked = project(AXES[:1])
    codes = {1: pack(AXES[5:30]), 2: pack(AXES[:1])}
    alone, near = match(codes, window(1), asked)[0, 0], match(codes, window(2), asked)[0, 0] * 0.92
    assert match(codes, window(1, before=2), asked)[0, 0] == pytest.approx(alone + 0.5 * (near - alone))


def test_a_memory_without_codes_is_unknown_whatever_its_neighbours_say() -> None:
    asked = project(AXES[:2])
    found = match({2: pack(AXES[:1])}, np.concatenate([window(1, before=2), window(2, before=1)]), asked)
    assert np.isnan(found[0]).all()
    assert found[1, 0] > 0.9
    assert np.isnan(score(found, np.array([1, 1], np.float32))).tolist() == [True, False]


def test_no_codes_at_all_leave_everything_unknown() -> None:
    assert np.isnan(match({}, np.full((3, len(OFFSETS)), -1), project(AXES[:2]))).all()
    assert np.isnan(match({}, window(4), project(AXES[:2]))).all()


def test_a_score_is_the_weighted_mean_of_the_matches() -> None:
    matches = np.array([[1.0, 0.0], [0.5, 0.5]], np.float32)
    assert score(matches, np.array([3, 1], np.float32)).tolist() == [0.75, 0.5]
    assert np.isnan(score(matches, np.zeros(2, np.float32))).all()

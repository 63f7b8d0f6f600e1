"""Where a session's topic changes: found at the deep minimum, within the bounds of size, whatever is thrown at it."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memsvc.extraction.segments import Bounds, Segment, Vectors, buffers, segment

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
LOOSE = Bounds(most_tokens=10**6)


def topics(*sizes: int, seed: int = 1, spread: float = 0.6) -> Vectors:
    """Unit vectors around one direction for each topic, of that many turns."""
    random = np.random.default_rng(seed)
    rows = []
    for size in sizes:
        centre = random.normal(size=32)
        centre /= np.linalg.norm(centre)
        noise = random.normal(size=(size, 32))
        noise /= np.linalg.norm(noise, axis=1, keepdims=True)
        rows.append(centre + spread * noise)
    vectors = np.concatenate(rows)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def cut(vectors: Vectors, *, tokens: int = 20, bounds: Bounds = LOOSE) -> list[tuple[int, int]]:
    count = len(vectors)
    return [(one.start, one.end) for one in segment(vectors, [tokens] * count, [None] * count, bounds=bounds)]


@pytest.mark.parametrize("seed", range(5))
def test_a_change_of_topic_is_found_where_it_is(seed: int) -> None:
    assert cut(topics(8, 6, 10, seed=seed)) == [(0, 8), (8, 14), (14, 24)]


@pytest.mark.parametrize("seed", range(5))
def test_one_topic_stays_whole(seed: int) -> None:
    assert cut(topics(30, seed=seed, spread=0.3)) == [(0, 30)]


def test_one_turn_on_something_else_is_no_segment() -> None:
    vectors = topics(6, 1, 6, seed=3)
    vectors[7:] = vectors[:6]  # the same topic goes on
    assert cut(vectors) == [(0, 13)]


def test_a_change_is_cut_once_however_short_a_segment_may_be() -> None:
    assert cut(topics(8, 8), bounds=Bounds(least_turns=1, most_tokens=10**6)) == [(0, 8), (8, 16)]


@pytest.mark.parametrize("steps", [2, 4])
def test_a_slow_change_is_cut_at_its_middle_alone(steps: int) -> None:
    angles = np.concatenate([np.zeros(8), np.linspace(0, np.pi / 2, steps + 2)[1:-1], np.full(8, np.pi / 2)])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    middle = 8 + steps // 2
    assert cut(vectors, bounds=Bounds(least_turns=1, most_tokens=10**6)) == [(0, middle), (middle, 16 + steps)]


def test_nothing_and_one_turn() -> None:
    assert segment(np.empty((0, 4), np.float32), [], []) == []
    assert cut(topics(1)) == [(0, 1)]


def test_a_long_silence_ends_a_segment_however_short() -> None:
    times = [START, START + timedelta(minutes=1), None, START + timedelta(hours=9), START + timedelta(hours=9.1)]
    found = segment(topics(5), [20] * 5, times, bounds=LOOSE)
    assert found == [Segment(0, 3), Segment(3, 5)]


def test_a_segment_is_no_longer_than_the_bounds() -> None:
    assert cut(topics(30, spread=0.3), bounds=Bounds(most_turns=10, most_tokens=10**6))[-1][1] == 30
    assert max(end - start for start, end in cut(topics(30), bounds=Bounds(most_turns=10, most_tokens=10**6))) <= 10
    assert {end - start for start, end in cut(topics(20), tokens=300, bounds=Bounds(most_tokens=1500))} <= {4, 5}


def test_a_turn_over_the_limit_stands_alone() -> None:
    found = segment(topics(9), [10, 10, 10, 10, 5000, 10, 10, 10, 10], [None] * 9)
    assert Segment(4, 5) in found


def test_turns_without_vectors_show_no_change() -> None:
    vectors = topics(8, 8)
    vectors[2:4] = np.nan
    assert cut(vectors) == [(0, 8), (8, 16)]
    assert cut(np.full((12, 4), np.nan, np.float32)) == [(0, 12)]
    vectors[0] = np.nan
    assert cut(vectors) == [(0, 8), (8, 16)]


def test_the_same_turns_are_cut_the_same_way() -> None:
    vectors = topics(9, 7, 5)
    assert cut(vectors) == cut(vectors.copy())


def test_what_does_not_fit_together_is_refused() -> None:
    with pytest.raises(ValueError, match="2 vectors, 1 token counts and 2 times"):
        segment(topics(2), [1], [None, None])
    with pytest.raises(ValueError, match="bound"):
        segment(topics(2), [1, 1], [None, None], bounds=Bounds(least_turns=5, most_turns=4))


def test_short_segments_share_a_buffer_and_a_long_one_has_its_own() -> None:
    segments = [Segment(0, 2), Segment(2, 4), Segment(4, 5), Segment(5, 6)]
    tokens = [100, 100, 100, 100, 2000, 50]
    assert buffers(segments, tokens, most_tokens=450) == [segments[:2], segments[2:3], segments[3:]]
    assert buffers([], []) == []


@given(
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=6),
    seed=st.integers(0, 1000),
    least=st.integers(1, 6),
    most=st.integers(6, 40),
    limit=st.integers(50, 2000),
    data=st.data(),
)
def test_segments_cover_every_turn_once_and_keep_the_bounds(
    sizes: list[int], seed: int, least: int, most: int, limit: int, data: st.DataObject
) -> None:
    vectors = topics(*sizes, seed=seed)
    count = len(vectors)
    tokens = data.draw(st.lists(st.integers(0, 600), min_size=count, max_size=count))
    hours = data.draw(st.lists(st.none() | st.integers(0, 20), min_size=count, max_size=count))
    times = [None if hour is None else START + timedelta(hours=hour) for hour in hours]
    found = segment(vectors, tokens, times, bounds=Bounds(least, most, limit))
    assert [place for one in found for place in range(one.start, one.end)] == list(range(count))
    for one in found:
        size = one.end - one.start
        assert 1 <= size <= most
        assert size == 1 or sum(tokens[one.start : one.end]) <= limit
    put = [one for group in buffers(found, tokens, most_tokens=limit) for one in group]
    assert put == found

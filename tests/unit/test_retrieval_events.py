"""Evidence for the events that a query names, on tables small enough to reason about."""

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from retrieval_tables import evidence

from memsvc.retrieval.events import beside, cover, with_events
from memsvc.retrieval.model import Floats, ScoreSheet
from memsvc.retrieval.recipes import Weights
from memsvc.retrieval.timeline import Timeline, read_timeline


def floats(*values: float) -> Floats:
    return np.array(values, np.float32)


def scores(*values: float) -> ScoreSheet:
    numbers = np.arange(1, len(values) + 1)
    return ScoreSheet(numbers).with_column("words", floats(*values), floats(*values))


def lifted(total: Sequence[float], *share: Sequence[float], places: int = 5) -> list[float]:
    rows = np.array(share, np.float32).reshape(len(share), len(total))
    return cover(np.arange(1, len(total) + 1), floats(*total), rows, weight=4.0, places=places).tolist()


def test_the_memory_with_most_of_an_events_words_is_lifted() -> None:
    assert lifted([9, 3, 2], [0.1, 0.0, 0.9], [0.9, 0.1, 0.0]) == [4, 0, 4]


def test_it_is_lifted_to_the_first_places_however_far_behind() -> None:
    assert lifted([30, 29, 28, 1], [0, 0, 0, 0.5], places=2) == [0, 0, 0, 28]


def test_among_memories_with_like_words_the_better_one_tells_of_the_event() -> None:
    assert lifted([1, 9, 5], [0.5, 0.49, 0.5]) == [0, 4, 0]
    assert lifted([1, 9, 5], [0.5, 0.2, 0.5]) == [0, 0, 4]
    assert lifted([5, 5], [0.5, 0.5]) == [4, 0]


def test_an_event_that_no_memory_tells_of_lifts_nothing() -> None:
    assert lifted([3, 2], [0, 0], [0, 0.5]) == [0, 4]
    assert lifted([9, 1, 0], [0, 0.1, 0]) == [0, 4, 0]
    assert lifted([]) == []
    assert lifted([], [], []) == []


@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=12))
def test_both_events_stand_among_the_first(rows: list[tuple[int, int, int]]) -> None:
    total = np.array([row[0] for row in rows], np.float32)
    share = np.array([[row[1] for row in rows], [row[2] for row in rows]], np.float32) / 4
    memory = np.arange(len(rows))
    lift = cover(memory, total, share, weight=4.0, places=3)
    assert (lift >= 0).all()
    assert np.count_nonzero(lift) <= 2
    for row in np.flatnonzero(lift):
        assert np.count_nonzero(total + lift > (total + lift)[row]) <= 3


def test_what_lies_before_and_after_an_event() -> None:
    told = [evidence(number, "x", at=datetime(2024, number, 1, tzinfo=UTC)) for number in (1, 2, 3)]
    told.append(evidence(4, "x"))
    sheet = scores(1, 1, 1, 1)
    flood = floats(0, 0.8, 0, 0)
    assert beside("after", sheet, told, flood).tolist() == [0, 1, 1, 0]
    assert beside("before", sheet, told, flood).tolist() == [1, 1, 0, 0]
    assert beside("after", sheet, told, floats(0, 0, 0, 0)).tolist() == [0, 0, 0, 0]
    assert beside("after", sheet, told, floats(0, 0, 0, 0.9)).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("query", "stages"),
    [
        ("how long was it between the flood and the sale?", ["words", "event"]),
        ("what did i buy after the flood?", ["words", "side"]),
        ("list in order the things i bought", ["words"]),
        ("what did i buy?", ["words"]),
    ],
)
def test_only_what_is_asked_for_is_a_stage(query: str, stages: list[str]) -> None:
    timeline = read_timeline(query)
    told = [evidence(number, "x", at=datetime(2024, 5, number, tzinfo=UTC)) for number in (1, 2)]
    share = np.full((len(timeline.events), 2), 0.5, np.float32)
    sheet = with_events(
        scores(2, 1), told, timeline, share=share, relevance=floats(1, 1), weights=Weights(side=1, event=4)
    )
    assert list(sheet.columns) == stages


def test_an_event_that_weighs_nothing_lifts_nothing() -> None:
    timeline = read_timeline("how long was it between the flood and the sale?")
    told = [evidence(number, "x") for number in range(1, 8)]
    share = np.zeros((2, 7), np.float32)
    share[:, 6] = 1
    sheet = scores(7, 6, 5, 4, 3, 2, 1)
    for weight, stages in ((0.0, ["words"]), (4.0, ["words", "event"])):
        found = with_events(
            sheet, told, timeline, share=share, relevance=np.ones(7, np.float32), weights=Weights(event=weight)
        )
        assert list(found.columns) == stages


def test_a_side_counts_as_far_as_a_memory_is_on_the_topic() -> None:
    told = [evidence(number, "x", at=datetime(2024, 5, number, tzinfo=UTC)) for number in (1, 2)]
    sheet = with_events(
        scores(2, 1),
        told,
        Timeline(events=("the flood",), side="after"),
        share=floats(0.5, 0).reshape(1, 2),
        relevance=floats(1, 0.25),
        weights=Weights(side=2.0),
    )
    assert sheet.columns["side"].raw.tolist() == [1, 0.25]
    assert sheet.columns["side"].contribution.tolist() == [2, 0.5]

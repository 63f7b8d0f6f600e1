"""Fusion: bounded, blind to arms without signal, the same whatever the order of the rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from memsvc.retrieval.fuse import LIMIT, Scale
from memsvc.retrieval.model import ScoreSheet

VALUES = arrays(np.float32, st.integers(1, 40), elements=st.floats(-2, 2, width=32))
SPOTTED = arrays(np.float32, st.integers(1, 40), elements=st.one_of(st.just(np.nan), st.floats(-2, 2, width=32)))


def test_z_scores_of_three_values() -> None:
    values = np.array([1, 2, 3], np.float32)
    assert Scale.of(values).standardize(values) == pytest.approx([-1.224745, 0, 1.224745], abs=1e-5)


def test_what_was_not_measured_counts_as_the_mean() -> None:
    values = np.array([1, np.nan, 3], np.float32)
    assert Scale.of(values).standardize(values).tolist() == [-1, 0, 1]


def test_a_later_value_is_put_on_the_scale_of_the_table() -> None:
    scale = Scale.of(np.array([0, 2], np.float32))
    assert scale.standardize(np.array([3], np.float32)).tolist() == [2]


@pytest.mark.parametrize("values", [[], [0.3], [0.3] * 5, [np.nan] * 3])
def test_an_arm_without_signal_adds_nothing(values: list[float]) -> None:
    column = np.array(values, np.float32)
    assert Scale.of(column).standardize(column).tolist() == [0.0] * len(values)


@given(SPOTTED)
def test_no_arm_adds_more_than_the_limit(values: np.ndarray) -> None:
    scores = Scale.of(values).standardize(values)
    assert np.isfinite(scores).all()
    assert (np.abs(scores) <= LIMIT).all()


@given(VALUES, st.floats(-5, 5))
def test_an_arm_without_signal_leaves_every_rank_as_it_was(values: np.ndarray, level: float) -> None:
    memory = np.arange(len(values), dtype=np.int64)
    alone = ScoreSheet(memory).with_column("dense", values, Scale.of(values).standardize(values))
    flat = np.full(len(values), level, np.float32)
    for weak in (flat, np.full(len(values), np.nan, np.float32)):
        both = alone.with_column("lexical", weak, 8 * Scale.of(weak).standardize(weak))
        assert both.ranking().tolist() == alone.ranking().tolist()


@given(VALUES, VALUES)
def test_an_arm_cannot_overturn_a_lead_larger_than_its_bound(strong: np.ndarray, weak: np.ndarray) -> None:
    size = min(len(strong), len(weak))
    lead = np.zeros(size, np.float32)
    lead[-1] = 2 * LIMIT + 1
    sheet = ScoreSheet(np.arange(size, dtype=np.int64)).with_column("dense", lead, lead)
    sheet = sheet.with_column("weak", weak[:size], Scale.of(weak[:size]).standardize(weak[:size]))
    assert sheet.ranking()[0] == size - 1


@given(VALUES, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(values: np.ndarray, random: object) -> None:
    memory = np.arange(len(values), dtype=np.int64)
    shuffled = memory.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    ranked = []
    for rows in (memory, shuffled):
        scores = Scale.of(values[rows]).standardize(values[rows])
        sheet = ScoreSheet(memory[rows]).with_column("dense", values[rows], scores)
        ranked.append(sheet.memory[sheet.ranking()].tolist())
    assert ranked[0] == ranked[1]


def test_the_total_is_the_sum_of_what_is_explained() -> None:
    sheet = (
        ScoreSheet(np.array([4, 2], np.int64))
        .with_column("dense", np.array([0.1, 0.5], np.float32), np.array([1.0, 2.0], np.float32))
        .with_column("lexical", np.array([3.0, 0.0], np.float32), np.array([1.0, 0.0], np.float32))
    )
    assert sheet.total.tolist() == [2.0, 2.0]
    assert sheet.memory[sheet.ranking()].tolist() == [2, 4]
    assert [(part.stage, part.contribution) for part in sheet.explain(0)] == [("dense", 1.0), ("lexical", 1.0)]
    replaced = sheet.with_column("dense", sheet.total, np.zeros(2, np.float32))
    assert list(replaced.columns) == ["dense", "lexical"]
    assert replaced.total.tolist() == [1.0, 0.0]

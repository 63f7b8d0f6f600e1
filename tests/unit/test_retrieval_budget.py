"""Packing into a token budget."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memsvc.retrieval.budget import pack


@pytest.mark.parametrize(
    ("tokens", "budget", "kept"),
    [
        ([10, 20, 30], None, [0, 1, 2]),
        ([10, 20, 30], 60, [0, 1, 2]),
        ([10, 20, 30], 40, [0, 1]),
        ([50, 20, 15], 40, [1, 2]),
        ([50], 40, []),
        ([], 40, []),
    ],
)
def test_pack(tokens: list[int], budget: int | None, kept: list[int]) -> None:
    assert pack(tokens, budget) == kept


@given(st.lists(st.integers(1, 500), max_size=60), st.integers(0, 2000))
def test_it_stays_within_the_budget_in_rank_order_and_wastes_no_room(tokens: list[int], budget: int) -> None:
    kept = pack(tokens, budget)
    spent = sum(tokens[index] for index in kept)
    assert spent <= budget
    assert kept == sorted(set(kept))
    assert all(tokens[index] > budget - spent for index in range(len(tokens)) if index not in kept)


@given(st.lists(st.integers(1, 500), min_size=1, max_size=60), st.integers(0, 2000))
def test_the_best_result_is_kept_whenever_it_fits(tokens: list[int], budget: int) -> None:
    assert (0 in pack(tokens, budget)) == (tokens[0] <= budget)

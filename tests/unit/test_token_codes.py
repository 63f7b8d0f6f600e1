"""Token codes: signs of a rotation that is the same everywhere, and the cosines that they estimate."""

import numpy as np
from numpy.typing import NDArray

from memsvc.inference.token_codes import BITS, TOKEN_BYTES, TokenTable, pack, project, rotation, skipped


def unit_rows(count: int, dimension: int, *, seed: int) -> NDArray[np.float32]:
    rows = np.random.default_rng(seed).standard_normal((count, dimension))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_the_rotation_is_orthogonal_and_does_not_change() -> None:
    directions = rotation(384)
    np.testing.assert_allclose(directions.T @ directions, np.eye(BITS), atol=1e-5)
    np.testing.assert_allclose(directions[:2, :2], [[0.03396, 0.08386], [0.01657, 0.00579]], atol=1e-4)


def test_an_encoder_of_few_dimensions_has_a_rotation_too() -> None:
    assert rotation(64).shape == (64, BITS)


def test_a_code_is_a_bit_a_dimension_and_token() -> None:
    assert len(pack(unit_rows(7, 384, seed=1))) == 7 * TOKEN_BYTES == 7 * 32
    assert pack(np.empty((0, 384), np.float32)) == b""


def test_estimates_are_near_the_cosines_and_right_on_the_whole() -> None:
    base = unit_rows(200, 384, seed=2)
    query = base + 0.8 * unit_rows(200, 384, seed=3)
    query /= np.linalg.norm(query, axis=1, keepdims=True)
    exact = (base * query).sum(axis=1)
    found = TokenTable.of([pack(row.reshape(1, -1)) for row in base]).best(project(query))
    errors = np.diag(found) - exact
    assert abs(errors.mean()) < 0.01
    assert np.abs(errors).max() < 0.2


def test_the_best_of_a_text_counts_and_a_text_without_tokens_is_unknown() -> None:
    tokens = unit_rows(5, 384, seed=4)
    table = TokenTable.of([pack(tokens[:3]), b"", pack(tokens[3:])])
    assert table.counts.tolist() == [3, 0, 2]
    best = table.best(project(tokens[[1, 4]]))
    assert np.isnan(best[1]).all()
    assert best[0, 0] > 0.9 > 0.4 > best[2, 0] >= 0
    assert best[2, 1] > 0.9 > 0.4 > best[0, 1] >= 0


def test_nothing_asked_or_nothing_held_gives_empty_tables() -> None:
    assert TokenTable.of([]).best(project(unit_rows(2, 384, seed=5))).shape == (0, 2)
    assert TokenTable.of([b"", b""]).best(np.empty((0, BITS), np.float32)).shape == (2, 0)


def test_word_pieces_are_told_from_words() -> None:
    vocabulary = {"[PAD]": 0, "the": 1, "##the": 2, "ferry": 3, ".": 4, "##ing": 5, "橋": 6, "7": 7}
    assert skipped(vocabulary, [0]).tolist() == [True, True, False, False, True, False, False, False]


def test_so_they_are_in_vocabularies_that_mark_where_a_word_begins() -> None:
    vocabulary = {"<s>": 0, "\u2581the": 1, "the": 2, "\u2581ferry": 3, "\u2581": 4, "\u2581The": 5}
    assert skipped(vocabulary, [0]).tolist() == [True, True, False, False, True, True]

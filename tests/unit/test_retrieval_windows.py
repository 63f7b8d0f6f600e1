"""Chunks fold into memories, memories see their neighbours."""

import numpy as np
import pytest
from retrieval_tables import chunks

from memsvc.retrieval.model import MemoryTable
from memsvc.retrieval.windows import average, neighbour_rows

NAN = float("nan")
# Memory 20 has two chunks; memory 50 stands in no session; session 2 has a gap; rows are in no order.
TABLE = chunks(
    (5, 50, -1, -1, 0.9),
    (3, 20, 1, 1, 0.4),
    (2, 20, 1, 1, 0.2),
    (1, 10, 1, 0, 0.1),
    (4, 30, 2, 0, NAN),
    (6, 60, 2, 2, 0.6),
)


def test_memories_come_in_conversation_order() -> None:
    table = MemoryTable.of(TABLE)
    assert table.memory.tolist() == [50, 10, 20, 30, 60]


def test_a_memory_is_as_good_as_its_best_chunk() -> None:
    table = MemoryTable.of(TABLE)
    assert table.fold(TABLE.dense) == pytest.approx([0.9, 0.1, 0.4, NAN, 0.6], nan_ok=True)
    assert TABLE.chunk[table.best_rows(np.nan_to_num(TABLE.dense))].tolist() == [5, 1, 3, 4, 6]


def test_of_equal_chunks_the_first_speaks() -> None:
    table = chunks((9, 1, 1, 0, 0.5), (8, 1, 1, 0, 0.5))
    assert table.chunk[MemoryTable.of(table).best_rows(table.dense)].tolist() == [8]


def test_neighbours_are_found_by_place_within_the_session() -> None:
    rows = neighbour_rows(MemoryTable.of(TABLE), 2)
    assert rows[1].tolist() == [-1, 2, -1, -1, -1]
    assert rows[-1].tolist() == [-1, -1, 1, -1, -1]
    assert rows[2].tolist() == [-1, -1, -1, 4, -1]
    assert rows[-2].tolist() == [-1, -1, -1, -1, 3]


def test_the_first_place_of_session_zero_has_nothing_before_it() -> None:
    table = MemoryTable.of(chunks((1, 1, -1, -1, 0.5), (2, 2, 0, 0, 0.5)))
    assert neighbour_rows(table, 2)[-1].tolist() == [-1, -1]
    assert neighbour_rows(table, 2)[-2].tolist() == [-1, -1]


def test_a_window_is_the_weighted_mean_of_what_is_there() -> None:
    table = MemoryTable.of(chunks((1, 1, 1, 0, 0.1), (2, 2, 1, 1, 0.4), (3, 3, 1, 2, 1.0), (4, 4, -1, -1, 0.7)))
    values = np.array([0.7, 0.1, 0.4, 1.0], np.float32)
    mean = average(values, neighbour_rows(table, 2), (1.0, 1.0, 0.5))
    assert table.memory.tolist() == [4, 1, 2, 3]
    assert mean == pytest.approx([0.7, (0.1 + 0.4 + 0.5) / 2.5, 0.5, (1.0 + 0.4 + 0.05) / 2.5])


def test_what_is_not_embedded_yet_drops_out_of_its_window() -> None:
    table = MemoryTable.of(chunks((1, 1, 1, 0, NAN), (2, 2, 1, 1, 0.4), (3, 3, 2, 0, NAN)))
    mean = average(np.array([NAN, 0.4, NAN], np.float32), neighbour_rows(table, 2), (1.0, 1.0, 0.5))
    assert mean == pytest.approx([0.4, 0.4, NAN], nan_ok=True)

"""The stages together, on tables small enough to reason about."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from retrieval_tables import Chunks, chunks, evidence

from memsvc.retrieval.bm25 import Bm25, LexicalScores, LexicalStats, score_terms
from memsvc.retrieval.diversify import Diversity, choose
from memsvc.retrieval.query import read_query
from memsvc.retrieval.rank import exact_cosines, first_stage, outdated, second_stage, select
from memsvc.retrieval.recipes import BALANCED, FAST, RECIPES

NAN = float("nan")
NO_WORDS = LexicalScores(np.empty(0, np.int64), np.empty(0, np.float32), {})
SILENT = read_query("tea", None)
TABLE = chunks(
    (1, 1, 1, 0, 0.1),
    (2, 2, 1, 1, 0.2),
    (3, 3, 1, 2, 0.8),
    (4, 4, 2, 0, 0.3),
    (5, 5, 3, 0, NAN),
)


def words(**chunk_scores: float) -> LexicalScores:
    """Scores such as `c3=2.0`, out of an attainable 4."""
    numbers = sorted((int(name[1:]), score) for name, score in chunk_scores.items())
    return LexicalScores(
        np.array([n for n, _ in numbers], np.int64), np.array([s for _, s in numbers], np.float32), {"term": 4.0}
    )


def test_a_recipe_is_found_by_its_name() -> None:
    assert RECIPES["fast"] is FAST
    assert RECIPES["balanced"] is BALANCED


def test_the_best_by_both_arms_comes_first_and_is_explained() -> None:
    shortlist = first_stage(TABLE, words(c3=4.0), BALANCED, k=10)
    assert shortlist.sheet.memory[0] == 3
    raw = {part.stage: part.raw for part in shortlist.sheet.explain(0)}
    assert raw == pytest.approx({"dense": 0.8, "lexical": 4.0, "dense_window": 0.42, "lexical_window": 1.6})
    contribution = {part.stage: part.contribution for part in shortlist.sheet.explain(0)}
    assert contribution["lexical"] == BALANCED.weights.lexical
    assert contribution["lexical_window"] == pytest.approx(BALANCED.weights.lexical_window * 0.4)


def test_a_turn_beside_a_good_one_gains_over_a_lonely_one() -> None:
    table = chunks((1, 1, 1, 0, 0.3), (2, 2, 1, 1, 0.9), (3, 3, 2, 0, 0.3), (4, 4, 2, 1, 0.1))
    assert first_stage(table, NO_WORDS, BALANCED, k=10).sheet.memory.tolist()[:2] == [2, 1]


def test_what_has_no_vector_yet_is_found_by_its_words() -> None:
    assert first_stage(TABLE, words(c5=4.0), BALANCED, k=10).sheet.memory[0] == 5


def test_as_many_leave_as_the_recipe_says_and_never_fewer_than_asked_for() -> None:
    assert len(first_stage(TABLE, NO_WORDS, replace(BALANCED, candidates=2), k=1).sheet.memory) == 2
    assert len(first_stage(TABLE, NO_WORDS, FAST, k=3).sheet.memory) == 3


def test_the_best_of_the_time_asked_for_leave_the_first_stage_as_well() -> None:
    recipe = replace(BALANCED, candidates=1, timely=1, window=(1.0,))
    assert first_stage(TABLE, NO_WORDS, recipe, k=1).sheet.memory.tolist() == [3]
    assert first_stage(TABLE, NO_WORDS, recipe, k=1, timely=[1, 2, 99]).sheet.memory.tolist() == [3, 2]
    assert first_stage(TABLE, NO_WORDS, recipe, k=1, timely=[3]).sheet.memory.tolist() == [3]


@pytest.mark.parametrize("table", [chunks(), chunks((1, 1, -1, -1, NAN)), chunks((1, 1, 1, 0, 0.5))])
def test_tiny_tables(table: Chunks) -> None:
    shortlist = first_stage(table, NO_WORDS, BALANCED, k=10)
    assert shortlist.sheet.memory.tolist() == table.memory.tolist()
    assert shortlist.sheet.total.tolist() == [0.0] * len(table.memory)


def test_the_best_chunk_of_a_memory_is_chosen_by_both_arms() -> None:
    table = chunks((1, 1, 1, 0, 0.5), (2, 1, 1, 0, 0.4), (3, 2, 1, 1, 0.0))
    assert first_stage(table, NO_WORDS, BALANCED, k=10).best_chunk.tolist() == [1, 3]
    assert first_stage(table, words(c2=4.0), BALANCED, k=10).best_chunk.tolist() == [2, 3]


@given(st.permutations(range(5)))
def test_the_order_of_the_chunk_rows_does_not_matter(rows: list[int]) -> None:
    shuffled = Chunks(*(getattr(TABLE, field)[rows] for field in Chunks.__dataclass_fields__))
    expected = first_stage(TABLE, words(c2=1.0, c4=1.0), BALANCED, k=10)
    found = first_stage(shuffled, words(c2=1.0, c4=1.0), BALANCED, k=10)
    assert found.sheet.memory.tolist() == expected.sheet.memory.tolist()
    assert found.sheet.total.tolist() == expected.sheet.total.tolist()


def test_without_a_cue_the_second_stage_keeps_the_order_of_the_first() -> None:
    shortlist = first_stage(TABLE, words(c4=1.0), BALANCED, k=10)
    held = [evidence(int(number), "x", role=None) for number in shortlist.sheet.memory]
    sheet = second_stage(shortlist, held, SILENT, None, BALANCED)
    assert sheet.memory[sheet.ranking()].tolist() == shortlist.sheet.memory.tolist()
    assert list(sheet.columns)[4:] == [
        "speaker",
        "author",
        "statement",
        "standing",
        "date",
        "time",
        "latest",
        "order",
        "outdated",
    ]


def test_the_second_stage_follows_the_evidence_it_is_given() -> None:
    shortlist = first_stage(TABLE, NO_WORDS, BALANCED, k=10)
    sheet = second_stage(shortlist, [evidence(4, "x"), evidence(1, "x")], SILENT, None, BALANCED)
    assert sheet.memory.tolist() == [4, 1]
    assert sheet.columns["dense"].raw.tolist() == pytest.approx([0.3, 0.1])
    assert second_stage(shortlist, [], SILENT, None, BALANCED).memory.tolist() == []


def test_a_cue_lifts_what_it_speaks_of() -> None:
    shortlist = first_stage(TABLE, NO_WORDS, BALANCED, k=10)
    held = [evidence(number, "x", role="assistant" if number == 3 else "user") for number in (1, 2, 3, 4, 5)]
    query = read_query("What did you suggest?", datetime(2024, 1, 1, tzinfo=UTC))
    sheet = second_stage(shortlist, held, query, None, BALANCED)
    assert sheet.columns["author"].contribution.tolist() == [0, 0, BALANCED.weights.author, 0, 0]


def test_both_events_of_a_question_are_found() -> None:
    flood, move = words(c1=4.0), words(c5=2.0)
    query = read_query("How long was it between the flood and the move?", None)
    shortlist = first_stage(TABLE, words(c1=4.0), BALANCED, k=10, events=[flood, move])
    order = shortlist.sheet.memory.tolist()
    assert shortlist.events[:, [order.index(1), order.index(5), order.index(3)]].tolist() == [[1, 0, 0], [0, 0.5, 0]]
    held = [evidence(int(number), "x", role=None) for number in reversed(order)]
    sheet = second_stage(shortlist, held, query, None, BALANCED)
    event = dict(zip(sheet.memory.tolist(), sheet.columns["event"].contribution.tolist(), strict=True))
    assert {number for number, lift in event.items() if lift} == {1, 5}
    assert 5 in sheet.memory[sheet.ranking()].tolist()[:5]


def test_the_best_cosine_of_a_memory_counts() -> None:
    held = [
        evidence(1, "x", vectors=[[1, 0], [0.6, 0.8]]),
        evidence(2, "x"),
        evidence(3, "x", vectors=[[0, 1]]),
        evidence(4, "x", vectors=[[1, 0]]),
    ]
    cosines = exact_cosines(np.array([0, 1], np.float32), held, np.array([0.1, 0.2, NAN, 0.5], np.float32))
    assert cosines == pytest.approx([0.8, 0.2, 1.0, 0.5])


def test_a_copy_makes_room_for_something_else() -> None:
    held = [
        evidence(1, "x", vectors=[[1, 0]]),
        evidence(2, "x", vectors=[[1, 0]]),
        evidence(3, "y", vectors=[[0, 1]]),
    ]
    shortlist = first_stage(chunks((1, 1, 1, 0, 0.9), (2, 2, 2, 0, 0.89), (3, 3, 3, 0, 0.5)), NO_WORDS, BALANCED, k=3)
    sheet = second_stage(shortlist, held, SILENT, None, BALANCED)
    strict = replace(BALANCED, diversity=Diversity(threshold=0.95, penalty=10.0))
    assert sheet.memory[select(sheet, held, strict, k=3)].tolist() == [1, 3, 2]
    indulgent = replace(BALANCED, diversity=Diversity(threshold=0.95, penalty=0.0))
    assert sheet.memory[select(sheet, held, indulgent, k=3)].tolist() == [1, 2, 3]


def test_likeness_below_the_threshold_costs_nothing() -> None:
    vectors = np.array([[1, 0], [0.9, 0.43588989]], np.float32)
    chosen = choose(
        np.array([1, 2], np.int64),
        np.array([2.0, 1.0], np.float32),
        vectors,
        2,
        Diversity(threshold=0.95, penalty=5.0),
    )
    assert chosen.tolist() == [0, 1]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=20), st.integers(1, 25))
def test_choice_is_a_prefix_of_distinct_rows_and_the_best_is_never_lost(scores: list[int], k: int) -> None:
    size = len(scores)
    vectors = np.ones((size, 1), np.float32)
    score = np.array(scores, np.float32)
    memory = np.arange(size, dtype=np.int64)
    chosen = choose(memory, score, vectors, k, Diversity(threshold=0.9, penalty=2.0)).tolist()
    assert len(chosen) == len(set(chosen)) == min(k, size)
    assert chosen[0] == scores.index(max(scores))


def test_postings_of_chunks_out_of_scope_are_ignored() -> None:
    posting = np.array([(3, 1, 5), (77, 9, 5)], np.dtype([("chunk", "<u4"), ("tf", "<u2"), ("length", "<u2")]))
    scores = score_terms(["tea"], {"tea": posting}, LexicalStats(9, 5.0), Bm25(0.9, 0.4))
    assert first_stage(TABLE, scores, BALANCED, k=5).sheet.memory[0] == 3


def test_what_was_said_before_comes_behind_what_says_otherwise_since() -> None:
    memory, total = np.array([1, 2, 3, 4]), np.array([3.0, 2.0, 2.5, -1.0], np.float32)
    told = [
        replace(evidence(number, "tea"), later=later) for number, later in ((1, (2,)), (2, (3,)), (3, (9,)), (4, ()))
    ]
    left = total - outdated(memory, total, told)
    assert left[0] < left[1] < left[2] == 2.5
    assert left[3] == -1


def test_what_says_otherwise_far_behind_is_not_what_was_asked_for() -> None:
    memory, total = np.array([1, 2]), np.array([3.0, 0.5], np.float32)
    told = [replace(evidence(1, "tea"), later=(2,)), evidence(2, "tea")]
    assert outdated(memory, total, told).tolist() == [0, 0]


def spread(penalty: float, sessions: list[int] | None) -> list[int]:
    score = np.array([5, 4, 3, 2.5, 1], np.float32)
    numbers = None if sessions is None else np.array(sessions, np.int64)
    unknown = np.full((5, 1), np.nan, np.float32)
    chosen = choose(np.arange(5), score, unknown, 5, Diversity(0.95, 2.0, spread=penalty), numbers)
    return chosen.tolist()


def test_where_sessions_count_each_chosen_one_of_a_session_costs_the_others_of_it() -> None:
    assert spread(2.0, [1, 1, 1, 2, 3]) == [0, 3, 1, 4, 2]
    assert spread(2.0, [1, 1, 1, 2, 1]) == [0, 3, 1, 2, 4]


def test_where_they_do_not_count_or_there_are_none_nothing_moves() -> None:
    assert spread(2.0, None) == [0, 1, 2, 3, 4]
    assert spread(0.0, [1, 1, 1, 2, 3]) == [0, 1, 2, 3, 4]
    assert spread(2.0, [-1, -1, -1, -1, -1]) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("asked", "develops"),
    [
        ("In what order did I plan the trips?", True),
        ("How did my plans for the garden develop over the spring?", True),
        ("Summarize what we said of the boat.", True),
        ("Walk me through the order in which I raised the topics.", True),
        ("Tell me of the trips in the order from first to last.", True),
        ("What do I need in order to sail?", False),
        ("How many boats do I have?", False),
        ("Who develops the photographs?", False),
    ],
)
def test_a_question_of_a_development_is_told_from_others(asked: str, develops: bool) -> None:
    assert read_query(asked, None).develops is develops


def test_late_interaction_is_a_stage_and_what_is_unknown_counts_as_the_mean() -> None:
    shortlist = first_stage(TABLE, NO_WORDS, BALANCED, k=10)
    late = np.where(np.isin(shortlist.sheet.memory, [1, 2]), np.float32(np.nan), np.float32(0.25))
    late[shortlist.sheet.memory == 3] = 0.75
    held = [evidence(number, "x") for number in (1, 3, 4)]
    column = second_stage(shortlist, held, SILENT, None, BALANCED, late=late).columns["late"]
    assert column.raw.tolist() == [0.5, 0.75, 0.25]
    assert column.contribution.tolist() == pytest.approx([BALANCED.weights.late * share for share in (0.5, 0.75, 0.25)])
    unknown = np.full(len(late), np.nan, np.float32)
    nothing = second_stage(shortlist, held, SILENT, None, BALANCED, late=unknown).columns["late"]
    assert nothing.contribution.tolist() == [0, 0, 0]

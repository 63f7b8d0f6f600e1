"""Extractive summaries and clusters: what is chosen stands for the rest, within bounds, and says where it is from."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memsvc.extraction.clusters import Cohesion, Statement, cluster, cohesive, distinct, nearest_group
from memsvc.extraction.model import Said
from memsvc.extraction.summaries import Choice, heading, select, summarize, telling
from memsvc.text.tokens import estimate_tokens

AT = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


def said(*contents: str, speaker: str | None = "Ana", role: str | None = "user") -> list[Said]:
    return [Said(content, speaker, role, at=AT) for content in contents]


def texts(turns: list[Said], **fields: object) -> list[str]:
    return [line.text for line in summarize(turns, **fields)]


def test_what_tells_something_is_kept_and_greetings_are_not() -> None:
    turns = said(
        "Hey Ben! Great to see you!",
        "Wow, that's awesome!",
        "I signed the lease for the flat in Rua das Flores on 14 February. So happy!",
        "Thanks a lot, Ben.",
        "The moving van from Lisbon comes on Saturday at 8:30.",
    )
    assert texts(turns, most_tokens=120) == [
        "Ana, 2 March 2026: I signed the lease for the flat in Rua das Flores on 14 February.",
        "Ana, 2 March 2026: The moving van from Lisbon comes on Saturday at 8:30.",
    ]


def test_what_is_said_twice_is_kept_once() -> None:
    turns = said(
        "The cat Miso needs her heart pills twice a day.",
        "Miso the cat needs heart pills twice a day.",
        "The vet in Braga opens at ten on Mondays.",
    )
    chosen = texts(turns, most_tokens=200)
    assert sum("Miso" in line for line in chosen) == 1
    assert any("Braga" in line for line in chosen)


def test_each_theme_is_covered_before_one_is_told_in_full() -> None:
    turns = said(
        "The roof leaks above the kitchen.",
        "The kitchen ceiling is wet under the roof leak.",
        "Water drips from the kitchen ceiling when the roof leaks.",
        "My cousin Zoe marries in Kyoto next spring.",
    )
    chosen = texts(turns, most_tokens=40)
    assert len(chosen) == 2
    assert any("Zoe" in line for line in chosen)


def test_a_line_says_where_it_is_from() -> None:
    turns = said("Ok.", "Well.  The spare   key hangs behind the boiler. Sure!")
    (line,) = summarize(turns)
    assert (line.turn, line.start, line.end) == (1, 7, 47)
    assert line.text == "Ana, 2 March 2026: The spare key hangs behind the boiler."


def test_the_heading_has_what_is_known_in_the_speakers_zone() -> None:
    late = datetime(2026, 3, 2, 23, 30, tzinfo=UTC).astimezone(ZoneInfo("Asia/Tokyo"))
    assert heading(Said("x", "Ana", "user", at=late)) == "Ana, 3 March 2026: "
    assert heading(Said("x", None, "assistant", at=AT)) == "assistant, 2 March 2026: "
    assert heading(Said("x", "Ana", None)) == "Ana: "
    assert heading(Said("x", None, None)) == ""


def test_a_turn_without_sentences_is_its_own_line() -> None:
    assert texts(said("```\nx = 1\n```", speaker=None, role=None)) == ["2 March 2026: ``` x = 1 ```"]
    assert summarize([]) == []


def test_a_sentence_over_the_budget_is_cut_at_a_word() -> None:
    (line,) = texts(said("The committee decided " + "unanimously " * 40), most_tokens=20)
    assert estimate_tokens(line) <= 20
    assert line.startswith("Ana, 2 March 2026: The committee decided")
    assert not line.endswith("unanim")


def test_vectors_join_what_is_said_in_other_words() -> None:
    choices = [
        Choice("The physician prescribed new tablets.", "The physician prescribed new tablets.", 0),
        Choice("Her doctor changed which medicine she swallows.", "Her doctor changed which medicine she swallows.", 1),
        Choice("Tram line four is closed until July.", "Tram line four is closed until July.", 2),
    ]
    vectors = np.array([[1, 0], [0.999, 0.0447], [0, 1]], np.float32)
    two = estimate_tokens(choices[1].text) + estimate_tokens(choices[2].text) + 2
    assert 2 in select(choices, most_tokens=two, vectors=vectors)


def test_questions_and_the_speakers_names_tell_little() -> None:
    assert telling("Where does Rosa keep the spare key?") < telling("Rosa keeps the spare key here.")
    assert telling("Thanks so much, Caroline!", {"Caroline"}) == 0
    assert telling("Thanks so much, Caroline!") == 0


words = st.lists(
    st.sampled_from(
        ["garden", "train", "key", "lease", "roof", "doctor", "Rosa", "Kyoto", "14", "the", "is", "and", "wow"]
    ),
    max_size=12,
)


@given(contents=st.lists(words.map(" ".join), max_size=12), most=st.integers(1, 120), seed=st.integers(0, 99))
def test_a_summary_is_within_its_budget_in_order_and_quotes(contents: list[str], most: int, seed: int) -> None:
    turns = said(*(f"{content}." for content in contents))
    vectors = np.random.default_rng(seed).normal(size=(len(turns), 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    if seed % 3 == 0 and len(turns):
        vectors[0] = np.nan
    lines = summarize(turns, vectors=vectors, most_tokens=most)
    assert lines == summarize(turns, vectors=vectors, most_tokens=most)
    assert bool(lines) == bool(turns)
    assert sum(estimate_tokens(line.text) for line in lines) <= most
    assert [(line.turn, line.start) for line in lines] == sorted({(line.turn, line.start) for line in lines})
    for line in lines:
        spoken = "Ana, 2 March 2026: " + " ".join(turns[line.turn].content[line.start : line.end].split())
        assert spoken.startswith(line.text)


def near(*groups: int, seed: int = 1) -> np.ndarray:
    """Unit vectors: one direction for each group, of that many members."""
    random = np.random.default_rng(seed)
    rows = []
    for size in groups:
        centre = random.normal(size=16)
        rows.append(centre / np.linalg.norm(centre) + 0.2 * random.normal(size=(size, 16)) / 4)
    vectors = np.concatenate(rows)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def about(subject: str, count: int, tokens: int = 10) -> list[Statement]:
    return [Statement(subject, tokens)] * count


def test_what_coheres_may_be_put_together() -> None:
    assert cohesive(about("ana", 4), near(4)) == ()
    assert cohesive(about("ana", 1), near(1)) == ()


def test_what_does_not_cohere_is_told_why() -> None:
    assert cohesive([*about("ana", 2), *about("ben", 2)], near(4)) == ("2 subjects",)
    assert cohesive(about("", 2), near(2)) == ("a subject is not known",)
    assert cohesive(about("ana", 25), near(25)) == ("25 members, most 24",)
    assert cohesive(about("ana", 3, tokens=201), near(3)) == ("603 tokens, most 600",)
    apart = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    assert cohesive(about("ana", 3), apart) == ("least similarity 0.00, needs 0.15",)
    with pytest.raises(ValueError, match="2 statements and 3 vectors"):
        cohesive(about("ana", 2), near(3))


def test_statements_on_one_matter_of_one_subject_are_a_cluster() -> None:
    assert cluster(about("ana", 7), near(4, 3)) == [(0, 1, 2, 3), (4, 5, 6)]
    assert cluster([*about("ana", 2), *about("ben", 2)], near(4)) == [(0, 1), (2, 3)]
    assert cluster(about("", 4), near(4)) == []


def test_a_chain_of_neighbours_is_no_cluster() -> None:
    angles = np.linspace(0, np.pi, 9)
    chain = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    bounds = Cohesion(least_similarity=0.7, mean_similarity=0.7)
    groups = cluster(about("ana", 9), chain, bounds=bounds)
    assert max(map(len, groups)) <= 3


def test_what_all_statements_of_a_subject_share_is_left_out() -> None:
    shared = near(12, 12) + 2 * near(1, seed=9)
    shared = (shared / np.linalg.norm(shared, axis=1, keepdims=True)).astype(np.float32)
    assert len(cluster(about("ana", 24), shared)) == 1
    apart = distinct(about("ana", 24), shared)
    assert cluster(about("ana", 24), apart) == [tuple(range(12)), tuple(range(12, 24))]
    assert np.allclose(np.linalg.norm(apart, axis=1), 1)


def test_a_statement_joins_the_group_that_it_is_all_near_to() -> None:
    groups = [np.array([[1, 0], [0, 1]], np.float32), np.array([[0.8, 0.6]], np.float32)]
    assert nearest_group(np.array([1, 0], np.float32), groups) == 1
    assert nearest_group(np.array([-1, 0], np.float32), groups) is None
    assert nearest_group(np.array([1, 0], np.float32), []) is None


@given(
    subjects=st.lists(st.sampled_from(["", "ana", "ben", "zoe"]), max_size=40),
    seed=st.integers(0, 99),
    most=st.integers(2, 6),
)
def test_every_cluster_coheres_and_no_statement_is_in_two(subjects: list[str], seed: int, most: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(len(subjects), 3)).astype(np.float32)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    statements = [Statement(subject, 5) for subject in subjects]
    bounds = Cohesion(most_members=most)
    groups = cluster(statements, vectors, bounds=bounds)
    members = [place for group in groups for place in group]
    assert len(members) == len(set(members))
    for group in groups:
        assert 2 <= len(group) <= most
        assert not cohesive([statements[place] for place in group], vectors[list(group)], bounds=bounds)

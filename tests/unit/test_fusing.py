"""Fusing: nothing is lost, nothing is invented, and the order of the sources does not matter."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memsvc.errors import ConflictError, FrozenError, InvalidRequestError
from memsvc.ids import MemoryId, OperationId, SpaceId, new_uuid
from memsvc.ingest.units import Units
from memsvc.lifecycle.branches import Split, split_drift
from memsvc.lifecycle.fuse import FUSED
from memsvc.lifecycle.fusing import find_contradictions, new_memory, plan_fuse, split_duplicates
from memsvc.store.branches import Drift
from memsvc.store.copies import renumber
from memsvc.store.memories import Record
from memsvc.store.spaces import Space
from memsvc.store.writes import POSTING
from memsvc.text.analysis import analyze, fold
from memsvc.text.chunking import sentences

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SPACE = SpaceId(UUID(int=1))


def record(number: int, content: str, **fields: object) -> Record:
    values = {
        "id": MemoryId(UUID(int=1000 + number)),
        "space_id": SPACE,
        "space": "home",
        "number": number,
        "kind": "fact",
        "payload_type": "plaintext",
        "content": content,
        "content_number": number,
        "role": None,
        "name": None,
        "session": None,
        "session_number": None,
        "position": None,
        "origin": "user_input",
        "actor": "tester",
        "occurred_at": None,
        "occurred_zone": None,
        "valid_from": None,
        "valid_from_precision": None,
        "valid_to": None,
        "valid_to_precision": None,
        "superseded_by": None,
        "recorded_at": NOW + timedelta(seconds=number),
        "updated_at": NOW,
        "operation_id": OperationId(UUID(int=7)),
        "state": "generated",
        "version": 1,
        "importance": 0.5,
        "strength": 1.0,
        "trust": 0.5,
        "access_count": 0,
        "last_accessed_at": None,
        "sensitivity": "normal",
        "visibility": "space",
        "expires_at": None,
        "retained_until": None,
        "legal_hold": False,
        "content_hash": content,
        "searchable": True,
        "metadata": {},
    }
    return Record(**{**values, **fields})  # type: ignore[arg-type]


WORDS = ("Ana", "Rui", "lives", "in", "Porto", "Lisbon", "3", "42", "never", "is not", "green", "tea", "Café", "木曜日")
spoken = st.lists(st.sampled_from(WORDS), min_size=1, max_size=6).map(" ".join)
ended = st.builds(lambda words, mark: words + mark, spoken, st.sampled_from([".", "!", "?", "。", "...", "", '."']))
contents = st.lists(ended, min_size=1, max_size=5).map(" ".join)
sources = st.lists(contents, min_size=2, max_size=6)


def said(text: str) -> set[tuple[frozenset[str], str]]:
    """What a text says: terms for comparison, and the folded words where there are no terms."""
    return {
        (frozenset(analyze(sentence)), "" if analyze(sentence) else " ".join(fold(sentence).split()))
        for sentence in sentences(text)
    }


@given(sources)
def test_every_sentence_of_a_source_is_represented_and_nothing_else_appears(texts: list[str]) -> None:
    fused = plan_fuse([record(number, text) for number, text in enumerate(texts)], None).fused
    every = [sentence for text in texts for sentence in sentences(text)]
    assert said(fused.text) == set().union(*(said(text) for text in texts))
    assert set(fused.text.split("\n")) <= {part for sentence in every for part in sentence.split("\n")}


@given(sources, st.randoms())
def test_the_order_of_the_sources_changes_nothing(texts: list[str], random: object) -> None:
    records = [record(number, text) for number, text in enumerate(texts)]
    shuffled = list(records)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert plan_fuse(shuffled, None) == plan_fuse(records, None)


@given(sources)
def test_fusing_what_was_fused_changes_nothing(texts: list[str]) -> None:
    fused = plan_fuse([record(number, text) for number, text in enumerate(texts)], None).fused.text
    again = plan_fuse([record(1, fused), record(2, fused)], None).fused
    assert again.text == fused


def test_contradictions_stand_side_by_side_and_are_listed() -> None:
    fused = plan_fuse([record(1, "Ana lives in Porto."), record(2, "Ana lives in Lisbon. She likes tea.")], None).fused
    assert fused.text == "Ana lives in Porto.\nAna lives in Lisbon.\nShe likes tea."
    assert [(one.first, one.second) for one in fused.conflicts] == [("Ana lives in Porto.", "Ana lives in Lisbon.")]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"state": "archived"}, FrozenError),
        ({"state": "quarantined"}, FrozenError),
        ({"superseded_by": MemoryId(UUID(int=5))}, ConflictError),
        ({"payload_type": "activation"}, ConflictError),
        ({"space_id": SpaceId(UUID(int=2))}, ConflictError),
    ],
)
def test_what_cannot_be_fused_is_refused(changes: dict, error: type[Exception]) -> None:
    with pytest.raises(error):
        plan_fuse([record(1, "One."), replace(record(2, "Two."), **changes)], None)
    with pytest.raises(InvalidRequestError):
        plan_fuse([record(1, "One.")], None)


def test_the_fused_header_is_as_wide_in_time_and_as_closely_kept_as_its_sources() -> None:
    first = record(
        1,
        "One.",
        importance=0.9,
        trust=0.2,
        visibility="private",
        valid_from=NOW,
        valid_from_precision="year",
        valid_to=NOW + timedelta(days=1),
        occurred_at=NOW,
        metadata={"a": 1, "b": 1},
    )
    second = record(
        2,
        "Two.",
        sensitivity="sensitive",
        valid_from=NOW - timedelta(days=9),
        valid_from_precision="day",
        expires_at=NOW + timedelta(days=3),
        metadata={"a": 1, "b": 2, "c": 3},
        state="frozen",
    )
    plan = plan_fuse([second, first], None)
    space = Space(SPACE, "home", 10, 10, False, 0, {})
    made = new_memory(plan, space, Units((), ()), np.empty((0, 4), np.float32), now=NOW)
    assert (made.kind, made.state, made.origin, made.number) == ("fact", "merged", FUSED, 10)
    assert (made.importance, made.trust, made.visibility, made.sensitivity) == (0.9, 0.2, "private", "sensitive")
    assert (made.valid_from, made.valid_from_precision, made.valid_to) == (NOW - timedelta(days=9), "day", None)
    assert (made.occurred_at, made.expires_at) == (NOW, NOW + timedelta(days=3))
    assert made.metadata == {"a": 1, "c": 3}
    assert (plan.frozen, plan.archived) == ((second.id,), (first.id,))


def test_the_kind_is_the_shared_one_unless_turns_or_several_are_fused() -> None:
    assert plan_fuse([record(1, "A b.", kind="preference"), record(2, "C d.", kind="preference")], None).kind == (
        "preference"
    )
    assert plan_fuse([record(1, "A b.", kind="turn"), record(2, "C d.", kind="turn")], None).kind == "fact"
    assert plan_fuse([record(1, "A b.", kind="concept"), record(2, "C d.")], None).kind == "fact"
    assert plan_fuse([record(1, "A b."), record(2, "C d.")], "summary").kind == "summary"


def test_the_nth_of_equal_memories_is_a_duplicate_of_the_nth() -> None:
    standing = [record(1, "One."), record(2, "Two.", name="Ana")]
    incoming = [record(11, "One."), record(12, "One."), record(13, "Two."), record(14, "Two.", name="Ana")]
    fresh, duplicates = split_duplicates(incoming, standing, {})
    assert [one.number for one in fresh] == [12, 13]
    assert [one.number for one in duplicates] == [11, 14]


def test_contradictions_are_looked_for_where_terms_are_shared() -> None:
    standing = [record(number, f"Number {number} likes word{number}.") for number in range(200)]
    standing.append(record(900, "Ana lives in Lisbon."))
    found = find_contradictions([record(1000, "Ana lives in Porto."), record(1001, "Nothing of that.")], standing)
    assert [(one.first, one.second) for one in found] == [("Ana lives in Porto.", "Ana lives in Lisbon.")]


def test_a_rollback_leaves_what_is_frozen_held_or_quarantined() -> None:
    ids = [MemoryId(new_uuid()) for _ in range(6)]
    drifted = [
        Drift(ids[0], 1, "generated", False, True, True),
        Drift(ids[1], None, "generated", False, True, True),
        Drift(ids[2], 1, "frozen", False, True, True),
        Drift(ids[3], None, "activated", True, True, True),
        Drift(ids[4], 2, "quarantined", False, True, True),
        Drift(ids[5], 2, "generated", False, True, False),
    ]
    assert split_drift(drifted) == Split(
        restored={ids[0]: 1},
        archived=[ids[1]],
        kept=[
            (ids[2], "frozen"),
            (ids[3], "legal_hold"),
            (ids[4], "quarantined"),
            (ids[5], "not_permitted"),
        ],
    )


def test_lexical_entries_are_renumbered_in_order_and_others_left_out() -> None:
    def entries(*chunks: int) -> bytes:
        return np.array([(chunk, 1, 5) for chunk in chunks], POSTING).tobytes()

    rows = [("apple", entries(3, 9, 5)), ("pear", entries(4)), ("plum", entries(9))]
    copied = renumber(rows, np.array([9, 3, 5]), first=100)
    assert copied == {"apple": entries(100, 101, 102), "plum": entries(100)}

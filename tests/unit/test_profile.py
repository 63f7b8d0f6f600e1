"""Which facts are proposed for the core memory: lasting, sure, of the main user, and not there yet."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from memsvc.ids import MemoryId
from memsvc.store.topics import Claim
from memsvc.upkeep.profile import as_changes, main_subject, propose_core

HOME = Claim(
    id=MemoryId(UUID(int=1)),
    kind="fact",
    content="Ana lives in Porto",
    subject="ana",
    attribute="home",
    confidence=0.85,
    importance=0.5,
    sources=1,
    used=0,
    speaker="Ana",
    role="user",
    type="fact",
    said_at=datetime(2026, 3, 2, tzinfo=UTC),
)


def claim(number: int, content: str, **fields: object) -> Claim:
    return replace(HOME, id=MemoryId(UUID(int=number)), content=content, attribute=f"matter {number}", **fields)


def proposed(*claims: Claim) -> list[str]:
    return [line for one in propose_core(claims, []) for line in one.text.splitlines()]


def test_a_sure_fact_of_the_user_is_proposed() -> None:
    (one,) = propose_core([HOME], [])
    assert (one.label, one.text, one.sources) == ("profile", "Ana lives in Porto.", (HOME.id,))


@pytest.mark.parametrize(
    "fields",
    [
        {"confidence": 0.4},
        {"type": "event"},
        {"type": "answer"},
        {"attribute": ""},
        {"kind": "preference", "confidence": 0.8},
        {"kind": "concept"},
    ],
)
def test_what_may_not_last_or_is_not_sure_is_not(fields: dict) -> None:
    assert proposed(replace(HOME, **fields)) == []


@pytest.mark.parametrize("fields", [{"sources": 2}, {"importance": 0.8}])
def test_what_is_repeated_or_important_is(fields: dict) -> None:
    assert proposed(replace(HOME, confidence=0.4, **fields)) == ["Ana lives in Porto."]


def test_each_kind_has_its_section() -> None:
    likes = claim(2, "Ana loves fado.", kind="preference", confidence=0.9)
    asks = claim(3, "Ana asks: always answer in metric units", kind="procedure", confidence=0.8)
    assert [(one.label, one.text) for one in propose_core([asks, HOME, likes], [])] == [
        ("profile", "Ana lives in Porto."),
        ("preferences", "Ana loves fado."),
        ("instructions", "Ana asks: always answer in metric units."),
    ]


def test_it_is_about_who_says_most_of_himself() -> None:
    rosa = claim(4, "Rosa is a vet", subject="rosa", sources=9)
    ben = [claim(5 + n, f"Ben owns bike {n}", subject="ben", speaker="Ben") for n in range(2)]
    assert main_subject([HOME, rosa, *ben]) == "ben"
    assert proposed(HOME, rosa, *ben) == ["Ben owns bike 0.", "Ben owns bike 1."]
    assert main_subject([replace(HOME, role="assistant")]) is None
    assert propose_core([], []) == []
    assert main_subject([replace(HOME, subject="the user", speaker=None)]) == "the user"


def test_the_bounds_hold() -> None:
    many = [claim(number, f"Ana knows fact number {number} " + "very well " * 8) for number in range(2, 60)]
    texts = [one.text for one in propose_core(many, [])]
    assert len(texts) == 1
    assert 600 < len(texts[0]) <= 800  # 200 tokens of four characters


def test_proposals_are_listed_as_changes_that_change_nothing() -> None:
    proposals = propose_core([HOME], [])
    (change,) = as_changes(proposals, [])
    assert (change.action, change.sources, change.content) == ("propose", (HOME.id,), "Ana lives in Porto.")
    assert "Porto" not in change.reason

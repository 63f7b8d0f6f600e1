"""Assertions that tell of a change, and what they may be the end of."""

from datetime import UTC, datetime

import pytest

from memsvc.extraction.model import Said
from memsvc.extraction.shifts import Assertion, assertions, differs, fact_of, names

AT = datetime(2026, 3, 4, 10, tzinfo=UTC)


def said(content: str, role: str = "user") -> Said:
    return Said(content, "Ana", role, at=AT)


def one(content: str) -> Assertion:
    [found] = assertions(said(content))
    return found


@pytest.mark.parametrize(
    "content",
    [
        "Is the shop on Fern Street?",
        "I wish the shop was on Fern Street.",
        "If the shop moves to Fern Street I will walk.",
        "I might move the shop to Fern Street.",
        "Ben said “my shop is on Fern Street”.",
        "I think the shop on Fern Street is lovely.",
        "You said that my shop is on Fern Street.",
        "Today the shop is on Fern Street.",
        "We visited the shop on Fern Street.",
        "That was a shop on Fern Street.",
    ],
)
def test_what_asserts_nothing_that_lasts(content: str) -> None:
    assert assertions(said(content)) == []


def test_an_assistant_asserts_nothing() -> None:
    assert assertions(said("The shop is on Fern Street.", role="assistant")) == []


def test_an_assertion_stands_where_it_was_said() -> None:
    content = "Hi Ben! The raised bed is all Nantes carrots now. Bye."
    [found] = [each for each in assertions(said(content)) if each.values]
    assert content[found.start : found.end] == found.text == "The raised bed is all Nantes carrots now"
    assert found.values == {("name", "nantes")}
    assert found.changes


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Our dog is on Harringtons lamb.", "We moved the dog from Harringtons to Purina One."),
        ("My hull insurance is with Seaward.", "No more Seaward for the hull, it was too dear."),
        ("I see my physio on Tuesdays at 8 am.", "My physio has moved me from Tuesdays at 8 am to Fridays at 9 am."),
    ],
)
def test_it_names_what_it_ends(old: str, new: str) -> None:
    assert names(one(old), one(new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("My ring size is 54.", "My ring size is 56."),
        ("Our milk comes from Oat Hill.", "Our milk comes from Birch Farm now."),
        ("We keep the kiln at 1200 degrees.", "the kiln is at 1180 degrees these days"),
        ("My allowance for books is 40 euros.", "My allowance for books has changed, it's 60 euros a month."),
        ("I sing tenor in the parish choir.", "I sing bass in the parish choir now."),
        ("Fern Hall is where we rehearse, the lease runs on.", "Mill Barn is where we rehearse these days."),
    ],
)
def test_it_gives_another_value(old: str, new: str) -> None:
    assert differs(one(old), one(new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("My ring size is 54.", "My ring size is 54."),
        ("Gate 4 is shut until Monday.", "Gate 7 is shut until Monday."),
        ("I live near Fern Hall.", "My sister lives near Mill Barn now."),
        ("I have a son called Milo.", "I have a son called Anton."),
        ("Our Atlas tickets live in Jira.", "Our Heron deadline is 9 April now."),
        ("Our house was built in 1932.", "Our house was built in 1954."),
        ("I speak Portuguese.", "I speak Finnish."),
        ("Quarry is hosted on Azure.", "Lantern is hosted on Scaleway now."),
    ],
)
def test_it_leaves_room_for_both(old: str, new: str) -> None:
    assert not names(one(old), one(new))
    assert not differs(one(old), one(new))


def test_a_correction_speaks_of_what_comes_next() -> None:
    content = "Correction: I got my ring size wrong earlier. My ring is a 56."
    [told] = assertions(said(content))
    assert (told.start, told.end) == (0, len(content) - 1)
    assert told.corrects
    assert differs(one("I wear rings of size 54."), told)


def test_as_a_fact_it_needs_no_context() -> None:
    turn = said("My raised bed is all Nantes carrots now.")
    fact = fact_of(turn, one(turn.content))
    assert fact.text == "Ana's raised bed is all Nantes carrots now"
    assert (fact.subject, fact.attribute, fact.value) == ("ana", "", "ana's raised bed is all nantes carrots now")
    assert (fact.start, fact.end) == (0, 39)

"""How a query speaks of events."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memsvc.retrieval.timeline import read_timeline


@pytest.mark.parametrize(
    ("query", "events"),
    [
        ("how long was it between the flood and the move to oslo?", ("the flood", "the move to oslo")),
        (
            "how many days passed between when i ordered the desk and when it was delivered?",
            ("ordered the desk", "it was delivered"),
        ),
        (
            "how many weeks are there between planting beans and peas and the first harvest?",
            ("planting beans and peas", "the first harvest"),
        ),
        (
            "how many months were between the day i quit and the day i was hired by bo and co?",
            ("quit", "was hired by bo and co"),
        ),
        ("how many days went by from when we left to when we arrived in lima", ("left", "arrived in lima")),
        ("how long is it from the audit to the launch?", ("the audit", "the launch")),
        ("what happened between the audit and the launch?", ("the audit", "the launch")),
        ("how long had i been skiing when i broke my leg?", ("skiing", "broke my leg")),
        ("how many weeks had passed since i met ada when we moved in?", ("met ada", "moved in")),
        ("how long did the repair take before the car was sold?", ("the repair take", "the car was sold")),
        (
            "how long did it take me to sew the quilt after i got the wool?",
            ("sew the quilt", "got the wool"),
        ),
        ("how many days after the storm did the power return?", ("the storm", "the power return")),
        ("how long before the wedding was the venue booked?", ("the wedding", "the venue booked")),
        ("which came first, the puppy or the sofa?", ("the puppy", "the sofa")),
        ("which did i visit first: bern, the lake or chur?", ("bern", "the lake", "chur")),
        ("what happened earlier, my promotion or the strike?", ("my promotion", "the strike")),
        ("who moved out first, bo or ada?", ("bo", "ada")),
        ("did i sell the boat before or after the storm?", ("sell the boat", "the storm")),
        ("was the roof fixed before the storm?", ("the roof fixed", "the storm")),
        ("put these in order: the roof, the boat, and the storm", ("the roof", "the boat", "the storm")),
        ("in what order did i visit bern, chur and the lake?", ("bern", "chur", "the lake")),
    ],
)
def test_events_that_are_compared(query: str, events: tuple[str, ...]) -> None:
    timeline = read_timeline(query)
    assert timeline.events == events
    assert timeline.side is None
    assert timeline.order is None


@pytest.mark.parametrize(
    ("query", "side", "event"),
    [
        ("what did i buy after the flood?", "after", "the flood"),
        ("where did ada live before moving to oslo?", "before", "moving to oslo"),
        ("before i met bo, which club was i in?", "before", "met bo"),
        ("who called following the audit?", "after", "the audit"),
        ("what was the plan prior to the audit?", "before", "the audit"),
    ],
)
def test_what_lies_beside_an_event(query: str, side: str, event: str) -> None:
    timeline = read_timeline(query)
    assert (timeline.side, timeline.events) == (side, (event,))


@pytest.mark.parametrize(
    ("query", "order"),
    [
        ("when was the first time i flew?", "first"),
        ("what did i first say about the boat?", "first"),
        ("when did ada first mention the boat?", "first"),
        ("what is my earliest memory of oslo?", "first"),
        ("who was my first teacher?", "first"),
        ("when did bo start learning greek?", "first"),
        ("what was the original plan?", "first"),
        ("when did i last see ada?", "last"),
        ("where did we go the last time?", "last"),
        ("what is my first name?", None),
        ("how do i start learning greek?", None),
        ("what did i do last week?", None),
        ("who won first place?", None),
    ],
)
def test_the_first_and_the_last_of_a_kind(query: str, order: str | None) -> None:
    assert read_timeline(query).order == order


@pytest.mark.parametrize(
    ("query", "topic"),
    [
        ("can you list the order in which i brought up my garden?", "my garden"),
        ("in what order did i mention different aspects of the house sale?", "the house sale"),
        ("list in chronological order my trips to norway", "my trips to norway"),
        ("walk me through the timeline of events in the dispute", "events in the dispute"),
        ("describe the concerts from first to last. mention only five items.", "the concerts"),
        ("in order, throughout our conversations?", None),
    ],
)
def test_things_in_their_order_are_about_a_topic(query: str, topic: str | None) -> None:
    timeline = read_timeline(query)
    assert timeline.sequence
    assert timeline.topic == topic


@pytest.mark.parametrize(
    "query",
    [
        "what is the difference between bern and chur?",
        "what did the order i placed at the bakery cost?",
        "what must i do in order to renew my passport?",
        "how did the film inspire following dreams?",
        "how many chairs do i have after adding the new ones and before the sale?",
        "after how many weeks did bo write?",
        "what did i do before 3 may 2023?",
        "is it from ada to bo?",
        "",
    ],
)
def test_what_compares_no_events(query: str) -> None:
    timeline = read_timeline(query)
    assert not timeline.sequence
    assert len(timeline.events) < 2
    assert "2023" not in " ".join(timeline.events)


def test_a_long_text_is_read_at_its_beginning_alone() -> None:
    query = "which came first, the puppy or the sofa?"
    assert read_timeline(query + " " * 990 + "in chronological order").events == ("the puppy", "the sofa")
    assert not read_timeline(" what" * 5000 + " in chronological order").sequence


WORDS = st.lists(
    st.sampled_from(
        (
            "how long",
            "many days",
            "between",
            "from",
            "when did",
            "before",
            "after",
            "i",
            "and",
            "or",
            "to",
            "order",
            "first,",
        )
    )
)


@given(WORDS)
def test_no_row_of_words_is_too_odd(words: list[str]) -> None:
    timeline = read_timeline(" ".join(words))
    assert all(timeline.events)
    assert timeline.side is None or len(timeline.events) == 1

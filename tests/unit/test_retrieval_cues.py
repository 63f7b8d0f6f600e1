"""What a query asks for beyond its topic, and who answers to it."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from retrieval_tables import evidence

from memsvc.retrieval import cues
from memsvc.retrieval.query import QueryReading, matched_terms, read_query, spans

ASKED_AT = datetime(2024, 5, 15, 12, tzinfo=UTC)


def read(query: str) -> QueryReading:
    return read_query(query, ASKED_AT)


@pytest.mark.parametrize(
    ("query", "author"),
    [
        ("What is my dog called?", "user"),
        ("Which of the books did I mention first?", "user"),
        ("What did you recommend for my back pain?", "assistant"),
        ("What was the restaurant you told me about?", "assistant"),
        ("You previously suggested a tool for this; which?", "assistant"),
        ("I liked your advice on sleep. What was it?", "assistant"),
        ("In our previous conversation there was a list", "assistant"),
        ("Can you recommend a film for me?", "user"),
        ("Can you summarize how my project went?", None),
        ("Can you summarize what I said about my project?", "user"),
        ("Where does Ada live?", None),
        ("", None),
    ],
)
def test_whose_words_a_query_asks_for(query: str, author: str | None) -> None:
    assert read(query).author == author


@pytest.mark.parametrize(
    ("query", "when", "latest"),
    [
        ("When did Ada move?", True, False),
        ("How many weeks did it take?", True, False),
        ("What is Ada's current job?", False, True),
        ("Do I still own the boat?", False, True),
        ("What am I reading these days?", False, True),
        ("Whenever it snows in Knowle", False, False),
    ],
)
def test_time_questions(query: str, when: bool, latest: bool) -> None:
    assert (read(query).asks_when, read(query).asks_latest) == (when, latest)


def test_the_speaker_named_by_any_part_of_the_name() -> None:
    turns = [evidence(1, "I moved", name="Ada Byron"), evidence(2, "Ada moved", name="Bo"), evidence(3, "x")]
    assert cues.speaker(read("Where did Ada's family move?"), turns).tolist() == [1, 0, 0]
    assert cues.speaker(read("Where did they move?"), turns).tolist() == [0, 0, 0]


def test_the_author_asked_for_is_favoured() -> None:
    turns = [evidence(1, "a"), evidence(2, "b", role="assistant"), evidence(3, "c", role=None)]
    assert cues.author(read("What is my address?"), turns).tolist() == [1, 0, 0]
    assert cues.author(read("What did you suggest?"), turns).tolist() == [0, 1, 0]
    assert cues.author(read("Where does Ada live?"), turns).tolist() == [0, 0, 0]


def test_first_person_statements_answer_questions_about_oneself() -> None:
    turns = [evidence(1, "I moved to Oslo"), evidence(2, "Oslo is a city in Norway"), evidence(3, "")]
    assert cues.statement(read("Where do I live?"), turns).tolist() == [1, 0, 0]
    assert cues.statement(read("Where is Oslo?"), turns).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("content", "is_standing"),
    [
        ("Always show the units when I ask about distances.", 1.0),
        ("From now on call me Bo.", 1.0),
        ("I'd really prefer trains over planes.", 1.0),
        ("Every time I ask for code, add tests.", 1.0),
        ("It always rains here.", 0.0),
        ("My preferred name is Bo.", 0.0),
    ],
)
def test_standing_instructions(content: str, is_standing: float) -> None:
    turns = [evidence(1, content), evidence(2, content, role="assistant")]
    assert cues.standing(read("How far is it?"), turns, np.ones(2, np.float32)).tolist() == [is_standing, 0]


def test_a_standing_instruction_counts_as_far_as_it_is_on_the_topic() -> None:
    turns = [evidence(1, "From now on call me Bo.")] * 2
    assert cues.standing(read("What is my name?"), turns, np.array([0, 0.5], np.float32)).tolist() == [0, 0.5]


def test_the_time_of_a_turn_and_the_day_a_fact_names() -> None:
    turns = [
        evidence(1, "We went", at=datetime(2023, 5, 7, 23, tzinfo=UTC)),
        evidence(2, "We went", at=datetime(2023, 9, 1, tzinfo=UTC)),
        evidence(3, "The trip was on 7 May 2023"),
        evidence(4, "The trip was long"),
    ]
    assert cues.dated(read("Where did they go on 7 May 2023?"), turns).tolist() == [1, 0, 1, 0]
    assert cues.dated(read("Where did they go?"), turns).tolist() == [0, 0, 0, 0]


def test_relative_days_count_from_the_asker() -> None:
    turns = [evidence(1, "x", at=datetime(2024, 5, 14, 9, tzinfo=UTC))]
    assert cues.dated(read("What happened yesterday?"), turns).tolist() == [1]
    assert cues.dated(read_query("What happened yesterday?", None), turns).tolist() == [0]


def test_a_moment_is_of_the_day_it_was_for_the_asker() -> None:
    asked_at = datetime(2024, 5, 15, 12, tzinfo=ZoneInfo("America/New_York"))
    late = evidence(1, "x", at=datetime(2024, 5, 15, 2, 30, tzinfo=UTC))
    day_alone = evidence(2, "x", at=datetime(2024, 5, 14, tzinfo=UTC))
    before = evidence(3, "x", at=datetime(2024, 5, 14, 2, 30, tzinfo=UTC))
    fits = cues.dated(read_query("What happened yesterday?", asked_at), [late, day_alone, before])
    assert fits.tolist() == pytest.approx([1, 1, 0.4])


def test_a_time_in_range_comes_first_and_others_lose_nothing() -> None:
    turns = [evidence(number, "x", at=datetime(2024, number, 20, tzinfo=UTC)) for number in (1, 2, 3, 4)]
    fits = cues.dated(read("What did I cook between February and March?"), turns)
    assert fits.tolist() == pytest.approx([0, 0.2, 0.2, 0])


def test_what_is_of_a_close_time_is_looked_for_from_the_askers_midnight_on() -> None:
    new_york = ZoneInfo("America/New_York")
    asked_at = datetime(2024, 5, 15, 12, tzinfo=new_york)
    (found,) = spans(read_query("What did I do yesterday, in 2021, or since March?", asked_at))
    assert found == (datetime(2024, 5, 14, tzinfo=new_york), datetime(2024, 5, 17, tzinfo=new_york))
    assert spans(read("What did I do?")) == []
    assert spans(read("What did I do before 2020?")) == []
    assert spans(read_query("On 3 May 2024?", None)) == [
        (datetime(2024, 5, 3, tzinfo=UTC), datetime(2024, 5, 6, tzinfo=UTC))
    ]


def test_the_first_and_the_last_time_count_on_the_topic_alone() -> None:
    turns = [evidence(number, "x", at=datetime(2023, number, 1, tzinfo=UTC)) for number in (3, 1, 2)]
    turns.append(evidence(9, "x"))
    relevance = np.array([1, 1, 0.5, 1], np.float32)
    assert cues.ordered(read("When did I first fly?"), turns, relevance).tolist() == [0, 1, 0.25, 0]
    assert cues.ordered(read("When did I last fly?"), turns, relevance).tolist() == [1, 0, 0.25, 0]
    assert cues.ordered(read("When did I fly?"), turns, relevance).tolist() == [0, 0, 0, 0]
    assert cues.ordered(read("When did I first fly?"), turns[:1], relevance[:1]).tolist() == [0]


def test_no_standing_instruction_answers_a_question_about_an_order() -> None:
    turns = [evidence(1, "From now on call me Bo.")]
    assert cues.standing(read("List in order the names I had"), turns, np.ones(1, np.float32)).tolist() == [0]


def test_when_questions_favour_passages_that_name_a_time() -> None:
    turns = [evidence(1, "I moved last week"), evidence(2, "I moved")]
    assert cues.timed(read("When did Ada move?"), turns).tolist() == [1, 0]
    assert cues.timed(read("Where did Ada move?"), turns).tolist() == [0, 0]


def test_recency_counts_only_when_the_present_is_asked_for() -> None:
    turns = [evidence(number, "x", at=datetime(2023, number, 1, tzinfo=UTC)) for number in (3, 1, 2)]
    turns.append(evidence(9, "x"))
    assert cues.latest(read("What is the current plan?"), turns).tolist() == [1, 0, 0.5, 0]
    assert cues.latest(read("What was the plan?"), turns).tolist() == [0, 0, 0, 0]
    assert cues.latest(read("What is the current plan?"), turns[:1]).tolist() == [0]


def test_matched_terms_are_the_words_as_asked() -> None:
    assert matched_terms(read("Hiking trips near Oslo?"), "We hiked; the trip was long") == ["hiking", "trips"]

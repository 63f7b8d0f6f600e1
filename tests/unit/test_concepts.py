"""Concepts from episodes: what was asked, what was done, what differs between two, and when it has proved itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memsvc.extraction.concepts import Concept, Parameter, Step, alike, count, learn, merge, procedure, render
from memsvc.extraction.model import Said
from memsvc.upkeep.concepts import read_concept

BILLING = (
    "Hi! The nightly deploy of billing fails with timeout 504, can you fix it?",
    "Sure, looking.\n1. Open the file `billing.toml`.\n2. Set the timeout to 30 s.\n3. Restart the worker in Oslo.",
)
SEARCH = (
    "The nightly deploy of search fails with timeout 502, can you fix it?",
    "First, open the file `search.toml`. Then set the timeout to 60 s. Restart the worker in Turin.",
)


def episode(name: str, asked: str, done: str, outcome: str = "success") -> Concept:
    found = learn(name, outcome, [Said(asked, None, "user"), Said(done, None, "assistant")])
    assert found is not None
    return found


def test_an_episode_gives_its_situation_and_what_was_done() -> None:
    found = episode("e1", *BILLING)
    assert found.situation == "The nightly deploy of billing fails with timeout 504, can you fix it?"
    assert [step.text for step in found.steps] == [
        "Open the file `billing.toml`.",
        "Set the timeout to 30 s.",
        "Restart the worker in Oslo.",
    ]
    assert found.cues == ("nightly", "deploy", "billing", "fails", "timeout", "fix")
    assert (found.used_in, found.successes, found.failures, found.is_proved) == (("e1",), 1, 0, False)


def test_what_was_done_may_be_told_in_the_past() -> None:
    found = episode("e1", "My invoices are sent twice, please help.", "I removed the second cron entry. All good now!")
    assert [step.text for step in found.steps] == ["I removed the second cron entry."]


def test_without_steps_the_most_telling_sentence_stands() -> None:
    found = episode("e1", "Why is the parcel late?", "Hm. The customs office in Basel waits for form 18.44.")
    assert [step.text for step in found.steps] == ["The customs office in Basel waits for form 18.44."]


@pytest.mark.parametrize(
    "turns",
    [
        [],
        [Said("Fix the deploy of billing please.", None, "user")],
        [Said("Hi!", None, "user"), Said("Restart the worker.", None, "assistant")],
        [Said("Fix the deploy of billing please.", None, "user"), Said("Shall I?", None, "assistant")],
    ],
)
def test_an_episode_that_does_not_say_both_teaches_nothing(turns: list[Said]) -> None:
    assert learn("e1", "success", turns) is None


def test_two_episodes_of_one_situation_become_one_concept_with_parameters() -> None:
    first, second = episode("e1", *BILLING), episode("e2", *SEARCH)
    assert alike(first, second)
    both = merge(first, second)
    assert [(step.text, step.seen) for step in both.steps] == [
        ("Open the file {text_1}.", 2),
        ("Set the timeout to {number_1}.", 2),
        ("Restart the worker in {name_1}.", 2),
    ]
    assert both.parameters == (
        Parameter("text_1", ("`billing.toml`", "`search.toml`")),
        Parameter("number_1", ("30 s", "60 s")),
        Parameter("name_1", ("Oslo", "Turin")),
    )
    assert (both.used_in, both.successes, both.is_proved) == (("e1", "e2"), 2, True)


def test_a_third_episode_adds_examples_and_steps_to_the_same_parameters() -> None:
    third = episode(
        "e3", "The nightly deploy of mail fails with timeout 500, fix it?", "Set the timeout to 90 s. Tell Rosa."
    )
    every = merge(merge(episode("e1", *BILLING), episode("e2", *SEARCH)), third)
    assert every.parameters[1] == Parameter("number_1", ("30 s", "60 s", "90 s"))
    assert [step.seen for step in every.steps] == [2, 3, 2, 1]
    assert every.steps[3].text == "Tell Rosa."


def test_equal_differences_are_one_parameter() -> None:
    one = episode("e1", "The port of the cache is taken?", "Change port 8080 in the file. Restart the proxy on 8080.")
    two = episode("e2", "The port of the cache is taken?", "Change port 9090 in the file. Restart the proxy on 9090.")
    both = merge(one, two)
    assert [step.text for step in both.steps] == [
        "Change port {number_1} in the file.",
        "Restart the proxy on {number_1}.",
    ]
    assert both.parameters == (Parameter("number_1", ("8080", "9090")),)


def test_what_is_alike_in_situation_alone_keeps_its_own_steps() -> None:
    other = episode("e2", SEARCH[0], "Open the file `search.toml`. Delete the old releases.")
    both = merge(episode("e1", *BILLING), other)
    assert [step.text for step in both.steps][-1] == "Delete the old releases."
    assert [step.seen for step in both.steps] == [2, 1, 1, 1]


def test_other_situations_and_other_outcomes_stay_apart() -> None:
    first = episode("e1", *BILLING)
    assert not alike(first, episode("e2", "Where can I park near the station in Ghent?", "Park at the river."))
    assert not alike(first, episode("e3", *SEARCH, outcome="failure"))
    assert not alike(first, episode("e3", *SEARCH, outcome="failure"), 0.99)
    parking = episode("e2", "Where can I park near the station in Ghent?", "Park at the river.")
    assert alike(first, parking, 0.8)
    assert not alike(first, parking, 0.5)


def test_details_are_told_once_it_has_proved_itself() -> None:
    first = episode("e1", *BILLING)
    assert render(first) == (
        "In the situation “The nightly deploy of billing fails with timeout 504, can you fix it?”, this worked: "
        "Open the file `billing.toml`."
    )
    assert render(merge(first, episode("e2", *SEARCH))).splitlines()[1:] == [
        "1. Open the file {text_1}.",
        "2. Set the timeout to {number_1}.",
        "3. Restart the worker in {name_1}.",
        "text_1: such as `billing.toml`, `search.toml`",
        "number_1: such as 30 s, 60 s",
        "name_1: such as Oslo, Turin",
        "It worked 2 of 2 times.",
    ]


def test_a_failure_makes_a_caution() -> None:
    found = episode("e1", BILLING[0], "I restarted the database. I cleared the cache.", outcome="failure")
    assert render(found) == (
        "In the situation “The nightly deploy of billing fails with timeout 504, can you fix it?”, "
        "this did not work: I restarted the database."
    )
    again = merge(found, episode("e2", SEARCH[0], "I restarted the database.", outcome="failure"))
    assert render(again).endswith("this did not work: I restarted the database; I cleared the cache.")
    assert procedure(again) is None


def test_steps_that_two_successes_share_are_a_procedure() -> None:
    first = episode("e1", *BILLING)
    assert procedure(first) is None
    other = episode("e2", SEARCH[0], "Open the file `search.toml`. Restart the worker in Turin. Delete old releases.")
    assert procedure(merge(first, other)) == (
        "How to deal with “The nightly deploy of billing fails with timeout 504, can you fix it?”:\n"
        "1. Open the file {text_1}.\n"
        "2. Restart the worker in {name_1}."
    )


def test_using_a_concept_counts_once_an_episode() -> None:
    first = episode("e1", *BILLING)
    used = count(count(first, "e2", "failure"), "e2", "failure")
    assert (used.used_in, used.successes, used.failures) == (("e1", "e2"), 1, 1)
    assert count(first, "e1", "success") == first


said = st.lists(
    st.sampled_from(["Open", "Set", "it", "to", "5", "`a.b`", "Rosa", ".", "?", "{name_1}", "the"]), max_size=15
)


@given(asked=said.map(" ".join), done=st.lists(said.map(" ".join), min_size=1, max_size=4))
def test_any_two_episodes_merge_within_bounds(asked: str, done: list[str]) -> None:
    turns = [Said(asked, None, "user"), *(Said(text, None, "assistant") for text in done)]
    first, second = learn("e1", "success", turns), learn("e2", "success", turns[::-1])
    if first is None or second is None:
        return
    both = merge(first, second)
    assert len(both.steps) <= 8
    assert all(1 <= step.seen <= 2 for step in both.steps)
    assert both.successes == 2
    assert render(both)
    assert merge(first, second) == both


def test_a_concept_is_read_back_from_metadata_and_nothing_else_is() -> None:
    held = {
        "situation": "The deploy fails",
        "suggestion": [{"text": "Restart it.", "seen": 2}],
        "cues": ["deploy"],
        "caution": False,
        "parameters": [{"name": "number_1", "examples": ["5", "7"]}],
        "used_in": ["e1", "e2"],
        "successes": 2,
        "failures": 1,
    }
    assert read_concept(held) == Concept(
        situation="The deploy fails",
        steps=(Step("Restart it.", 2),),
        cues=("deploy",),
        caution=False,
        used_in=("e1", "e2"),
        parameters=(Parameter("number_1", ("5", "7")),),
        successes=2,
        failures=1,
    )
    for edited in ({"successes": "many"}, {"suggestion": [1]}, {"suggestion": []}, {"cues": None}):
        assert read_concept({**held, **edited}) is None
    assert read_concept({}) is None

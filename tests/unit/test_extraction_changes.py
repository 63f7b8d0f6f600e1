"""States told by known forms, what words say is over, and what is only said back."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memsvc.extraction.attributes import is_state
from memsvc.extraction.changes import closed, former
from memsvc.extraction.echoes import only_restates, restated
from memsvc.extraction.facts import extract
from memsvc.extraction.frames import FRAMES
from memsvc.extraction.matters import matter_of
from memsvc.extraction.model import Said
from memsvc.extraction.patterns import one_of
from memsvc.extraction.signals import is_intended, is_passing, tells_change, tells_now
from memsvc.extraction.states import find_states
from memsvc.extraction.typed import hour, kind_of
from memsvc.extraction.wording import goes_on
from memsvc.extraction.words import word_set


def told(sentence: str) -> list[tuple[str, str, str]]:
    return [(state.subject, state.attribute, state.value) for state in find_states(sentence, "Ann")]


@pytest.mark.parametrize(
    ("sentence", "subject", "attribute", "value"),
    [
        ("btw I'm based in Graz so we are in one zone", "ann", "home", "graz"),
        ("We've left Graz and settled in Linz!", "ann", "home", "linz"),
        ("First week at Helvar done!", "ann", "employer", "helvar"),
        ("I quit Helvar and started at Nordlicht.", "ann", "employer", "nordlicht"),
        ("As of this month I'm a beekeeper, no longer a plumber.", "ann", "job", "beekeeper"),
        ("Call me on 0664 123 4567 after six.", "ann", "phone", "0664 123 4567"),
        ("best address for invoices: ann@post.example", "ann", "email", "ann@post.example"),
        ("They raised my rent to 980 euros.", "ann", "rent", "980 euros"),
        ("My rent is around 1,000 euros.", "ann", "rent", "around 1,000 euros"),
        ("I've gone vegan.", "ann", "diet", "vegan"),
        ("diet: halal, always was", "ann", "diet", "halal"),
        ("since the merger I report to Ida Holm", "ann", "manager", "ida holm"),
        ("Ida Holm took over from Per Lund as my boss.", "ann", "manager", "ida holm"),
        ("I go to work by ferry now.", "ann", "commute", "by ferry"),
        ("I cycle to the office.", "ann", "commute", "by bike"),
        ("My alarm is set to 6:20 these days.", "ann", "wake-up time", "6:20"),
        ("On Sundays I get up at 9:30.", "ann", "wake-up time", "9:30 on sundays"),
        ("I take 20 mg of ramipril every morning.", "ann", "ramipril dose", "20 mg"),
        ("My ramipril dose was raised to 40 mg.", "ann", "ramipril dose", "40 mg"),
        ("My locker code is 8812.", "ann", "the locker code", "8812"),
        ("The code for my locker is 8812 now, 3310 is void.", "ann", "the locker code", "8812"),
        ("locker code 8812, keep it to yourself", "ann", "the locker code", "8812"),
        ("I changed my locker code to 8812.", "ann", "the locker code", "8812"),
        ("changed my locker code, it's 8812 now", "ann", "the locker code", "8812"),
        ("New dentist: Dr Amsel.", "ann", "the dentist", "dr amsel"),
        ("My favourite dish is ramen.", "ann", "favorite food", "ramen"),
        ("Ramen is my favourite food.", "ann", "favorite food", "ramen"),
        ("Please answer in bullet points.", "ann", "reply style", "bullet points"),
        ("Please answer in Danish.", "ann", "reply language", "danish"),
        ("The budget for Atlas is 40,000 dollars.", "atlas", "budget", "40,000 dollars"),
        ("We have 40,000 dollars to spend on Atlas.", "atlas", "budget", "40,000 dollars"),
        ("Atlas runs on Rails 7.1 now.", "atlas", "rails version", "rails 7.1"),
        ("We moved Atlas to Hetzner.", "atlas", "hosting", "hetzner"),
        ("Atlas is no longer in review, it's on hold.", "atlas", "status", "on hold"),
        ("The Atlas call is on Friday at 9:30.", "the atlas sync", "time", "friday at 9:30"),
        ("We meet for Atlas every Friday at 9:30.", "the atlas sync", "time", "friday at 9:30"),
        ("The Atlas workshop moved to room 4.12.", "the atlas workshop", "place", "room 4.12"),
        ("We're getting married on 4 July.", "ann's wedding", "time", "4 july"),
        ("My sister's number is 0664 765 4321.", "ann's sister", "phone", "0664 765 4321"),
        ("Atlas's lead is Nora Beck.", "atlas", "lead", "nora beck"),
        ("They moved me from B2 to C9.", "ann", "changed", "c9"),
    ],
)
def test_states(sentence: str, subject: str, attribute: str, value: str) -> None:
    assert told(sentence) == [(subject, attribute, value)]


@pytest.mark.parametrize(
    "sentence",
    [
        "Is Graz nice?",
        "If I move to Graz, I live in Graz.",
        "I might switch to Hetzner.",
        "I want to be vegan.",
        "My brother said: I live in Graz now.",
        "When I was a kid I lived in Graz.",
        "My idea is a small shop.",
        "My garden is beautiful.",
        "The best part is the end.",
        "I'm in Graz this week for a fair.",
        "Her locker code is 8812.",
        "I love ramen.",
        "The weather is fine.",
        "It is a question of time.",
    ],
)
def test_no_states(sentence: str) -> None:
    assert told(sentence) == []


def test_several_states_of_one_sentence() -> None:
    found = told("My manager is Ida Holm and my desk is 14, but I live in Graz.")
    assert [attribute for _, attribute, _ in found] == ["manager", "desk", "home"]


@pytest.mark.parametrize(
    ("text", "over"),
    [
        ("We left Graz.", "Graz"),
        ("I moved from Graz to Linz.", "Graz"),
        ("I train at the lake instead of FitBox.", "FitBox"),
        ("I'm no longer a plumber.", "plumber"),
        ("No more oat milk for me.", "oat milk"),
        ("I'm on 40 mg now, not 20 mg.", "20 mg"),
        ("My rent is 980 euros, up from 900 euros.", "900 euros"),
        ("I don't work for Helvar any more.", "Helvar"),
        ("3310 is void.", "3310"),
        ("Dr Roth retired, I see Dr Amsel.", "Dr Roth"),
        ("LX 14 at 9:55 was cancelled.", "LX 14 at 9:55"),
        ("Per and I fell out.", "Per"),
        ("Goodbye Vim, hello Helix.", "Vim"),
        ("Please forget Graz.", "Graz"),
        ("The call is on Friday at 9:30 instead of Monday at 10:00.", "Monday at 10:00"),
    ],
)
def test_what_is_over(text: str, over: str) -> None:
    assert over in former(text)


@pytest.mark.parametrize("text", ["I live in Graz.", "We have a dog.", "It rained.", ""])
def test_nothing_is_over(text: str) -> None:
    assert former(text) == ()


@pytest.mark.parametrize(
    ("text", "matter"),
    [
        ("I sold my car.", ("ann", "car")),
        ("I cancelled my subscription yesterday.", ("ann", "plan")),
        ("We called off the wedding on 6 June.", ("ann's wedding", "time")),
        ("The Atlas call is cancelled for good.", ("the atlas sync", "time")),
    ],
)
def test_what_is_closed(text: str, matter: tuple[str, str]) -> None:
    assert matter in {(one.subject, one.attribute) for one in closed(text, "Ann")}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("code for my locker", "locker code"),
        ("flat", "apartment"),
        ("Atlas budget", "budget for Atlas"),
        ("launch date of Atlas", "Atlas release"),
        ("Atlas meeting", "regular Atlas call"),
        ("new work laptop", "work machine"),
    ],
)
def test_nouns_that_name_one_matter(one: str, other: str) -> None:
    first, second = (matter_of(text, owner="my", speaker="Ann", starts=False) for text in (one, other))
    assert first is not None
    assert second is not None
    assert (first.subject, first.attribute) == (second.subject, second.attribute)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("locker code", "locker code of the other team"),
        ("road bike", "cargo bike"),
        ("Atlas budget", "Heron budget"),
        ("Atlas call", "Atlas review"),
        ("number", "sister's number"),
    ],
)
def test_nouns_that_name_two_matters(one: str, other: str) -> None:
    first, second = (matter_of(text, owner="my", speaker="Ann", starts=False) for text in (one, other))
    assert first is not None
    assert second is not None
    assert (first.subject, first.attribute) != (second.subject, second.attribute)


@pytest.mark.parametrize(
    "content",
    [
        "So Atlas is blocked, cool.",
        "Oh right, the Atlas call is on Friday!",
        "Noted: the budget of Atlas is 40,000 dollars.",
        "Got it, Atlas runs on Rails 7.1 now.",
        "Thanks for telling me that Atlas is blocked.",
        "I keep forgetting that you live in Graz.",
        "As you told me, Atlas is blocked.",
        "Okay! So Atlas is blocked.",
    ],
)
def test_what_is_only_said_back_is_no_fact(content: str) -> None:
    assert restated(content)
    assert only_restates(content)
    assert extract(Said(content, "Ann", "user", "Bob")) == []


@pytest.mark.parametrize(
    "content",
    ["So we moved to Graz.", "Okay, I moved to Graz.", "So, big news: we left Graz!", "Noted: I moved to Graz."],
)
def test_what_tells_of_oneself_is_not_said_back(content: str) -> None:
    assert restated(content) == []


def test_an_assistant_tells_no_states() -> None:
    assert extract(Said("I'm booked on LX 14 at 9:55.", None, "assistant")) == []


def test_a_fact_names_its_owner_and_takes_in_what_is_over() -> None:
    [fact] = extract(Said("rent is 980 euros now. Quite a step up from 900 euros.", "Ann", "user"))
    assert (fact.subject, fact.attribute) == ("ann", "rent")
    assert fact.text.startswith("Ann's rent is 980 euros")
    assert "900" in fact.text


def test_a_question_of_a_word_is_a_label() -> None:
    [fact] = extract(Said("Favourite dish? ramen, always", "Ann", "user"))
    assert (fact.attribute, fact.value) == ("favorite food", "ramen")


def test_days_of_every_week_are_no_dates() -> None:
    [fact] = extract(Said("The Atlas call is on Friday at 9:30.", "Ann", "user"))
    assert fact.value == "friday at 9:30"
    assert "Friday" in fact.text


@pytest.mark.parametrize(
    ("check", "text", "expected"),
    [
        (tells_change, "I switched to Helix.", True),
        (tells_change, "I write in Helix.", False),
        (tells_now, "I write in Helix these days.", True),
        (tells_now, "I switched to Helix.", False),
        (is_intended, "I'm trying to move from Graz to Linz.", True),
        (is_intended, "I moved from Graz to Linz.", False),
        (is_passing, "Today the call is at 11.", True),
        (is_passing, "new address since today", False),
    ],
)
def test_signals(check: object, text: str, expected: bool) -> None:
    assert check(text) is expected  # type: ignore[operator]


@pytest.mark.parametrize(
    ("attribute", "text", "expected"),
    [
        ("take", "Ann takes the ferry", True),
        ("take", "Ann took the ferry", False),
        ("learn", "Ann is learning Greek", True),
        ("be on", "Ann is on the early shift", True),
        ("be on", "Ann was on the early shift", False),
        ("fly to", "Ann and others fly to Crete in July", True),
    ],
)
def test_what_goes_on(attribute: str, text: str, expected: bool) -> None:
    assert goes_on(attribute, text) is expected


@pytest.mark.parametrize(
    ("text", "clock"), [("4 pm", "16:00"), ("12.15 am", "0:15"), ("noon", "12:00"), ("7:05", "7:05")]
)
def test_hours(text: str, clock: str) -> None:
    assert hour(text) == clock


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("ann@post.example", "email"),
        ("Friday at 9:30", "when"),
        ("4 July", "date"),
        ("LX 14", "flight"),
        ("Pacific Time", "zone"),
        ("30 km a week", "rate"),
        ("$1,200", "money"),
        ("Rails 7.1", "version"),
        ("B12", "code"),
        ("a bakery called Krume", "named"),
        ("something else", None),
    ],
)
def test_kinds(text: str, kind: str | None) -> None:
    kinds = ("email", "when", "date", "flight", "zone", "rate", "measure", "money", "version", "code", "named", "name")
    assert kind_of(text, kinds) == kind


def test_a_list_is_a_pattern() -> None:
    assert re.fullmatch(one_of("left, no longer, wasn't for me"), "wasn’t  for me")
    assert re.fullmatch(one_of("cut (?:up|off), mov(?:ed|ing)"), "cut off")
    assert not re.fullmatch(one_of("left, no longer"), "no")


def test_every_form_has_an_attribute_that_has_one_value() -> None:
    for frame in FRAMES:
        attribute = re.sub(r"\{\w+\}", "x", frame.attribute).removesuffix("?")
        if (
            attribute
            and attribute not in ("x", "changed", "wedding")
            and not attribute.startswith(("count of", "time of"))
        ):
            assert is_state(attribute), attribute


WORDS = st.sampled_from(
    sorted(
        word_set(
            """
            I my the our moved from to Graz Atlas code is are now not no longer : , . ? 8812 9:30 Friday instead of and
            it's new
            """
        )
    )
)


@settings(deadline=None, max_examples=150)
@given(st.lists(WORDS, max_size=30).map(" ".join))
def test_states_lie_within_their_sentence(sentence: str) -> None:
    last = 0
    for state in find_states(sentence, "Ann"):
        assert 0 <= state.start < state.end <= len(sentence)
        assert state.start >= last or state.start < state.end
        assert state.value
        last = state.start
    former(sentence)
    closed(sentence, "Ann")

"""How a new fact stands to an old one: by value, by words, by speaker and by time."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from memsvc.extraction.wording import goes_on, read_wording
from memsvc.upkeep.updating import Claim, compare, names, parts_of, relate

MONDAY, TUESDAY = datetime(2026, 3, 2, 9, tzinfo=UTC), datetime(2026, 3, 3, 9, tzinfo=UTC)


def claim(
    attribute: str,
    value: str,
    *,
    words: str = "",
    subject: str = "ann",
    speaker: str = "Ann",
    at: datetime = MONDAY,
    negated: bool = False,
    confidence: float = 0.85,
    text: str = "",
    session: str = "s1",
    number: int = 1,
) -> Claim:
    return Claim(
        subject=subject,
        attribute=attribute,
        value=value,
        negated=negated,
        confidence=confidence,
        said_at=at,
        session=session,
        number=number,
        speaker=speaker,
        lasts=goes_on(attribute, text),
        wording=read_wording(words, speaker),
    )


def later(attribute: str, value: str, **given: object) -> Claim:
    return claim(attribute, value, at=TUESDAY, session="s2", **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("attribute", "old", "new", "verdict"),
    [
        ("home", "basel", "bern", "replaced"),
        ("change", "the closing time from 4 pm to 6 pm", "the closing time from 6 pm to 4 pm", "unrelated"),
        ("home", "basel", "basel", "same"),
        ("home", "basel", "basel gundeldingen", "refined"),
        ("home", "basel gundeldingen", "basel", "same"),
        ("the locker code", "4711", "9021", "replaced"),
        ("favorite colour", "green", "blue", "replaced"),
        ("django version", "django 4.2", "django 5.0", "replaced"),
        ("bootstrap version", "bootstrap v5.3", "bootstrap 5.3", "same"),
        ("rent", "900", "950 euros", "replaced"),
        ("rent", "900", "900 euros", "same"),
        ("rent", "about 900 euros", "915 euros", "refined"),
        ("rent", "about 900 euros", "1,200 euros", "replaced"),
        ("zinc dose", "50 mg", "two tablets", "unrelated"),
        ("amount to sleep", "seven hours a night", "six hours a night", "replaced"),
        ("wake-up time", "7:15", "6.45 am", "replaced"),
        ("wake-up time", "7:15", "7:15 am", "same"),
        ("wake-up time", "6:30", "9:00 on sundays", "unrelated"),
        ("time", "friday", "10:00", "unrelated"),
        ("time", "friday at 10:00", "friday at 11:00", "replaced"),
        ("release date", "spring", "10 march", "refined"),
        ("release date", "spring", "10 october", "replaced"),
        ("time", "6 june 2026", "3 october", "replaced"),
        ("flight", "friday", "lx 14", "unrelated"),
        ("office days", "mondays and tuesdays", "mondays only", "replaced"),
        ("pronouns", "she/her", "they/them", "replaced"),
        ("likes", "jazz", "jogging", "unrelated"),
        ("visit", "rome", "paris", "unrelated"),
        ("birthday", "3 may", "13 may", "conflict"),
    ],
)
def test_a_later_value(attribute: str, old: str, new: str, verdict: str) -> None:
    assert compare(claim(attribute, old), later(attribute, new)).verdict == verdict


def test_what_never_changes_may_be_corrected() -> None:
    corrected = later("birthday", "13 may", words="My birthday is 13 May now that I found the paper, not 3 May.")
    assert compare(claim("birthday", "3 may"), corrected).verdict == "replaced"


def test_other_subjects_are_other_matters() -> None:
    assert compare(claim("home", "basel"), later("home", "bern", subject="ann's brother")).verdict == "unrelated"


def test_a_guess_replaces_nothing() -> None:
    assert compare(claim("home", "basel"), later("home", "bern", confidence=0.5)).verdict == "unrelated"


def test_what_was_said_earlier_and_stored_later_is_outdated() -> None:
    assert compare(later("home", "bern"), claim("home", "basel")).verdict == "outdated"


def test_at_one_moment_it_is_not_known_which_was_later() -> None:
    assert compare(claim("home", "basel"), claim("home", "bern", session="s2")).verdict == "conflict"


def test_in_one_session_the_later_turn_is_the_later() -> None:
    assert compare(claim("home", "basel"), claim("home", "bern", number=2)).verdict == "replaced"


@pytest.mark.parametrize(
    ("subject", "old_speaker", "new_speaker", "verdict"),
    [
        ("ann", "Ann", "Bob", "conflict"),
        ("ann's brother", "Ann", "Bob", "conflict"),
        ("bob", "Ann", "Bob", "replaced"),
        ("atlas", "Ann", "Bob", "replaced"),
        ("the user", "user", "user", "replaced"),
    ],
)
def test_only_who_may_say_it_changes_it(subject: str, old_speaker: str, new_speaker: str, verdict: str) -> None:
    old = claim("home", "basel", subject=subject, speaker=old_speaker)
    assert compare(old, later("home", "bern", subject=subject, speaker=new_speaker)).verdict == verdict


@pytest.mark.parametrize(("old", "new", "verdict"), [(False, True, "replaced"), (True, False, "replaced")])
def test_denied_and_affirmed(old: bool, new: bool, verdict: str) -> None:
    found = compare(claim("employer", "helvar", negated=old), later("employer", "helvar", negated=new))
    assert found.verdict == verdict


@pytest.mark.parametrize(
    ("attribute", "value", "text", "words", "is_over"),
    [
        ("home", "basel", "", "We left Basel for good.", True),
        ("bank", "union savings", "", "I moved everything from Union Savings to a credit union.", True),
        ("the gym", "fitbox", "", "I train at the lake instead of FitBox.", True),
        ("flight", "lx 14 at 9:55", "", "LX 14 at 9:55 is cancelled.", True),
        ("learn", "greek", "Ann is learning Greek", "I gave up Greek.", True),
        ("learn", "greek", "Ann learned Greek", "I gave up Greek.", False),
        ("go to", "rome", "Ann went to Rome", "We left Rome.", False),
        ("work on", "thesis", "Ann works on a thesis", "I finished the thesis.", False),
        ("home", "basel", "", "I'm thinking of leaving, I might switch from Basel to Bern.", False),
        ("home", "basel", "", "Should we move from Basel to Bern?", False),
        ("car", "red panda", "", "I sold my car.", True),
        ("car", "red panda", "", "My brother sold his car.", False),
    ],
)
def test_what_the_words_say_is_over(attribute: str, value: str, text: str, words: str, is_over: bool) -> None:
    found = compare(claim(attribute, value, text=text), later("say", "so", words=words, confidence=0.4))
    assert (found.verdict == "replaced") is is_over


def test_what_is_said_of_another_ends_nothing() -> None:
    said = later("employer", "helvar", subject="ann's sister", negated=True, words="My sister left Helvar.")
    assert compare(claim("employer", "helvar"), said).verdict == "unrelated"


def test_a_named_thing_ends_its_own() -> None:
    old = claim("lead", "nora", subject="atlas")
    said = later("take over", "from nora on atlas", subject="ben", words="On Atlas Ben took over from Nora.")
    assert compare(old, said).verdict == "replaced"
    assert compare(old, replace(said, wording=read_wording("Ben took over from Nora.", "Ann"))).verdict == "unrelated"


@pytest.mark.parametrize(
    ("attribute", "words", "verdict"),
    [
        ("deploy on", "Atlas deploys on Fridays now.", "replaced"),
        ("deploy on", "Atlas deploys on Fridays.", "unrelated"),
        ("speak", "I speak Finnish now.", "unrelated"),
    ],
)
def test_without_a_rule_it_must_be_said_that_it_is_so_now(attribute: str, words: str, verdict: str) -> None:
    old = claim(attribute, "mondays", confidence=0.4)
    assert compare(old, later(attribute, "fridays", confidence=0.4, words=words)).verdict == verdict


def test_one_occasion_changes_no_habit() -> None:
    said = later("time", "11:00", words="Today the standup is at 11:00.")
    assert compare(claim("time", "9:30"), said).verdict == "unrelated"
    moved = replace(said, wording=read_wording("The standup is at 11:00.", "Ann"))
    assert compare(claim("time", "9:30"), moved).verdict == "replaced"


def test_naming_the_old_value_without_change_is_no_change() -> None:
    said = later("home", "wedding", words="My flat in Berlin is in Wedding.")
    assert compare(claim("home", "berlin"), said).verdict == "unrelated"


@pytest.mark.parametrize(
    ("said", "value", "is_named"),
    [
        ("Kite Street 5", "kite street 5", True),
        ("an old Volvo estate", "old volvo", True),
        ("Zyrtec", "zyrtec for the hay fever", True),
        ("the car", "volvo estate", False),
        ("Volvo", "volvo estate of the neighbours in town", False),
        ("", "volvo", False),
    ],
)
def test_words_that_name_a_value(said: str, value: str, is_named: bool) -> None:
    assert names(said, value) is is_named


def test_parts_tell_different_things_apart() -> None:
    assert relate(parts_of("time", "friday at 10:00"), parts_of("time", "10:00")) == "same"
    assert relate(parts_of("time", "10:00"), parts_of("time", "friday at 10:00")) == "refined"
    assert relate(parts_of("place", "room 12"), parts_of("place", "room 14")) == "differs"

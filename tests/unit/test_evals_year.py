"""The simulated year: as large as it says, in the order of time, and its questions have one answer at its end."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from evals import workers_year, year
from evals.workers_budget import Weight
from evals.year import Year

SMALL = year.simulate(0, 0.05)


@pytest.fixture(scope="module")
def whole() -> Year:
    return year.simulate(0, 1.0)


def test_a_year_has_200_turns_a_day_in_1000_sessions(whole: Year) -> None:
    assert len(whole.turns) == 73_000
    assert len({turn.session for turn in whole.turns}) == 1_000
    assert len(whole.probes) >= 200
    assert len({turn.content for turn in whole.turns}) > 30_000


def test_any_scale_spans_the_whole_year() -> None:
    assert len(SMALL.turns) == 3_650
    times = [turn.at for turn in SMALL.turns]
    assert times == sorted(times)
    assert times[-1] - times[0] > timedelta(days=350)
    assert times[-1] <= SMALL.last_day
    assert len(SMALL.probes) >= 150


def test_the_same_seed_gives_the_same_year() -> None:
    assert year.simulate(0, 0.05) == SMALL
    assert year.simulate(1, 0.05).turns != SMALL.turns


def test_another_last_day_moves_the_year() -> None:
    moved = year.simulate(0, 0.05, year.LAST_DAY + timedelta(days=10))
    assert [turn.at - timedelta(days=10) for turn in moved.turns] == [turn.at for turn in SMALL.turns]
    assert [probe.gold for probe in moved.probes] == [probe.gold for probe in SMALL.probes]


def test_probes_are_of_every_kind_and_some_are_frequent() -> None:
    kinds = Counter(probe.kind for probe in SMALL.probes)
    assert set(kinds) == {"old", "new", "updated", "event"}
    assert min(kinds.values()) >= 30
    assert 0.2 < sum(probe.frequent for probe in SMALL.probes) / len(SMALL.probes) < 0.5
    assert len({probe.question for probe in SMALL.probes}) == len(SMALL.probes)


def test_the_gold_of_a_probe_tells_one_thing_and_nothing_else_is_told_after_it() -> None:
    """All turns that tell of the same subject and matter share the question's words; the last of them is gold."""
    said = {turn.id: turn for turn in SMALL.turns}
    for probe in SMALL.probes:
        assert probe.gold
        assert all(name in said for name in probe.gold)
    asked = {probe.question: probe for probe in SMALL.probes}
    codes = [probe for question, probe in asked.items() if question.startswith("What is the code of the ")]
    assert codes
    for probe in codes:
        thing = probe.question.removeprefix("What is the code of the ").removesuffix("?")
        told = [t for t in SMALL.turns if thing in t.content and _code(t.content)]
        assert told[-1].id in probe.gold
        assert {_code(said[name].content) for name in probe.gold} == {_code(told[-1].content)}


def _code(content: str) -> str:
    """The first number of five digits."""
    return next((word.strip(".,:") for word in content.split() if word.strip(".,:").isdigit() and len(word) >= 5), "")


def test_no_place_is_left_open() -> None:
    assert not [turn.content for turn in SMALL.turns if "{" in turn.content or not turn.content.strip()]


def test_the_user_alone_speaks_in_the_first_person_of_facts() -> None:
    mine = [turn for turn in SMALL.turns if turn.content.startswith("My dentist is ")]
    assert all(turn.role == "user" and turn.name is None for turn in mine)


def test_the_figures_compare_on_with_off() -> None:
    few = replace(SMALL, probes=SMALL.probes[:4])
    off = Weight(rows=100, contents=300, chunks=600, postings=100, disk=4000)
    on = Weight(rows=30, contents=100, chunks=200, postings=50, disk=2000)
    found = workers_year.compare(few, off, on, [1, 1, 0, 1], [1, 0, 0, 1], seed=0)
    assert found["year.rows_ratio"] == 0.3
    assert found["year.bytes_ratio"] == 0.35
    assert found["year.disk_ratio"] == 0.5
    assert found["year.recall@10.off"] == 0.75
    assert found["year.recall@10.difference"] == -0.25
    assert found["year.n.probes"] == 4


def test_the_last_day_is_a_day() -> None:
    assert datetime(2025, 1, 1, tzinfo=UTC) == year.LAST_DAY

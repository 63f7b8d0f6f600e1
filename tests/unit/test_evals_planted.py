"""The planted suite is what it claims to be, and its judge can tell right from wrong."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from evals import planted
from evals.planted_cases import PLAN
from evals.planted_model import Case, Line, Pair, wording
from evals.planted_score import Outcome, Stored, figures, judge

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CASES = planted.cases()


def line(name: str, content: str, *, session: str = "s1", role: str = "user") -> Line:
    return Line(name, session, role, None, content, datetime(2024, 3, 1, tzinfo=UTC))  # type: ignore[arg-type]


MOVED = Case(
    id="moved",
    category="update",
    kind="update",
    attribute="home",
    split="dev",
    apart=False,
    lines=(
        line("t1", "I live in Bergen and work for a brewery."),
        line("t2", "I moved to Tampere."),
        line("t3", "So you live in Tampere.", role="assistant"),
    ),
    expected=(Pair(("t1",), ("t2",), about="Bergen"),),
    allowed=(),
    keep=(("t2", "t3"),),
    conflict="no",
    echoes=("t3",),
    question="Where do I live?",
    answers=("t2",),
)
TURNS = tuple(Stored(f"m-{each.id}", "turn", each.content, "generated", frozenset({each.id})) for each in MOVED.lines)
HOME = Stored("f1", "fact", "The user lives in Bergen.", "generated", frozenset({"t1"}))
WORK = Stored("f2", "fact", "The user works for a brewery.", "generated", frozenset({"t1"}))
NEW = Stored("f3", "fact", "The user lives in Tampere.", "generated", frozenset({"t2"}))


def outcome(
    *facts: Stored, conflicts: tuple[tuple[str, str], ...] = (), ranked: tuple[str, ...] = ("m-t2", "m-t1")
) -> Outcome:
    return Outcome((*TURNS, *facts), conflicts, ranked, NOW)


def test_there_are_cases_of_every_category_in_both_splits() -> None:
    assert len(CASES) >= 400
    assert len({case.attribute for case in CASES if case.id.startswith(case.attribute)}) >= 40
    counts = Counter((case.split, case.category) for case in CASES)
    assert len(counts) == 20
    assert min(counts.values()) >= 5
    dev = sum(case.split == "dev" for case in CASES)
    assert 0.55 <= dev / len(CASES) <= 0.65


def test_ids_are_unique_and_expectations_name_lines() -> None:
    assert len({case.id for case in CASES}) == len(CASES)
    for case in CASES:
        names = {line.id for line in case.lines}
        pairs = (*case.expected, *case.allowed)
        named = {name for pair in pairs for name in (*pair.olds, *pair.news)} | {n for pair in case.keep for n in pair}
        assert named | set(case.echoes) | set(case.answers) <= names
        assert case.answers
        assert not set(case.echoes) & {name for pair in pairs for name in (*pair.olds, *pair.news)}


def test_the_same_seed_tells_the_same_and_another_does_not() -> None:
    assert planted.cases(3) == planted.cases(3)
    assert planted.cases(3) != planted.cases(4)
    assert planted.cases(0, "dev") == tuple(case for case in CASES if case.split == "dev")


def test_no_place_in_the_wording_is_left_open() -> None:
    for case in CASES:
        for said in (*(each.content for each in case.lines), case.question):
            assert "{" not in said
            assert said.strip() == said
            assert said


def test_the_wordings_of_test_are_not_in_dev() -> None:
    """Of an attribute of dev, the last phrasing of a change is told in test alone; of others, nothing is in dev."""
    unseen = {attribute.key for attribute in wording().attributes if attribute.split == "test"}
    assert {case.split for case in CASES if case.id.rpartition("-")[0].rpartition("-")[0] in unseen} == {"test"}
    for attribute in wording().attributes:
        if attribute.split == "dev" and attribute.whole is None and not attribute.thing:
            last = {attribute.changes[-1].format(v=new, o=old) for new in attribute.values for old in attribute.values}
            told = [each.content for case in CASES if case.split == "dev" for each in case.lines]
            assert not any(phrase in content for phrase in last for content in told)


def test_every_kind_of_case_of_the_plan_is_told() -> None:
    assert {teller.__name__ for _, teller, _ in PLAN} <= {case.kind for case in CASES}


def test_what_arrives_late_is_older_and_is_what_gives_way() -> None:
    for case in (case for case in CASES if case.kind == "backfill"):
        at = {line.id: line.at for line in case.lines}
        (pair,) = case.expected
        assert at[pair.olds[0]] < at[pair.news[0]]
        assert [line.id for line in case.lines].index(pair.olds[0]) > 0
        assert int(pair.olds[0][1:]) > int(pair.news[0][1:])


def test_two_values_of_one_moment_have_one_time() -> None:
    for case in (case for case in CASES if case.kind == "same_moment"):
        assert len({line.at for line in case.lines}) == 1
        assert case.conflict == "must"
        assert case.expected == ()


def test_another_speaker_is_named_and_another_space_is_another() -> None:
    for case in CASES:
        if case.kind == "other_speaker":
            (pair,) = case.keep
            names = {line.id: line.name for line in case.lines}
            assert None not in (names[pair[0]], names[pair[1]])
            assert names[pair[0]] != names[pair[1]]
        if case.kind == "other_space":
            assert {line.space for line in case.lines} == {"main", "other"}
        else:
            assert {line.space for line in case.lines} == {"main"}


def test_the_right_supersession_is_right() -> None:
    verdict = judge(MOVED, outcome(replace(HOME, superseded_by="f3"), WORK, NEW))
    assert (verdict.made, verdict.right, verdict.expected, verdict.met) == (1, 1, 1, 1)
    assert verdict.problems == ()
    assert verdict.answered
    assert verdict.current_first is True


def test_a_turn_may_supersede_and_be_superseded_when_it_says_what_it_is_about() -> None:
    turn = replace(TURNS[0], superseded_by="m-t2")
    verdict = judge(MOVED, Outcome((turn, *TURNS[1:]), (), (), NOW))
    assert (verdict.right, verdict.met) == (1, 1)
    assert not verdict.answered


def test_the_other_thing_that_a_turn_tells_must_stay() -> None:
    verdict = judge(MOVED, outcome(HOME, replace(WORK, superseded_by="f3"), NEW))
    assert (verdict.made, verdict.right, verdict.met) == (1, 0, 0)
    assert len(verdict.problems) == 2


def test_a_successor_out_of_an_echo_is_wrong_and_is_learned_again() -> None:
    echo = Stored("f4", "fact", "The user lives in Tampere.", "generated", frozenset({"t3"}))
    verdict = judge(MOVED, outcome(replace(HOME, superseded_by="f4"), echo))
    assert (verdict.made, verdict.right, verdict.echoes, verdict.relearned) == (1, 0, 1, 1)


@pytest.mark.parametrize(
    "harmless",
    [
        Stored("f4", "fact", "The user lives in Tampere.", "generated", frozenset({"t2", "t3"})),
        Stored("f4", "fact", "The user lives in Tampere.", "archived", frozenset({"t3"})),
        Stored("f4", "fact", "The user lives in Tampere.", "generated", frozenset({"t3"}), superseded_by="f3"),
        Stored("f4", "fact", "x", "generated", frozenset({"t3"}), valid_to=datetime(2025, 1, 1, tzinfo=UTC)),
        Stored("f4", "summary", "They talked.", "generated", frozenset({"t3"})),
    ],
)
def test_an_echo_that_is_linked_or_not_current_is_not_learned(harmless: Stored) -> None:
    assert judge(MOVED, outcome(NEW, harmless)).relearned == 0


def test_what_is_allowed_counts_nowhere() -> None:
    case = replace(MOVED, expected=(), allowed=MOVED.expected)
    verdict = judge(case, outcome(replace(HOME, superseded_by="f3"), NEW))
    assert (verdict.made, verdict.right, verdict.expected) == (0, 0, 0)


def test_conflicts_are_wrong_wanted_or_let_be() -> None:
    pair = (("f1", "f3"),)
    assert judge(MOVED, outcome(HOME, NEW, conflicts=pair)).conflict_wrong
    assert not judge(replace(MOVED, conflict="may"), outcome(HOME, NEW, conflicts=pair)).conflict_wrong
    wanted = replace(MOVED, conflict="must", keep=(("t1", "t2"),))
    assert judge(wanted, outcome(HOME, NEW, conflicts=pair)).conflict_met
    assert not judge(wanted, outcome(HOME, NEW, conflicts=(("f2", "f9"),))).conflict_met
    assert not judge(wanted, outcome(HOME, NEW)).conflict_met


def test_what_is_stale_before_what_holds_is_seen() -> None:
    assert judge(MOVED, outcome(ranked=("m-t1", "m-t2"))).current_first is False
    assert judge(MOVED, outcome(ranked=("m-t3",))).current_first is False


def test_figures_are_over_all_cases_and_by_group() -> None:
    right = judge(MOVED, outcome(replace(HOME, superseded_by="f3"), NEW))
    missed = judge(replace(MOVED, id="b", split="test"), outcome(HOME, NEW))
    wrong = judge(replace(MOVED, id="c", category="echo"), outcome(replace(WORK, superseded_by="f3"), NEW))
    found = figures([right, missed, wrong])
    assert found["planted.supersede_precision"] == 1 / 2
    assert found["planted.supersede_recall"] == 1 / 3
    assert found["planted.supersede_precision/update"] == 1
    assert found["planted.supersede_recall/test"] == 0
    assert "planted.supersede_precision/test" not in found
    assert found["planted.supersede_precision/dev/echo"] == 0
    assert found["planted.echo_relearned"] == 0
    assert found["planted.n"] == 3

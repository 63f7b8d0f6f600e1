"""The forgetting curve, what moves it, what losing a memory would cost, and which ones a policy chooses."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from types import SimpleNamespace
from typing import get_args
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memsvc.ids import MemoryId
from memsvc.store.curve import FORGETTING, Reinforcement
from memsvc.store.forgetting import Amount, Protection, Standing
from memsvc.text.analysis import analyze
from memsvc.upkeep.forecast import trace
from memsvc.upkeep.retention import (
    Worth,
    days_until,
    elapsed_days,
    expected_value,
    falls_to,
    retention,
    stability,
    strengthened,
    uniqueness,
)
from memsvc.upkeep.retention import informativeness as told_by
from memsvc.upkeep.selection import Budget, Rules, Weighed, choose, exceeded, read_rules, spare, with_share
from memsvc.wire import Fading, ForgetPolicy, Keeping, Kind

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
KINDS = sorted(get_args(Kind))
kinds = st.sampled_from(KINDS)
shares = st.floats(0, 1)
strengths = st.floats(FORGETTING.least_strength, FORGETTING.most_strength)
days = st.floats(0, 1e6)
grow = st.sampled_from(sorted(FORGETTING.gains))
causes = st.sampled_from(sorted([*FORGETTING.gains, *FORGETTING.factors]))


def informativeness(text: str) -> float:
    return told_by(text, analyze(text))


def test_every_kind_has_a_base_and_the_wire_shows_the_constants() -> None:
    assert sorted(FORGETTING.base_days) == KINDS
    shown = Fading()
    assert (shown.archive_below, shown.forget_below) == (FORGETTING.archive_below, FORGETTING.forget_below)
    assert Keeping().importance == FORGETTING.pinned_importance


@pytest.mark.parametrize(
    ("kind", "importance", "strength", "expected"),
    [
        ("turn", 0.5, 1.0, 90.0),
        ("turn", 1.0, 1.0, 180.0),
        ("turn", 0.0, 1.0, 45.0),
        ("turn", 0.5, 2.5, 225.0),
        ("fact", 0.5, 1.0, 365.0),
        ("preference", 0.75, 1.0, 730 * math.sqrt(2)),
        ("turn", 0.5, 0.0, 9.0),
        ("turn", 0.5, 1e9, 1800.0),
    ],
)
def test_stability_in_days(kind: str, importance: float, strength: float, expected: float) -> None:
    assert stability(kind, importance, strength) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("after", "expected"), [(0, 1.0), (90, 0.3679), (108, 0.3012), (109, 0.2978), (270, 0.0498), (1e9, 0.0), (-5, 1.0)]
)
def test_a_turn_that_nobody_asks_for_fades(after: float, expected: float) -> None:
    assert retention(after, 90) == pytest.approx(expected, abs=1e-4)


@given(days, days, kinds, shares, strengths)
def test_retention_falls_with_time_and_stays_within_its_bounds(
    one: float, other: float, kind: str, importance: float, strength: float
) -> None:
    lasts = stability(kind, importance, strength)
    first, second = retention(min(one, other), lasts), retention(max(one, other), lasts)
    assert 0 < second <= first <= 1


@given(days, kinds, st.floats(0, 0.99), strengths)
def test_what_matters_more_or_is_stronger_lasts_longer(
    after: float, kind: str, importance: float, strength: float
) -> None:
    lasts = stability(kind, importance, strength)
    assert stability(kind, importance + 0.01, strength) > lasts
    assert stability(kind, importance, strength * 1.01) >= lasts
    assert retention(after, stability(kind, importance + 0.01, strength)) >= retention(after, lasts)


@given(st.floats(0.001, 0.999), kinds, shares, strengths)
def test_the_moment_of_a_threshold_is_where_the_curve_meets_it(
    level: float, kind: str, importance: float, strength: float
) -> None:
    lasts = stability(kind, importance, strength)
    assert retention(days_until(level, lasts), lasts) == pytest.approx(level)
    assert retention(elapsed_days(NOW, falls_to(level, NOW, lasts)), lasts) == pytest.approx(level, abs=1e-6)


def test_a_threshold_too_far_for_the_calendar_is_at_its_end() -> None:
    assert falls_to(1e-300, NOW, 1e9) == NOW + timedelta(days=365_000)


def test_a_moment_to_come_has_not_elapsed() -> None:
    assert elapsed_days(NOW + timedelta(days=3), NOW) == 0


@pytest.mark.parametrize(
    ("strength", "retained", "cause", "expected"),
    [
        (1.0, 0.3, "used", 2.5206),  # SM-2's first ease, at the threshold
        (1.0, 0.3, "helpful", 4.0413),
        (1.0, 0.3, "confirmed", 2.0138),
        (1.0, 0.3, "recalled", 1.2028),
        (1.0, 1.0, "helpful", 1.0),
        (1.0, 0.9, "used", 1.1578),
        (8.0, 0.3, "used", 16.0259),
        (19.0, 0.3, "used", 20.0),
        (1.0, 0.3, "wrong", 0.5),
        (1.0, 0.9, "repeats", 0.5),
        (0.15, 0.3, "wrong", 0.1),
    ],
)
def test_what_a_reinforcement_does(strength: float, retained: float, cause: str, expected: float) -> None:
    assert strengthened(strength, retained, cause) == pytest.approx(expected, abs=1e-4)


@given(strengths, shares, shares, grow)
def test_the_spacing_effect(strength: float, one: float, other: float, cause: str) -> None:
    """The nearer a memory was to being lost, the more a use of it counts."""
    assert strengthened(strength, min(one, other), cause) >= strengthened(strength, max(one, other), cause) >= strength


@given(strengths, st.floats(0, 0.99))
def test_a_better_reason_strengthens_more(strength: float, retained: float) -> None:
    moved = [strengthened(strength, retained, cause) for cause in ("wrong", "recalled", "confirmed", "used", "helpful")]
    assert moved == sorted(moved)
    assert moved[0] < moved[-1] or strength == FORGETTING.least_strength


@given(strengths, shares, causes)
def test_strength_stays_within_its_bounds(strength: float, retained: float, cause: str) -> None:
    assert FORGETTING.least_strength <= strengthened(strength, retained, cause) <= FORGETTING.most_strength


@given(st.integers(1, 12), st.floats(1, 200))
def test_uses_spread_over_time_beat_as_many_at_once(uses: int, gap: float) -> None:
    spread = massed = 1.0
    for _ in range(uses):
        spread = strengthened(spread, retention(gap, stability("turn", 0.5, spread)), "used")
        massed = strengthened(massed, 1.0, "used")
    assert massed == 1.0
    assert spread > massed


def test_what_texts_tell() -> None:
    texts = [
        "Do you?",
        "Where did you put it?",
        "Wow, thanks!",
        "The weather was fine.",
        "I live in Porto.",
        "I met Greta Lindqvist on 4 July in Coimbra.",
    ]
    told = [informativeness(one) for one in texts]
    assert told == sorted(told)
    assert told[2] < 0.1
    assert told[-1] > 0.5


@pytest.mark.parametrize("text", ["", "   \n", "...", "👋"])
def test_what_says_nothing_tells_nothing(text: str) -> None:
    assert informativeness(text) == 0


@pytest.mark.parametrize(
    ("more", "less"),
    [
        ("I moved to Porto.", "He moved to porto."),
        ("The bill is 250 euros.", "The bill is many euros."),
        ("She works with Greta.", "She works with someone."),
        ("We left the boat there.", "Who left the boat there?"),
        ("She plays cello and sings.", "She plays cello."),
    ],
)
def test_each_part_counts(more: str, less: str) -> None:
    assert informativeness(more) > informativeness(less)


@given(st.text(max_size=300))
def test_what_a_text_tells_is_a_share(text: str) -> None:
    assert 0 <= informativeness(text) < 1


def test_terms_that_occur_nowhere_else_make_a_text_unique() -> None:
    assert uniqueness([], 100) == 0
    assert uniqueness([1, 1, 1], 100) == 1
    assert uniqueness([100, 100], 100) == 0
    assert uniqueness([10, 1], 100) == pytest.approx(0.75)
    assert uniqueness([1], 1) == 1


PLAIN = Worth(
    retained=0.5,
    importance=0.5,
    kind="turn",
    role="user",
    useful=0,
    told=False,
    stood_for=False,
    unique=0.5,
    informative=0.5,
)


def test_expected_value_by_hand() -> None:
    # need = 1 - .7 * .5, tells = .5 * 1 * 1 * .6
    assert expected_value(PLAIN) == pytest.approx(0.65 * 0.3)


@pytest.mark.parametrize(
    "better",
    [
        {"retained": 0.6},
        {"importance": 0.6},
        {"kind": "fact"},
        {"useful": 1},
        {"told": True},
        {"unique": 0.6},
        {"informative": 0.6},
    ],
)
def test_each_of_these_makes_a_memory_worth_more(better: dict) -> None:
    assert expected_value(replace(PLAIN, **better)) > expected_value(PLAIN)


@pytest.mark.parametrize("worse", [{"stood_for": True}, {"role": "assistant"}])
def test_each_of_these_makes_it_worth_less(worse: dict) -> None:
    assert expected_value(replace(PLAIN, **worse)) < expected_value(PLAIN)


def test_an_old_memory_that_tells_much_is_worth_more_than_a_fresh_greeting() -> None:
    told = replace(PLAIN, retained=0.0, informative=informativeness("I met Greta Lindqvist on 4 July in Coimbra."))
    greeting = replace(PLAIN, retained=1.0, informative=informativeness("Wow, thanks!"))
    assert expected_value(told) > expected_value(greeting)


def standing(number: int, **fields: object) -> Standing:
    values = {
        "id": MemoryId(UUID(int=number)),
        "number": number,
        "version": 1,
        "in_use_at": None,
        "kind": "turn",
        "role": "user",
        "importance": 0.5,
        "retention": 1.0,
        "bytes": 10,
        "tokens": 3,
        "useful": 0,
        "told": False,
        "stood_for": False,
        "kept_by": None,
        "content": "",
    }
    return Standing(**{**values, **fields})  # type: ignore[arg-type]


def amounts(weighed: list[Weighed]) -> dict[str, Amount]:
    held: dict[str, Amount] = {}
    for one in weighed:
        before = held.get(one.standing.kind, Amount())
        held[one.standing.kind] = Amount(
            before.memories + 1, before.bytes + one.standing.bytes, before.tokens + one.standing.tokens
        )
    return held


def chosen(rules: Rules, weighed: list[Weighed], facts: dict | None = None) -> list[int]:
    evidence = {
        MemoryId(UUID(int=fact)): {MemoryId(UUID(int=one)) for one in members}
        for fact, members in (facts or {}).items()
    }
    return [going.standing.number for going in choose(rules, weighed, evidence, held=amounts(weighed))]


ALL = frozenset(KINDS)


def test_the_faded_go_by_number_then_the_lowest_values_until_the_budget_holds() -> None:
    rules = Rules(archive_below={"turn": 0.3}, budgets=(Budget(ALL, {"memories": 3}),))
    weighed = [
        Weighed(standing(1), 0.9),
        Weighed(standing(2, retention=0.1), 0.5),
        Weighed(standing(3), 0.2),
        Weighed(standing(4, retention=0.2), 0.1),
        Weighed(standing(5), 0.2),
        Weighed(standing(6, retention=0.1, kind="fact"), 0.7),
        Weighed(standing(7), 0.1),
    ]
    assert chosen(rules, weighed) == [2, 4, 7, 3]


def test_a_kind_that_was_not_counted_yet_is_none_to_stumble_over() -> None:
    rules = Rules(archive_below={"fact": 0.3})
    new = Weighed(standing(1, kind="fact", retention=0.1))
    assert [going.standing.number for going in choose(rules, [new], {}, held={})] == [1]


def test_the_budget_of_a_kind_goes_before_that_of_all() -> None:
    rules = Rules(budgets=(Budget(frozenset({"fact"}), {"memories": 1}), Budget(ALL, {"memories": 3})))
    weighed = [Weighed(standing(n, kind="fact" if n % 2 else "turn"), n / 10) for n in range(1, 7)]
    assert chosen(rules, weighed) == [1, 3, 2]


def test_what_is_kept_counts_and_stays() -> None:
    rules = Rules(budgets=(Budget(ALL, {"memories": 1}),))
    weighed = [Weighed(standing(1, kept_by="pinned"), 0.1), Weighed(standing(2), 0.9), Weighed(standing(3), 0.8)]
    assert chosen(rules, weighed) == [3, 2]


def test_something_of_each_fact_stays_whichever_goes_first() -> None:
    rules = Rules(budgets=(Budget(ALL, {"memories": 0}),))
    weighed = [Weighed(standing(n), n / 10) for n in range(1, 6)]
    assert chosen(rules, weighed, {3: [1, 2, 3], 9: [5]}) == [1, 2, 4]
    assert chosen(replace(rules, keep_facts=False), weighed, {3: [1, 2, 3]}) == [1, 2, 3, 4, 5]


def test_what_is_going_is_spared_when_it_is_left_alone_with_a_fact() -> None:
    rules = Rules(budgets=(Budget(ALL, {"memories": 0}),))
    going = list(choose(rules, [Weighed(standing(n), n / 10) for n in (1, 2)], {}, held={"turn": Amount(2, 20, 6)}))
    one, two = (MemoryId(UUID(int=n)) for n in (1, 2))
    assert [each.standing.number for each in spare(going, {two: {one, two}})] == [1]
    assert [each.standing.number for each in spare(going, {two: {two}})] == [1]


@st.composite
def populations(draw: st.DrawFn) -> tuple[list[Weighed], dict[int, list[int]]]:
    size = draw(st.integers(1, 25))
    weighed = [
        Weighed(
            standing(
                number,
                kind=draw(st.sampled_from(["turn", "fact"])),
                retention=draw(shares),
                bytes=draw(st.integers(1, 50)),
                tokens=draw(st.integers(1, 12)),
                kept_by=draw(st.sampled_from([None, None, None, "pinned"])),
            ),
            draw(st.sampled_from([0.1, 0.2, 0.3, 0.4])),
        )
        for number in range(1, size + 1)
    ]
    members = st.lists(st.integers(1, size), min_size=1, max_size=4)
    return weighed, draw(st.dictionaries(st.integers(1, size), members, max_size=5))


@given(populations(), st.integers(0, 25), st.integers(0, 400), st.floats(0.01, 0.99))
def test_a_choice_keeps_every_rule(
    population: tuple[list[Weighed], dict[int, list[int]]], memories: int, size: int, bound: float
) -> None:
    weighed, facts = population
    budget = Budget(ALL, {"memories": memories, "bytes": size})
    rules = Rules(archive_below={"turn": bound}, budgets=(budget,))
    gone = chosen(rules, weighed, facts)
    assert len(set(gone)) == len(gone)
    left = [one for one in weighed if one.standing.number not in gone]
    assert all(one.standing.kept_by is None for one in weighed if one.standing.number in gone)
    assert all(set(members) - set(gone) for members in facts.values())
    movable = [
        one
        for one in left
        if one.standing.kept_by is None
        and not any(set(members) - set(gone) == {one.standing.number} for members in facts.values())
    ]
    assert not any(one.standing.kind == "turn" and one.standing.retention < bound for one in movable)
    assert not movable or not exceeded(rules, amounts(left))


@given(populations(), st.integers(0, 25), st.floats(0.01, 0.99), st.integers(1, 5))
def test_a_choice_in_batches_is_the_same_choice(
    population: tuple[list[Weighed], dict[int, list[int]]], memories: int, bound: float, batch: int
) -> None:
    weighed, facts = population
    rules = Rules(archive_below={"turn": bound}, budgets=(Budget(ALL, {"memories": memories}),))
    whole = chosen(rules, weighed, facts)
    gone: list[int] = []
    while True:
        left = [one for one in weighed if one.standing.number not in gone]
        rest = {fact: [one for one in members if one not in gone] for fact, members in facts.items()}
        more = list(islice(chosen(rules, left, rest), batch))
        if not more:
            break
        gone += more
    assert gone == whole


def test_without_a_policy_there_are_no_rules() -> None:
    rules = read_rules(None)
    assert (rules.archive_below, rules.budgets) == ({}, ())


def test_a_policy_is_read_kind_by_kind() -> None:
    policy = {
        "after": {"archive_below": 0.4},
        "budget": {"memories": 9},
        "kinds": {"turn": {"budget": {"tokens": 5}}, "fact": {"after": {"archive_below": 0.1}}},
        "keep": {"importance": 0.7, "kinds": ["summary"], "facts": False},
    }
    rules = read_rules(ForgetPolicy.model_validate(policy))
    others = [kind for kind in KINDS if kind not in {"turn", "fact"}]
    assert rules.archive_below == {**dict.fromkeys(others, 0.4), "fact": 0.1}
    assert rules.forget_below == {**dict.fromkeys(others, 0.05), "fact": 0.05}
    assert rules.budgets == (Budget(frozenset({"turn"}), {"tokens": 5}), Budget(ALL, {"memories": 9}))
    assert (rules.protection, rules.keep_facts) == (Protection(0.7, ("summary",)), False)


@pytest.mark.parametrize(("share", "goes"), [(0.3, 3), (0.5, 5), (0.05, 0)])
def test_a_share_is_one_of_the_turns(share: float, goes: int) -> None:
    weighed = [Weighed(standing(n, retention=0.0), n / 100) for n in range(1, 11)]
    weighed += [Weighed(standing(n, kind="fact"), 0.0) for n in range(11, 21)]
    rules = with_share(Rules(archive_below={"turn": 0.3}), share, amounts(weighed))
    assert chosen(rules, weighed) == list(range(1, goes + 1))


def turn(**fields: object) -> SimpleNamespace:
    born = {"recorded_at": NOW, "occurred_at": None, "last_accessed_at": None}
    return SimpleNamespace(**{"kind": "turn", "importance": 0.5, "strength": 1.0, **born, **fields})


def drawn(record: SimpleNamespace, moved: list[Reinforcement], after: float) -> list[tuple[float, float]]:
    points = trace(record, moved, NOW + timedelta(days=after))  # type: ignore[arg-type]
    return [(round(elapsed_days(NOW, one.at), 2), round(one.retention, 4)) for one in points]


def test_the_curve_of_what_was_never_in_use() -> None:
    assert drawn(turn(), [], 90) == [(0, 1), (22.5, 0.7788), (45, 0.6065), (67.5, 0.4724), (90, 0.3679)]
    assert drawn(turn(), [], 0) == []
    assert drawn(turn(strength=2.0), [], 180)[-1] == (180, 0.3679)


def test_a_use_brings_the_curve_up_and_makes_it_flatter() -> None:
    used = Reinforcement(NOW + timedelta(days=90), "used", 0.3679, 2.0)
    points = drawn(turn(strength=2.0, last_accessed_at=used.at), [used], 270)
    assert points[4:6] == [(90, 0.3679), (90, 1)]
    assert points[-1] == (270, 0.3679)


def test_what_is_wrong_falls_at_once_and_time_runs_on() -> None:
    wrong = Reinforcement(NOW + timedelta(days=45), "wrong", 0.6065, 0.5)
    assert drawn(turn(strength=0.5), [wrong], 90)[4:] == [
        (45, 0.6065),
        (45, 0.3679),
        (56.25, 0.2865),
        (67.5, 0.2231),
        (78.75, 0.1738),
        (90, 0.1353),
    ]


def test_a_second_recall_of_a_day_starts_the_curve_anew_as_steep_as_it_was() -> None:
    first = Reinforcement(NOW + timedelta(days=9), "recalled", 0.9048, 1.0)
    again = NOW + timedelta(days=9.5)
    points = drawn(turn(last_accessed_at=again), [first], 99.5)
    assert points[9:11] == [(9.5, 0.9945), (9.5, 1)]
    assert points[-1] == (99.5, 0.3679)


def test_what_happens_in_the_future_has_not_begun_to_fade() -> None:
    ahead = turn(occurred_at=NOW + timedelta(days=30))
    assert drawn(ahead, [], 10) == []
    assert drawn(ahead, [], 120)[-1] == (120, 0.3679)

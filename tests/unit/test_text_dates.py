"""Periods named in text."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memsvc.text.dates import Period, closeness, find_periods, named_days, without_times

WEDNESDAY = date(2024, 5, 15)


def day(year: int, month: int, number: int, *, other_years: float = 0.0) -> Period:
    return Period(date(year, month, number), date(year, month, number), other_years)


@pytest.mark.parametrize(
    ("text", "periods"),
    [
        ("on 7 May 2023", [day(2023, 5, 7)]),
        ("on the 7th of May, 2023", [day(2023, 5, 7)]),
        ("May 7, 2023 and Jun 2nd 2023", [day(2023, 5, 7), day(2023, 6, 2)]),
        ("2023-05-07", [day(2023, 5, 7)]),
        ("August 14th", [day(2000, 8, 14, other_years=1.0)]),
        ("29 February", [day(2000, 2, 29, other_years=1.0)]),
        ("June 2023", [Period(date(2023, 6, 1), date(2023, 6, 30))]),
        ("in June 2023", [Period(date(2023, 6, 1), date(2023, 6, 30))]),
        ("during June 7, 2023", [day(2023, 6, 7)]),
        ("in February", [Period(date(2000, 2, 1), date(2000, 2, 29), other_years=1.0)]),
        ("in 2022", [Period(date(2022, 1, 1), date(2022, 12, 31))]),
        ("31 June 2023", []),
        ("2023-02-30", []),
        ("that may march on", []),
        ("room 2045b, 7 mayors", []),
        ("", []),
    ],
)
def test_absolute(text: str, periods: list[Period]) -> None:
    assert find_periods(text, None) == periods


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("today", "2024-05-15", "2024-05-15"),
        ("this morning", "2024-05-15", "2024-05-15"),
        ("12 hours ago", "2024-05-15", "2024-05-15"),
        ("Yesterday", "2024-05-14", "2024-05-14"),
        ("last night", "2024-05-14", "2024-05-14"),
        ("the day before yesterday", "2024-05-13", "2024-05-13"),
        ("tomorrow", "2024-05-16", "2024-05-16"),
        ("three days ago", "2024-05-12", "2024-05-12"),
        ("two weeks ago", "2024-04-28", "2024-05-04"),
        ("a couple of weeks ago", "2024-04-24", "2024-05-08"),
        ("several days ago", "2024-05-09", "2024-05-13"),
        ("a month ago", "2024-03-31", "2024-04-30"),
        ("two weeks from now", "2024-05-26", "2024-06-01"),
        ("in the past two weeks", "2024-05-01", "2024-05-15"),
        ("over the last few days", "2024-05-12", "2024-05-15"),
        ("in the next ten days", "2024-05-15", "2024-05-25"),
        ("in the past month", "2024-04-15", "2024-05-15"),
        ("within the last week", "2024-05-08", "2024-05-15"),
        ("last week", "2024-05-06", "2024-05-12"),
        ("last weekend", "2024-05-11", "2024-05-12"),
        ("over the weekend", "2024-05-11", "2024-05-12"),
        ("this weekend", "2024-05-18", "2024-05-19"),
        ("this month", "2024-05-01", "2024-05-31"),
        ("last month", "2024-04-01", "2024-04-30"),
        ("next month", "2024-06-01", "2024-06-30"),
        ("last year", "2023-01-01", "2023-12-31"),
        ("last Friday", "2024-05-10", "2024-05-10"),
        ("last Wednesday", "2024-05-08", "2024-05-08"),
        ("this Friday", "2024-05-17", "2024-05-17"),
        ("next Wednesday", "2024-05-22", "2024-05-22"),
        ("on Wednesday", "2024-05-15", "2024-05-15"),
        ("on Thursday", "2024-05-09", "2024-05-09"),
        ("what will happen on Thursday", "2024-05-16", "2024-05-16"),
        ("this spring", "2024-03-01", "2024-05-31"),
        ("last summer", "2023-06-01", "2023-08-31"),
        ("next winter", "2024-12-01", "2025-02-28"),
        ("this winter", "2023-12-01", "2024-02-29"),
        ("last March", "2024-03-01", "2024-03-31"),
        ("last June", "2023-06-01", "2023-06-30"),
        ("at the beginning of the month", "2024-05-01", "2024-05-10"),
        ("the end of last year", "2023-12-01", "2023-12-31"),
    ],
)
def test_relative(text: str, first: str, last: str) -> None:
    assert find_periods(text, WEDNESDAY) == [Period(date.fromisoformat(first), date.fromisoformat(last))]


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        # Within a year that is named.
        ("between March 3 and May 2023", "2023-03-03", "2023-05-31"),
        ("from June to August 2022", "2022-06-01", "2022-08-31"),
        ("from November 2022 to February", "2022-11-01", "2023-02-28"),
        ("between August 11 and August 15 2023", "2023-08-11", "2023-08-15"),
        ("between August 11 and 15, 2023", "2023-08-11", "2023-08-15"),
        ("August 11-15, 2023", "2023-08-11", "2023-08-15"),
        ("11 to 15 August 2023", "2023-08-11", "2023-08-15"),
        ("from last Monday until yesterday", "2024-05-13", "2024-05-14"),
        ("in summer 2022", "2022-06-01", "2022-08-31"),
        ("the winter of 2022", "2022-12-01", "2023-02-28"),
        # Open ends: until the asker's day, or without a beginning.
        ("since May 2023", "2023-05-01", "2024-05-15"),
        ("since last Monday", "2024-05-13", "2024-05-15"),
        ("since the start of the year", "2024-01-01", "2024-05-15"),
        ("from March 2023 onwards", "2023-03-01", "2024-05-15"),
        ("after 2022", "2023-01-01", "2024-05-15"),
        ("after May 20, 2024", "2024-05-21", "9999-12-31"),
        ("before April 10, 2023", "0001-01-01", "2023-04-09"),
        ("prior to last week", "0001-01-01", "2024-05-05"),
        ("until March 5, 2024", "0001-01-01", "2024-03-05"),
        # Parts of a longer time.
        ("the first weekend of August 2023", "2023-08-05", "2023-08-06"),
        ("the last weekend of August 2023", "2023-08-26", "2023-08-27"),
        ("the second week of November 2023", "2023-11-08", "2023-11-14"),
        ("the third Monday of June 2023", "2023-06-19", "2023-06-19"),
        ("the first half of September 2022", "2022-09-01", "2022-09-15"),
        ("the last day of March 2024", "2024-03-31", "2024-03-31"),
        ("early June 2023", "2023-06-01", "2023-06-10"),
        ("mid-June 2023", "2023-06-11", "2023-06-20"),
        ("late in June 2023", "2023-06-21", "2023-06-30"),
    ],
)
def test_what_the_words_around_a_time_make_of_it(text: str, first: str, last: str) -> None:
    assert find_periods(text, WEDNESDAY) == [Period(date.fromisoformat(first), date.fromisoformat(last))]


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("the weekend before July 4, 2023", "2023-07-01", "2023-07-02"),
        ("the weekend after July 4, 2023", "2023-07-08", "2023-07-09"),
        ("the weekend of July 4, 2023", "2023-07-01", "2023-07-02"),
        ("the week of July 4, 2023", "2023-07-03", "2023-07-09"),
        ("the week before July 4, 2023", "2023-06-27", "2023-07-03"),
        ("the day after July 4, 2023", "2023-07-05", "2023-07-05"),
        ("the Sunday before July 4, 2023", "2023-07-02", "2023-07-02"),
        ("the Tuesday following July 4, 2023", "2023-07-11", "2023-07-11"),
        ("ten days before July 4, 2023", "2023-06-24", "2023-06-24"),
        ("two weeks after July 4, 2023", "2023-07-15", "2023-07-21"),
        ("in the two weeks before July 4, 2023", "2023-06-20", "2023-07-03"),
        ("last weekend, before July 4, 2023", "2023-07-01", "2023-07-02"),
        ("last Friday on July 4, 2023", "2023-06-30", "2023-06-30"),
        ("last week, as told on July 4, 2023", "2023-06-26", "2023-07-02"),
    ],
)
def test_a_time_told_by_another_one_which_counts_as_well(text: str, first: str, last: str) -> None:
    told = Period(date.fromisoformat(first), date.fromisoformat(last))
    assert find_periods(text, WEDNESDAY) == [told, day(2023, 7, 4)]


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("in March", "2024-03-01", "2024-03-31"),
        ("in June", "2023-06-01", "2023-06-30"),
        ("on June 7", "2023-06-07", "2023-06-07"),
        ("what is planned on June 7", "2024-06-07", "2024-06-07"),
        ("over the summer", "2023-06-01", "2023-08-31"),
        ("in the fall", "2023-09-01", "2023-11-30"),
        ("between March 3 and May", "2024-03-03", "2024-05-31"),
        ("from June to August", "2023-06-01", "2023-08-31"),
        ("from November to February", "2023-11-01", "2024-02-28"),
        ("29 February", "2024-02-29", "2024-02-29"),
    ],
)
def test_a_year_not_named_is_the_last_one_and_others_will_do(text: str, first: str, last: str) -> None:
    assert find_periods(text, WEDNESDAY) == [Period(date.fromisoformat(first), date.fromisoformat(last), 0.5)]


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("in June and July", ["2023-06-01", "2023-07-01"]),
        ("how many days between May 3, 2023 and June 5, 2023", ["2023-05-03", "2023-06-05"]),
        ("how many weeks since May 3, 2023", ["2023-05-03"]),
        ("how many days before May 3, 2023 did she call", ["2023-05-03"]),
        ("yesterday and on May 3, 2023", ["2024-05-14", "2023-05-03"]),
    ],
)
def test_times_that_are_no_range(text: str, days: list[str]) -> None:
    assert [period.first.isoformat() for period in find_periods(text, WEDNESDAY)] == days


@pytest.mark.parametrize(
    "text",
    [
        "this may be wrong",
        "after the fall",
        "June told Caroline and June",
        "on my birthday",
        "4/5/2023",
        "pre-1920 coins",
        "the second place",
        "a week before the exam",
        "the weekend",
        "what to do on Fridays",
    ],
)
def test_what_is_no_time(text: str) -> None:
    assert find_periods(text, WEDNESDAY) == []


def test_the_calendar_tells_which_number_is_the_month() -> None:
    assert find_periods("13/4/2023 or 4/14/2023 or 5/5/2023", None) == [
        day(2023, 4, 13),
        day(2023, 4, 14),
        day(2023, 5, 5),
    ]


def test_relative_words_mean_nothing_without_an_anchor() -> None:
    assert find_periods("yesterday, last week, two years ago", None) == []


def test_without_an_anchor_an_open_end_needs_a_year() -> None:
    assert find_periods("since May", None) == [Period(date(2000, 5, 1), date(2000, 5, 31), 1.0)]
    assert find_periods("since May 2023", None) == [Period(date(2023, 5, 1), date.max)]
    assert find_periods("the week before May 3", None) == [day(2000, 5, 3, other_years=1.0)]


def test_days_named_with_their_year() -> None:
    assert named_days("On 7 May 2023, in June 2023, on 3 May; it is due 2023-06-01.") == [
        date(2023, 5, 7),
        date(2023, 6, 1),
    ]


def test_a_text_without_its_times() -> None:
    assert without_times("the race on 7 may 2023, two weeks ago").split() == ["the", "race", "on", ","]


def test_a_count_beyond_the_calendar_is_no_period() -> None:
    assert find_periods("999 years ago", date(500, 1, 1)) == []


@pytest.mark.parametrize(
    ("moment", "fit"),
    [
        (date(2023, 5, 7), 1.0),
        (date(2023, 5, 9), 0.8),
        (date(2023, 5, 5), 0.3),
        (date(2023, 5, 17), 0.0),
        (date(2023, 5, 2), 0.0),
        (date(2022, 5, 7), 0.0),
    ],
)
def test_reports_come_after_the_event(moment: date, fit: float) -> None:
    assert closeness(day(2023, 5, 7), moment) == pytest.approx(fit)


def test_a_long_period_says_less() -> None:
    moment = date(2023, 5, 7)
    month, year = find_periods("in May 2023", None)[0], find_periods("in 2023", None)[0]
    assert (closeness(month, moment), closeness(year, moment)) == (0.5, 0.2)


def test_without_a_year_the_nearest_one_is_meant() -> None:
    new_year = find_periods("31 December", None)[0]
    assert closeness(new_year, date(2023, 12, 31)) == 1.0
    assert closeness(new_year, date(2024, 1, 2)) == pytest.approx(0.8)
    assert closeness(find_periods("29 February", None)[0], date(2023, 2, 28)) == 1.0
    winter = find_periods("from November to February", None)[0]
    assert closeness(winter, date(2024, 1, 5)) == closeness(winter, date(2023, 12, 5)) == 0.2


def test_another_year_is_worth_half_once_the_last_one_is_known() -> None:
    period = find_periods("on March 3", WEDNESDAY)[0]
    assert closeness(period, date(2024, 3, 3)) == 1.0
    assert closeness(period, date(2022, 3, 3)) == 0.5
    assert closeness(period, date(2022, 3, 8)) == pytest.approx(0.25)


def test_an_open_end_holds_what_lies_beyond() -> None:
    since, before = find_periods("after May 20, 2024", WEDNESDAY)[0], find_periods("before 2020", WEDNESDAY)[0]
    assert closeness(since, date(2031, 1, 1)) == closeness(before, date(1950, 1, 1)) == 0.2
    assert closeness(since, date(2024, 5, 10)) == closeness(before, date(2020, 1, 11)) == 0.0


DAYS = st.dates(date(1900, 1, 1), date(2099, 12, 31))


@given(DAYS, DAYS)
def test_any_two_days_written_out_are_a_range(one: date, other: date) -> None:
    first, last = sorted((one, other))
    text = f"between {first:%B} {first.day}, {first.year} and {last.day} {last:%b} {last.year}"
    assert find_periods(text, None) == [Period(first, last)]


@given(DAYS, st.integers(0, 300))
def test_days_are_counted_back_from_the_asker(today: date, count: int) -> None:
    assert find_periods(f"{count} days ago", today) == [Period(*[today - timedelta(days=count)] * 2)]


@given(DAYS, st.sampled_from(["week", "weekend", "month", "year", "summer", "winter", "july", "tuesday"]))
def test_last_lies_before_this_and_this_before_next(today: date, cycle: str) -> None:
    last, next_one = (find_periods(f"{which} {cycle}", today)[0] for which in ("last", "next"))
    assert last.first < today < next_one.last
    assert last.last < next_one.first


@given(DAYS, st.sampled_from(["day", "week", "weekend", "monday"]))
def test_before_and_after_a_day_touch_it_on_neither_side(day_named: date, unit: str) -> None:
    text = f"{day_named:%B} {day_named.day}, {day_named.year}"
    before, after = (find_periods(f"the {unit} {side} {text}", None)[0] for side in ("before", "after"))
    assert before.last < day_named < after.first
    assert (after.first - before.last).days <= 14


@given(st.text(alphabet="0123456789 /-,.", max_size=40), DAYS)
def test_no_row_of_numbers_is_too_odd(text: str, today: date) -> None:
    for period in find_periods(f"since {text} of may and 3 days ago before 2020 {text}", today):
        assert period.first <= period.last
        assert 0 <= closeness(period, today) <= 1

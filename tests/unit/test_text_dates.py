"""Periods named in text."""

from datetime import date

import pytest

from memsvc.text.dates import Period, closeness, find_periods

WEDNESDAY = date(2024, 5, 15)


def day(year: int, month: int, number: int, *, yearless: bool = False) -> Period:
    return Period(date(year, month, number), date(year, month, number), yearless)


@pytest.mark.parametrize(
    ("text", "periods"),
    [
        ("on 7 May 2023", [day(2023, 5, 7)]),
        ("on the 7th of May, 2023", [day(2023, 5, 7)]),
        ("May 7, 2023 and Jun 2nd 2023", [day(2023, 5, 7), day(2023, 6, 2)]),
        ("2023-05-07", [day(2023, 5, 7)]),
        ("August 14th", [day(2000, 8, 14, yearless=True)]),
        ("29 February", [day(2000, 2, 29, yearless=True)]),
        ("June 2023", [Period(date(2023, 6, 1), date(2023, 6, 30))]),
        ("in June 2023", [Period(date(2023, 6, 1), date(2023, 6, 30))]),
        ("during June 7, 2023", [day(2023, 6, 7)]),
        ("in February", [Period(date(2000, 2, 1), date(2000, 2, 29), yearless=True)]),
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
        ("today", date(2024, 5, 15), date(2024, 5, 15)),
        ("Yesterday", date(2024, 5, 14), date(2024, 5, 14)),
        ("three days ago", date(2024, 5, 12), date(2024, 5, 12)),
        ("two weeks ago", date(2024, 4, 28), date(2024, 5, 4)),
        ("a month ago", date(2024, 3, 31), date(2024, 4, 30)),
        ("in the past two weeks", date(2024, 5, 1), date(2024, 5, 15)),
        ("last week", date(2024, 5, 6), date(2024, 5, 12)),
        ("last weekend", date(2024, 5, 11), date(2024, 5, 12)),
        ("this month", date(2024, 5, 1), date(2024, 5, 31)),
        ("last month", date(2024, 4, 1), date(2024, 4, 30)),
        ("last year", date(2023, 1, 1), date(2023, 12, 31)),
        ("last Friday", date(2024, 5, 10), date(2024, 5, 10)),
        ("last Wednesday", date(2024, 5, 8), date(2024, 5, 8)),
    ],
)
def test_relative(text: str, first: date, last: date) -> None:
    assert find_periods(text, WEDNESDAY) == [Period(first, last)]


def test_relative_words_mean_nothing_without_an_anchor() -> None:
    assert find_periods("yesterday, last week, two years ago", None) == []


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
    assert (closeness(month, moment), closeness(year, moment)) == (0.6, 0.2)


def test_without_a_year_the_nearest_one_is_meant() -> None:
    new_year = find_periods("31 December", None)[0]
    assert closeness(new_year, date(2023, 12, 31)) == 1.0
    assert closeness(new_year, date(2024, 1, 2)) == pytest.approx(0.8)
    assert closeness(find_periods("29 February", None)[0], date(2023, 2, 28)) == 1.0

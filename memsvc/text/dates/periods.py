"""Periods of whole days, and how well a moment fits one."""

import calendar
from dataclasses import dataclass
from datetime import date, timedelta

MONTHS = {name.lower(): number for number, name in enumerate(calendar.month_name) if name}
FULL_MONTHS = tuple(MONTHS)
MONTHS |= {name[:3]: number for name, number in MONTHS.items()} | {"sept": 9}
DAYS = {name.lower(): number for number, name in enumerate(calendar.day_name)}
SEASONS = {"spring": 3, "summer": 6, "fall": 9, "autumn": 9, "winter": 12}

# What the same days of another year are worth where the text names none: "in March" is the last one, if it is known
# what the last one is, rather than any, and any rather than none.
ANY_YEAR, OTHER_YEAR = 1.0, 0.5


@dataclass(frozen=True, slots=True)
class Period:
    """From `first` to `last`, both included; `date.min` and `date.max` stand for an open end.

    `other_years`, 0 to 1: what the same days of another year are worth; above 0 when the text named no year.
    """

    first: date
    last: date
    other_years: float = 0.0

    @property
    def days(self) -> int:
        """How many days it lasts."""
        return (self.last - self.first).days + 1

    @property
    def is_open(self) -> bool:
        """Without a beginning, or without an end."""
        return self.first == date.min or self.last == date.max


def closeness(period: Period, day: date) -> float:
    """How well a moment fits a period, 0 to 1: a long period says little, and reports come after the event.

    Full within the period, fading over ten days after it and over five before it.
    """
    fit = _fit(period.first, period.last, day)
    if period.other_years and fit < 1:
        fit = max(fit, period.other_years * _fit_elsewhen(period, day))
    return fit * (1.0 if period.days <= 10 else 0.5 if period.days <= 45 else 0.2)


def _fit(first: date, last: date, day: date) -> float:
    if day > last:
        return max(0.0, 1 - (day - last).days / 10)
    return 1.0 if day >= first else max(0.0, 0.5 - (first - day).days / 10)


def _fit_elsewhen(period: Period, day: date) -> float:
    """The best fit to the same days of the year before, of, and after the day."""
    length = period.last.year - period.first.year
    years = (year for year in (day.year - 1, day.year, day.year + 1) if year >= 1 and year + length <= 9999)
    return max(_fit(in_year(period.first, year), in_year(period.last, year + length), day) for year in years)


def in_year(day: date, year: int) -> date:
    """The same day of another year, the 28th for a 29 February that it lacks."""
    is_missing = (day.month, day.day) == (2, 29) and not calendar.isleap(year)
    return day.replace(year=year, day=28 if is_missing else day.day)


def one_day(day: date) -> Period:
    """The day alone."""
    return Period(day, day)


def around(day: date, slack: int) -> Period:
    """The day with `slack` days to either side."""
    return Period(day - timedelta(days=slack), day + timedelta(days=slack))


def year_of(year: int) -> Period:
    """A calendar year."""
    return Period(date(year, 1, 1), date(year, 12, 31))


def month_of(year: int, month: int) -> Period:
    """A calendar month; months beyond 1 to 12 count on into other years."""
    year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
    return Period(date(year, month, 1), date(year, month, calendar.monthrange(year, month)[1]))


def season_of(year: int, season: str) -> Period:
    """Three months from the one in which the season begins on the northern half; a winter runs into the next year."""
    month = SEASONS[season]
    return Period(date(year, month, 1), month_of(year, month + 2).last)


def week_of(day: date) -> Period:
    """The week, from Monday, that a day is in."""
    monday = day - timedelta(days=day.weekday())
    return Period(monday, monday + timedelta(days=6))


def weekend_of(day: date) -> Period:
    """Saturday and Sunday of the week that a day is in."""
    saturday = week_of(day).last - timedelta(days=1)
    return Period(saturday, saturday + timedelta(days=1))

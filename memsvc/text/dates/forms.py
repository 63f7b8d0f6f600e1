"""Single expressions of time in lower-case English: "7 may 2023", "in june", "two weeks ago", "over the summer"."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import partial

from memsvc.text.dates.periods import (
    ANY_YEAR,
    DAYS,
    FULL_MONTHS,
    MONTHS,
    OTHER_YEAR,
    SEASONS,
    Period,
    around,
    month_of,
    one_day,
    season_of,
    week_of,
    weekend_of,
    year_of,
)

_COUNT_WORDS = (
    "", "a an one", "two couple", "three few", "four several", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve",
)  # fmt: skip
_COUNTS = {word: count for count, words in enumerate(_COUNT_WORDS) for word in words.split()}
_MONTH = "|".join(sorted(MONTHS, key=len, reverse=True))
_FULL_MONTH = "|".join(FULL_MONTHS)
# "May" and "march" are words: after most prepositions they are no months.
_SURE_MONTH = "|".join(name for name in FULL_MONTHS if name not in ("march", "may"))
_DAY = "|".join(DAYS)
_SEASON = "|".join(SEASONS)
_SURE_SEASON = "|".join(name for name in SEASONS if name != "fall")
_YEAR = r"(?:19|20)\d\d"
_NTH = r"(?:st|nd|rd|th)?"
_TO = r"(?:\s*[-\u2013]\s*|\s+(?:to|through|until|till)\s+)"
_UNIT = "day|week|month|year"
UNIT_DAYS = {"day": 1, "week": 7, "month": 30, "year": 365}
COUNT = rf"(?:a\s+(?=couple|few))?(?:\d{{1,3}}|{'|'.join(_COUNTS)})(?:\s+of)?"
WEEKDAY = _DAY

# The first alternative that matches at a place wins: the more a form says, the earlier it stands.
_ABSOLUTE = rf"""
      (?P<iso>{_YEAR}[-/]\d{{1,2}}[-/]\d{{1,2}})
    | (?P<number1>\d{{1,2}})/(?P<number2>\d{{1,2}})/(?P<year6>{_YEAR})
    | between\s+(?P<month7>{_MONTH})\.?\s+(?P<from7>\d{{1,2}}){_NTH}\s+and\s+(?P<to7>\d{{1,2}}){_NTH}\b
      (?!\s*(?:{_MONTH}|[ap]m)\b|:)(?:,?\s+(?P<year7>{_YEAR})\b)?
    | (?P<month8>{_MONTH})\.?\s+(?P<from8>\d{{1,2}}){_NTH}{_TO}(?P<to8>\d{{1,2}}){_NTH}\b
      (?!\s*(?:{_MONTH}|[ap]m)\b|:)(?:,?\s+(?P<year8>{_YEAR})\b)?
    | (?P<from9>\d{{1,2}}){_NTH}(?:{_TO}|\s+and\s+)(?P<to9>\d{{1,2}}){_NTH}\s+(?:of\s+)?(?P<month9>{_MONTH})\b\.?
      (?:,?\s+(?P<year9>{_YEAR})\b)?
    | (?P<day1>\d{{1,2}}){_NTH}\s+(?:of\s+)?(?P<month1>{_MONTH})\b\.?(?:,?\s+(?P<year1>{_YEAR})\b)?
    | (?P<month2>{_MONTH})\.?\s+(?P<day2>\d{{1,2}}){_NTH}\b(?:,?\s+(?P<year2>{_YEAR})\b)?
    | (?P<month3>{_MONTH})\.?,?\s+(?:of\s+)?(?P<year3>{_YEAR})
    | (?P<season3>{_SEASON}),?\s+(?:of\s+)?(?P<year4>{_YEAR})
"""
_NO_MORE = r"(?!['\u2019]?\w|,?\s+(?:of\s+)?\d)"
_BARE = rf"""
      (?:in|of|during|since|by|early|late|mid|until|till|between|throughout|through|for|from|before|after)[\s-]+
      (?P<month4>{_SURE_MONTH}){_NO_MORE}
    | (?:in|of|during|since|by|early|late|mid|until|till|between|throughout)[\s-]+(?P<month5>march|may){_NO_MORE}
    | (?:to|and|through)\s+(?P<end6>(?P<month6>{_FULL_MONTH})){_NO_MORE}
    | from\s+(?P<month10>march|may){_NO_MORE}(?=\s+(?:to|on|onwards?|until|till|through)\b)
    | (?P<year5>{_YEAR})
"""
_RELATIVE = rf"""
      (?P<named>today|tonight|this\s+(?:morning|afternoon|evening)|yesterday|last\s+night|tomorrow
        |the\s+day\s+(?:before\s+yesterday|after\s+tomorrow))
    | (?P<count>{COUNT})\s+(?P<unit>hour|{_UNIT})s?\s+(?:ago|(?P<ahead>from\s+now))
    | (?:past|last|(?P<coming>next|coming))\s+(?P<span>{COUNT})\s+(?P<spanned>{_UNIT})s
    | (?:the\s+past|(?:in|over|within|during|for)\s+(?:the\s+last|past))\s+(?P<rolling>{_UNIT})
    | (?P<edge>start|beginning|end)\s+of\s+(?:the|this|(?P<edged>last|next))\s+(?P<edge_of>week|month|year)
    | (?!this\s+(?:may|march)\s+[a-z])
      (?P<which>last|past|previous|this\s+past|this\s+coming|this|next|coming)\s+
      (?P<cycle>week|weekend|month|year|{_SEASON}|{_FULL_MONTH}|{_DAY})(?!\s+of\b|,?\s+{_YEAR})
    | (?:in|over|during|throughout|for)\s+(?:the\s+)?(?P<season1>{_SEASON})(?!\s+of\b|,?\s+{_YEAR})
    | (?:since|before|after|through|until)\s+(?:the\s+)?(?P<season2>{_SURE_SEASON})(?!\s+of\b|,?\s+{_YEAR})
    | (?:over|during|on)\s+the\s+(?P<weekend>weekend)(?!\s+(?:of|before|after)\b)
    | (?:on|since|until|till|before|after|by)\s+(?P<weekday>{_DAY})(?!\s+(?:before|after)\b)
"""
_EDGES = r"(?<![\w$])(?:(?<!-)|(?<=mid-)|(?<=late-)|(?<=early-))(?:{})(?!\w)"
_FORMS = re.compile(_EDGES.format(f"{_RELATIVE}|{_ABSOLUTE}|{_BARE}"), re.VERBOSE)
_DATES = re.compile(_EDGES.format(_ABSOLUTE), re.VERBOSE)
_AHEAD = re.compile(r"\b(?:will|going\s+to|upcoming|next|tomorrow|plan(?:s|ned|ning)?|coming|scheduled)\b")
_ANCHORED = ("named", "count", "span", "rolling", "edge", "which", "season1", "season2", "weekend", "weekday")
# Where the time itself begins, after a preposition that belongs to the form.
_CORES = ("month4", "month5", "month6", "month10", "season1", "season2", "weekday", "year5")


@dataclass(frozen=True, slots=True)
class Clock:
    """The day that a text counts from, None if it is not known, and whether the text speaks of what is to come."""

    today: date | None
    ahead: bool = False

    @classmethod
    def of(cls, text: str, today: date | None) -> "Clock":
        """Read the tense of a text."""
        return cls(today, _AHEAD.search(text) is not None)

    def choose(self, of_year: Callable[[int], Period]) -> Period:
        """What a text without a year means: the last one that has begun, the next one when it looks ahead."""
        if self.today is None:
            return replace(of_year(2000), other_years=ANY_YEAR)  # a leap year, so that 29 February can be
        near = []
        for year in (self.today.year - 1, self.today.year, self.today.year + 1):
            try:
                near.append(of_year(year))
            except ValueError:  # 29 February
                continue
        if not near:
            return replace(of_year(2000), other_years=ANY_YEAR)
        begun = [period for period in near if period.first <= self.today]
        to_come = [period for period in near if period.last >= self.today]
        chosen = to_come[:1] + begun[-1:] if self.ahead else begun[-1:] + to_come[:1]
        return replace(chosen[0], other_years=OTHER_YEAR)


@dataclass(frozen=True, slots=True)
class Mention:
    """Characters [start, end) of a text name a period; a preposition may stand before them.

    `relative`: it counts from the asker's day. `is_end`: it is a time only as the end of a range ("to may").
    """

    start: int
    end: int
    period: Period
    relative: bool
    is_end: bool
    match: re.Match[str] = field(repr=False)

    def counted_from(self, today: date) -> Period | None:
        """What it means when it counts from another day."""
        return _read(self.match, Clock(today))


def find_mentions(text: str, clock: Clock) -> list[Mention]:
    """Mentions in a lower-case text, in order; without a day to count from, relative ones are read from none."""
    found = []
    for match in _FORMS.finditer(text):
        period = _read(match, clock)
        relative = any(match[name] for name in _ANCHORED)
        if period is not None:
            start = next((match.start(name) for name in _CORES if match[name]), match.start())
            found.append(Mention(start, match.end(), period, relative, match["end6"] is not None, match))
    return found


def named_days(text: str) -> list[date]:
    """The days that a text names with their year."""
    periods = [_read(match, Clock(None)) for match in _DATES.finditer(text.lower())]
    return [period.first for period in periods if period is not None and period.days == 1 and not period.other_years]


def without_times(text: str) -> str:
    """A lower-case text without the times that it names."""
    return _FORMS.sub(" ", text)


def read_count(text: str) -> tuple[int, bool]:
    """The number that a text such as "three" or "a couple of" names, and whether it is meant roughly."""
    word = text.removesuffix("of").split()[-1]
    return (int(word) if word.isdigit() else _COUNTS[word]), word in ("couple", "few", "several")


def _read(match: re.Match[str], clock: Clock) -> Period | None:
    """The period of one match; None when the calendar has no such date, or nothing to count from is known."""
    group = {name: text for name, text in match.groupdict().items() if text}
    try:
        period = _absolute(group, clock)
        return period if period is not None or clock.today is None else _relative(group, clock, clock.today)
    except (ValueError, OverflowError):  # 31 June, or ten years before year 1
        return None


def _absolute(group: dict[str, str], clock: Clock) -> Period | None:
    if iso := group.get("iso"):
        return one_day(date(*(int(part) for part in re.split("[-/]", iso))))
    if number := group.get("number1"):
        return _numbers(int(number), int(group["number2"]), int(group["year6"]))
    for form, first, last in (
        ("1", "day1", "day1"),
        ("2", "day2", "day2"),
        ("7", "from7", "to7"),
        ("8", "from8", "to8"),
        ("9", "from9", "to9"),
    ):
        if name := group.get(f"month{form}"):
            return _of_year(group.get(f"year{form}"), clock, _Days(MONTHS[name], int(group[first]), int(group[last])))
    for form in ("3", "4", "5", "6", "10"):
        if name := group.get(f"month{form}"):
            return _of_year(group.get("year3"), clock, partial(month_of, month=MONTHS[name]))
    if season := group.get("season3"):
        return season_of(int(group["year4"]), season)
    if season := group.get("season1") or group.get("season2"):
        return clock.choose(partial(season_of, season=season))
    if clock.today is None and (cycle := group.get("cycle", "")) in MONTHS:
        return clock.choose(partial(month_of, month=MONTHS[cycle]))
    return year_of(int(group["year5"])) if "year5" in group else None


def _numbers(first: int, second: int, year: int) -> Period | None:
    """Day and month in the order that the calendar allows; None when it allows both."""
    if first != second and first <= 12 and second <= 12:
        return None
    return one_day(date(year, second, first) if first > 12 else date(year, first, second))


@dataclass(frozen=True, slots=True)
class _Days:
    month: int
    first: int
    last: int

    def __call__(self, year: int) -> Period:
        first, last = date(year, self.month, self.first), date(year, self.month, self.last)
        if last < first:
            raise ValueError("a range must not end before it begins")
        return Period(first, last)


def _of_year(stated: str | None, clock: Clock, of_year: Callable[[int], Period]) -> Period:
    return clock.choose(of_year) if stated is None else of_year(int(stated))


def _relative(group: dict[str, str], clock: Clock, today: date) -> Period | None:
    if named := group.get("named"):
        return one_day(today + timedelta(days=_shift(named)))
    if count := group.get("count"):
        return _counted(count, group["unit"], today, sign=1 if "ahead" in group else -1)
    if span := group.get("span"):
        length = timedelta(days=read_count(span)[0] * UNIT_DAYS[group["spanned"]])
        return Period(today, today + length) if "coming" in group else Period(today - length, today)
    if rolling := group.get("rolling"):
        return Period(today - timedelta(days=UNIT_DAYS[rolling]), today)
    if edge := group.get("edge"):
        whole = _cycle({"last": -1, "next": 1}.get(group.get("edged", ""), 0), group["edge_of"], today)
        return edge_of(edge, whole)
    if weekday := group.get("weekday"):
        back = (today.weekday() - DAYS[weekday]) % 7
        return one_day(today + timedelta(days=(7 - back) % 7 if clock.ahead else -back))
    if "weekend" in group:
        return weekend_of(today if clock.ahead or today.weekday() >= 5 else today - timedelta(days=7))
    if which := group.get("which"):
        step = {"this": 0, "next": 1, "coming": 1}.get(which.split()[-1], -1)
        return _cycle(step, group["cycle"], today)
    return None


def _shift(named: str) -> int:
    if "the day" in named:
        return -2 if "before" in named else 2
    return {"yesterday": -1, "last": -1, "tomorrow": 1}.get(named.split()[0], 0)


def _counted(count: str, unit: str, today: date, *, sign: int) -> Period:
    """ "Two weeks ago" is meant to the nearest week, not to the day; "a few weeks ago" less sharply still."""
    if unit == "hour":
        return one_day(today)
    number, vague = read_count(count)
    length = UNIT_DAYS[unit]
    return around(today + timedelta(days=sign * number * length), max(length, 2) if vague else length // 2)


def edge_of(edge: str, whole: Period) -> Period:
    """The first, the middle or the last third of a period; of a year a month, of anything at least a day."""
    third = timedelta(days=max(min(whole.days // 3, 31), 1) - 1)
    if edge in ("end", "late"):
        return replace(whole, first=whole.last - third)
    if edge in ("mid", "middle"):
        middle = whole.first + timedelta(days=(whole.days - third.days) // 2)
        return replace(whole, first=middle, last=middle + third)
    return replace(whole, last=whole.first + third)


def _cycle(step: int, cycle: str, today: date) -> Period:
    """The last (-1), this (0) or the next (1) week, weekend, month, year, season, named month or weekday."""
    if cycle in DAYS:
        this_week = week_of(today).first + timedelta(days=DAYS[cycle])
        return one_day(this_week if step == 0 else weekday_beside(today, cycle, step))
    if cycle == "year":
        return year_of(today.year + step)
    if cycle == "month":
        return month_of(today.year, today.month + step)
    if cycle in ("week", "weekend"):
        day = today + timedelta(days=7 * step)
        return week_of(day) if cycle == "week" else weekend_of(day)
    years = range(today.year - 2, today.year + 3)
    near = [season_of(year, cycle) if cycle in SEASONS else month_of(year, MONTHS[cycle]) for year in years]
    if step < 0:
        return next(period for period in reversed(near) if period.last < today)
    if step > 0:
        return next(period for period in near if period.first > today)
    # A winter is of two years: the nearer one is meant.
    return min(near, key=lambda period: _distance(period, today)) if cycle == "winter" else near[2]


def weekday_beside(day: date, weekday: str, side: int) -> date:
    """The last such day before a day (side -1), or the next one after it (1)."""
    apart = side * (DAYS[weekday] - day.weekday()) % 7 or 7
    return day + timedelta(days=side * apart)


def _distance(period: Period, day: date) -> int:
    return max((period.first - day).days, (day - period.last).days, 0)

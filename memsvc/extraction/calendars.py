"""Days, weeks, months and seasons as conversation names them, counted from a day; weeks begin on Monday."""

import calendar
from dataclasses import dataclass
from datetime import date, timedelta

from memsvc.extraction.model import Precision
from memsvc.extraction.words import word_set

MONTHS = {name.lower(): number for number, name in enumerate(calendar.month_name) if name}
MONTHS = {name.lower(): number for number, name in enumerate(calendar.month_name) if name}
FULL_MONTHS = tuple(MONTHS)
MONTHS |= {name[:3]: number for name, number in MONTHS.items()} | {"sept": 9}
DAYS = {name.lower(): number for number, name in enumerate(calendar.day_name)}
DAYS |= {"mon": 0, "tue": 1, "tues": 1, "wed": 2, "thu": 3, "thur": 3, "thurs": 3, "fri": 4}
_SEASONS = {"spring": 3, "summer": 6, "fall": 9, "autumn": 9, "winter": 12}
_COUNT_WORDS = (
    "", "a an one", "two couple", "three few", "four several", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve",
)  # fmt: skip
COUNTS = {word: count for count, names in enumerate(_COUNT_WORDS) for word in names.split()}
COUNTS |= {"fifteen": 15, "twenty": 20, "thirty": 30}
_VAGUE = word_set("few several couple")
_UNIT_DAYS = {"day": 1, "week": 7, "month": 30, "year": 365, "hour": 0, "minute": 0, "decade": 3650}


@dataclass(frozen=True, slots=True)
class Named:
    """Days first to last of a time, both included, and how to write it. `kept`: the words stay, the text is added."""

    first: date
    last: date
    precision: Precision
    text: str
    preposition: str = "in"
    kept: bool = False
    until_said: bool = False


def on_day(day: date, part: str = "") -> Named:
    text = written(day)
    return Named(day, day, "day", f"the {part} of {text}" if part else text, "on")


def written(day: date) -> str:
    return f"{day.day} {calendar.month_name[day.month]} {day.year}"


def month_of(year: int, month: int) -> Named:
    first = date(year, month, 1)
    last = (date(year + month // 12, month % 12 + 1, 1)) - timedelta(days=1)
    return Named(first, last, "month", f"{calendar.month_name[month]} {year}")


def year_of(year: int) -> Named:
    return Named(date(year, 1, 1), date(year, 12, 31), "year", str(year))


def week_of(monday: date) -> Named:
    return Named(monday, monday + timedelta(days=6), "day", f"the week of {written(monday)}")


def weekend_of(monday: date) -> Named:
    saturday = monday + timedelta(days=5)
    return Named(saturday, saturday + timedelta(days=1), "day", f"the weekend of {written(saturday)}", "on")


def season_of(year: int, season: str) -> Named:
    month = _SEASONS[season]
    last = date(year + (month == 12), (month + 2) % 12 or 12, 1)
    end = month_of(last.year, last.month).last
    return Named(date(year, month, 1), end, "month", f"{season} {year}")


def named_day(named: str, part: str, day: date) -> Named:
    if named == "last night":
        return on_day(day - timedelta(days=1), "night")
    if named == "tonight":
        return on_day(day, "evening")
    shift = {"yesterday": -1, "today": 0, "tomorrow": 1}.get(named)
    if shift is None:
        shift = -2 if "before" in named else 2
    return on_day(day + timedelta(days=shift), part)


def _number(text: str) -> tuple[int, bool]:
    """The count a text names, and whether it is meant roughly."""
    word = text.split()[1 if text.startswith("a ") and len(text.split()) > 1 and text.split()[1] != "of" else 0]
    return (int(word) if word.isdigit() else COUNTS[word]), word in _VAGUE


def shifted(day: date, count: str, unit: str, sign: int) -> Named:
    """ "Two weeks ago" is meant to the nearest week, "two years ago" to the year."""
    number, vague = _number(count)
    if unit in ("hour", "minute"):
        return on_day(day)
    if unit in ("year", "decade"):
        year = day.year + sign * number * (10 if unit == "decade" else 1)
        slack = int(vague) + (5 if unit == "decade" else 0)
        if not slack:
            return year_of(year)
        return Named(date(year - slack, 1, 1), date(year + slack, 12, 31), "year", f"around {year}", "")
    if unit == "month":
        months = day.year * 12 + day.month - 1 + sign * number
        named = month_of(months // 12, months % 12 + 1)
        if not vague:
            return named
        return Named(
            named.first - timedelta(days=31), named.last + timedelta(days=31), "month", f"around {named.text}", ""
        )
    moved = day + timedelta(days=sign * number * _UNIT_DAYS[unit])
    if vague:
        around = timedelta(days=2 if unit == "day" else 7)
        return Named(moved - around, moved + around, "day", f"around {written(moved)}", "")
    return on_day(moved) if unit == "day" else week_of(monday_of(moved))


def since(day: date, count: str, unit: str) -> Named:
    number, _ = _number(count)
    if unit == "year":
        year = day.year - number
        return Named(date(year, 1, 1), day, "year", f"since about {year}", kept=True, until_said=True)
    if unit == "month":
        months = day.year * 12 + day.month - 1 - number
        named = month_of(months // 12, months % 12 + 1)
        return Named(named.first, day, "month", f"since about {named.text}", kept=True, until_said=True)
    first = day - timedelta(days=number * _UNIT_DAYS[unit])
    return Named(first, day, "day", f"since about {written(first)}", kept=True, until_said=True)


def past_span(group: dict[str, str], day: date, count: str, unit: str) -> Named:
    """ "In the past two weeks", "for the last three months"."""
    if group.get("prep") == "for":
        return since(day, count, unit)
    number, vague = _number(count)
    first = day - timedelta(days=number * _UNIT_DAYS[unit])
    precision: Precision = "month" if unit in ("month", "year") else "day"
    length = f"few {unit}s" if vague else f"{number} {unit}{'s' if number > 1 else ''}"
    return Named(first, day, precision, f"the {length} before {written(day)}", "in")


def monday_of(day: date) -> date:
    return day - timedelta(days=day.weekday())


def weekday_of(day: date, weekday: int, *, future: bool) -> date:
    """The next such day after `day`, or the last one before it."""
    ahead = (weekday - day.weekday()) % 7 or 7
    return day + timedelta(days=ahead if future else ahead - 7 if ahead < 7 else -7)


def cycle_of(group: dict[str, str], day: date, which: str, cycle: str, *, future: bool) -> Named | None:
    step = {"last": -1, "past": -1, "this": 0, "next": 1, "coming": 1}[which]
    if cycle in DAYS:
        ahead = future if step == 0 else step > 0
        if step == 0 and day.weekday() == DAYS[cycle]:
            return on_day(day, group.get("part3", ""))
        return on_day(weekday_of(day, DAYS[cycle], future=ahead), group.get("part3", ""))
    if cycle == "year":
        return year_of(day.year + step)
    if cycle == "month":
        months = day.year * 12 + day.month - 1 + step
        return month_of(months // 12, months % 12 + 1)
    if cycle == "week":
        return week_of(monday_of(day) + timedelta(days=7 * step))
    if cycle == "weekend":
        if step == 0 and not future and day.weekday() < 4:
            step = -1
        return weekend_of(monday_of(day) + timedelta(days=7 * (step if which != "coming" else 0)))
    if cycle in _SEASONS:
        return _placed([season_of(day.year + shift, cycle) for shift in (-2, -1, 0, 1)], day, step)
    return _placed([month_of(day.year + shift, MONTHS[cycle]) for shift in (-1, 0, 1)], day, step)


def _placed(candidates: list[Named], day: date, step: int) -> Named | None:
    """The last that is over, the one of this year, or the first that is to come."""
    if step < 0:
        return next((named for named in reversed(candidates) if named.last < day), None)
    if step > 0:
        return next((named for named in candidates if named.first > day), None)
    return next((named for named in candidates if named.first.year == day.year), None)

"""Calendar periods named in English text, absolute ("7 May 2023", "in June") or relative ("two weeks ago")."""

import calendar
import re
from dataclasses import dataclass
from datetime import date, timedelta

_MONTHS = {name.lower(): number for number, name in enumerate(calendar.month_name) if name}
_MONTHS |= {name[:3]: number for name, number in _MONTHS.items()} | {"sept": 9}
_DAYS = {name.lower(): number for number, name in enumerate(calendar.day_name)}
_COUNTS = {
    word: count
    for count, words in enumerate(
        ("", "a an one", "two couple", "three few", "four", "five", "six", "seven", "eight", "nine", "ten")
    )
    for word in words.split()
}
_MONTH = "|".join(sorted(_MONTHS, key=len, reverse=True))
_FULL_MONTH = "|".join(name.lower() for name in calendar.month_name if name)
_YEAR = r"(?:19|20)\d\d"
_COUNT = rf"\d{{1,3}}|{'|'.join(_COUNTS)}"

# The first alternative that matches at a place wins: the more a form says, the earlier it stands. A bare month needs
# a preposition, for "may" and "march" are words.
_ABSOLUTE = re.compile(
    rf"""\b(?:
      (?P<iso>{_YEAR}[-/]\d{{1,2}}[-/]\d{{1,2}})
    | (?P<day1>\d{{1,2}})(?:st|nd|rd|th)?\s+(?:of\s+)?(?P<month1>{_MONTH})\b\.?(?:,?\s+(?P<year1>{_YEAR})\b)?
    | (?P<month2>{_MONTH})\.?\s+(?P<day2>\d{{1,2}})(?:st|nd|rd|th)?\b(?:,?\s+(?P<year2>{_YEAR})\b)?
    | (?P<month3>{_MONTH})\.?,?\s+(?:of\s+)?(?P<year3>{_YEAR})
    | (?:in|of|during|since|by|last|this|early|late|mid)[\s-](?P<month4>{_FULL_MONTH})(?!,?\s+(?:of\s+)?\d)
    | (?P<year5>{_YEAR})
    )\b""",
    re.VERBOSE,
)
_RELATIVE = re.compile(
    rf"""\b(?:
      (?P<named>today|yesterday|the\s+day\s+before\s+yesterday)
    | (?P<count>{_COUNT})\s+(?:of\s+)?(?P<unit>day|week|month|year)s?\s+ago
    | (?:past|last)\s+(?P<span>{_COUNT})\s+(?P<spanned>day|week|month|year)s
    | (?P<which>last|this|past)\s+(?P<cycle>week|weekend|month|year|{"|".join(_DAYS)})
    )\b""",
    re.VERBOSE,
)
_UNIT_DAYS = {"day": 1, "week": 7, "month": 30, "year": 365}


@dataclass(frozen=True, slots=True)
class Period:
    """From `first` to `last`, both included. `yearless`: the text named no year, any year will do."""

    first: date
    last: date
    yearless: bool = False

    @property
    def days(self) -> int:
        """How many days it lasts."""
        return (self.last - self.first).days + 1


def find_periods(text: str, anchor: date | None) -> list[Period]:
    """Absolute periods, then relative ones; these count from `anchor` and are left out without one."""
    lowered = text.lower()
    periods = [_read(match, None) for match in _ABSOLUTE.finditer(lowered)]
    if anchor is not None:
        periods += [_read(match, anchor) for match in _RELATIVE.finditer(lowered)]
    return [period for period in periods if period is not None]


def closeness(period: Period, day: date) -> float:
    """How well a moment fits a period, 0 to 1: a long period says little, and reports come after the event.

    Full within the period, fading over ten days after it and over five before it.
    """
    gap = _gap(period, day)
    fit = max(0.0, 1 - gap / 10) if gap >= 0 else max(0.0, 0.5 + gap / 10)
    return fit * (1.0 if period.days <= 10 else 0.6 if period.days <= 45 else 0.2)


def _gap(period: Period, day: date) -> int:
    """Days from the period to the day: 0 within it, negative before it."""
    if not period.yearless:
        return _signed_gap(period.first, period.last, day)
    shifts = (year for year in (day.year - 1, day.year, day.year + 1) if 1 <= year <= 9999)
    gaps = [_signed_gap(_in_year(period.first, year), _in_year(period.last, year), day) for year in shifts]
    return min(gaps, key=abs)


def _signed_gap(first: date, last: date, day: date) -> int:
    if day > last:
        return (day - last).days
    return min(0, (day - first).days)


def _in_year(day: date, year: int) -> date:
    is_missing = (day.month, day.day) == (2, 29) and not calendar.isleap(year)
    return day.replace(year=year, day=28 if is_missing else day.day)


def _read(match: re.Match[str], anchor: date | None) -> Period | None:
    """The period of one match, relative if there is an anchor; None when the calendar has no such date."""
    group = {name: text for name, text in match.groupdict().items() if text}
    try:
        return _absolute(group) if anchor is None else _relative(group, anchor)
    except (ValueError, OverflowError):  # 31 June, or ten years before year 1
        return None


def _absolute(group: dict[str, str]) -> Period:
    if iso := group.get("iso"):
        year, month, day = (int(part) for part in re.split("[-/]", iso))
        return Period(date(year, month, day), date(year, month, day))
    # A leap year stands in for the year not named, so that 29 February can be.
    for form in "12":
        if name := group.get(f"month{form}"):
            stated = group.get(f"year{form}")
            named = date(int(stated or 2000), _MONTHS[name], int(group[f"day{form}"]))
            return Period(named, named, yearless=stated is None)
    for form in "34":
        if name := group.get(f"month{form}"):
            stated = group.get(f"year{form}")
            return _month(int(stated or 2000), _MONTHS[name], yearless=stated is None)
    year = int(group["year5"])
    return Period(date(year, 1, 1), date(year, 12, 31))


def _relative(group: dict[str, str], anchor: date) -> Period:
    if named := group.get("named"):
        back = 0 if named == "today" else 1 if named == "yesterday" else 2
        return _around(anchor - timedelta(days=back), 0)
    if count := group.get("count"):
        length = _UNIT_DAYS[group["unit"]]
        # "Two weeks ago" is meant to the nearest week, not to the day.
        return _around(anchor - timedelta(days=_number(count) * length), length // 2)
    if span := group.get("span"):
        return Period(anchor - timedelta(days=_number(span) * _UNIT_DAYS[group["spanned"]]), anchor)
    return _cycle(group["which"], group["cycle"], anchor)


def _cycle(which: str, cycle: str, anchor: date) -> Period:
    back = 0 if which == "this" else 1
    if cycle in _DAYS:
        days = (anchor.weekday() - _DAYS[cycle]) % 7 or 7 * back
        return _around(anchor - timedelta(days=days), 0)
    if cycle == "year":
        return Period(date(anchor.year - back, 1, 1), date(anchor.year - back, 12, 31))
    if cycle == "month":
        day = anchor.replace(day=1) - timedelta(days=back)
        return _month(day.year, day.month, yearless=False)
    monday = anchor - timedelta(days=anchor.weekday() + 7 * back)
    if cycle == "weekend":
        return Period(monday + timedelta(days=5), monday + timedelta(days=6))
    return Period(monday, monday + timedelta(days=6))


def _around(day: date, slack: int) -> Period:
    return Period(day - timedelta(days=slack), day + timedelta(days=slack))


def _month(year: int, month: int, *, yearless: bool) -> Period:
    return Period(date(year, month, 1), date(year, month, calendar.monthrange(year, month)[1]), yearless)


def _number(text: str) -> int:
    return int(text) if text.isdigit() else _COUNTS[text]

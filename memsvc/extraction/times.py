"""Times named in a clause, made absolute: "last week" said on 8 May 2023 is "in the week of 1 May 2023".

Weeks begin on Monday. A time without a year, or a bare weekday, is the last one before it was said, or the next one
after it where the clause speaks of what is to come.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo

from memsvc.extraction.calendars import (
    COUNTS,
    DAYS,
    FULL_MONTHS,
    MONTHS,
    Named,
    cycle_of,
    monday_of,
    month_of,
    named_day,
    on_day,
    past_span,
    shifted,
    since,
    weekday_of,
    weekend_of,
    year_of,
)
from memsvc.extraction.model import Interval
from memsvc.extraction.words import word_set

_MONTH = "|".join(sorted(MONTHS, key=len, reverse=True))
_FULL_MONTH = "|".join(FULL_MONTHS)
_DAY = "|".join(sorted(DAYS, key=len, reverse=True))
_YEAR = r"(?:19|20)\d\d"
_COUNT = rf"(?:\d{{1,3}}|(?:a\s+)?(?:{'|'.join(sorted(COUNTS, key=len, reverse=True))})(?:\s+of)?)"
_PART = r"morning|afternoon|evening|night"

_TRIGGER = re.compile(
    rf"\d|ago\b|yesterday|today|tonight|tomorrow|last|next|this|past|coming|weekend|years|months|weeks|days|decade|"
    rf"from\s+now|in\s+an?\s|{_DAY}|\b(?:{_MONTH})\b",
    re.IGNORECASE,
)
_FORMS = re.compile(
    rf"""(?:\b(?P<prep>on|in|at|by|since|until|till|from|for|before|after|of|during|through|over|around|about|to|between
         |and|ago|within|back\s+in|late\s+in|early\s+in|throughout|starting|as\s+of)\s+)?
    (?:\bthe\s+(?=(?:\d{{1,2}}(?:st|nd|rd|th)|past|last|next|coming|day\s|weekend)\b))?
    \b(?:
      (?P<iso>{_YEAR}-\d{{2}}-\d{{2}})
    | (?:(?:{_DAY}),?\s+)?(?P<day1>\d{{1,2}})(?:st|nd|rd|th)?\s+(?:of\s+)?(?P<month1>{_MONTH})\b\.?
      (?:,?\s+(?P<year1>{_YEAR}))?
    | (?:(?:{_DAY}),?\s+)?(?P<month2>{_MONTH})\.?\s+(?P<day2>\d{{1,2}})(?:st|nd|rd|th)?\b
      (?!\s*(?:%|[-–]\s*\d|users|people))(?:,?\s+(?P<year2>{_YEAR}))?
    | (?P<month3>{_MONTH})\.?,?\s+(?:of\s+)?(?P<year3>{_YEAR})
    | (?P<named>the\s+day\s+before\s+yesterday|day\s+before\s+yesterday|the\s+day\s+after\s+tomorrow
        |day\s+after\s+tomorrow|yesterday|today|tonight|tomorrow|last\s+night)(?:\s+(?P<part1>{_PART}))?
    | this\s+(?P<part2>morning|afternoon|evening)
    | (?P<count1>{_COUNT})\s+(?P<unit1>day|week|month|year|decade|hour|minute)s?\s+ago
    | (?P<count2>{_COUNT})\s+(?P<unit2>day|week|month|year)s?(?:\s+(?P<ahead>from\s+now)|['’]?\s+time)?
    | (?:last|past)\s+(?P<count3>{_COUNT})\s+(?P<unit3>day|week|month|year)s
    | (?P<which>last|this\s+past|this\s+coming|this|past|next|coming)\s+
      (?P<cycle>week|weekend|month|year|spring|summer|fall|autumn|winter|{_FULL_MONTH}|{_DAY})(?!\s+of\b)
      (?:\s+(?P<part3>{_PART}))?
    | (?P<day4>{_DAY})(?:\s+(?P<part4>{_PART}))?
    | (?P<weekend>weekend)
    | (?P<month5>{_FULL_MONTH})(?!['’]?\w)
    | (?P<year6>{_YEAR})
    )\b""",
    re.VERBOSE | re.IGNORECASE,
)
_BARE_AFTER = word_set(
    """
    by since until till from for before after of during through over around about to between and within starting
    throughout
    """
)
_FUTURE = re.compile(
    r"\b(?:will|going\s+to|gonna|plan(?:ning|ned|s)?|upcoming|look(?:ing)?\s+forward|can['’]?t\s+wait|want\s+to|hop(?:e|ing)|"
    r"need\s+to|deadline|due|schedul\w+|next|tomorrow|starts|begins|have\s+an?|arrive|until|remind\w*|set\s+for|"
    r"(?:is|are)\s+(?:on|at|now|in|set|going)|launching|moving|hosting|having|starting)\b|['’]ll\b",
    re.IGNORECASE,
)
_YEARLY = re.compile(r"\b(?:birthday|anniversary|every\s+year|each\s+year|annual\w*)\b", re.IGNORECASE)
_CLOCK_AFTER = re.compile(r"\s*,?\s*(?:at|by|around)\s+(\d{1,2})(?::(\d\d))?\s*([ap])?\.?(?:m\b\.?)?", re.IGNORECASE)
_CLOCK_BEFORE = re.compile(r"\b(\d{1,2})(?::(\d\d))?\s*([ap])?\.?(?:m\b\.?)?,?\s*$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Mention:
    """Characters [start, end) of a clause name a time; `text` says it without knowing when the clause was said."""

    start: int
    end: int
    text: str
    interval: Interval


def find_times(text: str, at: datetime | None) -> list[Mention]:
    """Mentions in order; without `at`, those alone that name their year."""
    if not _TRIGGER.search(text):
        return []
    moment = at if at is None or at.tzinfo is not None else at.replace(tzinfo=UTC)
    yearly = _YEARLY.search(text) is not None
    future = _FUTURE.search(text) is not None
    perfect = re.search(r"\b(?:have|has|had|been)\b|['’](?:ve|s)\b", text, re.IGNORECASE) is not None
    found: list[Mention] = []
    for match in _FORMS.finditer(text):
        try:
            if yearly and (match["month1"] or match["month2"]) and not (match["year1"] or match["year2"]):
                continue  # "My birthday is on 3 June": of every year
            mention = _read(match, moment, future=future, perfect=perfect)
        except (ValueError, OverflowError):  # 31 June, or before year 1
            continue
        if mention is not None:
            found.append(mention)
    return found


def _read(match: re.Match[str], at: datetime | None, *, future: bool, perfect: bool) -> Mention | None:
    group = {name: text.lower() for name, text in match.groupdict().items() if text}
    named = _absolute(group, match, at, future=future)
    if named is None and at is not None:
        named = _relative(group, match.string, at, future=future, perfect=perfect)
    if named is None:
        return None
    zone = at.tzinfo if at is not None and at.tzinfo is not None else UTC
    prep = group.get("prep", "")
    interval = _interval(named, zone, at)
    if named.precision == "day" and (clocked := _clock(match, interval)) is not None:
        interval = clocked
    if named.kept:
        return Mention(match.start(), match.end(), f"{match.group()} ({named.text})", interval)
    start = match.start()
    words = named.text
    if prep in _BARE_AFTER or (prep and named.preposition == ""):
        is_over = prep == "over" and named.preposition == "on"  # "over the weekend"
        words = f"{'on' if is_over else match['prep']} {named.text}"
    elif prep in ("at", "ago"):
        words = f"{match['prep']} {_with(named)}"
    elif not prep and any(group.get(name) for name in ("iso", "month1", "month2", "month3")):
        words = named.text
    else:
        words = _with(named)
    if match.group()[:1].isupper():
        words = words[:1].upper() + words[1:]
    return Mention(start, match.end(), words, interval)


def _with(named: Named) -> str:
    return f"{named.preposition} {named.text}".strip()


def _interval(named: Named, zone: tzinfo, at: datetime | None) -> Interval:
    def midnight(day: date) -> datetime:
        return datetime(day.year, day.month, day.day, tzinfo=zone)

    first = midnight(named.first)
    end = midnight(named.last + timedelta(days=1))
    if named.until_said and at is not None and at > first:
        end = at
    return Interval(first, end, named.precision)


def _clock(match: re.Match[str], day: Interval) -> Interval | None:
    """The instant when a clock time stands beside the day; an hour alone ("at 3") could be two."""
    clock = _CLOCK_AFTER.match(match.string, match.end()) or _CLOCK_BEFORE.search(
        match.string, max(0, match.start() - 12), match.start()
    )
    if clock is None or not (clock[2] or clock[3]):
        return None
    hour, minute, half = int(clock[1]), int(clock[2] or 0), (clock[3] or "").lower()
    if hour > 23 or minute > 59 or (half and not 1 <= hour <= 12):
        return None
    hour = hour % 12 + (12 if half == "p" else 0) if half else hour
    first = day.first.replace(hour=hour, minute=minute)
    return Interval(first, first + timedelta(minutes=1), "instant")


def _absolute(group: dict[str, str], match: re.Match[str], at: datetime | None, *, future: bool) -> Named | None:
    """A named day, month or year; the year it does not name is the one that the tense asks for."""
    if iso := group.get("iso"):
        return on_day(date.fromisoformat(iso))
    for form in "12":
        if name := group.get(f"month{form}"):
            month, number = MONTHS[name], int(group[f"day{form}"])
            if name in ("may", "march", "mar") and not match[f"month{form}"][0].isupper():
                return None
            if stated := group.get(f"year{form}"):
                return on_day(date(int(stated), month, number))
            return _nearest(_DayOfYear(month, number), at, future=future)
    if name := group.get("month3"):
        return month_of(int(group["year3"]), MONTHS[name])
    if name := group.get("month5"):
        prep = group.get("prep", "")
        if not match["month5"][0].isupper() or prep in ("", "to", "and", "about", "on", "at", "after", "ago"):
            return None
        return _nearest(lambda year: month_of(year, MONTHS[name]), at, future=future)
    if year := group.get("year6"):
        return _stated_year(int(year), group.get("prep", ""), at)
    return None


@dataclass(frozen=True, slots=True)
class _DayOfYear:
    month: int
    day: int

    def __call__(self, year: int) -> Named:
        return on_day(date(year, self.month, self.day))


_OF_YEARS = word_set("in since by from until till during before after around of") | {"back in"}


def _stated_year(year: int, prep: str, at: datetime | None) -> Named | None:
    if prep not in _OF_YEARS:
        return None
    if prep == "since" and at is not None:
        return Named(date(year, 1, 1), date(year, 12, 31), "year", str(year), until_said=True)
    return year_of(year)


def _nearest(of: Callable[[int], Named], at: datetime | None, *, future: bool) -> Named | None:
    """The candidate of this year or the next to either side: past unless the clause looks ahead."""
    if at is None:
        return None
    day = at.date()
    candidates = []
    for year in (day.year - 1, day.year, day.year + 1):
        try:
            candidates.append(of(year))
        except ValueError:  # 29 February
            continue
    past = [named for named in candidates if named.first <= day]
    ahead = [named for named in candidates if named.last >= day]
    if not past or not ahead:
        return past[-1] if past else ahead[0] if ahead else None
    # Without a hint of what is to come it is past, unless that would be far back and the next one is near.
    is_near = (ahead[0].first - day).days <= 100 and (day - past[-1].last).days > 120
    is_just_over = (day - past[-1].last).days <= (30 if (ahead[0].first - day).days > 200 else 3)
    return ahead[0] if is_near or (future and not is_just_over) else past[-1]


_OF_DAYS = word_set("on by until till before since for from") | {""}
_PUT_OFF = re.compile(r"\b(?:moved|postponed|pushed|rescheduled|shifted|delayed|changed)\b", re.IGNORECASE)


def _relative(group: dict[str, str], text: str, at: datetime, *, future: bool, perfect: bool) -> Named | None:
    day = at.date()
    if named := group.get("named"):
        return named_day(re.sub(r"\s+", " ", named), group.get("part1", ""), day)
    if part := group.get("part2"):
        return on_day(day, part)
    if count := group.get("count1"):
        return shifted(day, count, group["unit1"], -1)
    if count := group.get("count2"):
        return _counted(group, day, count, perfect=perfect)
    if count := group.get("count3"):
        return past_span(group, day, count, group["unit3"])
    if which := group.get("which"):
        return cycle_of(group, day, which.split()[-1], group["cycle"], future=future)
    if name := group.get("day4"):
        starts = text.lower().startswith(name)
        if group.get("prep") == "to" and _PUT_OFF.search(text):
            return on_day(weekday_of(day, DAYS[name], future=True), group.get("part4", ""))
        prep = group.get("prep", "")
        if prep not in _OF_DAYS or (not prep and "part4" not in group and not starts):
            return None
        return on_day(weekday_of(day, DAYS[name], future=future), group.get("part4", ""))
    if "weekend" in group and group.get("prep") in ("over", "during", "on"):
        return weekend_of(monday_of(day) - timedelta(days=0 if future or day.weekday() >= 5 else 7))
    return None


def _counted(group: dict[str, str], day: date, count: str, *, perfect: bool) -> Named | None:
    """ "In two weeks", "three days from now", "for five years"; a bare length of time is none."""
    unit, prep = group["unit2"], group.get("prep", "")
    if prep == "in" or group.get("ahead"):
        # "I slept ten hours in two days": not ahead of now, which the perfect gives away.
        return shifted(day, count, unit, 1) if not perfect else None
    if prep != "for" or not perfect:
        return None
    return since(day, count, unit)

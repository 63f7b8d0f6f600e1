"""What the words around a time make of it: ranges, open ends, "the weekend before", "the second week of"."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta

from memsvc.text.dates.forms import (
    COUNT,
    UNIT_DAYS,
    WEEKDAY,
    Clock,
    Mention,
    edge_of,
    find_mentions,
    read_count,
    weekday_beside,
)
from memsvc.text.dates.periods import (
    ANY_YEAR,
    DAYS,
    Period,
    around,
    in_year,
    one_day,
    week_of,
    weekend_of,
)

# What stands between the two ends of a range, and between a relative time and the day that it counts from.
_TO = re.compile(r"\s*(?:[-\u2013]|,?\s(?P<word>and|to|until|till|through)(?:\s+the)?)\s*(?P<end>end\s+of\s+)?")
_BETWEEN = re.compile(r"\bbetween\s+(?:the\s+)?$")
_COUNTED_FROM = re.compile(r",?\s+(?:before|prior\s+to|on|from|as\s+of|of)\s+(?:the\s+)?")
_LIST = re.compile(r"\s*(?:,|,?\s(?:and|or))\s*")
_AS_SAID = re.compile(
    r"\bas\s+(?:of|(?:was\s+|i\s+)?(?:mentioned|told|said|stated|described|shared|discussed)(?:\s+(?:on|in))?)\s+$"
)
_OFFSET = re.compile(
    rf"(?P<many>\bmany\s+)?(?P<within>\b(?:in|over|during|within)\s+the\s+)?\b(?:(?P<count>{COUNT})\s+)?"
    rf"(?P<unit>day|weekend|week|month|year|night|evening|morning|{WEEKDAY})(?P<plural>s?)\s+"
    r"(?P<side>before|prior\s+to|preceding|after|following|of)\s+(?:the\s+)?$"
)
_PART = re.compile(
    r"\b(?:(?P<edge>early|late|mid|middle|start|beginning|end)|(?P<nth>first|1st|second|2nd|third|3rd|fourth|4th|last)\s+"
    rf"(?P<unit>day|weekend|week|half|{WEEKDAY}))(?:[\s-]+(?:of|in))?[\s-]+(?:the\s+)?$"
)
_BOUND = re.compile(
    r"\b(?P<word>since|starting|beginning|after|following|before|prior\s+to|until|till|up\s+to|from)"
    r"(?:\s+(?:on|in|from))?\s+(?:the\s+)?$"
)
_ONWARDS = re.compile(r"\s+on(?:wards?)?\b")
_DURATION = re.compile(r"\bhow\s+(?:long|many\s+(?:days|weeks|months|years|nights|weekends))\b")
_NTH = {"first": 0, "1st": 0, "second": 1, "2nd": 1, "third": 2, "3rd": 2, "fourth": 3, "4th": 3, "last": -1}
# A part is of a month or more.
_PARTED_DAYS = 28
# Characters before a time that are read; no form is longer.
_REACH = 60


def find_periods(text: str, today: date | None) -> list[Period]:
    """The periods that a text speaks of, in order; relative ones count from `today` and are left out without it."""
    reading = _Reading.of(text.lower(), today)
    return list(dict.fromkeys(reading.periods()))


@dataclass(frozen=True, slots=True)
class _Reading:
    text: str
    clock: Clock
    mentions: list[Mention]

    @classmethod
    def of(cls, text: str, today: date | None) -> "_Reading":
        clock = Clock.of(text, today)
        mentions = find_mentions(text, clock)
        # "Last week, as told on 6 November": the words are those of that day.
        for mention in mentions:
            if not mention.relative and mention.period.days == 1 and _find_before(text, mention, _AS_SAID):
                clock = Clock(mention.period.first)
                return cls(text, clock, find_mentions(text, clock))
        return cls(text, clock, mentions)

    def periods(self) -> Iterator[Period]:
        place = 0
        while place < len(self.mentions):
            mention = self.mentions[place]
            following = self.mentions[place + 1] if place + 1 < len(self.mentions) else None
            if following is not None and (joined := self._range(mention, following)):
                yield from joined
                place += 2
            elif following is not None and (counted := self._counted(mention, following)):
                yield from counted
                place += 2
            else:
                if not mention.is_end or self._continues_list(place):
                    yield from self._alone(mention)
                place += 1

    def _before(self, mention: Mention, pattern: re.Pattern[str]) -> re.Match[str] | None:
        return _find_before(self.text, mention, pattern)

    def _continues_list(self, place: int) -> bool:
        return (
            place > 0
            and _LIST.fullmatch(self.text, self.mentions[place - 1].end, self.mentions[place].start) is not None
        )

    def _range(self, first: Mention, last: Mention) -> list[Period]:
        gap = _TO.fullmatch(self.text, first.end, last.start)
        if gap is None or (gap["word"] == "and" and not self._before(first, _BETWEEN)):
            return []
        if _DURATION.search(self.text):  # how long it was is answered at its two ends
            return [first.period, last.period]
        return [_join(first.period, last.period)]

    def _counted(self, mention: Mention, following: Mention) -> list[Period]:
        """A relative time beside the day that it counts from: "last Friday, on 23 January"; that day counts as well."""
        if (
            not mention.relative
            or following.relative
            or not _COUNTED_FROM.fullmatch(self.text, mention.end, following.start)
        ):
            return []
        period = mention.counted_from(following.period.first)
        return [] if period is None else [period, following.period]

    def _alone(self, mention: Mention) -> list[Period]:
        period = mention.period
        if part := self._before(mention, _PART):
            if period.days >= _PARTED_DAYS:
                return [_part(part, period)]
        elif offset := self._before(mention, _OFFSET):
            # Reports come after the event: the day named is often the day of the report.
            return [period] if offset["many"] or period.other_years == ANY_YEAR else [*_offset(offset, period), period]
        elif (bound := self._before(mention, _BOUND)) and not _DURATION.search(self.text):
            return [self._bounded(re.sub(r"\s+", " ", bound["word"]), mention)]
        return [period]

    def _bounded(self, word: str, mention: Mention) -> Period:
        period, today = mention.period, self.clock.today
        if period.other_years == ANY_YEAR or (word == "from" and not _ONWARDS.match(self.text, mention.end)):
            return period
        end = date.max if today is None or period.first >= today else today
        if word in ("until", "till", "up to"):
            return Period(date.min, period.last)
        if word in ("before", "prior to"):
            return Period(date.min, max(period.first, date.min + timedelta(days=1)) - timedelta(days=1))
        if word in ("after", "following"):
            return Period(min(period.last + timedelta(days=1), end), end)
        return Period(period.first, end)


def _find_before(text: str, mention: Mention, pattern: re.Pattern[str]) -> re.Match[str] | None:
    """Where a pattern ends at the beginning of a mention."""
    return pattern.search(text, max(0, mention.start - _REACH), mention.start)


def _join(first: Period, last: Period) -> Period:
    """From the beginning of one to the end of the other; a year that one of them lacks is that of the other."""
    if first.other_years and not last.other_years:
        first = _moved(first, last.last.year)
        if first.first > last.last:
            first = _moved(first, first.first.year - 1)
    elif last.other_years:
        last = _moved(last, first.first.year)
        if last.last < first.first:
            last = _moved(last, last.first.year + 1)
    other_years = min(first.other_years, last.other_years)
    return Period(min(first.first, last.first), max(first.last, last.last), other_years)


def _moved(period: Period, year: int) -> Period:
    length = period.last.year - period.first.year
    return replace(period, first=in_year(period.first, year), last=in_year(period.last, year + length))


def _offset(match: re.Match[str], period: Period) -> list[Period]:
    """A day, week or other stretch before or after a period, or around it ("the weekend of")."""
    unit, side = match["unit"], -1 if match["side"] in ("before", "preceding") or "prior" in match["side"] else 1
    if match["side"] == "of":
        if period.days > 1 or unit not in ("week", "weekend"):
            return []
        # The weekend of a Tuesday is the one before it, of a Wednesday the one after.
        return [week_of(period.first) if unit == "week" else weekend_of(period.first - timedelta(days=2))]
    from_day = period.first if side < 0 else period.last
    if unit in DAYS:
        return [one_day(weekday_beside(from_day, unit, side))]
    if unit == "weekend":
        is_this_week = side > 0 and from_day.weekday() < 5
        return [weekend_of(from_day if is_this_week else from_day + timedelta(days=7 * side))]
    length = UNIT_DAYS.get(unit, 1)
    number = read_count(match["count"])[0] if match["count"] else 7 if match["plural"] else 1
    stretch, day = timedelta(days=number * length), timedelta(days=1)
    if match["count"] and not match["within"]:
        return [around(from_day + side * stretch, length // 2)]
    return [Period(from_day - stretch, from_day - day) if side < 0 else Period(from_day + day, from_day + stretch)]


def _part(match: re.Match[str], whole: Period) -> Period:
    """The first weekend, the last day, the second half... of a month or more."""
    if match["edge"]:
        return edge_of(match["edge"], whole)
    place, unit = _NTH[match["nth"]], match["unit"]
    if unit == "half":
        middle = whole.first + timedelta(days=whole.days // 2 - 1)
        return replace(whole, last=middle) if place == 0 else replace(whole, first=middle + timedelta(days=1))
    length = timedelta(days={"week": 7, "weekend": 2}.get(unit, 1) - 1)
    step = timedelta(days=1 if unit == "day" else 7)
    begin = whole.first
    if unit not in ("day", "week"):
        begin += timedelta(days=(DAYS.get(unit, DAYS["saturday"]) - begin.weekday()) % 7)
    elif place < 0:
        begin = whole.last - length
    places = (whole.last - length - begin) // step
    first = begin + step * (places if place < 0 else min(place, places))
    return replace(whole, first=first, last=first + length)

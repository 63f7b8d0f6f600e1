"""Valid time as it is written: a year, a month, a day or a moment. Pure."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from memsvc.errors import FieldError

Precision = Literal["year", "month", "day", "instant"]

_PARTIAL = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?")
_REMEDY = "Send a year (2026), a month (2026-03), a day (2026-03-14) or a moment (2026-03-14T09:30:00+01:00)."


def parse_bound(
    value: str, zone: ZoneInfo, *, end: bool, path: str, faults: list[FieldError]
) -> tuple[datetime, Precision] | None:
    """The moment that a bound stands for, in UTC, with its precision; a fault and None when it is none.

    A start is the first moment of its year, month or day. An end includes its year, month or day, so it is the first
    moment after; an end that is a moment is that moment. Intervals are half-open: [start, end).
    """
    found = _PARTIAL.fullmatch(value.strip())
    try:
        if found is None:
            moment = datetime.fromisoformat(value.strip())
            return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC), "instant"
        _, month, day = found.groups()
        first = date(int(found[1]), int(month or 1), int(day or 1))
        precision: Precision = "year" if month is None else "month" if day is None else "day"
        if end:
            first = _after(first, precision)
        return datetime(first.year, first.month, first.day, tzinfo=zone).astimezone(UTC), precision
    except (ValueError, OverflowError):
        faults.append(FieldError(path, f"{value[:40]!r} is no date", _REMEDY))
        return None


def parse_interval(
    start: str | None, end: str | None, zone: ZoneInfo, *, path: str, faults: list[FieldError]
) -> tuple[tuple[datetime, Precision] | None, tuple[datetime, Precision] | None]:
    """Both bounds, None for an open one; a fault when the interval is empty."""
    prefix = f"{path}." if path else ""
    first = None if start is None else parse_bound(start, zone, end=False, path=f"{prefix}valid_from", faults=faults)
    last = None if end is None else parse_bound(end, zone, end=True, path=f"{prefix}valid_to", faults=faults)
    if first is not None and last is not None and last[0] <= first[0]:
        faults.append(
            FieldError(
                f"{prefix}valid_to", "is not after `valid_from`", "Send an end after the start, or leave it out."
            )
        )
    return first, last


def _after(first: date, precision: Precision) -> date:
    if precision == "year":
        return date(first.year + 1, 1, 1)
    if precision == "month":
        return date(first.year + first.month // 12, first.month % 12 + 1, 1)
    return first + timedelta(days=1)

"""Reading JSON that others wrote: every value is checked where it is used, and a fault names its place."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from memsvc.errors import FieldError, InvalidRequestError

REMEDY = "Check that the file is a complete and unchanged export, or name its format with --from."
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECONDS_FROM = 1e11  # as seconds this is the year 5138; exports that count milliseconds are above it
SAMPLE = 20


def malformed(place: str, problem: str, remedy: str = REMEDY) -> InvalidRequestError:
    """The error for a value that the format does not allow; `place` is a path such as `conversations[3].mapping`."""
    return InvalidRequestError(
        f"The export cannot be read at {place}.", fields=(FieldError(place, problem, ""),), remedy=remedy
    )


@dataclass(frozen=True, slots=True)
class Record:
    """A JSON object of an export and where in it it stands. Methods raise `InvalidRequestError` for a wrong type."""

    place: str
    fields: Mapping[str, object]

    def at(self, name: str) -> str:
        """The place of a field."""
        return f"{self.place}.{name}" if self.place else name

    def text(self, name: str) -> str | None:
        """A string, as it is; None when it is absent, null or blank."""
        value = self.fields.get(name)
        if value is None:
            return None
        if not isinstance(value, str):
            raise malformed(self.at(name), "must be text")
        return value if value.strip() else None

    def label(self, name: str) -> str | None:
        """An id or a name: text, or a number written as text."""
        value = self.fields.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        return self.text(name)

    def first_label(self, *names: str) -> str | None:
        """The first of these fields that says something."""
        return next((label for label in map(self.label, names) if label is not None), None)

    def time(self, name: str) -> str | None:
        """A moment as ISO 8601 with the offset that the source gives; None when it is absent, null or zero."""
        return moment(self.fields.get(name), self.at(name))

    def first_time(self, *names: str) -> str | None:
        """The first of these fields that holds a moment."""
        return next((time for time in map(self.time, names) if time is not None), None)

    def record(self, name: str) -> "Record | None":
        """An object; None when it is absent or null."""
        value = self.fields.get(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise malformed(self.at(name), "must be an object")
        return Record(self.at(name), value)

    def records(self, name: str) -> Iterator["Record"]:
        """The objects of a list; none when it is absent or null."""
        value = self.fields.get(name)
        return iter(()) if value is None else records_of(value, self.at(name))

    def strings(self, name: str) -> list[str]:
        """The strings of a list that say something; none when it is absent or null."""
        value = self.fields.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise malformed(self.at(name), "must be a list")
        return [each for each in value if isinstance(each, str) and each.strip()]


def records_of(value: object, place: str) -> Iterator[Record]:
    """The objects of a list that must hold nothing else."""
    if not isinstance(value, list):
        raise malformed(place, "must be a list")
    for index, each in enumerate(value):
        if not isinstance(each, dict):
            raise malformed(f"{place}[{index}]", "must be an object")
        yield Record(f"{place}[{index}]", each)


def sample(document: object, *names: str) -> list[Mapping[str, object]]:
    """The first objects of a list, or of the lists that an object holds under `names`: enough to tell a format."""
    found: list[Mapping[str, object]] = []
    lists = [document.get(name) for name in names] if isinstance(document, dict) else [document]
    for each in lists:
        if isinstance(each, list):
            found += [entry for entry in each[:SAMPLE] if isinstance(entry, dict)]
    return found


def moment(value: object, place: str) -> str | None:
    """ISO 8601 of a text or of a Unix time in seconds or milliseconds; a text without an offset stays without one.

    Zero, null and the year 1, with which some sources mean "not known", are None.
    """
    if value is None or value == "" or value == 0:
        return None
    try:
        time = _parse(value)
        if time.year == 1:
            return None
        if time.tzinfo is not None:
            time.astimezone(UTC)  # raises for moments that UTC cannot express
            offset = time.utcoffset() or timedelta()
            time = time if offset.seconds % 60 == 0 and not offset.microseconds else time.astimezone(UTC)
    except (ValueError, OverflowError):
        raise malformed(place, "is not a time", "Write it as ISO 8601, such as 2026-03-02T09:30:00+00:00.") from None
    return time.isoformat()


def instant(time: str) -> datetime:
    """A moment that `Record.time` gave, to compare it; one without an offset is taken as UTC."""
    parsed = datetime.fromisoformat(time)
    return parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC)


def _parse(value: object) -> datetime:
    if isinstance(value, str):
        return datetime.fromisoformat(value.strip())
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        seconds = value / 1000 if abs(value) >= MILLISECONDS_FROM else value
        return EPOCH + timedelta(seconds=seconds)
    raise ValueError

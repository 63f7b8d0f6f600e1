"""Cues: what a memory's header and wording say about a query, as values from 0 to 1 beside similarity.

Each takes what the query asks for and n memories, and gives float32[n]; all 0 when the query asks for nothing of the
kind, so that a cue never changes the order of what it does not speak of.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, time, tzinfo
from functools import cache

import numpy as np

from memsvc.retrieval.model import Evidence, Floats
from memsvc.retrieval.query import QueryReading
from memsvc.text.analysis import analyze
from memsvc.text.dates import closeness, named_days

# Instructions stand at the beginning or end of a message; a pasted document is not read through for one.
_READ_CHARACTERS = 2000
_FIRST_PERSON = frozenset(
    ("i", "i'm", "i've", "i'd", "i'll", "me", "my", "mine", "myself", "we", "we're", "we've", "our", "us")
)
_MIDNIGHT = time(0, tzinfo=UTC)
_DIGIT = re.compile(r"\d")
# One in twelve words in the first person makes a statement about oneself in full.
_FULL_STATEMENT = 12
_STANDING_HINTS = ("always", "never", "prefer", "whenever", "from now on", " time i ", " time we ")
_STANDING = re.compile(
    r"\b(?:always|never)\b[^\n]{0,160}\b(?:when(?:ever)?|if|every\s+time|each\s+time)\s+(?:i|we)\b"
    r"|\b(?:whenever|every\s+time|each\s+time)\s+(?:i|we)\s+(?:ask|mention|request|want|need|talk|discuss)\b"
    r"|\bfrom\s+now\s+on\b"
    r"|\bi(?:'d|\s+would)?\s+(?:\w+\s+)?prefer\b"
)
_TIME = re.compile(
    r"\b(?:yesterday|today|tonight|tomorrow|ago|weekend|since|recently|(?:last|next|this)\s+"
    r"(?:week|month|year|night|morning|afternoon|evening|summer|winter|fall|autumn|spring|mon|tues|wednes|thurs|fri|satur|sun)"
    r"|(?:mon|tues|wednes|thurs|fri|satur|sun)day|(?:19|20)\d\d"
    r"|january|february|march \d|april|june|july|august|september|october|november|december|(?:in|on|of) may|may \d)"
)


def speaker(query: QueryReading, evidence: Sequence[Evidence]) -> Floats:
    """1 for what was said by someone whom the query names, by any part of the name."""
    named = named_speakers(query, (item.name for item in evidence))
    return _each(evidence, lambda item: float(item.name in named)) if named else _none(evidence)


def named_speakers(query: QueryReading, names: Iterable[str | None]) -> set[str]:
    """Those of the names that the query mentions, by any part."""
    return {name for name in set(names) if name and not query.terms.keys().isdisjoint(analyze(name))}


def author(query: QueryReading, evidence: Sequence[Evidence]) -> Floats:
    """1 for the side of the conversation whose words the query asks for."""
    return _each(evidence, lambda item: float(item.role == query.author)) if query.author else _none(evidence)


def statement(query: QueryReading, evidence: Sequence[Evidence]) -> Floats:
    """How much a passage speaks in the first person, when the query asks about the asker."""
    return _each(evidence, _first_person_share) if query.author == "user" else _none(evidence)


def standing(query: QueryReading, evidence: Sequence[Evidence], relevance: Floats) -> Floats:
    """Standing instructions and preferences ("always ... when I ask ..."), as far as they are on the topic.

    `relevance` float32[n] in 0 to 1 keeps an instruction about invoices out of a question about food.
    """
    if query.overview or query.timeline.sequence:
        return _none(evidence)
    return _each(evidence, _is_standing) * relevance


def dated(query: QueryReading, evidence: Sequence[Evidence]) -> Floats:
    """How well the time of a memory fits a time that the query names.

    A memory without a time of its own, such as a fact or a document, is judged by the days that its passage names.
    """
    if not query.periods:
        return _none(evidence)

    @cache  # a session's turns share their day
    def fit(day: date) -> float:
        return max(closeness(period, day) for period in query.periods)

    def fit_item(item: Evidence) -> float:
        if item.occurred_at is not None:
            return fit(day_of(item.occurred_at, query.zone))
        return max(map(fit, _named_days(item.passage)), default=0.0)

    return _each(evidence, fit_item)


def timed(query: QueryReading, evidence: Sequence[Evidence]) -> Floats:
    """1 for a passage with any expression of time, when the query asks when."""
    if not query.asks_when:
        return _none(evidence)
    return _each(evidence, lambda item: float(_TIME.search(item.passage.lower()) is not None))


def latest(query: QueryReading, evidence: Sequence[Evidence]) -> Floats:
    """Rank in time from 0 (oldest) to 1, when the query asks for the present state; 0 for what has no time."""
    return _ranked_in_time(evidence) if query.asks_latest else _none(evidence)


def ordered(query: QueryReading, evidence: Sequence[Evidence], relevance: Floats) -> Floats:
    """Rank in time from 0 to 1 towards the end asked for, when the query asks for the first or the last of its kind.

    It counts as far as a memory is on the topic: `relevance` float32[n] in 0 to 1.
    """
    if query.timeline.order is None:
        return _none(evidence)
    rank = _ranked_in_time(evidence)
    if query.timeline.order == "first" and rank.any():
        rank = _each(evidence, lambda item: float(item.occurred_at is not None)) - rank
    return rank * relevance


def day_of(moment: datetime, zone: tzinfo | None) -> date:
    """The asker's day of a moment; a moment at midnight UTC stands for a day known without its hour."""
    is_day_alone = moment.timetz() == _MIDNIGHT
    return moment.date() if zone is None or is_day_alone else moment.astimezone(zone).date()


def _ranked_in_time(evidence: Sequence[Evidence]) -> Floats:
    """From 0 (oldest) to 1; 0 for what has no time, and for all when there are not two moments."""
    moments = sorted({item.occurred_at for item in evidence if item.occurred_at is not None})
    if len(moments) < 2:
        return _none(evidence)
    rank = {moment: place / (len(moments) - 1) for place, moment in enumerate(moments)}
    return _each(evidence, lambda item: 0.0 if item.occurred_at is None else rank[item.occurred_at])


def _named_days(text: str) -> list[date]:
    # No day is named without a digit, and most passages have none.
    return named_days(text) if _DIGIT.search(text) else []


def _first_person_share(item: Evidence) -> float:
    words = item.passage.lower().split()
    first_person = sum(map(_FIRST_PERSON.__contains__, words))
    return min(1.0, _FULL_STATEMENT * first_person / len(words)) if words else 0.0


def _is_standing(item: Evidence) -> float:
    if item.role in {"assistant", "tool"}:
        return 0.0
    text = item.content[:_READ_CHARACTERS].lower()
    return float(any(hint in text for hint in _STANDING_HINTS) and _STANDING.search(text) is not None)


def _each(evidence: Sequence[Evidence], value: Callable[[Evidence], float]) -> Floats:
    return np.fromiter((value(item) for item in evidence), np.float32, len(evidence))


def _none(evidence: Sequence[Evidence]) -> Floats:
    return np.zeros(len(evidence), np.float32)

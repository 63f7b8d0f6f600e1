"""What a query asks for beyond its topic: whose words, of when, how recent. Pure pattern reading, English."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Literal

from memsvc.retrieval.timeline import Timeline, read_timeline
from memsvc.text.analysis import analyze, fold, surface_forms
from memsvc.text.dates import Period, find_periods

Author = Literal["user", "assistant"]

_SAID = "said|told|mentioned|shared|described|stated|reported|gave|given|provided|explained|listed|wrote|written"
_SAY = "say|tell|mention|share|describe|state|report|give|provide|explain|list|write"
_ADVISED = "recommended|suggested|advised|proposed|called|created|made|answered|helped|came up"
_ADVISE = "recommend|suggest|advise|propose|call|create|make|answer|help|come up"
_ADVERB = r"(?:(?:\w+ly|also|just|once|first|earlier|ever|then|have|had)\s+)*"

# "Can you summarize ..." asks for a deed now; "did you suggest", "you told me" and "your advice" ask for past words.
_ASSISTANT_SAID = re.compile(
    rf"\b(?:did\s+you\s+{_ADVERB}(?:{_SAY}|{_ADVISE})"
    rf"|(?:had|have)\s+you\s+{_ADVERB}(?:{_SAID}|{_ADVISED})"
    rf"|you(?:'d|'ve)?\s+{_ADVERB}(?:{_SAID}|{_ADVISED})"
    r"|your\s+(?:\w+\s+)?(?:recommendation|suggestion|advice|answer|response|explanation|reply|list)s?"
    r"|our\s+(?:previous|last|earlier|past)\s+(?:conversation|chat|discussion))\b"
)
_USER_SAID = re.compile(
    rf"\b(?:(?:i|we)(?:'ve|'d)?\s+{_ADVERB}(?:said|told|mentioned|brought\s+up|asked|shared|described|stated|reported)"
    rf"|did\s+(?:i|we)\s+{_ADVERB}(?:say|tell|mention|bring\s+up|ask|share|describe|report))\b"
)
# A summary draws on both sides of the conversation, also when it is of "my project".
_OVERVIEW = re.compile(r"\b(?:summar\w+|recap\w*|overview|walk\s+me\s+through|everything\s+(?:we|i|you))\b")
# What became of something was told over several sessions, as an order is (`Timeline.sequence`, which is stricter).
_DEVELOPS = re.compile(
    r"\b(?:the\s+order\s+of|in\s+order\b(?!\s+to)|over\s+time|throughout|timeline|chronolog\w*"
    r"|(?:progress|evolv|develop)(?:ed|s)?\b(?=.*\b(?:over|since|through|across|from)\b))"
)
_FIRST_PERSON = re.compile(r"\b(?:i|me|my|mine|myself|we|our|us)\b")
_ASKS_WHEN = re.compile(
    r"\b(?:when|(?:what|which)\s+(?:date|day|week|month|year|time)|how\s+long|how\s+old|how\s+often"
    r"|how\s+many\s+(?:hours|days|weeks|months|years))\b"
)
_ASKS_LATEST = re.compile(
    r"\b(?:current|currently|latest|now|nowadays|most\s+recent|most\s+recently|these\s+days|at\s+(?:the\s+moment|present)"
    r"|presently|so\s+far|still)\b"
)
# Of a longer time there is so much that it leads to nothing.
_CLOSE_DAYS = 45
# What happened is told on the day or a little later.
_REPORTED_WITHIN = 3


@dataclass(frozen=True, slots=True)
class QueryReading:
    """`terms`: index terms with their surface forms. `author`: whose words answer it, if it tells. `develops`: it asks
    for what several sessions tell together. `zone`: the asker's, in which a moment's day is told.
    """

    terms: Mapping[str, str]
    author: Author | None
    overview: bool
    develops: bool
    periods: tuple[Period, ...]
    asks_when: bool
    asks_latest: bool
    zone: tzinfo | None
    timeline: Timeline


def read_query(query: str, asked_at: datetime | None) -> QueryReading:
    """Read a query; `asked_at`, in the asker's zone, is what "yesterday" counts from."""
    folded = fold(query)
    overview = _OVERVIEW.search(folded) is not None
    timeline = read_timeline(folded)
    return QueryReading(
        terms=surface_forms(query),
        author=_author(folded),
        overview=overview,
        develops=overview or timeline.sequence or _DEVELOPS.search(folded) is not None,
        periods=tuple(find_periods(folded, None if asked_at is None else asked_at.date())),
        asks_when=_ASKS_WHEN.search(folded) is not None,
        asks_latest=_ASKS_LATEST.search(folded) is not None,
        zone=None if asked_at is None else asked_at.tzinfo,
        timeline=timeline,
    )


def spans(query: QueryReading) -> list[tuple[datetime, datetime]]:
    """The times that a query asks for closely enough to look for what is of them: from, and before."""
    zone = query.zone or UTC
    close = (period for period in query.periods if not period.is_open and period.days <= _CLOSE_DAYS)
    return [
        (
            datetime.combine(period.first, time.min, zone),
            datetime.combine(period.last + timedelta(days=_REPORTED_WITHIN), time.min, zone),
        )
        for period in close
    ]


def matched_terms(query: QueryReading, text: str) -> list[str]:
    """The query's words, as asked, that a text holds in some form, in the query's order."""
    held = set(analyze(text))
    return [surface for term, surface in query.terms.items() if term in held]


def _author(folded: str) -> Author | None:
    if _ASSISTANT_SAID.search(folded):
        return "assistant"
    if _USER_SAID.search(folded):
        return "user"
    if _OVERVIEW.search(folded):
        return None
    return "user" if _FIRST_PERSON.search(folded) else None

"""How a query speaks of events: which come first, how far apart they are, what came before or after one. English."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from memsvc.text.analysis import analyze
from memsvc.text.dates import without_times

Order = Literal["first", "last"]
Side = Literal["before", "after"]

# A longer text is no question of these forms.
_READ_CHARACTERS = 1000
_WHO = r"(?:i|we|you|he|she|they|it|\w+)"
_PRONOUN = "i|we|he|she|they"
_FIRST = re.compile(
    rf"\b(?:first\s+time|earliest|original(?:ly)?|initial(?:ly)?|(?:did|have|had|has)\s+{_WHO}\s+(?:ever\s+)?first\s+\w+"
    rf"|(?:{_PRONOUN})\s+first\s+\w+ed"
    r"|(?:my|your|his|her|its|their|our|the|\w+'s)\s+(?:very\s+)?first\s+(?!(?:names?|day|week|weekend|half|aid|place"
    r"|person|floor|language|and|or|of)\b)\w+"
    r"|(?:when|(?:what|which)\s+(?:year|month|week|day|date)|how\s+long|ago)\b.*\b(?:start|started|begin|began|begun)\s+"
    r"(?:to\s+\w+|\w+ing))\b"
)
_LAST = re.compile(
    rf"\b(?:last\s+time|(?:did|have|had|has)\s+{_WHO}\s+last\s+(?!(?:week|weekend|month|year|night|spring|summer|autumn"
    rf"|fall|winter|time|\w+day)\b)\w+|(?:{_PRONOUN})\s+last\s+\w+ed)\b"
)
_SEQUENCE = re.compile(
    r"\b(?:in\s+(?:what|which|the)\s+(?:order|sequence)\b|order\s+in\s+which|(?:order|sequence|chronology|timeline)\s+of\s+"
    r"(?:(?:the|these|those|all|my|our)\s+)*(?:following|events?|things|steps|topics|visits|trips|meetings)\b"
    r"|in\s+(?:chronological\s+)?order\b(?!\s+(?:to|that|for|#|number|\d))|chronological(?:ly)?\b"
    r"|from\s+(?:first|earliest|oldest)\s+to\s+(?:last|latest|newest)\b)"
)
# The words that ask for an order, which stand in no answer.
_FRAME = re.compile(
    r"^(?:(?:can|could|would|will)\s+you\s+|please\s+)*(?:list|tell\s+me|walk\s+me\s+through|give\s+me|show\s+me"
    r"|describe|recount|arrange|sort|put|remind\s+me(?:\s+of)?|what\s+(?:is|was|were))?\s*"
    r"|\bin\s+(?:what|which)\s+(?:order|sequence)\s+(?:did|do|have|had)?"
    r"|\b(?:in\s+)?(?:the\s+)?(?:chronological\s+|correct\s+|right\s+|exact\s+)*(?:order|sequence|chronology|timeline)"
    r"(?:\s+(?:in\s+which|that|of|how|when|for))?\b"
    r"|\b(?:how\s+)?(?:i|we)\s+(?:first\s+)?(?:brought\s+up|bring\s+up|mention(?:ed)?|talk(?:ed)?\s+about|discuss(?:ed)?"
    r"|describe[d]?|raised?|asked?\s+about|shared?|told\s+you\s+about)\b"
    r"|\b(?:(?:the|all|some)\s+)?(?:different|various|several)?\s*(?:aspects|topics|concepts|things|ideas|points|parts"
    r"|steps|stages|subjects)\s+(?:of|about|related\s+to|regarding|around|in)\b"
    r"|\b(?:throughout|across|in|over|during|within)\s+(?:all\s+)?(?:of\s+)?(?:our|these|those|my)\s+(?:\w+\s+)?"
    r"(?:conversations?|chats?|discussions?|sessions?|messages)\b"
    r"|\b(?:mention|list|give|name)\s+(?:only|just|exactly)\b.*$"
    r"|\bfrom\s+(?:first|earliest|oldest)\s+to\s+(?:last|latest|newest)\b|\bchronologically\b"
)
_HOW_LONG = (
    r"\bhow\s+(?:long|much\s+(?:time|later|earlier)|many\s+(?:more\s+)?(?:hour|day|night|week|weekend|month|year)s)"
)
_APART = re.compile(
    rf"(?:(?:{_HOW_LONG}|\bhappen(?:ed|s)?|\btime)\b.*?\b(?P<word>between|from)|\bbetween(?=\s+when\b))\s+(?P<rest>.+)"
)
_RELATED = (
    re.compile(
        rf"{_HOW_LONG}\s+(?:had|have|has)\s+(?:passed\s+|gone\s+by\s+|it\s+been\s+)?(?:since\s+)?(?P<a>.+?)"
        r"\s+(?:when|before|by\s+the\s+time|until)\s+(?P<b>.+)"
    ),
    re.compile(rf"{_HOW_LONG}\s+(?:before|after|since)\s+(?P<a>.+?)\s+(?:did|do|does)\s+(?P<b>.+)"),
    re.compile(rf"{_HOW_LONG}\s+(?:before|after|since)\s+(?P<a>.+?)\s+(?:was|were|have|had|will)\s+(?P<b>.+)"),
    re.compile(
        rf"{_HOW_LONG}\s+(?:did|was|were|do|does|is|will|would)\s+(?P<a>.+?)"
        r"\s+(?:before|after|until|till|when)\s+(?P<b>.+)"
    ),
    re.compile(r"^(?:did|was|were|have|had)\s+(?P<a>.+?)\s+(?:before|after)\s+(?:or\s+(?:before|after)\s+)?(?P<b>.+)"),
)
_CHOICE = re.compile(
    r"\b(?:which|what|who)\b(?:[^,:]*?\b(?:first|last|earlier|later|sooner|earliest|latest)\b[^,:\w]*[,:]\s*"
    r"|\s+(?:\w+\s+){0,3}?(?:came|happened|was|occurred|started)\s+(?:first|last|earlier|later)\s+)(?P<rest>.+\bor\b.+)"
)
_LISTED = re.compile(
    r"(?::\s*|\bin\s+(?:what|which)\s+order\s+(?:did|do|have)\s+\w+\s+\w+\s+(?=.+,.+\band\b))(?P<rest>[^:]+)$"
)
_BESIDE = re.compile(
    r"\b(?P<side>before|after|following(?=\s+(?:my|our|his|her|their|the)\b)|prior\s+to)\s+"
    r"(?P<event>(?!how\b)[^,?.]+)"
)
_LEAD = re.compile(
    r"^(?:(?:when|that|been|it\s+take(?:\s+for|(?:\s+\w+)?\s+to)?|did|do|i|we|either"
    r"|the\s+(?:day|date|time|moment)(?:\s+(?:when|that|on\s+which))?(?=\s+(?:i|we|he|she|they|my|when|that)\b))\s+)+"
)
_SPLIT_AND = re.compile(r",?\s+and\s+")
_SPLIT_TO = re.compile(r",?\s+(?:to|until|till)\s+")
_CLAUSE = re.compile(r"when\b|the\s+(?:day|date|time|moment)\b|until\b")
_NOUN = re.compile(r"(?:my|the|i|we|our|his|her|he|she|their|they|an?|its|\w+ing)\b")


@dataclass(frozen=True, slots=True)
class Timeline:
    """`order`: the first or the last of its kind is asked for. `events`: the phrases that name events, as asked.

    `side`: what came before or after the only event is asked for. `sequence`: things in their order in time, about
    `topic`, which is the query without the words that ask for it.
    """

    order: Order | None = None
    events: tuple[str, ...] = ()
    side: Side | None = None
    sequence: bool = False
    topic: str | None = None


def read_timeline(folded: str) -> Timeline:
    """Read a query in lower case."""
    query = " ".join(folded[:_READ_CHARACTERS].split())
    sequence = _SEQUENCE.search(query) is not None
    events = _meaningful(_listed(query) if sequence else ()) or _meaningful(_pair(query))
    if len(events) < 2:
        events = ()
    side: Side | None = None
    if not events and not sequence and (beside := _BESIDE.search(query)):
        events = _meaningful([beside["event"]])
        side = ("after" if beside["side"] in ("after", "following") else "before") if events else None
    return Timeline(
        order=None if len(events) > 1 else _order(query),
        events=events,
        side=side,
        sequence=sequence,
        topic=_topic(query) if sequence and not events else None,
    )


def _order(query: str) -> Order | None:
    return "first" if _FIRST.search(query) else "last" if _LAST.search(query) else None


def _pair(query: str) -> Iterable[str]:
    if found := _CHOICE.search(query):
        return re.split(r",?\s+or\s+|,\s+", found["rest"])
    found = _APART.search(query)
    if found and (pair := _halves(found["rest"], _SPLIT_TO if found["word"] == "from" else _SPLIT_AND)):
        return pair
    for pattern in _RELATED:
        if found := pattern.search(query):
            return found["a"], found["b"]
    return ()


def _listed(query: str) -> Iterable[str]:
    found = _LISTED.search(query)
    return re.split(r"[;,]\s+(?:and\s+)?|\s+and\s+", found["rest"]) if found else ()


def _halves(text: str, split: re.Pattern[str]) -> tuple[str, str] | None:
    """Both events of "A and B", cut where the second one most likely begins, and nearest to the middle."""
    cuts = []
    for match in split.finditer(text):
        rest = text[match.end() :]
        likely = 2 if _CLAUSE.match(rest) else 1 if _NOUN.match(rest) else 0
        if likely or split is _SPLIT_AND:
            cuts.append((-likely, abs(match.start() + match.end() - len(text)), match))
    if not cuts:
        return None
    cut = min(cuts, key=lambda item: item[:2])[2]
    return text[: cut.start()], text[cut.end() :]


def _meaningful(phrases: Iterable[str]) -> tuple[str, ...]:
    """Phrases that say what happened, without the words around them; none if one of them says nothing."""
    trimmed = tuple(_LEAD.sub("", phrase.strip(" ,.;:?!\"'")) for phrase in phrases)
    return trimmed if all(analyze(without_times(phrase)) for phrase in trimmed) else ()


def _topic(query: str) -> str | None:
    topic = " ".join(_FRAME.sub(" ", query).split()).strip(" ,.;:?!")
    return topic if analyze(topic) else None

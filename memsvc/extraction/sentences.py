"""Prose of a turn, cut into sentences and clauses that know where they stand in it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from memsvc.extraction import words
from memsvc.extraction.words import word_set

# What is told is told early or last; between them a very long text is a document, not an utterance.
_HEAD, _TAIL = 6_000, 2_000
_LONGEST_SENTENCE = 700

_LINE = re.compile(r"[^\n]+")
_MARKER = re.compile(r"\s*(?:[-*+•]\s+|\d{1,3}[.)]\s+|>+\s*)?(?:\*\*[^*\n]{1,80}\*\*:?\s+)?")
_CODE_LINE = re.compile(
    r"""\s*(?:[|{}<\[#$@/\\=;)]|https?://|(?:import|from|def|class|const|let|var|return|function|SELECT|INSERT)\s
    |\w+\s*=\s|\w+\(|\w+:\s*$)|.*[;{}]\s*$""",
    re.VERBOSE,
)
_SYMBOL = re.compile(r"[{}\[\]<>=;|\\_^~`#]")
_BRACKETS = re.compile(r"\[[^\[\]\n]{1,400}\]")
_QUOTES = re.compile(r'"[^"\n]{1,300}"|“[^”"\n]{1,300}”|«[^»\n]{1,300}»|(?<!\w)\'[^\'\n]{2,300}\'(?!\w)')
_END = re.compile(r"(?:[.!?…]+|(?<=\s)[)(:;]+(?=\s|$))[\"'”’)\]*]*(?=\s|$)|\s+(?:->|=>)\s+")
_ABBREVIATION = re.compile(
    r"(?:\b(?:[A-Z]|[a-z]\.[a-z]|[A-Z]\.[A-Z]|Dr|Mr|Mrs|Ms|St|vs|etc|approx|No|Jr|Sr|Prof|e\.g|i\.e)|^\d{1,2})\.$"
)
_EMOJI = re.compile("[\u2190-\u2bff\ufe0f\u200d\U0001f000-\U0001faff]+")

_SUBJECT = r"(?:I|i|we|he|she|it|they|you|my|our|his|her|their|there|this|that's|it's|[A-Z][\w'’-]+)"
_PRONOUN = r"(?:I|i|we|he|she|it|they|you|that|there)(?:['’](?:m|ve|re|ll|d|s))?"
_ASK = (
    r"(?:(?:can|could|would|will|do|does|did|should|have)\s(?:you|I|we)"
    r"|(?:is|are|was|am|does|did|do)\s(?:it|that|this|there|they|I|you)"
    r"|(?:what|how|which|why|where|when|who)"
    r"(?:['’]s|\s(?:\w+\s){0,2}?(?:do|does|did|should|can|could|would|is|are|am|will|about|if)))\b"
)
# Where a second thing may begin. The named groups say how sure it is.
_JOINT = re.compile(
    rf"""(?P<ask>(?:[,;]\s+(?:and\s+|but\s+|so\s+)?|\s+[-–—]+\s+|\s+(?:and|but|so)\s+)(?={_ASK}))
    | (?P<join>[,;]?\s+(?:and|but|so|plus|yet|though|although|whereas|then|and\s+then|and\s+now|and\s+so|but\s+now)\s+
        (?=(?:{_PRONOUN}|my|our|let['’]s)\s|[A-Z][\w’'-]+(?:\s[A-Z][\w’'-]+)?\s(?:is|was|has|will|said|told|gave|\w+ed)\s))
    | (?P<dash>;\s+|\s+[-–—]+\s+|\s?—\s?)(?={_SUBJECT}\s)
    | (?P<splice>,\s+)(?={_PRONOUN}\s|my\s|our\s|let\s|thanks\b|this\s+is\b
        |(?:his|her|their|the)\s+\w+\s+(?:is|are|was|were)\s)
    | (?P<comment>,?\s+which\s+(?:is|was|wasn['’]t|isn['’]t|has|made|makes|really|i\b|I\b|feels|felt|seems
        |helps|helped))\s
    """,
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Clause:
    """Characters [start, end) of a turn. `sentence` counts sentences, `question` is of the clause alone."""

    start: int
    end: int
    sentence: int
    question: bool


def clauses(content: str) -> list[Clause]:
    """The clauses of a turn's prose: no code, tables, headings, bracketed notes; in order, within `content`."""
    found: list[Clause] = []
    for number, (start, end) in enumerate(sentences(content)):
        is_question = "?" in content[end - 3 : end] or "？" in content[end - 2 : end]
        parts = list(_split(content, start, end))
        supposing = False
        for place, (left, right) in enumerate(parts):
            asks = _asks(content[left:right]) or (is_question and place == len(parts) - 1)
            if is_question and len(parts) == 2 and place == 0 and not content[left:right].lower().startswith("i"):
                asks = True
            # "What if I fail and I lose the fee": the second is as little said as the first.
            if supposing and content[max(0, left - 4) : left] == "and ":
                asks = True
            supposing = asks
            found.append(Clause(left, right, number, asks))
    return found


def sentences(content: str) -> list[tuple[int, int]]:
    """Spans of the sentences of the prose, trimmed, never empty."""
    found: list[tuple[int, int]] = []
    for start, end in _prose(content):
        for left, right in _cut(content, start, end):
            text = content[left:right]
            first, last = left + len(text) - len(text.lstrip()), left + len(text.rstrip())
            if 0 < last - first <= _LONGEST_SENTENCE:
                found.append((first, last))
    return found


def quoted(text: str) -> list[tuple[int, int]]:
    """Spans of quotations, the marks included."""
    if not any(mark in text for mark in "\"“«'"):
        return []
    return [match.span() for match in _QUOTES.finditer(text)]


def without_emoji(text: str) -> str:
    """The text without pictures."""
    return text if text.isascii() else _EMOJI.sub("", text)


def _prose(content: str) -> Iterator[tuple[int, int]]:
    """Lines, or parts of lines, that are prose."""
    fenced = False
    for match in _LINE.finditer(content):
        start, end = match.span()
        if len(content) > _HEAD + _TAIL and start > _HEAD and end < len(content) - _TAIL:
            continue
        end = min(end, start + _HEAD)
        line = content[start:end]
        if "```" in line or "~~~" in line:
            fenced ^= (line.count("```") + line.count("~~~")) % 2 == 1
            continue
        if fenced or _CODE_LINE.match(line) or len(_SYMBOL.findall(line)) * 12 > len(line):
            continue
        marker = _MARKER.match(line)
        cursor = start + (marker.end() if marker else 0)
        for bracket in _BRACKETS.finditer(line):
            yield cursor, max(cursor, start + bracket.start())
            cursor = max(cursor, start + bracket.end())
        yield cursor, end


def _cut(content: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Sentences of one stretch of prose; an end mark within a quotation ends none."""
    spans = [(start + left, start + right) for left, right in quoted(content[start:end])]
    cursor = start
    for match in _END.finditer(content, start, end):
        if _ABBREVIATION.search(content, max(cursor, match.end() - 8), match.end()):
            continue
        if any(left <= match.start() and match.end() < right for left, right in spans):
            continue
        yield cursor, match.end()
        cursor = match.end()
    yield cursor, end


def _split(content: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Coordinate clauses of a sentence; what only comments on the matter is a clause of its own."""
    spans = [(start + left, start + right) for left, right in quoted(content[start:end])]
    cursor = start
    for match in _JOINT.finditer(content, start, end):
        if any(left < match.start() < right for left, right in spans):
            continue
        if match.start() <= cursor or not _may_end(content[cursor : match.start()], match):
            continue
        yield cursor, match.start()
        cursor = match.end() if not match["comment"] else match.start()
    if cursor < end:
        yield cursor, end


def _may_end(text: str, match: re.Match[str]) -> bool:
    """Whether the words so far are a whole clause."""
    said = text.split()
    first = said[0].lower().strip("'\"“,")
    if match["join"] and said[-1].lower() in ("me", "both"):
        return False
    if match["splice"] or match["join"]:
        if first in words.SUBORDINATORS or first in ("whenever", "to", "given"):
            return False
        if match["splice"] and (first in words.PREPOSITIONS or len(said) < 3):
            return False
        # "My husband and I": one subject, not two clauses.
        ahead = match.string[match.end() : match.end() + 4].lower()
        is_one = ahead.startswith(("i'm", "i’m", "i am", "i'v", "i’v"))
        if (
            match["join"]
            and match.group().strip(" ,;") == "and"
            and not is_one
            and _is_shared(said, match.group()[:1] == ",")
        ):
            return False
    return True


def _is_shared(said: list[str], listed: bool) -> bool:
    """Whether the words end in the first half of a subject ("Last week my husband", "till Toby")."""
    if listed:
        comma = next((place + 1 for place, word in enumerate(said) if word.endswith(",")), 0)
        return comma <= 4 and len(said) - comma <= 4 and not any(_is_verb(word.lower()) for word in said[comma:])
    place = len(said) - 1
    while place >= 0 and place > len(said) - 5 and said[place].lower() not in ("my", "our", "the"):
        if said[place][:1].isupper() and (place == 0 or not said[place - 1][:1].isupper()):
            break
        place -= 1
    if place < 0:
        return False
    before = said[place - 1].lower() if place else ""
    opens = said[place].lower() in ("my", "our", "the") or (said[place][:1].isupper() and said[place][:2] not in _SELF)
    is_first = not before or before.endswith(",") or before in words.SUBORDINATORS or before in _OPENING
    return opens and is_first and not any(word.lower() in words.AUXILIARIES for word in said[place:])


def _is_verb(low: str) -> bool:
    return low in words.PASTS or low in words.BASES or low in words.AUXILIARIES or low in words.THIRDS or "'" in low


_SELF = ("I", "I'", "I’", "It", "We", "He", "Sh")
_OPENING = word_set(
    """
    till that and both how what week weekend month year friday saturday sunday monday yesterday
    """
)


_QUESTION_START = re.compile(
    r"""\s*(?:and\s+|but\s+|so\s+|also\s+|or\s+|well,?\s+|hey,?\s+)?(?:
      (?:can|could|would|will|do|does|did|should|is|are|was|were|am|have|has|had|any|isn't|don't|didn't|won't|aren't)
        (?:n['’]t)?\s+(?:you|i|we|it|that|this|there|he|she|they|my|the|your|any|\w+\s+going)\b
    | (?:when|where|who)\s+(?:is|are|was|were|do|does|did|can|could|would|will|should|have|has)\b
    | (?:what|how|which|why|whose)(?:['’](?:s|re|d|ve|ll))?\s+
        (?:is|are|was|were|do|does|did|can|could|would|will|should|have|has|about|if|a|kind|many|much|long|often|old|else
           |the|your|you|to|other|made|some|i|been|up|to)\b
    | (?:what|how|who|where|which|why)['’](?:s|re|d)\b
    | what\s+\w+\s+(?:do|does|did|are|is|have|would|should|can)\b
    | (?:i['’]?m\s+|i\s+was\s+|just\s+)?(?:wondering|curious)\b
    | any\s+\w+ )""",
    re.VERBOSE | re.IGNORECASE,
)


def _asks(text: str) -> bool:
    return _QUESTION_START.match(text) is not None

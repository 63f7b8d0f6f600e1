"""Names in a text, and which names are other words for the same one."""

import re
from collections.abc import Iterator

from memsvc.extraction import words
from memsvc.extraction.people import KIN, PETS, possessive
from memsvc.extraction.words import word_set
from memsvc.text.analysis import fold

_UPPER = r"[^\W\d_a-zßà-öø-ÿ]"
_NAME = rf"(?:(?:Dr|Mr|Mrs|Ms|Prof|St)\.\s)?{_UPPER}[\w&]{{0,40}}(?:['’.-][^\W_]\w{{0,40}}){{0,4}}"
_RUN = re.compile(
    rf"(?<![\w'’]){_NAME}(?:(?:\s(?:of\sthe|of|de|da|van|von|la|le|and\sthe)\s|\s|-){_NAME}|\s\d+(?:\.\d+)*(?![\w.]*\w))*"
    r"|(?<!\w)[a-z]+[A-Z]\w*"
)
_TITLE = re.compile(r'"([^"\n]{2,80})"|“([^”\n]{2,80})”')
_HAN = re.compile("[\u3400-\u9fff\u3040-\u30ff\uac00-\ud7af]{2,8}")
_DATES = word_set(
    """
    january february march april may june july august september october november december monday tuesday
    wednesday thursday friday saturday sunday jan feb mar apr jun jul aug sept sep oct nov dec
    """
)
_NO_NAMES = word_set(
    """
    i i'm i've i'll i'd ok okay yes no yeah yep hey hi hello wow oh haha lol omg btw thanks thank congrats ps
    fyi asked said user assistant speaker everyone someone something anyone nothing everything people there here
    """
)


def find_entities(text: str) -> tuple[str, ...]:
    """Names of people, places, organisations and products, titles in quotation marks: folded, once each."""
    found: dict[str, None] = {}
    titles = list(_TITLE.finditer(text))
    for match in titles:
        found[fold(match[1] or match[2]).strip(" .,!?")] = None
    for match in _RUN.finditer(text):
        if any(title.start() < match.start() < title.end() for title in titles):
            continue
        starts = _starts_sentence(text, match.start())
        for run in _between_dates(match.group()):
            if name := _name(run, starts=starts):
                found[name] = None
            starts = False
    if not text.isascii():
        found.update(dict.fromkeys(match.group() for match in _HAN.finditer(text)))
    found.pop("", None)
    return tuple(found)


def _between_dates(run: str) -> Iterator[str]:
    """The pieces of a run of capitals that days, months and years leave ("Friday Anna")."""
    piece: list[str] = []
    for part in run.split():
        if part.lower().removesuffix("s") in _DATES or (part.isdigit() and (len(part) == 4 or not piece)):
            yield " ".join(piece)
            piece = []
        else:
            piece.append(part)
    yield " ".join(piece)


def _starts_sentence(text: str, place: int) -> bool:
    before = text[max(0, place - 3) : place].rstrip(" \"“'(")
    return not before or before[-1:] in ".!?:…\n"


def _name(run: str, *, starts: bool) -> str:
    """The run folded, without what only begins a sentence; empty if nothing is left."""
    parts = run.split()
    while parts and _is_function(parts[0].lower().replace("’", "'")):
        parts = parts[1:]
        starts = False
    if len(parts) == 1 and starts and words.is_common(parts[0].lower()):
        return ""
    while parts and parts[-1].lower() in ("of", "the", "and", "de"):
        parts = parts[:-1]
    name = fold(" ".join(parts)).removesuffix("'s").strip(" .-'")
    return "" if name in _NO_NAMES or name.isdigit() or (len(name) < 2 and name.isascii()) else name


def _is_function(low: str) -> bool:
    return (
        low in _NO_NAMES
        or low in words.DETERMINERS
        or low in words.PREPOSITIONS
        or low in words.PRONOUNS
        or low in words.SUBORDINATORS
        or low in words.CONJUNCTIONS
        or low in words.WH_WORDS
        or low in words.AUXILIARIES
        or words.is_adverb(low)
    )


_READ = 8_000
_RELATION = "|".join(sorted((re.escape(word) for word in KIN | PETS), key=len, reverse=True))
_APPOSITION = re.compile(
    rf"\b(?i:my|our)\s+(?:[\w-]+\s+){{0,2}}?(?P<kind>{_RELATION})"
    rf"(?:,?\s+(?:(?:is\s+)?(?:called|named)\s+)?|['’]s\s+name\s+is\s+)(?P<name>{_NAME})(?!\w)"
)
_OTHER_NAME = re.compile(
    rf"(?<!\w)(?P<long>{_NAME}(?:\s{_NAME}){{0,3}}),?\s+(?:or|aka|a\.k\.a\.|also\s+known\s+as|known\s+as|who\s+goes\s+by|"
    rf"short\s+for|nicknamed)\s+(?:just\s+|simply\s+)?(?P<short>{_NAME})"
)
_IN_BRACKETS = re.compile(rf"(?<!\w)(?P<long>{_NAME}(?:\s{_NAME}){{0,4}})\s+\((?:or\s+|aka\s+)?(?P<short>{_NAME})\)")
_CALL_ME = re.compile(
    rf"\b(?:[Cc]all\s+me|[Pp]eople\s+call\s+me|[Ff]riends\s+call\s+me|I\s+go\s+by|I['’]m\s+known\s+as)\s+(?P<short>{_NAME})"
)


def find_aliases(text: str, speaker: str) -> dict[str, str]:
    """Folded names with the folded name of the same one: {"oscar": "caroline's dog oscar", "mel": "melanie"}.

    From "my dog Oscar", "Melanie, or Mel", "Los Angeles (LA)", "call me Mel".
    """
    found: dict[str, str] = {}
    text = text[:_READ]
    for match in _APPOSITION.finditer(text):
        name = match["name"]
        found[fold(name)] = fold(f"{possessive(speaker)} {match['kind']} {name}")
    for short, long in _named_twice(text):
        if (same := fold(short)) != fold(long):
            found[same] = fold(long)
    for match in _CALL_ME.finditer(text):
        if speaker:
            found[fold(match["short"])] = fold(speaker)
    return found


def _named_twice(text: str) -> Iterator[tuple[str, str]]:
    for match in _OTHER_NAME.finditer(text):
        long, short = match["long"], match["short"]
        if "short" in match.group()[len(long) : -len(short)]:
            long, short = short, long
        if fold(long)[0] == fold(short)[0]:
            yield short, long
    for match in _IN_BRACKETS.finditer(text):
        long, short = match["long"], match["short"]
        if initials(long) == fold(short) or fold(long).startswith(fold(short)[:3]):
            yield short, long


def initials(name: str) -> str:
    """ "Los Angeles" gives "la"; the small words of a name count for nothing."""
    return "".join(part[0] for part in fold(name).split() if part not in ("of", "the", "and", "de", "for"))

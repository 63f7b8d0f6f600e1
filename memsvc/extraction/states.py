"""States that a turn tells of by a known form: "my locker code is 4471", "diet: vegan", "we moved Atlas to Azure".

Each has the attribute under which another statement on the same matter is found, whatever its words.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from memsvc.extraction import words
from memsvc.extraction.attributes import NOUNS, RECURRING, SCOPED
from memsvc.extraction.frames import FIRST, FIRST_WORD, FRAMES, About, Frame
from memsvc.extraction.matters import Matter, matter_of
from memsvc.extraction.people import KIN, possessive
from memsvc.extraction.selection import is_unreal
from memsvc.extraction.signals import is_intended, tells_change
from memsvc.extraction.typed import TYPES
from memsvc.extraction.values import clean
from memsvc.extraction.valuing import ROUGH, can_be, is_praise, typed
from memsvc.extraction.words import word_set
from memsvc.text.analysis import fold

_LONGEST = 240
_START = re.compile(r"(?:[,;:.!?]|\s[-–—]+)\s+|\s(?:and|but|so|because|since|as|where)\s+|—")
_LEAD = re.compile(
    r"""(?:(?:btw|by\s+the\s+way|so|and|but|well|oh|also|anyway|actually|good\s+news|big\s+news|news|update|just|then|please
      |ok|okay|fyi|note|ps|hey|since\s+you\s+asked|for\s+the\s+record|in\s+other\s+news|heads\s+up|reminder|correction
      |turns\s+out|now|these\s+days|nowadays|currently|at\s+the\s+moment|right\s+now|from\s+now\s+on|by\s+now|lately
      |finally)[\s,:!]+
    |(?:since|after|as\s+of|from|starting|effective|beginning|until|for|in|on|at)\s+(?:[\w'’-]+\s+){1,5}?
      (?:on\s+|onwards,?\s+)?,?\s*(?=(?:i|we|my|our|the|they)\b))""",
    re.VERBOSE | re.IGNORECASE,
)
_REPORTS = re.compile(
    r"\b(?:said|says|wrote|writes|goes|asked|asks|replied|told\s+\w+|tells\s+\w+|claims|thinks)\s*[:,]\s*$",
    re.IGNORECASE,
)
# What was so at another time, what somebody says, and what is only thought of.
_STORY = re.compile(
    r"""\b(?:used\s+to|when\s+i\s+was|back\s+(?:then|when)|years?\s+ago|as\s+a\s+(?:kid|child|student|teenager)|would\s+be
    |could\s+be|might|(?:said|told\s+me|told\s+us)\s+(?:that|he|she|they)|maybe|perhaps|imagine|pretend|considering
    |plan(?:ning)?\s+(?:to|on)\s+(?!the\b|an?\b|my\b)|hop(?:e|ing)\s+to|want(?:s|ed)?\s+to|wish|someday|one\s+day|for\s+today
    |this\s+week|just\s+for|until\s+\w+day|thinking\s+(?:of|about))\b""",
    re.VERBOSE | re.IGNORECASE,
)
# "They rescheduled the Atlas call, it's ...": what "it" is.
_TOPIC = re.compile(
    r"(?:(?:\w+|the \w+)(?:['’]ve| have| has)? )?(?:changed|rescheduled|moved|switched|turned|updated|postponed|pushed"
    r"|raised|lowered|increased|renamed|reset|replaced|got|new) (?:(?:my|our|the|a) )?(?:new )?(?P<n>[\w' -]{3,40}?)"
    r"(?: up| down| back)?(?=\s*[,;:—–-])",
    re.IGNORECASE,
)
_STATUS_OF = re.compile(r"(?P<t>[A-Z][\w-]*(?: [A-Z][\w-]*)?) (?:is|was)(?:n't| no longer| not)\s")
_IT = re.compile(
    r"(?:it|that|they)(?:'s| is|'re| are)(?: now| called| at| set to)* (?P<v_phrase>[^;!?,]{1,60}?)"
    r"(?=\s*(?:$|[;!?,]|\.(?:\s|$))|\s(?:now|instead|these days|from now on|currently)\b)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class State:
    """Characters [start, end) of a sentence state it. `bare`: its noun has no owner in the words, the speaker is."""

    start: int
    end: int
    subject: str
    attribute: str
    value: str
    kind: str
    confidence: float
    bare: bool = False


@dataclass(frozen=True, slots=True)
class _Found:
    """A form that fits the words from `start` on; the match lies behind the "I" of a first form."""

    frame: Frame
    match: re.Match[str]
    start: int
    speaker: str

    @property
    def value(self) -> tuple[str, str]:
        """Kind and words of its value; empty where it has none."""
        return _value(self.match)

    def group(self, name: str) -> str:
        """What a group holds; empty if the form has none of that name."""
        return self.match.groupdict().get(name) or ""


def find_states(sentence: str, speaker: str) -> list[State]:
    """The states that one sentence tells of, in order; none of a long, a hypothetical or a reported one.

    Apostrophes must be straight.
    """
    if len(sentence) > _LONGEST or is_unreal(sentence) or _STORY.search(sentence):
        return []
    found: list[State] = []
    topic: tuple[Matter, int] | None = None
    end = 0
    for start in _starts(sentence):
        if start < end or _REPORTS.search(sentence, max(0, start - 24), start):
            continue
        state = _of_topic(topic, sentence, start) or _read(sentence, start, speaker)
        if state is not None:
            found.append(state)
            end = max(state.end, start + 1)
        if (matter := _topic(sentence, start, speaker)) is not None:
            topic = matter, start
    return found


def _starts(text: str) -> Iterator[int]:
    """Where a statement may begin: at the sentence, after a mark or conjunction, and after what leads to it."""
    seen: set[int] = set()
    for place in (0, *(match.end() for match in _START.finditer(text))):
        while place not in seen:
            seen.add(place)
            yield place
            lead = _LEAD.match(text, place)
            place = place if lead is None else lead.end()  # noqa: PLW2901 - a lead may follow a lead


def _read(text: str, start: int, speaker: str) -> State | None:
    """The first form that fits here with a value that can be one."""
    after = {match.end() for first in (FIRST, FIRST_WORD) if (match := first.match(text, start))}
    may_label = start == 0 or text[:start].rstrip()[-1:] in ":.!,"
    for frame in FRAMES:
        if frame.about == "label" and not may_label:
            continue
        for place in sorted(after, reverse=True) if frame.first else (start,):
            match = frame.pattern.match(text, place)
            if match and (state := _READERS[frame.about](_Found(frame, match, start, speaker))):
                return state
    return None


def _topic(text: str, start: int, speaker: str) -> Matter | None:
    """What the next "it" is, if a change of something is told here."""
    if match := _STATUS_OF.match(text, start):
        return Matter(fold(match["t"]), "status") if _is_thing(match["t"], starts=start == 0) else None
    match = _TOPIC.match(text, start)
    if match is None:
        return None
    noun = match["n"] if match["n"] in NOUNS or match["n"].endswith("ss") else match["n"].removesuffix("s")
    return matter_of(noun, owner="my", speaker=speaker, starts=False)


def _of_topic(topic: tuple[Matter, int] | None, text: str, start: int) -> State | None:
    if topic is None or (match := _IT.match(text, start)) is None:
        return None
    return _of_matter(topic[0], _value(match), span=(topic[1], match.end()), confidence=0.8)


def _value(match: re.Match[str]) -> tuple[str, str]:
    for name, text in match.groupdict().items():
        if text and name.startswith("v_"):
            return name[2:], text.strip()
    return "", ""


# --- Of the speaker, of a named thing, of an event --------------------------------------------------------------------


def _own(found: _Found) -> State | None:
    attribute, subject = found.frame.attribute, fold(found.speaker)
    kind, said = found.value
    text = found.match.string
    if how := found.group("how"):
        kind, said = "means", _MEANS.get(how.lower(), f"by {how}")
    if named := fold(found.group("x")).strip():
        attribute = NOUNS.get(named, named) if attribute == "{x}" else attribute.replace("{x}", named)
    if attribute == "wedding":
        subject, attribute = f"{possessive(subject)} wedding", "time"
    if kind == "phrase":
        kind, said = typed(said, attribute)
    value = clean(said)
    is_guess = attribute.endswith("?")
    attribute = attribute.removesuffix("?")
    if not can_be(attribute, kind, value) or (is_guess and not tells_change(text)):
        return None
    if attribute in SCOPED:
        if _ONCE.search(text):
            return None
        value = f"{value} {scope}" if (scope := _scope(text)) else value
    if attribute == "reply style" and _LANGUAGES.match(value):
        attribute = "reply language"
    return State(found.start, found.match.end(), subject, attribute, value, kind, found.frame.confidence)


_MEANS = {"cycle": "by bike", "bike": "by bike", "walk": "on foot", "drive": "by car", "cycling": "by bike",
          "walking": "on foot", "driving": "by car"}  # fmt: skip
_ONCE = re.compile(
    r"\b(?:sometimes|tonight|this\s+(?:morning|evening|afternoon|weekend|time|once)|last\s+(?:night|time)|temporar\w+|once"
    r"|for\s+the\s+(?:weekend|week|day)|(?<!since )(?<!of )today|yesterday|tomorrow)\b",
    re.IGNORECASE,
)
_SCOPE = re.compile(rf"\b[Oo]n\s+(?:the\s+)?({TYPES['days']}|weekends?)(?!\w)")
_LANGUAGES = re.compile(
    r"(?:english|german|french|spanish|italian|portuguese|dutch|polish|russian|chinese|mandarin|japanese|korean|arabic|hindi"
    r"|turkish|swedish|danish|norwegian|finnish|greek|czech|hungarian|ukrainian|catalan|hebrew|thai|vietnamese)\b"
)


def _scope(text: str) -> str:
    """The days that a habit is told of."""
    scope = _SCOPE.search(text)
    return "" if scope is None else f"on {fold(scope[1])}"


def _change(found: _Found) -> State | None:
    """What became of something that the words do not name; "my son changed from" tells it of him."""
    if is_intended(found.match.string):
        return None
    state, whose = _own(found), fold(found.group("w"))
    if state is None or not whose or (whose.startswith(("my ", "our ")) and whose.rsplit(" ", 1)[-1] not in KIN):
        return state
    owner = re.sub(r"^(?:my|our) ", f"{possessive(fold(found.speaker))} ", whose)
    return replace(state, subject=owner)


def _thing(found: _Found) -> State | None:
    thing, attribute = found.group("t"), found.frame.attribute
    if thing == "it":
        named = _THING_BEFORE.search(found.match.string, 0, found.match.start("t"))
        thing = "" if named is None else named.group()
    kind, said = found.value
    if not said or not thing or not _is_thing(thing, starts=found.match.start("t") == 0):
        return None
    if attribute == "{software} version":
        software = re.match(r"(?!v\d)[^\W\d][\w+#.-]*", said)
        attribute = f"{fold(software[0])} version" if software else "version"
    elif attribute == "{x}":
        matter = matter_of(found.group("x"), owner="its", speaker=thing, starts=False)
        attribute = "" if matter is None else matter.attribute
    elif found.group("x"):
        attribute = attribute.replace("{x}", found.group("x").lower())
    value = clean(said)
    subject = fold(thing).removeprefix("the ")
    if not attribute or subject == fold(found.speaker) or not can_be(attribute, kind, value):
        return None
    return State(found.start, found.match.end(), subject, attribute, value, kind, found.frame.confidence)


_THING_BEFORE = re.compile(r"(?:the )?[A-Z][\w-]*(?: [A-Z][\w-]*)?")
_NO_THINGS = word_set(
    """
    i it this that there here what who where when how they he she we you everything nothing something anything life work
    home school today tomorrow yesterday monday tuesday wednesday thursday friday saturday sunday status change news
    update question answer note
    """
)


def _is_thing(thing: str, *, starts: bool) -> bool:
    """Whether a capital here is of a name, and not only the sentence's."""
    first = thing.removeprefix("the ").removeprefix("The ").split()[0].lower()
    return first not in _NO_THINGS and (thing.lower().startswith("the ") or not starts or not words.is_common(first))


def _event(found: _Found) -> State | None:
    noun, thing = found.group("n"), found.group("t")
    if found.frame.attribute == "time of {n}":
        matter = Matter(f"{possessive(fold(found.speaker))} {fold(noun)}", "time", event="class", named=True)
    elif thing:
        matter = Matter(f"the {fold(thing)} sync", "time", event="sync", named=True)
    else:
        named = matter_of(noun, owner="the", speaker=found.speaker, starts=False)
        if named is None or not named.event:
            return None
        matter = replace(named, attribute=found.frame.attribute)
    span = found.start, found.match.end()
    return _of_matter(matter, found.value, span=span, confidence=found.frame.confidence)


# --- Of what a noun names ---------------------------------------------------------------------------------------------


def _noun(found: _Found) -> State | None:
    owner, noun = found.group("o").lower(), found.group("n")
    if not owner and (determined := re.match(r"(my|our|the) ", noun, re.IGNORECASE)):
        owner = determined[1].lower()
    if for_what := found.group("q"):
        noun = f"{noun} for {for_what}"
    matter = matter_of(noun, owner=owner, speaker=found.speaker, starts=not owner)
    if matter is not None and found.frame.attribute and not matter.event:
        of_it = matter.attribute.removeprefix("the ")
        matter = replace(matter, attribute=found.frame.attribute.replace("{n}", of_it), loose=False)
    if matter is None or (matter.loose and not _is_told(found, matter, owner, noun)):
        return None
    confidence = min(found.frame.confidence, 0.75 if matter.loose else 1.0)
    kind, said = found.value
    if matter.event and kind == "phrase" and found.match.string[: found.match.start("v_phrase")].endswith(" to "):
        said = f"to {said}"  # "was moved to Mario's"
    span = found.start, found.match.end()
    return _of_matter(matter, (kind, said), span=span, confidence=confidence, bare=not owner)


# "The door code is sesame" names a code; "the best part is the end" names nothing that has a value.
_THING_NOUNS = word_set(
    """
    code password pin branch key port number name color colour brand model theme dose level limit threshold timeout url
    address supplier provider vendor mascot venue host chair captain president treasurer driver owner username handle
    channel desk seat table gate terminal platform track lane tag label font keyboard layout mode unit currency size
    length width height weight volume ratio rate fee tax interest rank score grade topic
    """
)
_NOUNISH = word_set(
    "living dining parking meeting training waiting washing working building wedding running swimming heating"
)
# A note to oneself is a line of its own, of few words.
_NOTED = re.compile(r"(?:[A-Z]{2,3}|[a-z][a-z'-]*)(?: [a-z'-]+)*")
_NOTE, _NOTED_LINE = 5, 100


def _is_told(found: _Found, matter: Matter, owner: str, noun: str) -> bool:
    """Whether a noun that no list has is owned, is noted for oneself ("locker: 12"), or has a value that shows it."""
    if not owner:
        is_short = len(noun.split()) <= _NOTE and len(found.match.string) < _NOTED_LINE
        is_note = is_short and found.frame.about == "label" and not matter.vague
        if matter.subject != fold(found.speaker):  # "Atlas's mascot is", "mascot of Atlas:"
            return is_note or "'s " in noun
        return _NOTED.fullmatch(noun) is not None and (is_note or bool(found.group("new")))
    if owner != "the":
        return True
    parts = matter.attribute.removeprefix("the ").split()
    is_told_first = (
        -1 < found.match.start("v_phrase") < found.match.start("n") if "v_phrase" in found.match.groupdict() else False
    )
    if is_told_first and matter.subject == fold(found.speaker):
        return False  # "family is the most important thing"
    if len(parts) > 3 or any(word in words.GERUNDS and word not in _NOUNISH for word in parts):
        return False
    kind, _ = typed(found.value[1], matter.attribute)
    return kind not in ("phrase", "slashed", "number", "rate") or parts[-1] in _THING_NOUNS


def _of_matter(
    matter: Matter, told: tuple[str, str], *, span: tuple[int, int], confidence: float, bare: bool = False
) -> State | None:
    """The state of a matter, if what is told of it, a kind and words, can be a value of it."""
    kind, spoken = told
    attribute, said = matter.attribute, spoken
    if kind == "phrase":
        kind, said = typed(spoken, attribute)
    if attribute == "phone model" and kind == "phone":
        attribute = "phone"
    rough = ROUGH.match(spoken)
    value = clean(said) if rough is None else f"{rough.group().lower()}{clean(said)}"
    if matter.event and attribute == "time":
        if kind == "phrase":
            return None
        if kind in ("name", "named", "code", "street") and not _PLACED.match(spoken):
            return None
        if kind in ("name", "named", "code", "room", "street"):
            attribute = "place"
        elif kind in ("when", "days") and not _recurs(matter, bare=bare):
            return None  # a day of this week or the next: the calendar tells which
    if not can_be(attribute, kind, value) or (matter.is_plural and kind not in _COUNTED):
        return None
    if matter.vague and kind not in _SHOWN and (kind not in _PERSONS or " " not in attribute.removeprefix("the ")):
        return None
    if (matter.loose and kind == "phrase" and is_praise(said, spoken)) or (matter.role and kind not in _PERSONS):
        return None
    attribute = _by_kind(attribute, kind, value) if matter.loose else attribute
    return State(span[0], span[1], matter.subject, attribute, value, kind, confidence, bare)


def _recurs(matter: Matter, *, bare: bool) -> bool:
    """Whether a weekday is one of every week: of a class, and of the meeting of something that has a name."""
    if matter.event not in RECURRING:
        return False
    return matter.named or bare or (matter.event != "sync" and not matter.subject.startswith("the "))


_COUNTED = ("measure", "rate", "money", "number", "when", "days", "clock")
_PLACED = re.compile(r"(?:in|at|to|over to|back to) ", re.IGNORECASE)
_SHOWN = (*_COUNTED, "email", "phone", "code", "flight", "version")
_PERSONS = ("name", "doctor", "who")


def _by_kind(attribute: str, kind: str, value: str) -> str:
    """What a noun that no list has is told of, where the value shows it: "honey: 7.20 a jar" is its price."""
    noun = attribute.removeprefix("the ")
    if kind == "email" and noun.endswith("address"):
        return "email"
    if kind in ("when", "clock") and (meal := noun.split(" ", 1)[0]) in ("breakfast", "lunch", "dinner"):
        return f"time to have {meal}"
    if kind == "measure" and "degree" in value:
        return f"{noun} temperature"
    if kind == "rate" and re.match(r"[$€£]?[\d.,]+ (?:an?|per|each) (?!day|week|month|year|night|hour)", value):
        return f"{noun} price"
    return attribute


_READERS: dict[About, Callable[[_Found], State | None]] = {
    "own": _own, "thing": _thing, "event": _event, "noun": _noun, "label": _noun, "change": _change,
}  # fmt: skip

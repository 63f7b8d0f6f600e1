"""States that a turn tells of by a known form: "my locker code is 4471", "diet: vegan", "we moved Atlas to Azure".

Each has the attribute under which another statement on the same matter is found, whatever its words.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from memsvc.extraction import words
from memsvc.extraction.changes import tells_change
from memsvc.extraction.frames import FRAMES, LABELS, Frame
from memsvc.extraction.matters import NOUNS, RECURRING, SCOPED, Matter, matter_of
from memsvc.extraction.people import possessive
from memsvc.extraction.selection import is_unreal
from memsvc.extraction.typed import TYPES, kind_of
from memsvc.extraction.values import clean
from memsvc.extraction.words import word_set
from memsvc.text.analysis import fold

_LONGEST = 240
_START = re.compile(r"(?:[,;:.!?]|\s[-–—]+)\s+|\s(?:and|but|so|because|since|as|where)\s+|—")
_LEAD = re.compile(
    r"""(?:(?:btw|by\s+the\s+way|so|and|but|well|oh|also|anyway|actually|good\s+news|big\s+news|news|update|just|then|please|ok|okay
      |fyi|note|ps|hey|since\s+you\s+asked|for\s+the\s+record|in\s+other\s+news|heads\s+up|reminder|correction|turns\s+out|now
      |these\s+days|nowadays|currently|at\s+the\s+moment|right\s+now|from\s+now\s+on|by\s+now|lately|finally)[\s,:!]+
    |(?:since|after|as\s+of|from|starting|effective|beginning|until|for|in|on|at)\s+(?:[\w'’-]+\s+){1,5}?(?:on\s+|onwards,?\s+)?,?\s*
      (?=(?:i|we|my|our|the|they)\b))""",
    re.VERBOSE | re.IGNORECASE,
)
# "They rescheduled the Atlas call, it's ...": what "it" is.
_TOPIC = re.compile(
    r"(?:(?:\w+|the \w+)(?:['’]ve| have| has)? )?(?:changed|rescheduled|moved|switched|turned|updated|postponed|pushed|raised|lowered"
    r"|increased|renamed|reset|replaced|got|new) (?:(?:my|our|the|a) )?(?:new )?(?P<n>[\w' -]{3,40}?)(?: up| down| back)?(?=\s*[,;:—–-])",
    re.IGNORECASE,
)
_STATUS_OF = re.compile(r"(?P<t>[A-Z][\w-]*(?: [A-Z][\w-]*)?) (?:is|was)(?:n['’]t| no longer| not)\s")
_IT = re.compile(
    r"(?:it|that|they)(?:['’]s| is|['’]re| are)(?: now| called| at| set to)* (?P<v_phrase>[^;!?,]{1,60}?)"
    r"(?=\s*(?:$|[;!?,]|\.(?:\s|$))|\s(?:now|instead|these days|from now on|currently)\b)",
    re.IGNORECASE,
)
# What was so at another time, what somebody says, and what is only thought of.
_STORY = re.compile(
    r"""\b(?:used\s+to|when\s+i\s+was|back\s+(?:then|when)|years?\s+ago|as\s+a\s+(?:kid|child|student|teenager)|would\s+be|could\s+be|might
    |(?:said|told\s+me|told\s+us)\s+(?:that|he|she|they)|maybe|perhaps|imagine|pretend|considering|plan(?:ning)?\s+(?:to|on)\s+(?!the\b|an?\b|my\b)|hop(?:e|ing)\s+to
    |want(?:s|ed)?\s+to|wish|someday|one\s+day|for\s+today|this\s+week|just\s+for|until\s+\w+day|thinking\s+(?:of|about))\b""",
    re.VERBOSE | re.IGNORECASE,
)


_REPORTS = re.compile(
    r"\b(?:said|says|wrote|writes|goes|asked|asks|replied|told\s+\w+|tells\s+\w+|claims|thinks)\s*[:,]\s*$",
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


def find_states(sentence: str, speaker: str) -> list[State]:
    """The states that one sentence tells of, in order; none of a long, a hypothetical or a reported one."""
    if len(sentence) > _LONGEST or is_unreal(sentence) or _STORY.search(sentence):
        return []
    found: list[State] = []
    topic: tuple[Matter, int] | None = None
    end = 0
    for start in _starts(sentence):
        if start < end or _REPORTS.search(sentence, max(0, start - 24), start):
            continue
        state = _read(sentence, start, speaker, topic)
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


def _read(text: str, start: int, speaker: str, topic: tuple[Matter, int] | None) -> State | None:
    """The first form that fits here with a value that can be one."""
    if topic is not None and (match := _IT.match(text, start)):
        state = _of_matter(topic[0], match, confidence=0.8)
        if state is not None:
            return replace(state, start=topic[1])
    is_label = start == 0 or text[:start].rstrip()[-1:] in ":.!,"
    for frame in (*FRAMES, *LABELS) if is_label else FRAMES:
        if (match := frame.pattern.match(text, start)) and (state := _READERS[frame.about](frame, match, speaker)):
            return state
    return None


def _topic(text: str, start: int, speaker: str) -> Matter | None:
    """What the next "it" is, if a change of something is told here."""
    if match := _STATUS_OF.match(text, start):
        return Matter(fold(match["t"]), "status") if _is_thing(match["t"], starts=start == 0) else None
    match = _TOPIC.match(text, start)
    return None if match is None else matter_of(match["n"], owner="my", speaker=speaker, starts=False)


def _value(match: re.Match[str]) -> tuple[str, str]:
    """Kind and words of the value of a form; empty where it has none."""
    for name, text in match.groupdict().items():
        if text and name.startswith("v_"):
            return name[2:], text.strip()
    return "", ""


# --- Of the speaker, of a named thing, of an event --------------------------------------------------------------------


def _own(frame: Frame, match: re.Match[str], speaker: str) -> State | None:
    groups = match.groupdict()
    attribute, subject = frame.attribute, fold(speaker)
    kind, said = _value(match)
    if how := groups.get("how"):
        kind, said = "means", _MEANS.get(how.lower(), f"by {how}")
    if named := fold(groups.get("x") or "").strip():
        attribute = NOUNS.get(named, named) if attribute == "{x}" else attribute.replace("{x}", named)
    said += groups.get("at") or ""
    if attribute == "job?":
        if not tells_change(match.string):
            return None
        attribute = "job"
    if attribute == "wedding":
        subject, attribute = f"{possessive(subject)} wedding", "time"
    if kind == "phrase":
        kind, said = _typed(said, attribute)
    value = clean(said)
    if not _can_be(attribute, kind, value):
        return None
    if attribute in SCOPED:
        if _ONCE.search(match.string):
            return None
        value = f"{value} {scope}" if (scope := _scope(match)) else value
    if attribute == "reply style" and _LANGUAGES.match(value):
        attribute = "reply language"
    return State(match.start(), match.end(), subject, attribute, value, kind, frame.confidence)


_ONCE = re.compile(
    r"\b(?:sometimes|tonight|this\s+(?:morning|evening|afternoon|weekend|time|once)|last\s+(?:night|time)|temporar\w+|for\s+the\s+(?:weekend|week|day)"
    r"|(?<!since )(?<!of )today|yesterday|tomorrow|once)\b",
    re.IGNORECASE,
)
_SCOPE = re.compile(rf"\b[Oo]n\s+(?:the\s+)?({TYPES['days']}|weekends?)(?!\w)")
_LANGUAGES = re.compile(
    r"(?:english|german|french|spanish|italian|portuguese|dutch|polish|russian|chinese|mandarin|japanese|korean|arabic|hindi|turkish|swedish"
    r"|danish|norwegian|finnish|greek|czech|hungarian|ukrainian|catalan|hebrew|thai|vietnamese)\b"
)


def _scope(match: re.Match[str]) -> str:
    """The days that a habit is told of."""
    scope = _SCOPE.search(match.string)
    return "" if scope is None else f"on {fold(scope[1])}"


_MEANS = {"cycle": "by bike", "bike": "by bike", "walk": "on foot", "drive": "by car", "cycling": "by bike",
          "walking": "on foot", "driving": "by car"}  # fmt: skip


def _thing(frame: Frame, match: re.Match[str], speaker: str) -> State | None:
    thing, attribute = match["t"], frame.attribute
    if thing == "it":
        named = _THING_BEFORE.search(match.string, 0, match.start("t"))
        thing = "" if named is None else named.group()
    kind, said = _value(match)
    if not said or not thing or not _is_thing(thing, starts=match.start("t") == 0) or fold(thing) == fold(speaker):
        return None
    if attribute == "{software} version":
        software = re.match(r"(?!v\d)[^\W\d][\w+#.-]*", said)
        attribute = f"{fold(software[0])} version" if software else "version"
    if attribute == "{x}ing time":
        attribute = f"{match['x'].lower()}ing time"
    if attribute == "{x}":
        matter = matter_of(match["x"], owner="its", speaker=thing, starts=False)
        if matter is None:
            return None
        attribute = matter.attribute
    value = clean(said)
    if not _can_be(attribute, kind, value):
        return None
    subject = fold(thing).removeprefix("the ")
    return State(match.start(), match.end(), subject, attribute, value, kind, frame.confidence)


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


def _event(frame: Frame, match: re.Match[str], speaker: str) -> State | None:
    kind, said = _value(match)
    noun = match.groupdict().get("n")
    matter = matter_of(noun, owner="the", speaker=speaker, starts=False) if noun else None
    if frame.attribute == "time of {n}":
        activity = Matter(f"{possessive(fold(speaker))} {fold(noun or '')}", "time", event="class", named=True)
        return _of_matter(activity, match, confidence=frame.confidence)
    if noun and (matter is None or not matter.event):
        return None
    if matter is None:
        matter = Matter(f"the {fold(match['t'])} sync", "time", event="sync", named=True)
    return _of_matter(replace(matter, attribute=frame.attribute), match, confidence=frame.confidence)


# --- Of what a noun names ---------------------------------------------------------------------------------------------


def _noun(frame: Frame, match: re.Match[str], speaker: str) -> State | None:
    groups = match.groupdict()
    owner = (groups.get("o") or "").lower()
    is_label = frame.about == "label"
    noun = f"{groups['n']} for {groups['q']}" if groups.get("q") else groups["n"]
    matter = matter_of(noun, owner=owner, speaker=speaker, starts=not owner)
    if matter is not None and frame.attribute == "{n} price":
        matter = replace(matter, attribute=f"{matter.attribute.removeprefix('the ')} price", loose=False)
    if matter is None:
        return None
    if matter.loose and not owner and not (_NOTED.fullmatch(noun) and (groups.get("new") or _is_note(match, noun))):
        return None
    if matter.loose and owner == "the" and not _tells_of_thing(matter, match):
        return None
    confidence = 0.75 if matter.loose or is_label else frame.confidence
    return _of_matter(matter, match, confidence=confidence, bare=not owner)


_READERS = {"me": _own, "thing": _thing, "event": _event, "noun": _noun, "label": _noun}


# "The door code is sesame" names a code; "the best part is the end" names nothing that has a value.
_THING_NOUNS = word_set(
    """
    code password pin branch key port number name color colour brand model theme dose level limit threshold timeout url
    address supplier provider vendor mascot venue host chair captain president treasurer driver dentist owner password
    username handle channel desk seat table gate terminal platform track lane tag label font keyboard layout mode unit
    currency size length width height weight volume ratio rate fee tax interest rank score grade topic
    """
)


_NOUNISH = word_set(
    "living dining parking meeting training waiting washing working building wedding running swimming heating"
)


def _tells_of_thing(matter: Matter, match: re.Match[str]) -> bool:
    """Whether "the ..." has a value that shows what it is, or is a noun of what has one."""
    noun = matter.attribute.removeprefix("the ").split()
    if len(noun) > 3 or any(word in words.GERUNDS and word not in _NOUNISH for word in noun):
        return False
    kind, _ = _typed(_value(match)[1], matter.attribute)
    return kind not in ("phrase", "slashed", "number", "rate") or noun[-1] in _THING_NOUNS


def _is_note(match: re.Match[str], noun: str) -> bool:
    """A note to oneself, "locker: 12", not the heading of a paragraph."""
    return len(noun.split()) <= 4 and len(match.string) < 100


_NOTED = re.compile(r"[a-z][a-z' -]+")


_ROUGH = re.compile(
    r"(?:about|around|roughly|approximately|some|almost|nearly|circa) (?=[$€£]?\d|an? (?:hundred|thousand))",
    re.IGNORECASE,
)


def _of_matter(matter: Matter, match: re.Match[str], *, confidence: float, bare: bool = False) -> State | None:
    """The state of a matter, if what is said of it can be a value of it."""
    kind, said = _value(match)
    attribute = matter.attribute
    rough = _ROUGH.match(said)
    if kind == "phrase":
        kind, said = _typed(said, attribute)
    value = clean(said) if rough is None else f"{rough.group().lower()}{clean(said)}"
    if matter.event and attribute == "time":
        if kind == "phrase":
            return None
        if kind in ("name", "named", "code"):
            attribute = "place"
        elif kind in ("when", "days") and not (matter.event in RECURRING and (matter.named or bare)):
            return None  # a day of this week or the next: the calendar tells which
    if not _can_be(attribute, kind, value) or (matter.is_plural and kind not in _COUNTED):
        return None
    if matter.loose and kind == "phrase" and _is_praise(said, _value(match)[1]):
        return None
    if matter.role and kind not in ("name", "doctor", "who"):
        return None
    attribute = _by_kind(attribute, kind, value) if matter.loose else attribute
    return State(match.start(), match.end(), matter.subject, attribute, value, kind, confidence, bare)


def _by_kind(attribute: str, kind: str, value: str) -> str:
    """What a noun that no list has is told of, where the value shows it: "honey: 7.20 a jar" is its price."""
    noun = attribute.removeprefix("the ")
    if kind == "email" and noun.endswith("address"):
        return "email"
    if kind == "measure" and "degree" in value:
        return f"{noun} temperature"
    if kind == "rate" and re.match(r"[$€£]?[\d.,]+ (?:an?|per|each) (?!day|week|month|year|night|hour)", value):
        return f"{noun} price"
    return attribute


# --- Values -----------------------------------------------------------------------------------------------------------

_SOFT = re.compile(
    r"(?:still|now|set|at|to|on|in|with|by|from|for|under|called|named|up to|down to|currently|only|just|exactly|back"
    r"|always|usually|of|the one at|about|around|number|no\.|nr\.?) ",
    re.IGNORECASE,
)
_ADJECTIVE = re.compile(r"\w+(?:ful|ous|ive|able|ible|ed|ish|less|est)$", re.IGNORECASE)
_NO_VALUE = re.compile(
    r"""^(?:an?\s+|the\s+)?(?:so|very|really|pretty|quite|such|too|not|all|full|great|good|bad|nice|better|worse|best|worst|awesome|amazing|fine
    |ok|okay|ready|done|important|amazing|lovely|beautiful|wonderful|perfect|sore|sick|happy|sad|tired|busy|going|getting|being|doing|coming
    |growing|working|looking|starting|trying|like|kind|sort|one|what|how|that|this|it|there|here|to|more|less|mess|disaster|blessing|joy|lot
    |bit|reason|same|different|similar|new|old|big|small|long|short|hard|easy|true|real|right|wrong|always|never|usually|also|still|just|almost
    |nearly|about\s+to|up|down|over|out|off|broken|dead|gone|closed|open|late|early|near|close|far|safe|crazy|huge|super|totally
    |happy|dirty|messy|noisy|cozy|tiny|heavy|angry|lazy|healthy|lucky|funny|empty|sunny|cloudy|itchy|shiny|fancy|spicy|tasty|cold|hot|warm
    |slow|fast|loud|quiet|dark|bright|clean|simple|cool|weird|strong|weak|rich|poor|high|low|free|clear|unclear|fun|cute|sweet|kind)\b""",
    re.VERBOSE | re.IGNORECASE,
)
_VERB = re.compile(
    r"\b(?:is|are|was|were|am|be|been|has|had|do|does|did|will|would|can|could|should|may|might|must|i|you|he|she|they|we|it|because)\b"
    r"|n['’]t\b|['’](?:m|re|ll|ve|d)\b",
    re.IGNORECASE,
)
_AMOUNTS = word_set("rent salary budget price savings") | {"hourly rate"}
_GENERAL = ("email", "when", "date", "flight", "zone", "rate", "measure", "money", "version", "code", "doctor", "named",
            "street", "name", "season", "phone", "number")  # fmt: skip
_COUNTED = ("measure", "rate", "money", "number", "when", "days", "clock")
# What a value of an attribute must be, where its noun alone is not enough.
_OF_KIND: dict[str, tuple[str, ...]] = {
    "phone": ("phone",), "email": ("email",), "wake-up time": ("when",), "bedtime": ("when",), "office days": ("days",),
    "release date": ("date", "season"), "running distance": ("rate", "measure"), "employer": ("named", "name"),
    "manager": ("who",), "doctor": ("doctor", "who"), "relationship status": ("wedded",), "diet": ("diet",),
    "time zone": ("zone",), "status": ("status",), "bank": ("name",), "flight": ("flight",), "home": ("name", "street"), "address": ("street", "name"),
    "commute": ("means",), "reading": ("title",), "lead": ("who",), "owner": ("who", "name"), "contact": ("who", "email"),
    "job": ("job",), "work laptop": ("laptop", "name"), "internet": ("name",), "insurance": ("name",), "plan": ("tier",),
    "hosting": ("cloud", "name"), "database": ("database", "name"), "editor": ("editor", "name"), "car": ("name", "vehicle"),
    "hotel": ("name",), "seat": ("code",), "parking spot": ("code",), "best friend": ("who",), "team size": ("number",), "pronouns": ("slashed",),
}  # fmt: skip


def _is_praise(said: str, words_: str) -> bool:
    """Whether it says how something is, not what or where."""
    if words_.lower().startswith("the "):
        return False
    if re.match(r"\w+ing\b|(?:this|that|these|those|what|who|one of|when|where)\b", said):
        return True
    return _NO_VALUE.match(said) is not None or (" " not in said and _ADJECTIVE.match(said) is not None)


def _typed(said: str, attribute: str) -> tuple[str, str]:
    """Of what kind a value is, and without the words that only lead to it."""
    if attribute in _AMOUNTS or attribute.endswith((" price", " cost", " budget")):
        return ("money", said) if re.search(r"\d|\bthousand\b|\bhundred\b|\bmillion\b", said) else ("", "")
    said = said.strip(' ,."“”')
    kinds = _OF_KIND.get(attribute, _GENERAL)
    forms = [said]
    while lead := _SOFT.match(forms[-1]):
        forms.append(forms[-1][lead.end() :])
    # "On hold" and "by bike" begin with their preposition; "with Alpina" does not.
    for form in forms if attribute in ("status", "commute") else reversed(forms):
        if kind := kind_of(form, kinds):
            return kind, form
    return "phrase", forms[-1]


def _can_be(attribute: str, kind: str, value: str) -> bool:
    if not value or not kind:
        return False
    if kind != "phrase":
        return True
    return attribute not in _OF_KIND and len(value.split()) <= 6 and not _VERB.search(value)

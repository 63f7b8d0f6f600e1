"""Subject, attribute and value of a statement: by them later statements are found to speak of the same matter."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from memsvc.extraction import words
from memsvc.extraction.attributes import is_state
from memsvc.extraction.calendars import FULL_MONTHS
from memsvc.extraction.matters import LIKED
from memsvc.extraction.model import FactKind
from memsvc.extraction.people import KIN, PETS
from memsvc.extraction.rules import HAS, IS, RULES, Rule
from memsvc.extraction.values import clean, fold_subject, number
from memsvc.extraction.words import word_set
from memsvc.text.analysis import fold


@dataclass(frozen=True, slots=True)
class Statement:
    """A clause as keys read it, with every name resolved: subject, verb, and the rest of it.

    `rest` has its dates made absolute, `bare` has them left out. `passive`: the subject undergoes the verb.
    """

    subject: str
    base: str
    rest: str
    bare: str
    negated: bool = False
    passive: bool = False
    perfect: bool = False
    past: bool = False
    intended: bool = False
    modal: bool = False
    former: bool = False
    speaker: str = ""


@dataclass(frozen=True, slots=True)
class Key:
    """What a statement is about. `is_known` says that a rule told its attribute, not the wording alone."""

    subject: str
    attribute: str
    value: str
    negated: bool
    kind: FactKind
    confidence: float
    is_known: bool = True


def is_single_valued(attribute: str) -> bool:
    """Whether a subject has one value of it at a time."""
    return is_state(attribute)


def find_key(statement: Statement) -> Key:
    """The key of a statement: of the rules if one fits, else its subject, head verb and object."""
    told = _inner(statement)
    for found in _candidates(told):
        if found.value:
            return replace(found, negated=found.negated ^ statement.former)
    return _fallback(told if told.negated != statement.negated else statement)


_PHASE = re.compile(r"(?:up )?(?P<verb>[a-z]+ing)\b ?")


def _inner(statement: Statement) -> Statement:
    """What is begun or ended: "I stopped eating meat" tells that I do not eat it."""
    if statement.base not in ("stop", "quit", "give", "start", "begin", "keep"):
        return statement
    match = _PHASE.match(statement.rest)
    if match is None or (statement.base == "give") != match[0].startswith("up "):
        return statement
    base = words.lemma(match["verb"])
    if base in ("work", "study") and statement.base in ("start", "begin"):
        return statement
    ends = statement.base in ("stop", "quit", "give")
    rest, bare = statement.rest[match.end() :], statement.bare[match.end() :]
    return replace(statement, base=base, rest=rest, bare=bare, negated=statement.negated ^ ends)


def _candidates(statement: Statement) -> Iterator[Key]:
    me = f"{statement.speaker} "
    is_calling = statement.base == "call" and not statement.passive and statement.rest.startswith(me)
    if is_calling and (called := _CALLED.match(statement.rest.removeprefix(me))):
        yield Key(fold_subject(statement.speaker), "nickname", clean(called[0]), statement.negated, "fact", 0.75)
    yield from _of_possession(statement)
    yield from _of_event(statement)
    yield from _of_thing(statement)
    yield from _of_verb(statement)


# --- X's attribute is value -------------------------------------------------------------------------------------------

_ATTRIBUTES = {
    "name": "name", "full name": "name", "first name": "name", "real name": "name", "nickname": "nickname",
    "age": "age", "birthday": "birthday", "date of birth": "birthday", "birth date": "birthday",
    "birthdate": "birthday", "home": "home",
    "hometown": "origin", "home town": "origin", "home country": "origin", "job": "job",
    "profession": "job", "occupation": "job", "job title": "job", "employer": "employer", "workplace": "employer",
    "phone": "phone", "phone number": "phone", "number": "phone", "mobile": "phone", "mobile number": "phone",
    "email": "email", "email address": "email", "e-mail": "email", "address": "address", "home address": "address",
    "budget": "budget", "price": "price", "cost": "cost", "salary": "salary", "rent": "rent", "deadline": "deadline",
    "due date": "deadline", "status": "status", "version": "version", "size": "size", "weight": "weight",
    "height": "height", "allergy": "allergy", "diet": "diet", "major": "studies", "degree": "degree", "hobby": "hobby",
    "car": "car", "password": "password", "goal": "goal", "target": "target", "priority": "priority",
    "start date": "start date", "location": "place", "venue": "place", "owner": "owner", "lead": "lead",
    "capacity": "capacity", "limit": "limit", "salary offer": "salary offer", "nationality": "nationality",
    "time zone": "time zone", "timezone": "time zone", "native language": "native language",
    "zodiac sign": "zodiac sign", "blood type": "blood type",
    "shoe size": "shoe size", "test coverage": "test coverage", "word count": "word count",
}  # fmt: skip
_MEASURED = word_set("budget price cost salary rent age capacity limit size weight height") | {
    "test coverage",
    "word count",
    "salary offer",
}
_SPOUSES = {"wife": "spouse", "husband": "spouse", "hubby": "spouse", "spouse": "spouse", "boyfriend": "partner",
            "girlfriend": "partner", "fiance": "partner", "fiancee": "partner", "partner": "partner", "bf": "partner",
            "gf": "partner"}  # fmt: skip
_OF = re.compile(r"^(?:the|a)?\s*(?:new |current |total )?([\w ]+?) (?:of|for|on) (.+)$")
_POSSESSED = re.compile(r"^(.+)'s (?:new |current |own |total |all-time |overall )?([^']+)$")
_BECAME = word_set(
    """
    be become remain stay change increase decrease drop rise grow go raise lower reduce set move
    """
)


_CALLED = re.compile(r"[A-Z][\w'’-]+$")


def _of_possession(statement: Statement) -> Iterator[Key]:
    subject = fold_subject(statement.subject)
    match = _POSSESSED.match(subject)
    owner, noun = (match[1], re.sub(r" (?:these days|nowadays|now)$", "", match[2])) if match else ("", "")
    if not match and (of := _OF.match(subject)) and of[1].strip() in _ATTRIBUTES:
        owner, noun = of[2], of[1].strip()
    if statement.base == "be" and statement.subject == statement.speaker and _is_name(statement.rest):
        yield Key(subject, "name", clean(re.split(r",| and ", statement.rest)[0]), statement.negated, "fact", 0.8)
    if statement.base == "be" and (liked := _FAVORITE_OF.match(statement.rest)):
        what = LIKED.get(fold(liked[2]), fold(liked[2]))
        yield Key(fold_subject(liked[1]), f"favorite {what}", clean(statement.subject), statement.negated,
                  "preference", 0.85)  # fmt: skip
    if not noun or statement.base not in _BECAME | {"call", "name"}:
        return
    value = statement.rest
    if statement.base not in ("be", "become", "remain", "stay", "call", "name"):
        to = re.search(r"\bto (.+)$", value)
        if to is None:
            return
        value = to[1]
    attribute = _ATTRIBUTES.get(noun, "")
    if favorite := re.match(r"(?:all-time )?favou?rite (.+)$", noun):
        attribute = f"favorite {LIKED.get(favorite[1], favorite[1])}"
    if attribute:
        yield _possessed(statement, owner, attribute, value)
    elif (statement.base in ("call", "name") and statement.passive) or (
        (noun in KIN or noun in PETS) and statement.base == "be" and re.match(r"[A-Z][\w'’-]+[.! ]*$", value)
    ):
        yield _naming(statement, owner, noun, value)


_FAVORITE_OF = re.compile(r"(?:now |still )?(.+)'s (?:all-time )?favou?rite ([\w -]+?)(?:[.!,]|$)")


def _is_name(rest: str) -> bool:
    """ "I'm Craig", not "I'm German"."""
    match = re.match(r"([A-Z][a-z]+)(?: [A-Z][a-z]+)?(?=$|[.,!]| and )", rest)
    return match is not None and not _PEOPLES.search(match[1].lower()) and not words.is_common(match[1].lower())


_PEOPLES = re.compile(
    r"(?:ish|ese|[a-z]{3}ian|[a-z]{2}ean|ican|anglican)$|^(?:german|french|dutch|greek|swiss|czech|danish|christian|muslim|jewish"
    r"|hindu|buddhist|catholic|protestant|vegan|korean|roman|african|european|asian|latina?o?|hispanic|thai|iraqi|turk|dane"
    r"|gay|lesbian|bi|trans|queer|monday|tuesday)$"
)


def _possessed(statement: Statement, owner: str, attribute: str, value: str) -> Key:
    kind: FactKind = "preference" if attribute.startswith("favorite") else "fact"
    if re.match(r"(?:so|very|really|pretty|quite|such|too|the best|great|awesome|good)\b", value):
        return Key(owner, attribute, "", statement.negated, kind, 0)
    if attribute == "car" and not re.match(r"(?:now )?(?:an? |the )?[A-Z]|an? ", value):
        return Key(owner, attribute, "", statement.negated, kind, 0)
    if attribute == "home":
        value = re.sub(r"^(?:now |currently )?(?:in|at) ", "", value)
    if attribute == "name" and (role := _POSSESSED.match(owner)) and role[2] in _SPOUSES:
        return Key(role[1], _SPOUSES[role[2]], clean(value), statement.negated, "fact", 0.9)
    value = re.sub(r"^(?:on|at|by|in) (?=\w)", "", value) if attribute in ("birthday", "deadline", "place") else value
    if attribute == "employer" and not re.match(r"(?:now |the )?[A-Z]", value):
        return Key(owner, attribute, "", statement.negated, kind, 0)
    measured = number(value) if attribute in _MEASURED else ""
    return Key(owner, attribute, measured or clean(value), statement.negated, kind, 0.9)


def _naming(statement: Statement, owner: str, noun: str, value: str) -> Key:
    if noun in _SPOUSES:
        return Key(owner, _SPOUSES[noun], clean(value), statement.negated, "fact", 0.85)
    return Key(f"{owner}'s {noun}", "name", clean(value), statement.negated, "fact", 0.85)


# --- Events and things ------------------------------------------------------------------------------------------------

_EVENTS = word_set(
    """
    standup stand-up meeting interview appointment party wedding concert call class flight trip conference
    launch demo review session exam game match lesson dinner lunch breakfast brunch sync retro retrospective
    release festival ceremony show performance workshop webinar presentation race marathon tournament test
    surgery graduation reunion event opening exhibition auction fundraiser barbecue bbq picnic checkup audition
    rehearsal hearing deadline movie screening train bus seminar lecture course kickoff kick-off sprint planning
    vacation
    """
)
_AT_TIME = re.compile(
    r"^(?:now |again |back |up |forward |out )?(?:(?:from .+? )?(?:at|on|to|for|until|till|by|starts at|begins at) )?"
    rf"(?P<v>(?:about |around )?(?:(?:the \w+ of )?\d{{1,2}} (?:{'|'.join(FULL_MONTHS)}) \d{{4}}"
    r"|the week(?:end)? of \d{1,2} \w+ \d{4}|\d{1,2}(?::\d\d)?(?: ?[ap]\.?m\.?)?(?: o'clock)?|noon|midnight|every \w+"
    r"|(?:mon|tues|wednes|thurs|fri|satur|sun)days?)"
    r"(?:[ ,]+(?:at|on|every|from|UTC|CET|EST|PST)? ?"
    r"(?:\d{1,2} \w+ \d{4}|\d{1,2}(?::\d\d)?(?: ?[ap]\.?m\.?)?|noon|every \w+"
    r"|\w+days?|(?:mon|tues|wednes|thurs|fri|satur|sun)day))?)(?=$|[\s,.;!])",
    re.IGNORECASE,
)
_IN_PLACE = re.compile(
    r"^(?:now |held )?(?:in|at) (?P<v>(?:the |my )?(?:[A-Z][\w'.-]*|room)(?: (?:[A-Z0-9][\w'.-]*|of|the|\d+))*)"
)
_OWN_EVENT = re.compile(
    rf"(?:an?|my|the|another) (?P<event>(?:[\w-]+ ){{0,3}}?(?:{'|'.join(sorted(_EVENTS))})\b"
    r"(?: (?:with|for) (?!\d)[\w.' -]+?)?) (?P<when>(?:on|at|from|in the) .*)$"
)
_ON_DAY = re.compile(r"(?:on|in) (?P<v>(?:the \w+ of )?\d{1,2} [A-Z]\w+ \d{4}(?: at \S+)?)")
_OWN_DEADLINE = re.compile(
    r"(?:an?|the) (?:[\w-]+ ){0,2}deadline (?:of|on|by) (?P<v>(?:\w+ )?\d[^,]*?),?"
    r" (?:for|to (?:submit|finish|finalize|complete|deliver)) (?P<x>.+)$"
)
_HAPPENING = word_set(
    """
    be start begin happen schedule move reschedule postpone push delay hold shift plan set book end
    """
)


def _head(subject: str) -> str:
    """The noun a subject is about: "the launch of Apollo" is a launch."""
    return re.split(r" (?:of|for|with|at|in|on|about) ", subject)[0].rsplit(" ", 1)[-1]


def _of_event(statement: Statement) -> Iterator[Key]:
    subject = fold_subject(statement.subject)
    rest = statement.rest.removeprefix("place ") if statement.base == "take" else statement.rest
    if _head(subject) in _EVENTS and (statement.base in _HAPPENING or statement.rest.startswith("place ")):
        if match := _AT_TIME.match(rest):
            yield Key(subject, "time", clean(match["v"]), statement.negated, "event", 0.9)
        if match := _IN_PLACE.match(rest):
            yield Key(subject, "place", clean(match["v"]), statement.negated, "event", 0.8)
    if (
        statement.base == "have"
        and (match := _OWN_EVENT.match(rest))
        and (when := _AT_TIME.match(match["when"]) or _ON_DAY.match(match["when"]))
    ):
        yield Key(f"{subject}'s {fold(match['event'])}", "time", clean(when["v"]), statement.negated, "event", 0.8)
    if statement.base == "have" and (match := _OWN_DEADLINE.match(rest)):
        yield Key(clean(match["x"], article=True), "deadline", clean(match["v"]), statement.negated, "fact", 0.75)
    if statement.base == "be" and (due := re.match(r"(?:now )?due (?:on |by |at |in )?(.+)$", statement.rest)):
        yield Key(subject, "deadline", clean(due[1]), statement.negated, "fact", 0.85)


_STATUS = re.compile(
    r"^(?:now |still |all |finally |almost |fully |nearly |already |currently )?"
    r"(?P<v>done|complete|completed|finished|in progress|blocked|delayed|cancell?ed|live|broken|fixed|ready"
    r"|approved|rejected|on hold|on track|overdue|closed|open|merged|deployed|paused"
    r"|sold out|confirmed|pending|stuck|failing|passing|working|down|postponed indefinitely|over)\b"
    r"(?=$|[.,!;]| (?:now|yet|since|on|for|at last|again|as of|in the|until)\b)"
)
_GROWTH = word_set(
    """
    increase rise grow climb jump drop fall decrease decline shrink reduce improve cut go lower raise
    """
)


def _of_thing(statement: Statement) -> Iterator[Key]:
    subject = fold_subject(statement.subject)
    definite = subject.startswith("the ") or "'s " in subject or statement.subject[:1].isupper()
    if not definite or subject in ("the user", "the assistant"):
        return
    said = f"{_participle(statement)} {statement.rest}".strip() if statement.passive else statement.rest
    is_state = statement.base == "be" or statement.passive
    if is_state and _head(subject) not in KIN and (match := _STATUS.match(said)):
        yield Key(subject, "status", clean(match["v"]), statement.negated, "fact", 0.8)
    if statement.base == "cost" and (value := number(statement.rest)):
        yield Key(subject, "price", value, statement.negated, "fact", 0.85)
    if statement.base in _GROWTH and (
        match := re.search(r"\bto (?:about |around |over )?([$€£]?\d\S*)", statement.rest)
    ):
        yield Key(subject, "amount", number(match[1]), statement.negated, "fact", 0.75)


def _participle(statement: Statement) -> str:
    return next((word for word, base in words.PARTICIPLES.items() if base == statement.base), statement.base)


# --- Verbs ------------------------------------------------------------------------------------------------------------

_NAMED_PET = re.compile(
    rf"an? (?:[\w-]+ ){{0,3}}?(?P<kind>{'|'.join(sorted(PETS | KIN))}) (?:named|called) (?P<v>[^\W\d_][\w'’-]+)"
)


def _of_verb(statement: Statement) -> Iterator[Key]:
    subject = fold_subject(statement.subject)
    if statement.base in ("have", "get", "adopt") and (match := _NAMED_PET.match(statement.rest)):
        yield Key(f"{subject}'s {match['kind']}", "name", clean(match["v"]), statement.negated, "fact", 0.85)
    rules = IS if statement.base == "be" else HAS if statement.base == "have" else RULES.get(statement.base, ())
    if statement.base == "become":
        rules = IS
    if statement.passive and statement.base in ("marry", "engage", "divorce", "obsess", "locate"):
        spoken = f"{_participle(statement)} {statement.bare}"
        rules = IS
        statement = replace(statement, bare=spoken, rest=f"{_participle(statement)} {statement.rest}", passive=False)
    for rule in rules:
        if rule.passive != statement.passive:
            continue
        text = statement.rest if rule.attribute in ("birthday", "deadline") else statement.bare
        if (match := rule.pattern.match(text)) and not _is_hoped(statement, rule):
            yield _matched(statement, subject, rule, match)


def _is_hoped(statement: Statement, rule: Rule) -> bool:
    """What is only intended is no fact yet ("I'll move to Rome", "I'd love to sing"); a liking can be meant."""
    if statement.modal and rule.kind == "preference" and statement.base != "stand":
        return statement.rest.startswith("to ")
    return statement.intended and rule.kind == "fact"


def _matched(statement: Statement, subject: str, rule: Rule, match: re.Match[str]) -> Key:
    value = match["v"]
    attribute = rule.attribute
    if "{x}" in attribute:
        attribute = attribute.replace("{x}", clean(match["x"]))
    value = number(value) if rule.attribute in ("price", "age") else clean(value)
    # "I sold my car": the car that "I bought a car" speaks of.
    value = value.removeprefix(f"{fold(statement.speaker)}'s ") if rule.attribute == "owns" else value
    denies = statement.negated ^ rule.denies
    if attribute in ("home", "employer", "job") and statement.past and _USED_TO.search(statement.rest):
        denies = True
    kind: FactKind = rule.kind
    return Key(subject, attribute, value, denies, kind, rule.confidence)


_USED_TO = re.compile(r"\buntil\b|\bback then\b|\bat the time\b")


# --- Otherwise --------------------------------------------------------------------------------------------------------

_PARTICLES = word_set("up out off down away back on in over through around along together")


def _fallback(statement: Statement) -> Key:
    """The head verb phrase as attribute, what follows as value."""
    parts = statement.bare.split()
    attribute = [statement.base]
    if parts and parts[0] in _PARTICLES and len(parts) > 1:
        attribute.append(parts.pop(0))
    if parts and parts[0] in words.PREPOSITIONS:
        attribute.append(parts.pop(0))
    elif len(parts) > 1 and parts[0] == "to" and parts[1] in words.BASES:
        attribute += parts[:2]
        parts = parts[2:]
        if parts and parts[0] in words.PREPOSITIONS:
            attribute.append(parts.pop(0))
    value = clean(" ".join(parts))
    kind: FactKind = "event" if statement.past or statement.perfect else "fact"
    return Key(
        fold_subject(statement.subject), " ".join(attribute), value, statement.negated, kind, 0.4, is_known=False
    )

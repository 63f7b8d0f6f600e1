"""Which clauses tell something worth keeping."""

import re
from collections.abc import Sequence

from memsvc.extraction import words
from memsvc.extraction.grammar import Parse
from memsvc.extraction.people import KIN, PETS
from memsvc.extraction.tokens import Token
from memsvc.extraction.words import word_set

_UNREAL = re.compile(
    r"""^(?:if|unless|imagine|suppose|pretend|assuming|what\s+if|even\s+if|let['’]?s|let\s+me|had\s+i|were\s+i|should\s+you
      |in\s+case|as\s+if|say\s+that)\b
    |\b(?:i|we)\s+(?:(?:really|just|so|only)\s+)?wish\b|\bif\s+only\b|\bwould\s+have\b|\bcould\s+have\b|\bshould\s+have\b|\bmight\s+have\b
    |['’]d\s+have\b|\bwould['’]ve\b|\bcould['’]ve\b|\bshould['’]ve\b|\bif\s+(?:i|we)\s+(?:was|were|had|could|ever)\b
    |\b(?:wondering|curious|not\s+sure|unsure|no\s+idea|don['’]?t\s+know|dunno|debating|doubt|hypothetically)\b
    |\bcan['’]?t\s+(?:wait|imagine|believe|even|complain|go\s+wrong|agree)\b|\bsounds?\s+like\b|\blet\s+(?:me|you)\s+know\b|\bmake\s+(?:it|that)\s+happen\b""",
    re.VERBOSE | re.IGNORECASE,
)
# What is thought and felt of the moment; who says it tells nothing that lasts.
_MENTAL = word_set(
    """
    think guess feel know agree understand appreciate believe wonder mean see hear bet imagine wish suppose say
    remember thank promise notice look sound seem doubt trust value admire respect cherish realize assume figure
    recall forgive apologize congratulate welcome rock deserve glad forget mind care root lean cheer
    """
)
_FEELING = word_set(
    """
    glad happy excited sorry sure grateful thankful proud sad ready here there okay ok fine good great well
    curious stoked thrilled pumped blessed lucky tired exhausted stressed nervous afraid scared interested aware
    confident certain honored impressed amazed surprised touched inspired worried concerned hopeful eager
    pleased relieved delighted overwhelmed open down up all so really confused unsure bummed fortunate psyched
    jealous able right looking kinda kind such back done hungry motivated determined always still just super
    totally very truly absolutely definitely beyond also too quite pretty more not only over keen bound used
    positive strong
    """
)
_IDLE = word_set(
    """
    keep try help hold rock take check let call talk chat text see support stay remember do make give be always
    definitely never forget continue need want love like enjoy appreciate say look show share send
    """
)
_VAGUE = word_set(
    """
    it this that these those them they something anything everything nothing stuff things thing one ones so here
    there someone anyone everyone such same way lot bit more much too well great good awesome amazing really fun
    time day best idea ideas kind moment moments point sense difference lots loads tons bunch couple feeling
    feelings vibe vibes blast things ways times people person life lives world journey path experience
    experiences memories memory dream dreams goal goals passion passions love joy happiness support
    encouragement inspiration motivation strength courage hope positivity positive energy growth challenge
    challenges setback setbacks struggle struggles obstacle obstacles others opportunity opportunities chance
    success progress effort efforts difference impact change changes step steps connection connections bond
    gratitude comfort peace calm balance confidence patience kindness compassion understanding acceptance
    freedom creativity potential hard work working nice cool super big huge little small new special important
    wonderful beautiful lovely incredible fantastic perfect happy glad excited proud grateful thankful inspiring
    inspired motivated motivating motivate inspire rewarding fulfilling amazed super tough rough crazy wild keep
    going make making makes made feel feels felt get got give gives gave take see look help helps helped helping
    want need know think try trying find found stay come back together forward always ever never each every
    hour hours minute minutes day days week weeks month months year years
    whole part reminder memorable unforgettable meaningful sure busy question questions thoughts advice tips
    plan details know right wrong true
    """
)
_DEMONSTRATIVE = word_set("this that these those")
_REPORTING = word_set(
    """
    say tell think know believe hope feel find learn decide realize hear see mean suggest recommend agree
    mention notice show prove explain confirm discover announce promise understand remember ensure wish guess
    argue claim
    """
)
_TIME_NOUNS = word_set(
    """
    week weekend month year morning afternoon evening summer winter spring fall autumn monday tuesday wednesday
    thursday friday saturday sunday time day days
    """
)


def is_unreal(text: str) -> bool:
    """Whether a clause is a hypothesis, a wish, doubt or reaction rather than a statement."""
    return _UNREAL.search(text) is not None


def is_idle(tokens: Sequence[Token], parse: Parse) -> bool:
    """Whether a clause only greets, feels, agrees or promises nothing in particular."""
    rest = [token.low for token in tokens[parse.rest :] if token.low[:1].isalnum()]
    if _is_empty(tokens, parse, rest):
        return True
    if parse.person in ("first", "we") and (_is_felt(tokens, parse, rest) or _is_offered(parse, rest)):
        return True
    if parse.base == "do":
        return parse.form not in ("gerund", "participle")
    return parse.base == "go" and rest[:1] in (["on"], ["well"], ["great"])


def _is_empty(tokens: Sequence[Token], parse: Parse, rest: Sequence[str]) -> bool:
    """What says nothing, of whomever: how something seems, what is praised before the eyes, a verb with no object."""
    verb = tokens[parse.verb].low
    if parse.base in ("seem", "look", "sound") and rest[:1] not in (["for"], ["into"], ["after"]):
        return True
    if rest == ["to"] or _INDEFINITE.search(" ".join(rest)):
        return True
    if parse.form in ("present", "bare") and verb not in _VERBS:
        return verb not in ("'s", "got")  # a verb that no list has: a slip, or no verb
    # "I've been working on for a while": its object went before it.
    if rest[:1] and rest[0] in ("on", "to", "about", "with", "at", "in") and rest[1:2] == ["for"]:
        return True
    if parse.base not in ("love", "like", "enjoy", "hate"):
        return False
    if rest[:1] == ["the"]:
        return len(rest) > 1 and rest[1] in _LOOKED_AT
    return rest[:1] in (["how"], ["that"], ["when"], ["what"])


_VERBS = words.BASES | words.THIRDS.keys() | words.AUXILIARIES


def _is_felt(tokens: Sequence[Token], parse: Parse, rest: Sequence[str]) -> bool:
    """What the speaker thinks or feels at the moment."""
    if parse.base in _MENTAL and not _is_considering(parse, rest):
        return True
    if parse.base == "be":
        if _is_of_something(tokens, parse):
            return False
        return not rest or rest[0] in _FEELING or (rest[0].endswith(("ed", "ly")) and rest[0] not in _STATES)
    if parse.form == "participle" and parse.auxiliaries and parse.auxiliaries[-1] in words.BE_FORMS:
        return tokens[parse.verb].low in _FEELING or parse.base in _MOVED
    return parse.base == "stay" or (parse.base == "hope" and rest[:1] != ["to"])


_POSSIBLE = word_set("can could would might may should ca")


def _is_offered(parse: Parse, rest: Sequence[str]) -> bool:
    """What the speaker could do, keeps doing, or wants of the listener in this talk."""
    if _is_wanting(parse, rest):
        return True
    if not parse.is_modal:
        return False
    if parse.base == "keep" or (parse.base in _IDLE and len(rest) < (3 if parse.base in ("love", "like") else 5)):
        return True
    is_disliked = parse.base == "stand" and parse.negated  # "I can't stand loud music"
    return not is_disliked and not _POSSIBLE.isdisjoint(parse.auxiliaries)


def _is_considering(parse: Parse, rest: Sequence[str]) -> bool:
    """ "I'm thinking of joining a choir", "I've been looking for a flat"."""
    if parse.base == "look":
        return rest[:1] in (["for"], ["into"], ["after"])
    if parse.base in ("figure", "see"):
        return parse.form == "past"
    return (
        parse.base == "think"
        and parse.form == "gerund"
        and rest[0:1] in (["of"], ["about"])
        and rest[1:2] != []
        and rest[1].endswith("ing")
    )


_ABOUT = word_set("worried nervous concerned anxious excited stressed busy afraid stuck unsure")


def _is_of_something(tokens: Sequence[Token], parse: Parse) -> bool:
    """A feeling about something with a name, a date or a number is worth keeping for that."""
    rest = [token for token in tokens[parse.rest :] if not words.is_adverb(token.low)]
    if len(rest) < 3 or rest[0].low not in _ABOUT or rest[1].low not in ("about", "with", "at", "that", "on"):
        return False
    return any(token.text[:1].isdigit() or (token.text[:1].isupper() and token.low != "i") for token in rest[1:])


def _is_wanting(parse: Parse, rest: Sequence[str]) -> bool:
    """What is wanted of the listener in this talk: "I want to make sure I'm doing it right"."""
    if parse.base not in ("want", "try", "need", "like", "hope", "go") or rest[:1] != ["to"]:
        return False
    return (
        len(rest) < 2 or rest[1] in _OF_THE_TALK or rest[1:3] in (["make", "sure"], ["figure", "out"], ["get", "back"])
    )


_OF_THE_TALK = word_set(
    """
    understand ensure know see hear decide clarify confirm verify say tell ask stay be keep thank double-check
    feel anticipate avoid grasp wrap remember believe think share check
    """
)
_INDEFINITE = re.compile(
    r"^(?:some|any|every|no)(?:thing|one)\b|\b(?:something|someone|anything) "
    r"(?:similar|exciting|special|new|like|else|different|cool|fun|great)\b"
)
_STATES = word_set("married divorced engaged widowed retired based allergic")
# What a listener's picture or story is praised for.
_LOOKED_AT = word_set(
    """
    color colors colour colours idea look view views photo photos picture pictures vibe vibes energy texture way story
    detail details design concept name song quote message pic pics art
    """
)
_MOVED = word_set(
    """
    excite interest thrill amaze surprise touch inspire worry concern please relieve delight overwhelm confuse
    impress motivate determine stoke bless tire exhaust stress honor scare fascinate disappoint frustrate
    embarrass intrigue encourage move stick lose shock devastate hurt bore
    """
)


def whole_until(tokens: Sequence[Token], parse: Parse) -> int:
    """How many tokens of a clause stand by themselves: all, or those before a second verb that points elsewhere.

    "I took a trip and made this picture" is whole without its picture. 0 if no part of it is.
    """
    pointing = dangling(tokens, parse)
    if pointing is None:
        return len(tokens)
    for place in range(pointing - 1, parse.rest + 1, -1):
        if tokens[place].low == "and" and words.is_past(tokens[place + 1].low):
            return place
    return 0


def dangling(tokens: Sequence[Token], parse: Parse) -> int | None:
    """The first token that points outside its clause: "it", "this one", "there", "her" with nobody named before."""
    has_thing = has_person = parse.person == "third"
    has_several = parse.person == "plural"
    has_other = False
    for place, token in enumerate(tokens):
        low = token.low
        following = tokens[place + 1].low if place + 1 < len(tokens) else ""
        in_subject = parse.subject <= place < parse.subject_end
        if token.quoted or (in_subject and low not in _DEMONSTRATIVE) or (low == "this" and following in _COLLOQUIAL):
            pass
        elif (
            (low in _DEMONSTRATIVE and following not in _TIME_NOUNS and not _joins(tokens, place, parse))
            or (low in _THIRD and not _is_named(low, following, has_thing, has_several, has_person, has_other))
            or _points(low, following, place, parse)
        ):
            return place
        if len(low) > 2 and low.isalpha() and low not in _SMALL and (place >= parse.rest or place < parse.subject_end):
            before = tokens[place - 1].low if place else ""
            is_noun = before in words.DETERMINERS or before in _MODIFIERS or token.text[:1].isupper() or _is_plural(low)
            has_thing = has_thing or (is_noun and low not in _VAGUE)
            has_several = has_several or low in _SEVERAL or _is_plural(low)
            is_person = low in KIN or low in PETS or low in _PEOPLE or token.text[:1].isupper()
            has_person = has_person or is_person
            has_other = has_other or (is_person and place >= parse.rest)
    return None


def _is_plural(low: str) -> bool:
    return (
        low.endswith("s") and not low.endswith(("ss", "us", "is")) and (low not in words.THIRDS or low in words.NOUNISH)
    )


_THIRD = word_set("he she him her his they them their it its")


def _is_named(low: str, following: str, has_thing: bool, has_several: bool, has_person: bool, has_other: bool) -> bool:
    """Whether something that the pronoun can mean came before it in the clause."""
    if low == "him" or (low == "her" and (not following or following in _SMALL or not following.isalpha())):
        return has_other  # a subject is not its own object
    if low in ("he", "she", "her", "his"):
        return has_person or has_other
    if low in ("they", "them", "their"):
        return has_several
    return has_thing or (low == "it" and following in ("'s", "is", "was", "easier", "hard"))


def _joins(tokens: Sequence[Token], place: int, parse: Parse) -> bool:
    """Whether "that" here joins clauses ("I know that ...", "the car that ...") and points at nothing."""
    following = tokens[place + 1].low if place + 1 < len(tokens) else ""
    if tokens[place].low != "that" or place <= parse.subject or following in ("", ",", ".", "and", "!"):
        return False
    before = tokens[place - 1].low
    if before in words.PREPOSITIONS or before in ("make", "made", "do", "did", "like", "all", "of", "love", "see"):
        return False
    return place > parse.rest or parse.base in _REPORTING or parse.base == "be"


def _points(low: str, following: str, place: int, parse: Parse) -> bool:
    """ "There", "the same", "one": "one of my friends" points nowhere."""
    if place < parse.rest:
        return False
    if low in ("there", "here", "same", "ones", "following"):
        return True
    return low == "one" and (not following or not following.isalpha() or following in _AFTER_ONE)


# "I found this cool shop": not one that was spoken of.
_COLLOQUIAL = word_set("super really cool awesome amazing great new huge crazy beautiful cute")
_MODIFIERS = word_set(
    """
    new old good great little big two three first second next last of with and some more
    """
)
_AFTER_ONE = (
    words.PREPOSITIONS | words.CONJUNCTIONS | words.SUBORDINATORS | {"last", "this", "next", "yesterday", "that", "too"}
) - {"of"}
_SEVERAL = word_set("people kids children family team everyone someone men women class group staff")
_PEOPLE = word_set("someone people guy girl woman man person anyone friends folks lady students")
_SMALL = (
    words.PREPOSITIONS | words.CONJUNCTIONS | words.DETERMINERS | words.ADVERBS | words.AUXILIARIES | words.PRONOUNS
)


def weight(tokens: Sequence[Token], parse: Parse) -> int:
    """How many words of substance follow the verb."""
    return sum(
        1
        for token in tokens[parse.rest :]
        if (token.low[:1].isalnum() or token.low[:1] in "$€£")
        and token.low not in _VAGUE
        and token.low not in _SMALL
        and not words.is_adverb(token.low)
    )

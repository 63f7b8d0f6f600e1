"""The shallow parse of one clause: tokens, the subject, its verb, and what follows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from memsvc.extraction import words
from memsvc.extraction.tokens import Token
from memsvc.extraction.words import word_set

Form = Literal["present", "past", "gerund", "participle", "bare"]
Person = Literal["first", "we", "second", "third", "plural"]


@dataclass(frozen=True, slots=True)
class Parse:
    """Token places of a clause: [subject, subject_end) and its main verb; what follows starts at `rest`.

    `auxiliaries` stand between them, `negated` says that one of them denies. `base` is the verb's base form, `form` is
    how it stands. `subject > 0` means that something was put in front ("Last week, ...").
    """

    subject: int
    subject_end: int
    person: Person
    verb: int
    base: str
    form: Form
    auxiliaries: tuple[str, ...]
    adverbs: tuple[str, ...]
    negated: bool
    rest: int

    @property
    def is_modal(self) -> bool:
        """Whether it is said of what will, would or may be."""
        return any(word in words.MODALS for word in self.auxiliaries)


def parse(tokens: Sequence[Token]) -> Parse | None:
    """The main clause's subject and verb; None where rules see none, or see a question or command."""
    start = _subject_start(tokens)
    if start is None:
        return None
    person, end = _subject(tokens, start)
    if end is None or end >= len(tokens):
        return None
    return _verb_group(tokens, start, end, person)


_FRONT_TIMES = word_set(
    """
    last next this yesterday today tomorrow tonight recently lately currently now then back once earlier later
    sometimes usually often every one two three four five six seven eight nine ten after before when while since
    during in on at for by with from to as because although though despite until over within throughout thanks
    given monday tuesday wednesday thursday friday saturday sunday again first second finally unfortunately
    luckily fortunately personally growing being having seeing
    """
)


def _subject_start(tokens: Sequence[Token]) -> int | None:
    """Where the main subject begins: at once, or after what is put in front of it."""
    if not tokens:
        return None
    first = tokens[0].low
    fronted = first in _FRONT_TIMES or first in words.PREPOSITIONS or first in words.SUBORDINATORS
    if first == "that" and len(tokens) > 1 and tokens[1].low not in ("is", "was", "'s", "'d", "will"):
        fronted = True
    if first == "this" and len(tokens) > 1 and tokens[1].low not in _CYCLES:
        fronted = False
    if first in ("one", "first", "second") and not (len(tokens) > 1 and tokens[1].low in (",", "day", "of")):
        fronted = False
    if not fronted:
        place = 0
        while place < min(3, len(tokens)) and words.is_adverb(tokens[place].low) and first != "both":
            place += 1
        return place if place < len(tokens) else None
    nested = first in words.SUBORDINATORS or first == "that"
    for place in range(1, min(len(tokens), 24)):
        if tokens[place].low == ",":
            after = place + 1
            while after < len(tokens) - 1 and words.is_adverb(tokens[after].low):
                after += 1
            if after < len(tokens) and _opens(tokens, after):
                return after
        elif (not nested and place > 1 and tokens[place].low in _NOMINATIVES and not tokens[place].quoted) or (
            first in _BARE_TIMES and place == 1 and tokens[place].low in _OPENERS
        ):
            return place
    return None


_CYCLES = word_set(
    """
    week weekend month year morning afternoon evening summer winter spring fall autumn monday tuesday wednesday
    thursday friday saturday sunday time past coming
    """
)
_BARE_TIMES = word_set(
    """
    yesterday today tomorrow tonight recently lately currently now then sometimes usually
    """
)
_NOMINATIVES = word_set("i we he she they you it")
_OPENERS = _NOMINATIVES | {"my", "our", "his", "her", "their", "the", "a", "an"}


def _opens(tokens: Sequence[Token], place: int) -> bool:
    token = tokens[place]
    return token.low in _OPENERS or token.text[:1].isupper() or token.low in ("one", "both", "everyone")


def _subject(tokens: Sequence[Token], start: int) -> tuple[Person, int | None]:
    """Person of the noun phrase at `start`, and where it ends; no end where it is none we can use."""
    low = tokens[start].low
    if low in ("i", "we", "you", "he", "she", "they", "it") and not _joins(tokens, start + 1):
        person: Person = {"i": "first", "we": "we", "you": "second", "they": "plural"}.get(low, "third")  # type: ignore[assignment]
        return person, start + 1
    if low in ("this", "that", "these", "those", "there", "what", "which", "who", "let", "please", "not"):
        return "third", None
    return _noun_phrase(tokens, start)


def _joins(tokens: Sequence[Token], place: int) -> bool:
    return place < len(tokens) and tokens[place].low == "and"


def _noun_phrase(tokens: Sequence[Token], start: int) -> tuple[Person, int | None]:
    """A noun phrase up to the first word that is its verb."""
    token = tokens[start]
    named = token.text[:1].isupper() and token.low not in words.PREPOSITIONS
    if token.low not in _STARTS and not (named and _is_name(tokens, start)):
        return "third", None
    plural = False
    determined = token.low in words.DETERMINERS or token.low in ("me", "both")
    for place in range(start + 1, min(len(tokens), start + 14)):
        low = tokens[place].low
        if low == "to" and tokens[place - 1].low in ("flight", "trip", "visit", "train", "move", "drive"):
            continue
        if low in ("who", "that", "which", "where", "if", "whose", ";", ":", "to", "because", "when") or low in "!?":
            return "third", None
        if low == "and" and place == _joint(tokens, start):
            plural = True
        if determined and place == start + 1:
            continue
        if _starts_verb(tokens, place, plural):
            person: Person = "plural" if plural or _is_plural(tokens[place - 1].low) else "third"
            return person, place
        if words.is_adverb(low) and place + 1 < len(tokens) and _starts_verb(tokens, place + 1, plural):
            return ("plural" if plural or _is_plural(tokens[place - 1].low) else "third"), place
    return "third", None


_STARTS = word_set(
    """
    my our the a an his her their your me both everyone someone mom dad mum grandma grandpa
    """
)


def _joint(tokens: Sequence[Token], start: int) -> int:
    """Place of an "and" that joins two subjects; -1 if it stands within a modifier ("the bed and breakfast")."""
    for place in range(start + 1, min(len(tokens) - 1, start + 8)):
        if tokens[place].low == "and":
            following = tokens[place + 1]
            joins = following.low in ("i", "me", "my", "his", "her", "our", "the", "a") or following.text[:1].isupper()
            return place if joins else -1
    return -1


def _is_plural(low: str) -> bool:
    return low in ("kids", "children", "people", "parents", "guys", "men", "women") or (
        low.endswith("s") and not low.endswith(("ss", "us", "is", "'s")) and len(low) > 3
    )


def _is_name(tokens: Sequence[Token], place: int) -> bool:
    """Whether a capital here is of a name, not only of a sentence; two in a row are."""
    if place + 1 < len(tokens) and tokens[place + 1].text[:1].isupper() and tokens[place + 1].low != "i":
        return tokens[place].low not in words.AUXILIARIES and not words.is_adverb(tokens[place].low)
    return not words.is_common(tokens[place].low)


def _starts_verb(tokens: Sequence[Token], place: int, plural: bool) -> bool:
    """Whether the verb of a noun phrase may begin here."""
    low = tokens[place].low
    if tokens[place].quoted or place == 0:
        return False
    if low == "'s":
        return is_contracted(tokens, place)
    if low in words.AUXILIARIES:
        return low not in ("'d", "been", "being", "be")
    following = tokens[place + 1].low if place + 1 < len(tokens) else ""
    if following in words.AUXILIARIES or following == "'s":
        return False
    if words.is_past(low) or (low in words.THIRDS and low not in words.NOUNISH):
        return not tokens[place].text[:1].isupper()
    if low in words.THIRDS:
        return following in _AFTER_VERB and not _is_plural_determiner(tokens, place)
    return low in words.BASES and (plural or _is_plural(tokens[place - 1].low)) and tokens[place].text[:1].islower()


_AFTER_VERB = word_set("a an the my our his her its in at on to for from with as every about that me us")


def _is_plural_determiner(tokens: Sequence[Token], place: int) -> bool:
    return place > 0 and tokens[place - 1].low in ("the", "my", "our", "these", "those", "some", "many")


_IS_AFTER = word_set(
    """
    a an the not been going getting coming doing having trying so very really now also always just still called
    named allergic married about due done here there only pretty
    """
)


def is_contracted(tokens: Sequence[Token], place: int) -> bool:
    """Whether the "'s" here is short for "is" or "has", not a possessive."""
    before = tokens[place - 1].low if place else ""
    if before in (
        "he",
        "she",
        "it",
        "that",
        "this",
        "there",
        "what",
        "who",
        "where",
        "how",
        "let",
        "here",
        "everything",
    ):
        return True
    return place + 1 < len(tokens) and tokens[place + 1].low in _IS_AFTER


def is_had(tokens: Sequence[Token], place: int) -> bool:
    """Whether "'d" before `place` is short for "had", not "would"."""
    while place < len(tokens) and words.is_adverb(tokens[place].low):
        place += 1
    if place >= len(tokens):
        return False
    low = tokens[place].low
    return low in ("better", "been") or (words.is_participle(low) and low not in words.BASES)


def _verb_group(tokens: Sequence[Token], start: int, end: int, person: Person) -> Parse | None:
    """Auxiliaries and adverbs after the subject, up to the main verb."""
    auxiliaries: list[str] = []
    adverbs: list[str] = []
    negated = False
    place = latest = end
    while place < len(tokens):
        low = tokens[place].low
        if low in ("n't", "not"):
            negated = True
        elif low == "no" and place + 1 < len(tokens) and tokens[place + 1].low == "longer":
            negated = True
            place += 1
        elif low in words.AUXILIARIES or (low == "'s" and (place > end or is_contracted(tokens, place))):
            auxiliaries.append("had" if low == "'d" and is_had(tokens, place + 1) else low)
            latest = place
        elif words.is_adverb(low) and not (low in ("pretty", "very", "so") and not auxiliaries):
            adverbs.append(low)
            negated |= low in ("never", "hardly", "rarely", "seldom")
        elif low == "used" and place + 1 < len(tokens) and tokens[place + 1].low == "to" and not auxiliaries:
            auxiliaries.append("used to")
            place += 1
        elif low in ("kind", "sort") and place + 1 < len(tokens) and tokens[place + 1].low == "of":
            place += 1
        elif low == "," or not (low[:1].isalnum()):
            if low != "," or not adverbs:
                break
        else:
            break
        place += 1
    return _finish(tokens, _Group(start, end, person, place, latest, tuple(auxiliaries), tuple(adverbs), negated))


@dataclass(frozen=True, slots=True)
class _Group:
    """Subject [start, end), what stands before the main verb's place, the last auxiliary's place among it."""

    start: int
    end: int
    person: Person
    place: int
    latest: int
    auxiliaries: tuple[str, ...]
    adverbs: tuple[str, ...]
    negated: bool

    def parse(self, verb: int, base: str, form: Form, rest: int) -> Parse:
        return Parse(
            self.start, self.end, self.person, verb, base, form, self.auxiliaries, self.adverbs, self.negated, rest
        )


def _finish(tokens: Sequence[Token], group: _Group) -> Parse | None:
    """Which word is the main verb, given what stands before it."""
    place, auxiliaries, adverbs, made = group.place, group.auxiliaries, group.adverbs, group.parse
    low = tokens[place].low if place < len(tokens) else ""
    last = auxiliaries[-1] if auxiliaries else ""
    if not low[:1].isalpha() and not auxiliaries:
        return None
    if last in words.BE_FORMS or last == "'s":
        return _after_be(group, low, last)
    if last in words.HAVE_FORMS or last in ("'d", "had"):
        if low == "got" and last != "'d":
            return made(place, "have", "present", place + 1)
        if words.is_participle(low):
            return made(place, words.lemma(low), "participle", place + 1)
        if last != "'d":
            return made(group.latest, "have", "past" if last == "had" else "present", place)
    if last in ("do", "does", "did") and low not in words.BASES:
        return made(group.latest, "do", "past" if last == "did" else "present", place) if low else None
    if last:
        return made(place, low, "bare", place + 1) if low[:1].isalpha() else None
    if words.is_past(low) and low not in words.BASES:
        return made(place, words.PASTS.get(low) or words.lemma(low), "past", place + 1)
    return made(place, words.lemma(low), _ambiguous(low, adverbs), place + 1)


def _after_be(group: _Group, low: str, last: str) -> Parse:
    if low.endswith("ing") and (low in words.GERUNDS or len(low) > 6) and low not in _ADJECTIVES:
        return group.parse(group.place, words.lemma(low), "gerund", group.place + 1)
    if words.is_participle(low):
        return group.parse(group.place, words.lemma(low), "participle", group.place + 1)
    form: Form = "present" if last in ("am", "is", "are", "'m", "'re", "'s") else "past"
    return group.parse(group.latest, "be", form, group.place)


_ADJECTIVES = word_set(
    """
    amazing interesting exciting inspiring boring challenging tiring fascinating relaxing rewarding stunning
    outstanding something nothing anything everything willing overwhelming encouraging calming comforting
    motivating fulfilling refreshing disappointing frustrating surprising empowering touching heartwarming
    breathtaking charming thrilling satisfying terrifying depressing annoying confusing entertaining uplifting
    promising demanding exhausting missing lacking astonishing captivating engaging loving caring understanding
    welcoming gripping liberating soothing exhilarating
    """
)
HAS_DONE = word_set("been become got had gone made done taken seen given grown come helped started")
_HABITS = word_set(
    """
    always usually often sometimes never generally normally mostly typically regularly
    """
)


def _ambiguous(low: str, adverbs: Sequence[str]) -> Literal["past", "present"]:
    """ "I put" and "I read" are told of the past, unless of a habit."""
    return "past" if words.is_past(low) and low not in ("let", "cost") and not _HABITS & set(adverbs) else "present"

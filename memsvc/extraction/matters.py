"""Noun phrases and the matters that they name: "my locker code" and "the code for my locker" name one."""

import re
from dataclasses import dataclass, replace

from memsvc.extraction import words
from memsvc.extraction.attributes import EVENTS, NOUNS, OF_THINGS
from memsvc.extraction.people import KIN, PETS, possessive
from memsvc.extraction.values import clean
from memsvc.extraction.words import word_set
from memsvc.text.analysis import fold

_MODIFIERS = word_set(
    """
    new current old present usual regular own main actual latest updated exact total preferred official own primary
    present-day brand-new next final revised original best-known go-to daily weekly monthly best
    """
)
_KEPT = {"best friend", "best man", "weekly mileage", "main bank", "daily scrum", "weekly distance", "monthly rent",
         "old town"}  # fmt: skip
_OF = re.compile(r" (of|for|at|in|behind|to|with|on|during|from) ")
_LONGEST = 4
_DETERMINER = re.compile(r"^(?:my|our|the|a|an|this|that|your|his|her|their|its) ", re.IGNORECASE)
_FAVORITE = re.compile(r"(?:all-time |absolute )?favou?rite (?:kind of |type of )?(.+)$")
LIKED = {"dish": "food", "meal": "food", "group": "band", "musician": "band", "film": "movie", "colour": "color",
          "writer": "author"}  # fmt: skip
# Persons of whom one has one at a time.
ROLES = word_set(
    """
    dentist vet landlord landlady roommate flatmate coach trainer tutor therapist lawyer accountant hairdresser barber
    babysitter nanny cleaner teacher principal professor captain conductor
    mentor advisor physio physiotherapist midwife assistant gardener plumber stylist optician
    psychologist psychiatrist dermatologist orthodontist co-founder cofounder successor deputy notary realtor broker
    """
)
_LOOSE = word_set(
    """
    thing things way part point idea thought opinion view problem issue question concern worry challenge advice tip
    suggestion reason strategy approach motivation inspiration strength weakness skill memory dream goal aim hope wish
    fear hobby interest passion love heart mind body family experience journey story feeling mood turn guess bad
    pleasure answer focus priority task day week weekend month year time life morning evening night summer winter
    birthday-present friend fault understanding impression intention purpose message example note step choice decision
    comment request conclusion response reaction background situation attitude belief faith greatest biggest first
    second next last favorite favourite best worst most latest one ones other rest kind sort type lot bit case fact
    truth trouble catch trick secret result outcome difference benefit effect impact advantage sister-in-law
    gift present surprise trip vacation holiday plan plans progress knowledge education sense style taste personality
    concept topic subject error input output function class method file query object variable value data
    list string array model system project website platform design prototype test version-control current
    setup issue bug feature code-base output-file script program question-mark title description essay paper
    thesis statement paragraph draft section chapter character plot hook line argument equation formula solution
    work job-search mother father wife husband energy stress health sleep routine practice goal-setting schedule
    world country city town neighborhood place area side end start beginning future past childhood weakness ability
    role-model hero inspiration-source specialty expertise contribution responsibility comfort-zone motto
    """
)


@dataclass(frozen=True, slots=True)
class Matter:
    """Of what subject, which attribute. `loose` says that its noun is no word of a list here, `vague` that it may stand
    for anything said ("my idea is"), `event` that it is one, `role` that it is a person's."""

    subject: str
    attribute: str
    loose: bool = False
    event: str = ""
    named: bool = False
    vague: bool = False
    role: bool = False

    @property
    def is_plural(self) -> bool:
        """Whether its noun may stand for several at once."""
        return self.loose and self.attribute.endswith("s") and not self.attribute.endswith(("ss", "us", "is", " days"))


def matter_of(phrase: str, *, owner: str, speaker: str, starts: bool) -> Matter | None:
    """The matter that a noun phrase names; None where it names none of which there is one.

    `owner` is its determiner ("my", "the", "" for none), `starts` says that its first capital may be the sentence's.
    """
    phrase = re.sub(r"\s+", " ", phrase).strip(" .,'’")
    phrase = _DETERMINER.sub("", re.sub(r" of choice$", "", phrase))
    named, phrase = _possessor(phrase, speaker)
    head, *rest = _OF.split(phrase, maxsplit=1)
    complement = rest[1] if rest else ""
    thing, noun = _thing_in(head.split(), starts=starts)
    thing = thing or _thing_of(complement)
    kept = [word for place, word in enumerate(noun) if word not in _MODIFIERS or _keeps(noun, place)]
    if not _can_name(kept, complement, owner):
        return None
    attribute = NOUNS.get(" ".join(kept), "")
    if not named and not thing and complement.startswith("the ") and attribute in OF_THINGS:
        return Matter(fold(complement), attribute)
    if complement and not _thing_of(complement):
        kept = [*_qualifier(complement), *kept]
    subject = named or (fold(thing) if thing else fold(speaker))
    matter = _named_matter(" ".join(kept), subject, thing)
    if matter is not None and matter.event and not thing and not named and owner == "the":
        return replace(matter, subject=f"the {' '.join(kept)}")
    return matter


def _can_name(kept: list[str], complement: str, owner: str) -> bool:
    """Whether these are the words of a noun phrase; "rent went" is none."""
    if not 1 <= len(kept) <= _LONGEST or any(
        word.split("'")[0] in _NEVER or word in words.DETERMINERS for word in kept
    ):
        return False
    if any(word in _NEVER and word not in ("me", "us") for word in complement.lower().split()):
        return False
    return bool(owner) or not any(words.is_past(word) for word in kept)


def _keeps(noun: list[str], place: int) -> bool:
    return " ".join(noun[place : place + 2]) in _KEPT


def _named_matter(noun: str, subject: str, thing: str) -> Matter | None:
    """The matter of a noun, or of its last word with what stands before it."""
    if favorite := _FAVORITE.match(noun):
        liked = favorite[1].strip()
        return None if liked in ("", "one", "thing") else Matter(subject, f"favorite {LIKED.get(liked, liked)}")
    if noun in NOUNS:
        return Matter(subject, NOUNS[noun])
    parts = noun.split()
    last, before = parts[-1], " ".join(parts[:-1])
    if (event := _event_of(noun, last, before, subject, thing)) is not None:
        return event
    if last in _MEASURED:
        return Matter(subject, f"{before} {_MEASURED[last]}".strip())
    if last in _STUFF and not before:
        return Matter(subject, f"{last} kept in")
    if last == "app" and before in _STUFF:
        return Matter(subject, f"{before} kept in")
    if thing and last in NOUNS and len(parts) == 2:
        return Matter(subject, f"{before} {NOUNS[last]}")
    if last in ROLES:
        return Matter(subject, f"the {noun}", role=True)
    if last in KIN | PETS or last in words.GERUNDS or last in words.PREPOSITIONS:
        return None
    if words.is_adverb(last) or not last[:1].isalpha():
        return None
    if last in _EMPTY and before:
        return _named_matter(before, subject, thing)
    return Matter(subject, f"the {noun}", loose=True, vague=last in _LOOSE or parts[0] in _RANKS)


# "Electricity provider", "table number": nouns that add nothing to the one before them.
_EMPTY = word_set("provider supplier contract carrier company brand service number line")
_RANKS = word_set("biggest greatest first second next last worst most latest only other one whole main")


# Of what a noun like this is told, the words before it say: "levothyroxine dose", "gym days".
_MEASURED = {
    "days": "days", "schedule": "days", "length": "length", "dose": "dose", "dosage": "dose", "price": "price",
    "cost": "price", "costs": "price", "thermostat": "temperature", "temperature": "temperature",
    "heating": "temperature",
}  # fmt: skip
# What one keeps somewhere: "my notes are in", "notes app".
_STUFF = word_set("notes photos passwords files tasks recipes backups documents bookmarks contacts")


def _event_of(noun: str, last: str, before: str, subject: str, thing: str) -> Matter | None:
    if noun in EVENTS:
        return _of_event(EVENTS[noun], subject, thing)
    if before in EVENTS and last in ("room", "place", "venue", "location"):
        return replace(_of_event(EVENTS[before], subject, thing), attribute="place")
    if before in EVENTS and last in ("date", "time", "day", "slot"):
        return _of_event(EVENTS[before], subject, thing)
    return _of_event(f"{before} {EVENTS[last]}", subject, thing) if last in EVENTS else None


def _of_event(event: str, subject: str, thing: str) -> Matter:
    kind = event.split()[-1]
    owner = f"the {subject} {event}" if thing else possessive(subject) + f" {event}"
    return Matter(owner, "time", event=kind, named=bool(thing))


def _possessor(phrase: str, speaker: str) -> tuple[str, str]:
    """ "accountant's email": whose, and of what; "" where nobody else's."""
    match = re.match(r"(?P<who>[\w-]+(?: [\w-]+){0,2})['’]s (?P<what>.+)$", phrase)
    if match is None:
        return "", phrase
    who = match["who"]
    if fold(who) in _NEVER or (who[:1].isupper() and words.is_common(who.lower())):
        return "", phrase
    owner = fold(who) if who[:1].isupper() else possessive(fold(speaker)) + f" {fold(who)}"
    return owner, match["what"]


def _thing_in(parts: list[str], *, starts: bool) -> tuple[str, list[str]]:
    """A name within a noun phrase, and the phrase without it: "the Atlas budget"."""
    named: list[str] = []
    noun: list[str] = []
    for place, word in enumerate(parts):
        is_name = word[:1].isupper() and not word.isupper() and fold(word).split("'")[0] not in _VOCABULARY
        if is_name and (place or not starts or not words.is_common(word.lower())):
            named.append(word)
        else:
            noun.append(fold(word))
    return " ".join(named) if noun else "", noun or [fold(word) for word in parts]


def _thing_of(complement: str) -> str:
    match = re.match(r"(?:the )?(?:[Pp]roject )?((?:[A-Z][\w'’.-]*)(?: [A-Z0-9][\w'’.-]*)*)", complement)
    return "" if match is None or fold(match[1]) in _VOCABULARY else re.sub(r"^the ", "", match[0])


def _qualifier(complement: str) -> list[str]:
    """ "for my locker", "of the other team": words that tell one such thing from another."""
    if complement.lower() in ("me", "us", "now", "today", "me now", "sure", "real", "good"):
        return []
    bare = _DETERMINER.sub("", clean(complement, article=True))
    return [word for word in bare.split()[:3] if word not in _MODIFIERS and word not in words.PREPOSITIONS]


_NEVER = word_set(
    """
    i we you he she they it me him them us is are was were be been am that this these those which who what where when
    how why if to not and or but because so than there here do does did have has had will would can could should may
    might must let please thanks yes no ok okay sure hi hello hey think feel know want need like love
    """
)
_VOCABULARY = (
    _NEVER
    | frozenset(word for table in (NOUNS, EVENTS) for noun in table for word in noun.split())
    | word_set("monday tuesday wednesday thursday friday saturday sunday weekly new my our the best favourite favorite")
)

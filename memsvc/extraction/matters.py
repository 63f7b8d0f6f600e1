"""What the nouns of talk are about: "my flat", "our place" and "where I live" are one matter, of which a person has one.

An attribute that a list here names is one that a subject has one of at a time; so is what is possessed or definite and
singular ("my locker code", "the door code of the lab"), whose attribute is written with "the ".
"""

import re
from dataclasses import dataclass, replace

from memsvc.extraction import words
from memsvc.extraction.people import FEMALE, KIN, MALE, PETS, possessive
from memsvc.extraction.values import clean
from memsvc.extraction.words import word_set
from memsvc.text.analysis import fold

# attribute: the nouns that name it
_NOUNS = """
home: home | flat | apartment | house address | home town of choice | home base
address: address | home address | postal address | street address | mailing address
employer: employer | company | firm | workplace
job: job | job title | role | position | title | profession | occupation | day job | career
salary: salary | pay | wage | wages | income | paycheck
phone: phone number | number | mobile | mobile number | cell | cell number | cell phone number | phone | telephone number
  | contact number | telephone
email: email | e-mail | mail | mail address | email address | e-mail address | mail account | email account | gmail
rent: rent | monthly rent
best friend: best friend
relationship status: relationship status | relationship | marital status
diet: diet | eating habits
manager: manager | boss | line manager | supervisor | direct manager | superior
car: car | ride | vehicle
pronouns: pronouns
studies: major | uni | university subject | degree program | field of study | studies | degree | course of study
doctor: doctor | gp | family doctor | general practitioner | physician | primary care doctor
insurance: insurance | health insurance | insurer | health insurer
bank: bank | bank account | account | current account | main bank | checking account | house bank
internet: internet | internet provider | provider | isp | router | broadband | wifi provider | internet contract
work laptop: work laptop | laptop | work machine | machine | work computer | computer | notebook | work notebook
editor: editor | code editor | ide | text editor
plan: subscription | subscription plan | plan | membership plan | pricing plan | tier | tariff
time zone: time zone | timezone | zone
commute: commute | way to work | commuting
coffee: coffee | coffee order | usual coffee | go-to coffee
wake-up time: alarm | alarm clock | wake-up time | wake-up call | wakeup time
bedtime: bedtime | bed time
hotel: hotel | conference hotel | accommodation | lodging
flight: flight | outbound flight | flight number
reading: book | current book | current read
office days: office days | office day | days in the office | in-office days
parking spot: parking spot | parking space | parking | parking place | parking bay | spot in the garage
reply style: reply style | answer style | answers | replies | answer format
running distance: mileage | weekly mileage | running | weekly distance | running distance
budget: budget
status: status | state | project status
database: database | db | datastore | data store
hosting: hosting | host | hosting provider | cloud provider | cloud | hoster
release date: release | release date | launch date | go-live | go-live date | launch | ship date | shipping date
deadline: deadline | due date | submission date | cut-off date
contact: contact | client contact | contact person | point of contact
price: price | cost | costs | fee | charge | list price
license: license | licence
owner: owner | product owner
lead: lead | tech lead | project lead | team lead | project leader | team leader | head
birthday: birthday | date of birth | birth date | birthdate
name: name | full name | first name | real name
nickname: nickname
middle name: middle name
password hint: password hint | hint | login hint
seat: seat | seat number
desk: desk | desk number
size: size
version: version
"""
# Events whose time and place are theirs: "the Apollo call" and "the Apollo meeting" are one.
_EVENTS = """
sync: sync | call | meeting | weekly | check-in | catch-up | catchup | jour fixe | touchpoint
standup: standup | stand-up | daily | daily scrum | scrum
workshop: workshop
retro: retro | retrospective
review: review | sprint review
planning: planning | sprint planning
one-on-one: one-on-one | 1:1 | 1-1
wedding: wedding | wedding date | wedding day | big day
demo: demo
training: training
class: class | lesson | course
appointment: appointment
interview: interview
party: party
rehearsal: rehearsal | choir practice | band practice | practice
exam: exam | test
"""
# What is told of things; "the deadline of the grant" is the grant's, "the code of my locker" is mine.
OF_THINGS = word_set("budget status database hosting deadline license owner lead version port language") | {
    "release date", "team size",
}  # fmt: skip
# What may be one thing on weekdays and another on Sundays.
SCOPED = word_set("commute bedtime coffee shift") | {"wake-up time", "working hours"}
RECURRING = word_set("sync standup retro planning one-on-one class training rehearsal review")


def _table(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for row in re.sub(r"\n +\|", " |", text.strip()).split("\n"):
        attribute, nouns = row.split(":", 1)
        for noun in nouns.split("|"):
            found[noun.strip()] = attribute
    return found


NOUNS = _table(_NOUNS)
EVENTS = _table(_EVENTS)
SINGLE_VALUED = word_set(
    """
    name age birthday home origin job employer spouse partner phone email address time place budget price cost
    salary rent deadline status version amount count car diet
    """
) | {"relationship status"}
# What is told of these does not change: two different values cannot both be so, and the later is not the truer.
LASTING = word_set("birthday height origin") | {"blood type", "middle name", "birth year", "built", "native language"}
# Further attributes, of which a subject has one value at a time.
_STATES = word_set("capacity limit target nationality degree password height opening closing") | {
    "test coverage", "word count", "start date", "zodiac sign", "shoe size", "opening time", "closing time", "salary offer",
    "called", "deliveries", "reply language",
} | SINGLE_VALUED | frozenset(NOUNS.values()) | LASTING | word_set("weight shift gym plan port team") | {
    "working hours", "hourly rate", "team size", "language", "time", "place", "temperature", "heard as", "savings",
    "supported team",
}  # fmt: skip
_MODIFIERS = word_set(
    """
    new current old present usual regular own main actual latest updated exact total preferred official own primary
    present-day brand-new next final revised original best-known go-to daily weekly monthly best
    """
)
_KEPT = {"best friend", "best man", "weekly mileage", "main bank", "daily scrum", "weekly distance", "monthly rent",
         "old town"}  # fmt: skip
_OF = re.compile(r" (of|for|at|in|behind|to|with|on|during|from) ")
_DETERMINER = re.compile(r"^(?:my|our|the|a|an|this|that|your|his|her|their|its) ", re.IGNORECASE)
_FAVORITE = re.compile(r"(?:all-time |absolute )?favou?rite (?:kind of |type of )?(.+)$")
LIKED = {"dish": "food", "meal": "food", "group": "band", "musician": "band", "film": "movie", "colour": "color",
          "writer": "author"}  # fmt: skip
# Persons of whom one has one at a time.
ROLES = word_set(
    """
    dentist vet landlord landlady roommate flatmate coach trainer tutor therapist lawyer accountant hairdresser barber
    babysitter nanny cleaner mentor advisor physio physiotherapist midwife assistant gardener plumber stylist optician
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
    concept topic theme subject error input output function class method file query object variable value data
    list string array model system project app website platform design prototype test version-control current
    setup issue bug feature code-base output-file script program question-mark title description essay paper
    thesis statement paragraph draft section chapter character plot hook line argument equation formula solution
    work job-search mother father wife husband energy stress health sleep routine practice goal-setting schedule
    world country city town neighborhood place area side end start beginning future past childhood weakness ability
    role-model hero inspiration-source specialty expertise contribution responsibility comfort-zone motto
    """
)


@dataclass(frozen=True, slots=True)
class Matter:
    """Of what subject, which attribute. `loose` says that its noun is no word of a list here."""

    subject: str
    attribute: str
    loose: bool = False
    event: str = ""
    named: bool = False
    role: bool = False

    @property
    def is_plural(self) -> bool:
        """Whether its noun may stand for several at once."""
        return self.loose and self.attribute.endswith("s") and not self.attribute.endswith(("ss", "us", "is", " days"))


def is_state(attribute: str) -> bool:
    """Whether a subject has one value of the attribute at a time."""
    return (
        attribute in _STATES
        or attribute.startswith(("the ", "favorite ", "uses for "))
        or attribute.endswith((" time", " place", " dose", " price", " version", " temperature", " days", " a day",
                               " a week", " a month", " a year", " an hour"))
    )  # fmt: skip


def is_lasting(attribute: str) -> bool:
    """Whether it never changes, so that of two values one was wrong from the start."""
    return attribute in LASTING or attribute.endswith(" (past)")


def matter_of(phrase: str, *, owner: str, speaker: str, starts: bool) -> Matter | None:
    """The matter that a noun phrase names: "my locker code" and "the code for my locker" name the same.

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
    if not kept or any(word in _NEVER for word in kept) or len(kept) > 4:
        return None
    if not named and not thing and complement.startswith("the ") and NOUNS.get(" ".join(kept)) in OF_THINGS:
        return Matter(fold(complement), NOUNS[" ".join(kept)])
    if complement and not _thing_of(complement) and (qualifier := _qualifier(complement)):
        kept = [*qualifier, *kept]
    subject = named or (fold(thing) if thing else fold(speaker))
    matter = _named_matter(" ".join(kept), subject, thing)
    if matter is not None and matter.event and not thing and not named and owner == "the":
        return replace(matter, subject=f"the {' '.join(kept)}")
    return matter


def _keeps(noun: list[str], place: int) -> bool:
    return " ".join(noun[place : place + 2]) in _KEPT


def _named_matter(noun: str, subject: str, thing: str) -> Matter | None:
    if favorite := _FAVORITE.match(noun):
        liked = favorite[1].strip()
        return (
            Matter(subject, f"favorite {LIKED.get(liked, liked)}") if liked and liked not in ("one", "thing") else None
        )
    for table in (NOUNS, EVENTS):
        if noun in table:
            attribute = table[noun]
            if table is EVENTS:
                return _of_event(attribute, subject, thing)
            return Matter(subject, attribute)
    parts = noun.split()
    last, before = parts[-1], " ".join(parts[:-1])
    if last in ("room", "place", "venue", "location") and before in EVENTS:
        return replace_event(_of_event(EVENTS[before], subject, thing), "place")
    if last in ("date", "time", "day", "slot") and before in EVENTS:
        return _of_event(EVENTS[before], subject, thing)
    if last == "days" and before:
        return Matter(subject, noun)
    if last in ("dose", "dosage"):
        return Matter(subject, f"{before} dose".strip())
    if last in ("price", "cost", "costs"):
        return Matter(subject, f"{before} price" if before else "price")
    if last in ("thermostat", "temperature", "heating"):
        return Matter(subject, f"{before} temperature".strip())
    if thing and last in NOUNS and len(parts) == 2:
        return Matter(subject, f"{before} {NOUNS[last]}")
    if last in EVENTS:
        return _of_event(f"{before} {EVENTS[last]}", subject, thing)
    if last in ROLES:
        return Matter(subject, f"the {noun}", role=True)
    if last in KIN | PETS | FEMALE | MALE or last in _LOOSE or parts[0] in _LOOSE:
        return None
    if last in words.GERUNDS or words.is_adverb(last) or last in words.PREPOSITIONS or not last[:1].isalpha():
        return None
    return Matter(subject, f"the {noun}", loose=True)


def replace_event(matter: Matter, attribute: str) -> Matter:
    """The same event, another attribute of it."""
    return replace(matter, attribute=attribute)


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
    owner = fold(who) if who[:1].isupper() else possessive(fold(speaker)) + f" {fold(who)}"
    return owner, match["what"]


def _thing_in(parts: list[str], *, starts: bool) -> tuple[str, list[str]]:
    """A name within a noun phrase, and the phrase without it: "the Atlas budget"."""
    named: list[str] = []
    noun: list[str] = []
    for place, word in enumerate(parts):
        is_name = word[:1].isupper() and not word.isupper() and fold(word) not in _VOCABULARY
        if is_name and (place or not starts or not words.is_common(word.lower())):
            named.append(word)
        else:
            noun.append(fold(word))
    return " ".join(named) if noun else "", noun if noun else [fold(word) for word in parts]


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
_VOCABULARY = frozenset(word for table in (NOUNS, EVENTS) for noun in table for word in noun.split()) | word_set(
    "monday tuesday wednesday thursday friday saturday sunday weekly new my our the best favourite favorite"
)

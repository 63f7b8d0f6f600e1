"""How a new fact stands to an old one on the same matter: the same, more precise, another, or not certain. Pure.

Only facts of one subject are compared, and only what a subject can have one of (a home, an employer, the time of a
meeting) can be replaced by another value: who likes jazz may like jogging too. A later statement replaces an earlier
one, whichever of them was stored first; what never changes, and what was said at one moment, stays as a conflict.
Beside its own value a statement may name what is over ("we left Basel", "42 is void", "I sold my car"): that ends too.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Literal

from memsvc.extraction.attributes import LASTING, SCOPED, is_state
from memsvc.extraction.calendars import DAYS, FULL_MONTHS
from memsvc.extraction.typed import CLOCK, MEASURE, hour
from memsvc.extraction.values import number
from memsvc.extraction.wording import Wording
from memsvc.extraction.words import word_set
from memsvc.text.analysis import analyze, fold

# `outdated`: the new one was said before the old one, which holds; `replaced`: the old one holds no more.
Verdict = Literal["same", "refined", "replaced", "outdated", "conflict", "unrelated"]
# Below this the keys of a fact are a guess, and nothing is replaced on a guess.
SURE = 0.7
# An amount said to be rough is more precisely another within this share of it.
ROUGH = 0.1


NO_WORDING = Wording()


@dataclass(frozen=True, slots=True)
class Claim:
    """What a fact claims, by whom and when. `place` is the session and the number of its turn: within one session the
    later turn is the later statement, however coarse its clock.

    `lasts` says that it tells of what goes on; `wording` is of a new fact alone.
    """

    subject: str
    attribute: str
    value: str
    negated: bool
    confidence: float
    said_at: datetime
    session: object
    number: int
    speaker: str | None
    lasts: bool = False
    wording: Wording = NO_WORDING


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict with the reason, which holds no content."""

    verdict: Verdict
    reason: str


UNRELATED = Finding("unrelated", "")


def compare(old: Claim, new: Claim) -> Finding:
    """How `new` stands to `old`. Facts of other subjects are unrelated, and mostly those of other attributes."""
    if is_over(old, new):
        return Finding("replaced", "said to be over") if _outweighs(new, old) and is_later(new, old) else UNRELATED
    if (old.subject, old.attribute) != (new.subject, new.attribute) or not new.attribute:
        return UNRELATED
    if old.value != new.value and _FROM_TO.search(old.value) and _FROM_TO.search(new.value):
        return UNRELATED  # two changes, in which the order of the values is what matters
    before, after = parts_of(old.attribute, old.value), parts_of(new.attribute, new.value)
    relation = relate(before, after, scoped=new.attribute in SCOPED)
    if relation == "same" and (old.negated or new.negated or before == after):
        return _same_value(old, new)
    if old.negated or new.negated or relation == "other" or not _has_one(old, new):
        return UNRELATED
    if new.wording.passing and "date" not in after and (new.attribute in SCOPED or new.attribute == "time"):
        return UNRELATED
    if relation == "refined":
        return Finding("refined", "says the same more precisely")
    if relation == "same":
        return Finding("same", "says less of the same")
    if before.get("words", frozenset()) <= new.wording.terms and before.get("words") and not new.wording.changes:
        return UNRELATED  # "My flat in Berlin is in Wedding" speaks of Berlin still
    return _another_value(old, new)


_FROM_TO = re.compile(r"\bfrom\b.+\bto\b")


def _another_value(old: Claim, new: Claim) -> Finding:
    if not _outweighs(new, old):
        return Finding("conflict", "said by different speakers")
    if new.attribute in LASTING and not new.wording.changes:
        return Finding("conflict", f"a {new.attribute} does not change")
    if is_later(new, old):
        return Finding("replaced", f"a later {new.attribute}")
    if is_later(old, new):
        return Finding("outdated", f"there is a later {new.attribute}")
    if old.session is not None and (old.session, old.number) == (new.session, new.number):
        return UNRELATED  # in one breath
    return Finding("conflict", "it is not known which was said later")


def _same_value(old: Claim, new: Claim) -> Finding:
    if old.negated == new.negated:
        return Finding("same", "says the same")
    if min(old.confidence, new.confidence) < SURE:
        return UNRELATED
    if not _outweighs(new, old):
        return Finding("conflict", "said by one speaker and denied by another")
    if not is_later(new, old):
        return Finding("conflict", "said and denied, it is not known which later")
    return Finding("replaced", "no longer so" if new.negated else "so again")


def _has_one(old: Claim, new: Claim) -> bool:
    """Whether one value leaves no room for the other: by what they are about, or because the words tell of a change."""
    if is_state(new.attribute):
        return min(old.confidence, new.confidence) >= SURE
    if new.attribute.startswith("count of "):
        return new.wording.changes
    if not new.wording.now or max(len(old.value.split()), len(new.value.split())) > _LONGEST:
        return False
    verb, *rest = new.attribute.split(" ", 1)
    if verb == "be":
        return "'s " in new.subject or new.subject.startswith("the ")
    if verb in _SEVERAL:
        return rest == ["as"]  # "I play as striker now"
    before, after = parts_of(old.attribute, old.value), parts_of(new.attribute, new.value)
    return bool(rest) or verb in _OF_ONE or "words" not in before.keys() | after.keys()


# --- What is over -----------------------------------------------------------------------------------------------------


def is_over(old: Claim, new: Claim) -> bool:
    """Whether the words of `new` say that what `old` claims is over, whatever else they say."""
    is_same = old.attribute == new.attribute and parts_of(old.attribute, old.value) == parts_of(
        new.attribute, new.value
    )
    if old.negated or (is_same and not new.negated):
        return False
    if (old.subject, old.attribute) in new.wording.closed and (new.subject, new.attribute) != (
        old.subject,
        old.attribute,
    ):
        return True
    if not (is_state(old.attribute) or (old.lasts and new.wording.outright)) or (
        old.subject != new.subject and old.subject not in new.wording.subjects
    ):
        return False
    return any(names(value, old.value) for value in new.wording.ended)


_HEAD = re.compile(r" (?:for|in|on|at|with|every|as|to|by|from) ")


def names(said: str, value: str) -> bool:
    """Whether words name a value: the same terms, or most of them."""
    one, other = set(analyze(said)), set(analyze(value))
    if not one or not other:
        return False
    if (one <= other and 2 * len(one) >= len(other)) or (other <= one and 2 * len(other) >= len(one)):
        return True
    return one == set(analyze(_HEAD.split(value, maxsplit=1)[0]))


# One may do many of these at a time, also since lately; and what was done once is no state.
_SEVERAL = word_set(
    """
    play read eat listen own use follow support attend teach study sing take uses owns speaks speak know like love enjoy
    have get make do see meet visit buy need want feel think try help plan hope look find go come give start begin keep
    say tell ask show add work works member likes prefers pets children siblings count learn understand agree consider
    """
) - {"work"}
_LONGEST = 5
# Of these one does one at a time, without a preposition: "I wear lenses now".
_OF_ONE = word_set("order drive wear take ride drink date rent")


# --- Who, and when ----------------------------------------------------------------------------------------------------


def _outweighs(new: Claim, old: Claim) -> bool:
    """Whether the new speaker may say it: the same one, the one it is about, or anybody if it is neither's own."""
    if old.speaker == new.speaker or _is_own(new.subject, new.speaker):
        return True
    return not _is_own(old.subject, old.speaker)


def _is_own(subject: str, speaker: str | None) -> bool:
    if not speaker:
        return False
    return any(subject == name or subject.startswith(f"{name}'s ") for name in (fold(speaker), f"the {fold(speaker)}"))


def is_later(one: Claim, other: Claim) -> bool:
    """Whether `one` was said after `other`, as far as is known."""
    if one.said_at != other.said_at:
        return one.said_at > other.said_at
    return one.session is not None and one.session == other.session and one.number > other.number


# --- Values -----------------------------------------------------------------------------------------------------------

_DAY = {day: day[:3] for day in DAYS if len(day) > 5} | {f"{day}s": day[:3] for day in DAYS if len(day) > 5}
_DAY |= {"weekend": "weekend", "weekends": "weekend"}
_CLOCK = re.compile(rf"(?<![\w.:/-]){CLOCK}", re.IGNORECASE)
_DATE = re.compile(
    rf"\b(\d{{1,2}})(?:st|nd|rd|th)?(?: of)? ({'|'.join(FULL_MONTHS)})(?: (\d{{4}}))?\b"
    rf"|\b({'|'.join(FULL_MONTHS)}) (\d{{1,2}})(?:st|nd|rd|th)?\b(?:,? (\d{{4}}))?",
)
_SEASONS = {"spring": (3, 6), "summer": (6, 9), "autumn": (9, 12), "fall": (9, 12), "winter": (12, 15)}
_SEASONS |= {month: (number, number + 1) for number, month in enumerate(FULL_MONTHS, start=1)}
_AMOUNT = re.compile(rf"(about |around |roughly )?{MEASURE}$", re.IGNORECASE)
_BARE_HOUR = re.compile(r"^\d{1,2}$")
_NUMBER_WORDS = "one two three four five six seven eight nine ten eleven twelve"
_CLOCKED = word_set("time") | {"wake-up time", "bedtime"}

_NUMBERS = {word: number for number, word in enumerate(_NUMBER_WORDS.split(), start=1)}
_COUNTED = re.compile(rf"\b(?:{'|'.join(_NUMBERS)})\b")

Parts = Mapping[str, frozenset[str]]
Relation = Literal["same", "refined", "differs", "other"]


@lru_cache(maxsize=4096)
def parts_of(attribute: str, value: str) -> Parts:
    """A value by what it tells: of the clock, the day of the week, the date, an amount with its unit, other words."""
    value = re.sub(r"\bv(?=\d)", "", value)
    value = _COUNTED.sub(lambda match: str(_NUMBERS[match.group()]), value)
    if attribute == "phone":
        return {"words": frozenset({re.sub(r"\D", "", value)})}
    if amount := _AMOUNT.match(value):
        unit = frozenset(analyze(value[amount.end(2) :]))
        found = {"amount": frozenset({number(amount[2])}), "unit": unit}
        if attribute in _CLOCKED and _BARE_HOUR.match(value):
            return {"clock": frozenset({f"{int(value)}:00"})}
        return found | ({"rough": frozenset({"rough"})} if amount[1] else {})
    parts: dict[str, frozenset[str]] = {}
    if clocks := {hour(match.group()) for match in _CLOCK.finditer(value)}:
        parts["clock"] = frozenset(clocks)
        value = _CLOCK.sub(" ", value)
    if date := _DATE.search(value):
        day, month, year = date[1] or date[5], date[2] or date[4], date[3] or date[6]
        parts["date"] = frozenset({f"{day} {month}"})
        parts |= {"year": frozenset({year})} if year else {}
        value = value[: date.start()] + value[date.end() :]
    if days := {_DAY[word] for word in re.findall(r"[a-z]+", value) if word in _DAY}:
        parts["days"] = frozenset(days)
        value = " ".join(word for word in re.findall(r"[\w'.@-]+", value) if word not in _DAY)
    if (season := re.match(r"(?:(?:early|mid|late)[ -])?(\w+)(?: \d{4})?$", value)) and season[1] in _SEASONS:
        return parts | {"season": frozenset({season[1]})}
    if terms := frozenset(analyze(value) or value.split()):
        parts["words"] = terms
    return parts


def relate(before: Parts, after: Parts, *, scoped: bool = False) -> Relation:
    """How a later value stands to an earlier one: "other" when they tell of different things, a day and a place.

    `scoped`: a day says when it is so, and no part of what is told: up at 7 on Mondays, at 9 on Sundays.
    """
    if "season" in before and "date" in after:
        return "refined" if _falls_in(before["season"], after["date"]) else "differs"
    if before.get("unit", after.get("unit")) != after.get("unit") and before.get("unit") and after.get("unit"):
        return "other"
    shared = (before.keys() & after.keys()) - {"unit", "rough"}
    if not shared or ("clock" in shared and before.get("days") != after.get("days") and scoped):
        return "other"
    differing = [part for part in shared if before[part] != after[part]]
    if not differing:
        return (
            "refined"
            if len(after.keys() - {"unit"}) > len(before.keys() - {"unit"}) and "rough" not in after
            else "same"
        )
    if differing == ["amount"] and ("rough" in before or "rough" in after):
        return _of_rough(before, after)
    if differing == ["words"]:
        if before["words"] < after["words"]:
            return "refined"
        if after["words"] < before["words"]:
            return "same"
    return "differs"


def _falls_in(season: frozenset[str], date: frozenset[str]) -> bool:
    first, end = _SEASONS[next(iter(season))]
    month = FULL_MONTHS.index(next(iter(date)).split()[1]) + 1
    return first <= month < end or first <= month + 12 < end


def _of_rough(before: Parts, after: Parts) -> Relation:
    one, other = (float(next(iter(parts["amount"])) or 0) for parts in (before, after))
    if abs(one - other) > ROUGH * max(one, other):
        return "differs"
    return "refined" if "rough" in before and "rough" not in after else "same"

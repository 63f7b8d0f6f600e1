"""How well a memory is kept, and what losing it would cost. Pure.

R(t) = exp(-t / S): Ebbinghaus' curve, which SAGE takes for the memories of an agent. S, the stability in days, starts
from the memory's kind and importance and grows with each use, most when the memory was nearly lost. The growth is that
of FSRS (Ye, 2022), with the ease of SM-2 (Wozniak, 1990) at the threshold. `store.curve` holds the constants and does
the same in SQL; docs/forgetting.md explains both.
"""

import math
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from memsvc.store.curve import FORGETTING
from memsvc.text.analysis import STOP_WORDS
from memsvc.text.chunking import sentences

SECONDS_A_DAY = 86_400
# exp() of less is 0 in a float, and an error in Postgres.
LARGEST_EXPONENT = 700.0
# Past this the calendar ends.
FAR_DAYS = 365_000.0

# The parts of `expected_value`. What is old is asked for too: without a floor, age alone would decide.
NEED_FLOOR = 0.3
# A derived memory says in a line what took many, and is true for longer.
KIND_VALUES = {
    "turn": 1.0,
    "document": 1.0,
    "summary": 1.2,
    "fact": 1.5,
    "preference": 2.0,
    "procedure": 2.0,
    "concept": 2.0,
    "core": 2.0,
}
# What a model said it can mostly say again; what it was told it cannot.
ASSISTANT_VALUE = 0.7
# That a fact could be drawn from it shows that it has something to tell: 38 % of LoCoMo's turns gave facts, and they
# hold 83 % of its evidence. The fact alone is found less often than the turn, for it stands outside of its session.
TOLD_VALUE = 2.0
# What says the same is in recall: its successor, a summary, or the turn that a fact is a key of.
STOOD_FOR_VALUE = 0.5
# Chosen among .3 to .9 on LoCoMo, BEAM, LongMemEval-derived (which it hardly moves) and a simulated year.
UNIQUE_SHARE = 0.8
# Distinct terms after which a text is 63 % of what one text can be.
FULL_TERMS = 12.0
# A name or a number is worth so many other terms: it is what questions ask for.
SPECIFIC_TERMS = 2
ASKED_SHARE = 0.3

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*|\d[\d.,:/-]*")
_FIRST_PERSON = re.compile(r"\b(?:i|me|my|mine|myself|we|us|our|ours)\b", re.IGNORECASE)
_ENDING = " \t\r\n\"'”’)]*_"


def elapsed_days(since: datetime, now: datetime) -> float:
    """Days from one moment to another; 0 when it is still to come."""
    return max(0.0, (now - since).total_seconds() / SECONDS_A_DAY)


def stability(kind: str, importance: float, strength: float) -> float:
    """S in days, of a memory of that kind, `importance` in 0 to 1, `strength` as in `memories.strength`."""
    held = min(FORGETTING.most_strength, max(FORGETTING.least_strength, strength))
    return FORGETTING.base_days[kind] * math.pow(FORGETTING.importance_doublings, 2 * importance - 1) * held


def retention(days: float, stability_days: float) -> float:
    """R in (0, 1] after so many days."""
    return math.exp(-min(LARGEST_EXPONENT, max(0.0, days) / stability_days))


def days_until(level: float, stability_days: float) -> float:
    """Days after which R falls to `level`, which is in (0, 1]."""
    return -math.log(level) * stability_days


def falls_to(level: float, since: datetime, stability_days: float) -> datetime:
    """When R falls to `level`; at the latest at the end of the calendar."""
    return since + timedelta(days=min(days_until(level, stability_days), FAR_DAYS))


def strengthened(strength: float, retained: float, cause: str) -> float:
    """The strength after a reinforcement of that cause, when R was `retained`."""
    held = min(FORGETTING.most_strength, max(FORGETTING.least_strength, strength))
    if cause in FORGETTING.factors:
        moved = held * FORGETTING.factors[cause]
    else:
        spaced = math.exp(FORGETTING.spacing * (1 - retained)) - 1
        moved = held * (1 + FORGETTING.gains[cause] * held**-FORGETTING.saturation * spaced)
    return min(FORGETTING.most_strength, max(FORGETTING.least_strength, moved))


@dataclass(frozen=True, slots=True)
class Worth:
    """What the expected value of a memory is estimated from.

    `retained` is R; `useful` counts the verdicts that it was used or helpful; `told`: a fact was drawn from it;
    `stood_for`: something in recall says the same. `unique` and `informative` are in 0 to 1.
    """

    retained: float
    importance: float
    kind: str
    role: str | None
    useful: int
    told: bool
    stood_for: bool
    unique: float
    informative: float


def expected_value(worth: Worth) -> float:
    """How likely a memory is to be needed, times what it would tell: the lowest go first.

    need = 1 - (1 - floor) (1 - R) / (1 + useful); what it tells = informative * (1/2 + importance) * kind * author *
    (1 - share + share * unique) * (2 when it told a fact) * (1/2 when something stands for it). At least 0.
    """
    need = 1 - (1 - NEED_FLOOR) * (1 - worth.retained) / (1 + max(0, worth.useful))
    tells = worth.informative * (0.5 + worth.importance) * KIND_VALUES[worth.kind]
    tells *= 1 - UNIQUE_SHARE + UNIQUE_SHARE * worth.unique
    if worth.kind == "turn" and worth.role not in {None, "user"}:
        tells *= ASSISTANT_VALUE
    tells *= TOLD_VALUE if worth.told else 1.0
    return need * tells * (STOOD_FOR_VALUE if worth.stood_for else 1.0)


def informativeness(text: str, terms: Collection[str]) -> float:
    """How much a text with these index terms can tell later, in 0 to 1: greetings and reactions are near 0.

    (1 - exp(-n / 12)) (1 + own) / 2 (1 - .3 asked): n counts the distinct terms, a name or number three times; `own` is
    the share of sentences in the first person, which tell about the speaker; `asked` that of questions.
    """
    said = sentences(text)
    if not said:
        return 0.0
    names, numbers, own, asked = set[str](), set[str](), 0, 0
    for sentence in said:
        own += _FIRST_PERSON.search(sentence) is not None
        asked += sentence.rstrip(_ENDING).endswith(("?", "？"))
        for place, word in enumerate(_WORD.findall(sentence)):
            if word[0].isdigit():
                numbers.add(word)
            elif place and word[0].isupper() and word.lower() not in STOP_WORDS:
                names.add(word)
    amount = len(set(terms)) + SPECIFIC_TERMS * (len(names) + len(numbers))
    share = own / len(said)
    return (1 - math.exp(-amount / FULL_TERMS)) * (1 + share) / 2 * (1 - ASKED_SHARE * asked / len(said))


def uniqueness(frequencies: Collection[int], texts: int) -> float:
    """How rare a text's terms are in its space, in 0 to 1: the mean of ln(texts / frequency) / ln(texts).

    `frequencies` are those of its distinct terms, in `texts` chunks. What is said again and again is near 0.
    """
    if not frequencies or texts < 2:
        return 1.0 if frequencies else 0.0
    rarity = sum(math.log(texts / min(texts, max(1, count))) for count in frequencies)
    return rarity / (len(frequencies) * math.log(texts))

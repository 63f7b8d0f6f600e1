"""A simulated year: what an agent of a busy household and office is told and writes down, and what it is asked later.

A small world of people, projects and things drifts through the year. What is worth keeping (`year_facts.toml`) makes
up about a twentieth of the turns; the rest (`year_talk.toml`) is chatter, status reports, output of tools and short
answers. At scale 1 these are 73,000 turns in 1,000 sessions, 200 a day.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Literal

from evals.year_chatter import Filler

Role = Literal["user", "assistant", "tool"]
ProbeKind = Literal["old", "new", "updated", "event"]

TURNS, SESSIONS, DAYS = 73_000, 1_000, 365
LAST_DAY = datetime(2025, 1, 1, tzinfo=UTC)
PROBES = 240
_LEAST_SUBJECTS, _LEAST_EVENTS = 240, 80
_OLD_DAYS, _NEW_DAYS = 150, 220
_FREQUENT = 1 / 3


@dataclass(frozen=True, slots=True)
class YearTurn:
    """One message; `id` is its place in the year."""

    id: str
    session: str
    role: Role
    name: str | None
    content: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Probe:
    """A question at the end of the year. Any one turn of `gold` answers it as things then stand.

    `frequent`: it is asked again and again during the year too.
    """

    id: str
    kind: ProbeKind
    question: str
    gold: tuple[str, ...]
    frequent: bool


@dataclass(frozen=True, slots=True)
class Year:
    """Turns in the order of time up to `last_day`, and the questions that are asked then."""

    turns: tuple[YearTurn, ...]
    probes: tuple[Probe, ...]
    last_day: datetime


@dataclass(frozen=True, slots=True)
class Topic:
    """One thing that can be told of one subject; no `change`: it is told once and for all."""

    subject: str
    own: bool
    first: tuple[str, ...]
    change: tuple[str, ...]
    values: tuple[str, ...]
    ask: str


@dataclass(frozen=True, slots=True)
class Told:
    """A sentence worth keeping, on a day of the year (0 to 365). `topic` and `value` say what it tells."""

    day: float
    topic: int
    value: str
    own: bool
    text: str


def simulate(seed: int = 0, scale: float = 1.0, last_day: datetime = LAST_DAY) -> Year:
    """The year before `last_day` at a scale of 73,000 turns, however few spread over all of it.

    The same seed and last day give the same year; another day moves its dates.
    """
    random = Random(f"year:{seed}")  # noqa: S311 - a made-up world
    first_day = last_day - timedelta(days=DAYS)
    steady, once = _topics(random)
    random.shuffle(steady)
    random.shuffle(once)
    topics = steady[: max(_LEAST_SUBJECTS, round(len(steady) * scale))]
    events = once[: max(_LEAST_EVENTS, round(len(once) * scale))]
    told = [item for number, topic in enumerate(topics) for item in _life(random, number, topic)]
    for number, topic in enumerate(events, start=len(topics)):
        day = random.uniform(0, DAYS - 1)
        told.append(_told(random, day, number, topic, value=topic.values[0], date=_date(first_day, day)))
    told.sort(key=lambda item: (item.day, item.topic))
    turns, places = _fill_sessions(random, told, scale, first_day)
    return Year(turns, _probes(random, topics, events, told, places), last_day)


def _topics(random: Random) -> tuple[list[Topic], list[Topic]]:
    """All that lasts, and all that happens once."""
    raw = _facts()
    names: Mapping[str, Sequence[str]] = {**raw["names"], "me": ["me"]}
    steady = [
        Topic(subject, of == "me", tuple(told["first"]), tuple(told["change"]), tuple(told["values"]), told["ask"])
        for of in ("person", "project", "me", "thing")
        for told in raw[of].values()
        for subject in names[of]
    ]
    once = [
        Topic(subject, True, tuple(told["says"]), (), (random.choice(told["values"]),), told["ask"])
        for told in raw["event"]
        for subject in names[told["of"]]
    ]
    return steady, once


def _life(random: Random, number: int, topic: Topic) -> list[Told]:
    """First told on some day, then changed up to three times, and at times told again."""
    day = random.uniform(0, DAYS * 0.9)
    value = random.choice(topic.values)
    told = [_told(random, day, number, topic, value=value)]
    for _ in range(random.choice((0, 0, 1, 1, 2, 3)) if topic.change else 0):
        if day >= DAYS - 10:
            break
        day = random.uniform(day + 3, DAYS - 1)
        old, value = value, random.choice([other for other in topic.values if other != value])
        told.append(_told(random, day, number, topic, value=value, old=old))
    if random.random() < 0.35 and day < DAYS - 12:
        told.append(_told(random, random.uniform(day + 2, DAYS - 1), number, topic, value=value))
    return told


def _told(random: Random, day: float, number: int, topic: Topic, *, value: str, old: str = "", date: str = "") -> Told:
    """Said for the first time or again, or as a change from `old`."""
    wording = random.choice(topic.change if old else topic.first)
    return Told(day, number, value, topic.own, wording.format(s=topic.subject, v=value, o=old, day=date))


def _fill_sessions(
    random: Random, told: Sequence[Told], scale: float, first_day: datetime
) -> tuple[tuple[YearTurn, ...], dict[int, list[str]]]:
    """All turns, and the turns that tell each of `told`, by its place in that list."""
    filler = Filler(random, _facts()["names"]["person"], _facts()["names"]["project"])
    total, sessions = max(len(told) * 2, round(TURNS * scale)), max(10, round(SESSIONS * scale))
    # Each in a slot of its own, so that no two sessions are held at a time.
    slot = (DAYS - 1) / sessions
    starts = [slot * (number + random.uniform(0, 0.7)) for number in range(sessions)]
    starts[0] = 0.0
    by_session: list[list[int]] = [[] for _ in starts]
    session = 0
    for place, item in enumerate(told):
        while session + 1 < len(starts) and starts[session + 1] <= item.day:
            session += 1
        by_session[session].append(place)
    turns: list[YearTurn] = []
    places: dict[int, list[str]] = {}
    spare = total - len(told)
    for number, (start, wanted) in enumerate(zip(starts, by_session, strict=True)):
        share = spare * (number + 1) // sessions - spare * number // sessions
        lines: list[int | None] = [*wanted, *([None] * share)]
        random.shuffle(lines)
        # What happened first is told first, also within a session.
        ordered = iter(sorted(wanted))
        at = first_day + timedelta(days=start)
        for line in lines:
            name = f"y{len(turns) + 1}"
            if line is None:
                role, speaker, text = filler.line()
            else:
                place = next(ordered)
                role, speaker, text = _speak(random, filler, told[place])
                places.setdefault(place, []).append(name)
            turns.append(YearTurn(name, f"session-{number + 1}", role, speaker, text, at))
            at += timedelta(seconds=random.randint(10, 90))
    return tuple(turns), places


def _speak(random: Random, filler: Filler, item: Told) -> tuple[Role, str | None, str]:
    """Mostly the user says it, sometimes somebody else or the agent itself."""
    text = item.text
    if random.random() < 0.3:
        text = f"{random.choice(_LEADS)} {text}"
    if random.random() < 0.15:
        text = f"{text} {filler.chat()}"
    chance = random.random()
    if item.own or chance < 0.7:
        return "user", None, text
    if chance < 0.9:
        return "user", filler.person(), text
    return "assistant", None, text


def _probes(
    random: Random,
    topics: Sequence[Topic],
    events: Sequence[Topic],
    told: Sequence[Told],
    places: Mapping[int, Sequence[str]],
) -> tuple[Probe, ...]:
    """Questions over what mattered, drawn evenly from what is old, new, changed and happened once."""
    by_topic: dict[int, list[int]] = {}
    for place, item in enumerate(told):
        by_topic.setdefault(item.topic, []).append(place)
    found: dict[ProbeKind, list[Probe]] = {"old": [], "new": [], "updated": [], "event": []}
    for number, topic in enumerate([*topics, *events]):
        mine = by_topic[number]
        current = told[mine[-1]].value
        since = max((place for place in mine if told[place].value != current), default=-1)
        gold = tuple(name for place in mine if place > since for name in places[place])
        changed = len({told[place].value for place in mine}) > 1
        first = told[mine[0]].day
        kind: ProbeKind | None = "event" if number >= len(topics) else "updated" if changed else None
        if kind is None and told[mine[-1]].day < _OLD_DAYS:
            kind = "old"
        elif kind is None and first > _NEW_DAYS:
            kind = "new"
        if kind is not None:
            frequent = random.random() < _FREQUENT
            found[kind].append(Probe(f"p{number}", kind, topic.ask.format(s=topic.subject), gold, frequent))
    chosen: list[Probe] = []
    for kind, probes in found.items():
        share = PROBES // 3 if kind == "updated" else PROBES * 2 // 9
        chosen += random.sample(probes, min(share, len(probes)))
    return tuple(chosen)


def _date(first_day: datetime, day: float) -> str:
    moment = first_day + timedelta(days=day)
    return f"{moment.day} {moment:%B}"


_LEADS = (
    "By the way:",
    "One more thing.",
    "For your notes:",
    "Before I forget.",
    "Quick heads-up.",
    "I meant to tell you.",
)


@cache
def _facts() -> dict[str, Any]:
    with (Path(__file__).parent / "year_facts.toml").open("rb") as file:
        return tomllib.load(file)

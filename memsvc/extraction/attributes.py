"""What attributes there are of which a subject has one value at a time, and the nouns that name them."""

from importlib.resources import files

from memsvc.extraction.words import word_set

SINGLE_VALUED = word_set(
    """
    name age birthday home origin job employer spouse partner phone email address time place budget price cost
    salary rent deadline status version amount count car diet
    """
) | {"relationship status"}
# What is told of these does not change: of two values one was wrong from the start, and the later is not the truer.
LASTING = word_set("birthday height origin") | {"blood type", "middle name", "native language"}
# What may be one thing on weekdays and another on Sundays.
SCOPED = word_set("commute bedtime coffee shift") | {"wake-up time", "working hours"}
# What is told of things: "the deadline of the grant" is the grant's, "the code of my locker" is mine.
OF_THINGS = word_set("budget status database hosting deadline license owner lead version port language") | {
    "release date",
    "team size",
}
# Events of every week.
RECURRING = word_set("sync standup retro planning one-on-one class training rehearsal review")
_OTHERS = word_set(
    """
    weight shift team room port language savings target nationality degree called deliveries extension
    """
) | {
    "working hours", "hourly rate", "team size", "supported team", "built with", "reply language", "zodiac sign",
    "salary offer", "home office days",
}  # fmt: skip
_BEGINNINGS = ("the ", "favorite ", "uses for ", "time to ", "amount to ")
_ENDINGS = (
    " time",
    " place",
    " dose",
    " price",
    " version",
    " length",
    " temperature",
    " days",
    " size",
    " end",
    " kept in",
    " shown in",
)


def _read() -> dict[str, dict[str, str]]:
    sections: dict[str, dict[str, str]] = {}
    section: dict[str, str] = {}
    for line in files("memsvc.extraction").joinpath("nouns.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = sections.setdefault(line.strip("[]"), {})
        elif line and not line.startswith("#"):
            attribute, nouns = line.split(": ", 1)
            section |= dict.fromkeys(nouns.split(", "), attribute)
    return sections


_sections = _read()
# The attribute that a noun names, and the event.
NOUNS, EVENTS = _sections["nouns"], _sections["events"]
_STATES = SINGLE_VALUED | LASTING | _OTHERS | frozenset(NOUNS.values())


def is_state(attribute: str) -> bool:
    """Whether a subject has one value of the attribute at a time.

    Those of a noun that no list has are written with "the ": of "my locker code" there is one.
    """
    return attribute in _STATES or attribute.startswith(_BEGINNINGS) or attribute.endswith(_ENDINGS)

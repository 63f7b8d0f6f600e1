"""The forms of `forms.txt` as patterns."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal, get_args

from memsvc.extraction.patterns import one_of
from memsvc.extraction.typed import CASED, TYPES

# Of what a form tells: the speaker, an event, a thing that has a name, what a noun names (as a sentence, or as a label
# without a verb), or what it does not say itself.
About = Literal["own", "event", "thing", "noun", "label", "change"]
CONFIDENCE: dict[str, float] = {"label": 0.75, "change": 0.75}

# Where a value of no kind ends.
_ENDS = one_of(
    """
    now, these days, nowadays, instead, rather than, from now on, any ?more, any longer, no longer, at the moment,
    currently, right now, again, since, because, so, as of, with the, until, though, but, while, if, when, which,
    who, where, for now, too, as well, up from, down from, and (?:i|we|my|our|it|that|they|he|she|not|so), not,
    today, this (?:week|month|year), last (?:week|month|year|weekend), yesterday, please, starting, effective,
    before, after, already, btw, by the way, for good, this time, right, actually, in the end, to the cent, otherwise
    """
)
END = (
    r"(?=\s*(?:$|[;!?…]|,(?!\d)|\.(?=\s|$|[\"'”])|:(?=\s)|\s[-–—]+\s|\((?!\w+\)\w))"
    rf"|\s{_ENDS}(?!\w))"
)
_ADVERB = one_of(
    """
    now, just, finally, currently, still, also, recently, always, usually, only, actually, really, officially, already,
    mostly, normally, typically, permanently, definitely, generally, lately, happily, newly, nowadays, these days
    """
)
_CHANGED = """
    changed, moved, raised, lowered, increased, dropped, cut, set, postponed, pushed, rescheduled, switched,
    shifted, delayed, reduced, bumped, upped, upgraded, downgraded, decreased, updated, extended, shortened,
    renamed, transferred, adjusted, brought
"""
_WENT = "went, gone, drops, rose, risen, fell, fallen, slipped, doubled, grew, grown, climbed, jumped"
_PUT = "put, had to move, had to change, had to push, turned, reset, keep, have kept, moving, changing, switching"
_HAS = one_of("has, have, had, is, was, were, are, got, just, now, recently, finally, officially, being")
_MACROS = {
    "I": rf"(?:i|we)(?:['’](?:m|ve|re|ll)| am| are| have| had to| do)?(?: been)?(?: {_ADVERB})*",
    "T": r"(?P<t>(?-i:it|(?:[Tt]he )?(?:[A-Z][\w-]*)(?: [A-Z0-9][\w.-]*){0,3}))",
    "N": r"(?P<n>[^\W\d_][\w'’&/.-]*(?: [\w'’&/-]+(?:\.\w+)?){0,6}?)",
    "OWN": r"(?P<o>my|our|the)",
    "FROM": r"(?:from [^,;]{1,50}? )?",
    "BE": r"(?:is|are|'s|was|has been)(?: (?:now|currently|still|officially|set|planned|scheduled))*",
    "PER": r"(?:a|an|per|each|every)",
    "HERE": r"(?= now|,|\.|!|;|$| these| at the moment| since| instead)",
    "END": END,
    "CHANGED": rf"(?:{_HAS} )*{one_of(f'{_CHANGED}, {_WENT}')}(?: up| down| back| over| forward| out)*",
    "CHANGE": rf"{one_of(f'{_CHANGED}, {_PUT}')}(?: up| down| forward)?",
}
_VALUE = re.compile(r"(?<!\?P)<([a-z_|]+)>")


@dataclass(frozen=True, slots=True)
class Frame:
    """One form. `first`: it begins with "I" or "we", and `pattern` is what follows that and its auxiliaries.

    The attribute may hold "{x}", which the group x of the pattern fills.
    """

    pattern: re.Pattern[str]
    attribute: str
    about: About
    confidence: float
    first: bool


FIRST = re.compile(_MACROS["I"] + r"(?=\s)", re.IGNORECASE)
FIRST_WORD = re.compile(r"(?:i|we)(?=\s)", re.IGNORECASE)


def _expand(form: str) -> str:
    for name, pattern in _MACROS.items():
        form = form.replace("{" + name + "}", pattern)
    return _VALUE.sub(lambda match: _value(match[1].split("|")), form)


def _value(kinds: Sequence[str]) -> str:
    parts = []
    for kind in kinds:
        if kind == "phrase":
            parts.append(rf"(?P<v_phrase>[^;!?\n]{{1,80}}?){END}")
        else:
            inner = f"(?-i:{TYPES[kind]})" if kind in CASED else f"(?:{TYPES[kind]})"
            parts.append(rf"(?P<v_{kind}>{inner})(?!\w)")
    return "(?:" + "|".join(parts) + ")"


def _read() -> Iterator[Frame]:
    about: About = "own"
    sections = {name: name for name in get_args(About)}
    for line in files("memsvc.extraction").joinpath("forms.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            about = sections[line.strip("[]")]
        elif line and not line.startswith("#"):
            attribute, form = line.split(" | ", 1)
            first = form.startswith("{I} ")
            pattern = re.compile(_expand(r"\s" + form.removeprefix("{I} ") if first else form), re.IGNORECASE)
            yield Frame(pattern, attribute.strip("-"), about, CONFIDENCE.get(about, 0.85), first)


FRAMES = tuple(_read())

"""Concepts: what worked, or did not, in which situation; learned from episodes whose outcome is known.

After ArcMemo (2025): a concept is a situation with a suggestion, cues by which the situation is recognised, parameters
and where it was used; two of the same situation are merged, first come first kept, and what repeats is dropped. What
differs between two episodes that did the same (numbers, names, quoted text) becomes a parameter. Pure, by rules.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from memsvc.extraction import words
from memsvc.extraction.model import Said
from memsvc.extraction.sentences import sentences
from memsvc.extraction.summaries import telling
from memsvc.text.analysis import STOP_WORDS, analyze, surface_forms

Outcome = Literal["success", "failure"]

# Two situations are one when they share this much of the shorter one's terms, and two terms at least; or when an
# encoder finds them this near.
SAME_TERMS, LEAST_SHARED, SAME_MEANING = 0.6, 2, 0.75
# Two steps are one when they share this much of the longer one's terms.
SAME_STEP = 0.8
# How often a concept has to have proved itself before it is told in full (ArcMemo hides details until the second use).
PROVED = 2
MOST_STEPS, MOST_CUES, MOST_EXAMPLES = 8, 8, 4
LONGEST = 300

_SLOT = r"\{(?P<slot>number|name|text|path)_\d+\}"
_VALUE = re.compile(
    rf"""{_SLOT}
    | (?P<text>`[^`\n]+`|"[^"\n]+"|“[^”\n]+”|(?<!\w)'[^'\n]{{2,}}'(?!\w))
    | (?P<path>https?://\S+|(?<!\w)(?:~|\.{{1,2}})?/[\w./-]+|\b[\w-]+\.(?:py|js|ts|go|rs|toml|yaml|yml|json|md|txt|sql|sh|csv)\b)
    | (?P<number>(?<![\w.])[$€£]?\d+(?:[.,:/-]\d+)*(?:\s?(?:%|ms|s|min|h|GB|MB|kB|km|kg|m)\b)?)
    | (?P<name>(?<=[a-z,;:)]\s)[A-Z][\w’-]*(?:\s[A-Z][\w’-]*)*)""",
    re.VERBOSE,
)
_LISTED = re.compile(r"(?:^|\n)[ \t]*(?:\d{1,2}[.)]|[-*•])[ \t]+(?:\*\*)?$")
_ORDER = re.compile(r"(?:first|then|next|after that|finally|now|please|step \d+|and|also)[,:]?\s+", re.IGNORECASE)
_DONE = re.compile(r"(?:i|we)(?:['’]ve| have)?\s+(?:just |then |also |first )?(?P<verb>[a-z]+)\b", re.IGNORECASE)
_REQUEST = re.compile(
    r"(?:please|can|could|would|how|what|why|where|which|help|i need|i want|i['’]d like|we need|my \w+|the \w+)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was done, and in how many episodes."""

    text: str
    seen: int = 1


@dataclass(frozen=True, slots=True)
class Parameter:
    """What differed between episodes that did the same; `name` stands in braces in the texts."""

    name: str
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Concept:
    """A situation and what to do in it; with `caution`, what not to do."""

    situation: str
    steps: tuple[Step, ...]
    cues: tuple[str, ...]
    caution: bool
    used_in: tuple[str, ...]
    parameters: tuple[Parameter, ...] = ()
    successes: int = 0
    failures: int = 0

    @property
    def is_proved(self) -> bool:
        """Whether it has held twice: a suggestion has worked, or what a caution warns of has failed."""
        return (self.failures if self.caution else self.successes) >= PROVED


def learn(name: str, outcome: Outcome, turns: Sequence[Said]) -> Concept | None:
    """The concept of one episode from its turns in order; None when it does not say what was asked, or done."""
    situation = _situation(turns)
    steps = tuple(Step(text) for text in _steps(turns))
    if situation is None or not steps:
        return None
    return Concept(
        situation=situation,
        steps=steps,
        cues=_cues(situation),
        caution=outcome == "failure",
        used_in=(name,),
        successes=int(outcome == "success"),
        failures=int(outcome == "failure"),
    )


def alike(one: Concept, other: Concept, similarity: float | None = None) -> bool:
    """Whether two concepts are of one situation and of one kind; `similarity` is that of their situations' vectors."""
    if one.caution != other.caution:
        return False
    if similarity is not None and similarity >= SAME_MEANING:
        return True
    first, second = _terms(one.situation), _terms(other.situation)
    shared = len(first & second)
    return shared >= LEAST_SHARED and shared >= SAME_TERMS * min(len(first), len(second))


def merge(known: Concept, new: Concept) -> Concept:
    """Both as one. Of the situation the known words stay, steps that repeat count once more, new ones are added."""
    slots = _Slots(known.parameters)
    situation = slots.unify(known.situation, new.situation) or known.situation
    steps = list(known.steps)
    met: set[int] = set()
    for step in new.steps:
        place, text = _same_step(steps, step, slots)
        if place is None:
            steps += [step] if len(steps) < MOST_STEPS else []
        else:
            # What one episode does twice it does in one episode.
            steps[place] = Step(text, steps[place].seen + (0 if place in met else step.seen))
            met.add(place)
    return replace(
        known,
        situation=situation,
        steps=tuple(steps),
        cues=tuple(dict.fromkeys([*known.cues, *new.cues]))[:MOST_CUES],
        used_in=tuple(dict.fromkeys([*known.used_in, *new.used_in])),
        parameters=slots.parameters,
        successes=known.successes + new.successes,
        failures=known.failures + new.failures,
    )


def count(known: Concept, name: str, outcome: Outcome) -> Concept:
    """The concept after it was itself used in an episode with that outcome."""
    if name in known.used_in:
        return known
    return replace(
        known,
        used_in=(*known.used_in, name),
        successes=known.successes + (outcome == "success"),
        failures=known.failures + (outcome == "failure"),
    )


def render(concept: Concept) -> str:
    """The concept in words; until it has proved itself, its first step alone."""
    if concept.caution:
        texts = [step.text.rstrip(".") for step in concept.steps[: None if concept.is_proved else 1]]
        return f"In the situation “{concept.situation}”, this did not work: {'; '.join(texts)}."
    if not concept.is_proved:
        return f"In the situation “{concept.situation}”, this worked: {concept.steps[0].text}"
    lines = [f"In the situation “{concept.situation}”, do:", *_numbered(concept.steps)]
    lines += [f"{parameter.name}: such as {', '.join(parameter.examples)}" for parameter in concept.parameters]
    tries = concept.successes + concept.failures
    return "\n".join([*lines, f"It worked {concept.successes} of {tries} times."])


def procedure(concept: Concept) -> str | None:
    """The steps that several successful episodes have in common, in words; None with fewer than two."""
    repeated = [step for step in concept.steps if step.seen >= PROVED]
    if concept.caution or not concept.is_proved or len(repeated) < 2:
        return None
    return "\n".join([f"How to deal with “{concept.situation}”:", *_numbered(repeated)])


def _numbered(steps: Sequence[Step]) -> list[str]:
    return [f"{number}. {step.text}" for number, step in enumerate(steps, start=1)]


def _situation(turns: Sequence[Said]) -> str | None:
    """What was asked: the request in the first turn of a user that holds one, else what that turn tells most."""
    asked = [turn for turn in turns if turn.role == "user"] or list(turns[:1])
    for turn in asked:
        found = [" ".join(turn.content[start:end].split()) for start, end in sentences(turn.content)]
        found = [text[:LONGEST] for text in found if len(_terms(text)) >= LEAST_SHARED]
        requests = [text for text in found if text.endswith("?") or _REQUEST.match(text)]
        if requests or found:
            return max(requests or found, key=lambda text: len(_terms(text)))
    return None


def _steps(turns: Sequence[Said]) -> list[str]:
    """What the agent did or told to do: listed items, commands, and "I did ..."; else what it told most."""
    done: list[str] = []
    told: list[str] = []
    for turn in turns:
        if turn.role not in ("assistant", "tool"):
            continue
        for start, end in sentences(turn.content):
            text = " ".join(turn.content[start:end].split())[:LONGEST]
            is_listed = _LISTED.search(turn.content, max(0, start - 40), start) is not None
            if is_listed or _is_done(text):
                done.append(_plain(text))
            elif not text.endswith("?"):
                told.append(text)
    if not done:
        done = sorted(told, key=telling, reverse=True)[:1]
    return list(dict.fromkeys(done))[:MOST_STEPS]


def _plain(text: str) -> str:
    """A step without the word that only orders it."""
    left = _ORDER.sub("", text, count=1) if _ORDER.match(text) else text
    return left[:1].upper() + left[1:]


def _is_done(text: str) -> bool:
    """Whether a sentence is a command, or tells what the speaker did."""
    done = _DONE.match(text)
    if done is not None:
        return words.is_past(done["verb"].lower())
    first = re.match(r"[A-Za-z]+", _plain(text))
    return first is not None and first[0].lower() in words.BASES and not text.endswith("?")


def _same_step(steps: Sequence[Step], step: Step, slots: "_Slots") -> tuple[int | None, str]:
    """The step that does the same, and the words for both; none when there is none."""
    for place, known in enumerate(steps):
        unified = slots.unify(known.text, step.text)
        if unified is not None:
            return place, unified
    terms = _terms(step.text)
    for place, known in enumerate(steps):
        other = _terms(known.text)
        if terms and len(terms & other) >= SAME_STEP * max(len(terms), len(other)):
            return place, known.text
    return None, step.text


def _cues(situation: str) -> tuple[str, ...]:
    forms = surface_forms(_VALUE.sub(" ", situation))
    return tuple(dict.fromkeys(word for word in forms.values() if word not in STOP_WORDS))[:MOST_CUES]


def _terms(text: str) -> frozenset[str]:
    """What a text speaks of, whatever the values in it."""
    return frozenset(analyze(_VALUE.sub(" ", text))) or frozenset(analyze(text))


class _Slots:
    """The parameters of a concept while texts are brought together: equal differences are one parameter."""

    def __init__(self, parameters: Sequence[Parameter]) -> None:
        self._examples = {parameter.name: list(parameter.examples) for parameter in parameters}
        self._named: dict[tuple[str, str], str] = {}

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """What they are now, in the order in which they were found."""
        return tuple(
            Parameter(name, tuple(dict.fromkeys(examples))[:MOST_EXAMPLES]) for name, examples in self._examples.items()
        )

    def unify(self, known: str, new: str) -> str | None:
        """The known text with a parameter where only the values differ; None when the rest differs too."""
        old, fresh = list(_values(known)), list(_values(new))
        if _skeleton(known, old) != _skeleton(new, fresh):
            return None
        parts: list[str] = []
        end = 0
        for before, after in zip(old, fresh, strict=True):
            parts.append(known[end : before.start()])
            end = before.end()
            parts.append(before[0] if before[0] == after[0] else self._slot(before, after))
        return "".join([*parts, known[end:]])

    def _slot(self, before: "re.Match[str]", after: "re.Match[str]") -> str:
        if before["slot"] is not None:
            name = before[0].strip("{}")
            self._examples.setdefault(name, []).append(after[0])
            return before[0]
        kind = _kind(before)
        name = self._named.get((before[0], after[0]), "")
        if not name:
            taken = sum(known.startswith(f"{kind}_") for known in self._examples)
            name = self._named[before[0], after[0]] = f"{kind}_{taken + 1}"
            self._examples[name] = [before[0], after[0]]
        return f"{{{name}}}"


def _values(text: str) -> Iterator["re.Match[str]"]:
    return _VALUE.finditer(text)


def _kind(match: "re.Match[str]") -> str:
    return match["slot"] or next(kind for kind in ("text", "path", "number", "name") if match[kind] is not None)


def _skeleton(text: str, values: Sequence["re.Match[str]"]) -> list[str]:
    """The words between the values, folded, and the kinds of the values."""
    parts: list[str] = []
    end = 0
    for match in values:
        parts += [" ".join(text[end : match.start()].lower().split()), _kind(match)]
        end = match.end()
    return [*parts, " ".join(text[end:].lower().split()).rstrip(".!")]

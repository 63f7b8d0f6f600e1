"""Fusing contents: what is said twice is kept once, and what contradicts stands side by side and is listed. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from memsvc.ids import MemoryId
from memsvc.store.memories import Record
from memsvc.text.analysis import analyze, fold
from memsvc.text.chunking import sentences

FUSED = "fused"
# Two sentences that share this much of their terms speak of the same thing; a difference is then a contradiction.
SAME_MATTER = 0.5
_NEGATION = re.compile(r"\b(?:no|not|never|none|nobody|nothing|neither|nor|without|cannot)\b|n't\b")
_NUMBER = re.compile(r"\d+(?:[.,:/-]\d+)*")


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two sentences on the same matter that do not agree; `terms` are those that only one of them has."""

    first_id: MemoryId
    first: str
    second_id: MemoryId
    second: str
    terms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fused:
    """One text from several, and where they contradict each other."""

    text: str
    conflicts: tuple[Conflict, ...]


@dataclass(frozen=True, slots=True)
class _Said:
    memory: MemoryId
    sentence: str
    folded: str
    terms: frozenset[str]


def fuse_contents(records: Sequence[Record]) -> Fused:
    """The sentences of these memories in the order given, each said once; a memory's own repetitions count as one.

    A sentence is left out when another says the same in every term, number and negation; the longer of the two stays.
    """
    kept: list[_Said] = []
    conflicts: list[Conflict] = []
    for record in records:
        for sentence in sentences(record.content):
            said = _Said(record.id, sentence, " ".join(fold(sentence).split()), frozenset(analyze(sentence)))
            twin = next((index for index, other in enumerate(kept) if _same(said, other)), None)
            if twin is None:
                conflicts += [_conflict(other, said) for other in kept if _contradict(other, said)]
                kept.append(said)
            elif len(said.folded) > len(kept[twin].folded):
                kept[twin] = said
    return Fused("\n".join(said.sentence for said in kept), tuple(conflicts))


def find_conflict(first: Record, second: Record) -> Conflict | None:
    """The first pair of sentences of two memories that contradict each other."""
    return next(iter(fuse_contents([first, second]).conflicts), None)


def _same(one: _Said, other: _Said) -> bool:
    if one.folded == other.folded:
        return True
    return bool(one.terms) and one.terms == other.terms and _claims(one) == _claims(other)


def _contradict(one: _Said, other: _Said) -> bool:
    """On the same matter, with a number or a negation that only one has, or one word in the place of another."""
    if one.memory == other.memory:
        return False
    shared, total = len(one.terms & other.terms), len(one.terms | other.terms)
    if not total or shared / total < SAME_MATTER:
        return False
    only_one, only_other = one.terms - other.terms, other.terms - one.terms
    return _claims(one) != _claims(other) or (len(only_one) == 1 and len(only_other) == 1)


def _claims(said: _Said) -> tuple[frozenset[str], bool]:
    return frozenset(_NUMBER.findall(said.folded)), _NEGATION.search(said.folded) is not None


def _conflict(first: _Said, second: _Said) -> Conflict:
    differing = tuple(sorted(first.terms ^ second.terms))
    return Conflict(first.memory, first.sentence, second.memory, second.sentence, differing)

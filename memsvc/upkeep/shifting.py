"""Changes that no key shows: what a turn asserts against what its speaker asserted before, told apart by meaning.

Keys tell what a fact is about only for what rules know of. Any other assertion that names what it ends, or gives
another value of a kind that an earlier one of the same speaker gave, is compared with that one by cosine; both become
facts, if they are none yet, and the earlier one holds until the later one was said.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np

from memsvc.extraction.model import Said
from memsvc.extraction.replies import ANSWERS
from memsvc.extraction.shifts import Assertion, assertions, differs, fact_of, names
from memsvc.ids import MemoryId, SpaceId, new_uuid
from memsvc.store import learning
from memsvc.store.learning import Read, Taught
from memsvc.store.writes import Vectors
from memsvc.upkeep.deciding import Plan, Replacement
from memsvc.upkeep.learning import RULES, Draft, as_said
from memsvc.upkeep.model import Order, Upkeep
from memsvc.upkeep.updating import Finding

# Turns that a turn is compared with.
NEAREST = 12
# The least cosine of two assertions of which one names what it ends, and of two that give other values. Chosen on the
# planted changes (`dev`); offline, two pairs in 8,500 turns of LoCoMo, BEAM and LongMemEval pass, neither a change.
NAMED, OTHER = 0.4, 0.5
FOUND = Finding("replaced", "said otherwise later")


@dataclass(frozen=True, slots=True)
class Told:
    """An assertion and where it stands."""

    read: Read
    said: Said
    assertion: Assertion

    @property
    def place(self) -> tuple[MemoryId, int]:
        """Which assertion it is."""
        return self.read.id, self.assertion.start

    @property
    def moment(self) -> tuple[float, int]:
        """When it was said, as far as is known."""
        return _said_at(self).timestamp(), self.read.number


@dataclass(frozen=True, slots=True)
class Pair:
    """An assertion that may be over by a later one; `named`: that one names it."""

    old: Told
    new: Told
    named: bool


async def find_shifts(upkeep: Upkeep, order: Order, space_id: SpaceId, fresh: Sequence[Read], plan: Plan) -> Plan:
    """The plan with the changes that fresh turns tell of beside it. No transaction may be open.

    Raises `EncoderUnavailableError`.
    """
    turns = {read.id: read for read in fresh if read.kind == "turn" and read.role != "assistant"}
    told = await asyncio.to_thread(_tell, turns.values())
    asking = [
        turn for turn, found in told.items() if any(one.assertion.values or one.assertion.changes for one in found)
    ]
    if not asking:
        return plan
    batcher = upkeep.ingest.batcher
    dimension = batcher.encoder.spec.dimension
    async with upkeep.ingest.database.read(order.caller.tenant_id) as session:
        near = await learning.read_near(session, space_id, asking, dimension=dimension, limit=NEAREST)
    pairs = await asyncio.to_thread(find_pairs, told, near)
    texts = list({one.assertion.text: None for pair in pairs for one in (pair.old, pair.new)})
    vectors = dict(zip(texts, (await batcher.encode_documents(texts)).vectors, strict=True)) if texts else {}
    sources = {one.read.id for pair in pairs for one in (pair.old, pair.new)}
    async with upkeep.ingest.database.read(order.caller.tenant_id) as session:
        taught = await learning.find_taught(session, sources, now=order.now)
    return with_shifts(plan, likely(pairs, vectors), taught)


def _tell(reads: Iterable[Read]) -> dict[MemoryId, list[Told]]:
    """What each of these asserts; those that assert nothing are left out."""
    said = {read: as_said(read, {}) for read in reads}
    told = {read.id: [Told(read, words, one) for one in assertions(words)] for read, words in said.items()}
    return {turn: found for turn, found in told.items() if found}


def find_pairs(told: Mapping[MemoryId, Sequence[Told]], near: Sequence[tuple[MemoryId, Read]]) -> list[Pair]:
    """The assertions of turns and of what is near to them that the words let be an old and a new one."""
    others = _tell({read.id: read for _, read in near if read.id not in told}.values()) | dict(told)
    found: dict[tuple[object, object], Pair] = {}
    for turn, read in near:
        for one in told[turn]:
            for other in others.get(read.id, ()):
                old, new = sorted((one, other), key=lambda each: each.moment)
                if _may_change(old, new) and (named := _bears(old.assertion, new.assertion)) is not None:
                    found[old.place, new.place] = Pair(old, new, named)
    return list(found.values())


def _bears(old: Assertion, new: Assertion) -> bool | None:
    return True if names(old, new) else False if differs(old, new) else None


def _may_change(old: Told, new: Told) -> bool:
    """One speaker, or two who both name what they speak of; what is private to somebody only with his own."""
    one, other = old.read, new.read
    if one.visibility != other.visibility or (one.visibility == "private" and one.principal_id != other.principal_id):
        return False
    if old.moment[0] == new.moment[0] and one.session_id != other.session_id:
        return False  # nothing says which came later
    if (one.name, one.role) == (other.name, other.role):
        return one.name is not None or one.principal_id == other.principal_id
    shared = old.assertion.about | new.assertion.about
    return any(kind == "name" for kind, _ in shared) and not (old.assertion.own or new.assertion.own)


def likely(pairs: Sequence[Pair], vectors: Mapping[str, Vectors]) -> list[Pair]:
    """Of what may be over by one assertion the nearest, in the order in which those were said; chains one by one."""
    by_new: dict[object, list[tuple[float, Pair]]] = {}
    for pair in pairs:
        cosine = float(np.dot(vectors[pair.old.assertion.text], vectors[pair.new.assertion.text]))
        if cosine >= (NAMED if pair.named else OTHER):
            by_new.setdefault(pair.new.place, []).append((cosine, pair))
    over: set[object] = set()
    found = []
    for group in sorted(by_new.values(), key=lambda group: group[0][1].new.moment):
        left = [(pair.named, cosine, pair) for cosine, pair in group if pair.old.place not in over]
        if left:
            *_, pair = max(left, key=lambda one: one[:2])
            over.add(pair.old.place)
            found.append(pair)
    return found


def with_shifts(plan: Plan, pairs: Sequence[Pair], taught: Sequence[Taught]) -> Plan:
    """The plan with these changes; what it decided of the new assertions, or what is over already, stays."""
    state = _Shifting(plan, taught)
    for pair in pairs:
        state.take(pair)
    touched = {side for one in state.replaced for side in (one.old_id, one.new_id)}
    versions = {one.id: one.version for one in taught if one.id in touched} | dict(plan.versions)
    return replace(
        plan,
        new=(*plan.new, *state.made),
        replaced=(*plan.replaced, *state.replaced),
        versions=tuple(versions.items()),
    )


@dataclass
class _Shifting:
    plan: Plan
    taught: Sequence[Taught]
    made: list[Draft] = field(default_factory=list)
    replaced: list[Replacement] = field(default_factory=list)

    def take(self, pair: Pair) -> None:
        plan = self.plan
        over = {one.id for one in self.taught if not one.holds}
        over |= {one.old_id for one in (*plan.refined, *plan.replaced, *self.replaced)}
        decided = {one.new_id for one in (*plan.refined, *plan.replaced, *plan.conflicts)}
        old, new = self._known(pair.old), self._known(pair.new)
        if old & (over | decided) or new & (over | decided) or old & new:
            return
        ended = self._fact(pair.old, old)
        at = max(_said_at(pair.old), _said_at(pair.new))
        self.replaced.append(Replacement(ended, self._fact(pair.new, new), FOUND, at=at, precision="instant"))

    def _known(self, told: Told) -> set[MemoryId]:
        """The facts that were, or are being, learned from these words."""
        drafts = [(one.id, one) for one in (*self.plan.new, *self.made)]
        drafts += [(one.known_id, one.draft) for one in self.plan.links]
        return {one.id for one in self._taught(told)} | {id_ for id_, draft in drafts if _is_of(draft, told)}

    def _taught(self, told: Told) -> list[Taught]:
        span = told.assertion
        return [
            one
            for one in self.taught
            if one.source_id == told.read.id
            and one.attribute != ANSWERS
            and one.start < span.end
            and span.start < one.end
        ]

    def _fact(self, told: Told, known: set[MemoryId]) -> MemoryId:
        """The fact that these words became, a new one where there is none."""
        if known:
            return min(known)
        fact = fact_of(told.said, told.assertion)
        draft = Draft(id=MemoryId(new_uuid()), source=told.read, fact=fact, extractor=RULES, own=False)
        self.made.append(draft)
        return draft.id


def _is_of(draft: Draft, told: Told) -> bool:
    fact = draft.fact
    return (
        draft.source.id == told.read.id
        and fact.attribute != ANSWERS
        and fact.start < told.assertion.end
        and told.assertion.start < fact.end
    )


def _said_at(told: Told) -> datetime:
    return told.read.occurred_at or told.read.recorded_at

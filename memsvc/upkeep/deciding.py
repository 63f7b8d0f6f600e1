"""What follows from new facts: which are learned, and what becomes of those that they touch. Pure.

What is only said back, by an assistant or by who was told it, is linked to what it repeats and not learned, also when
that is over by now: an echo revives nothing.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from memsvc.extraction.replies import ANSWERS
from memsvc.ids import MemoryId, PrincipalId
from memsvc.store.learning import Known
from memsvc.upkeep.learning import CHANGED, Draft, claim_of
from memsvc.upkeep.updating import Claim, Finding, compare, is_over


@dataclass(frozen=True, slots=True)
class Touched:
    """An old fact that a new one bears on."""

    old_id: MemoryId
    new_id: MemoryId
    finding: Finding


@dataclass(frozen=True, slots=True)
class Replacement(Touched):
    """From `at` on the new fact holds and the old one no more."""

    at: datetime
    precision: str


@dataclass(frozen=True, slots=True)
class Link:
    """A fact that is known already, said again by `draft`; `echo`: by one who only repeats what he was told."""

    known_id: MemoryId
    draft: Draft
    echo: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """`versions` are those of the old facts that are to change, as they were when this was decided."""

    new: tuple[Draft, ...] = ()
    links: tuple[Link, ...] = ()
    refined: tuple[Touched, ...] = ()
    replaced: tuple[Replacement, ...] = ()
    conflicts: tuple[Touched, ...] = ()
    versions: tuple[tuple[MemoryId, int], ...] = ()


@dataclass(frozen=True, slots=True)
class _Held:
    """A fact held true while deciding."""

    id: MemoryId
    claim: Claim
    fingerprint: bytes
    private_to: PrincipalId | None
    own: bool
    frozen: bool


def decide(drafts: Sequence[Draft], known: Sequence[Known], past: Sequence[Known] = ()) -> Plan:
    """Take the new facts one by one, in the order in which they were said, against all that is held true so far.

    Facts are compared within one subject, and what is private to somebody with what is private to the same alone.
    `past` are facts that hold no more and that a new one repeats.
    """
    state = _Deciding(map(_of_known, known), map(_of_known, past))
    for draft in sorted(drafts, key=lambda one: (one.said_at, one.source.number, one.fact.start)):
        state.take(draft)
    touched = {side for one in (*state.refined, *state.replaced) for side in (one.old_id, one.new_id)}
    versions = tuple((one.id, one.version) for one in known if one.id in touched)
    return Plan(
        tuple(state.new),
        tuple(state.links),
        tuple(state.refined),
        tuple(state.replaced),
        tuple(state.conflicts),
        versions,
    )


class _Facts:
    """Facts by what they are about and by what they say: only those of the same subjects are compared."""

    def __init__(self, facts: Iterable[_Held]) -> None:
        self._of: dict[str, dict[str, dict[MemoryId, _Held]]] = {}
        self._saying: dict[bytes, dict[MemoryId, _Held]] = {}
        for one in facts:
            self.add(one)

    def add(self, one: _Held) -> None:
        self._of.setdefault(one.claim.subject, {}).setdefault(one.claim.attribute, {})[one.id] = one
        self._saying.setdefault(one.fingerprint, {})[one.id] = one

    def remove(self, one: _Held) -> None:
        self._of[one.claim.subject][one.claim.attribute].pop(one.id, None)
        self._saying[one.fingerprint].pop(one.id, None)

    def near(self, found: _Held) -> Iterator[_Held]:
        """What it may bear on: the same matter, the matters that its words close, and all that they may say is over."""
        claim, wording = found.claim, found.claim.wording
        subjects = {claim.subject, *wording.subjects} if wording.ended else set()
        matters = ((claim.subject, claim.attribute), *wording.closed)
        matters = tuple(dict.fromkeys(matter for matter in matters if matter[0] not in subjects))
        for subject in sorted(subjects):
            for facts in self._of.get(subject, {}).values():
                yield from (one for one in facts.values() if _may_meet(one, found))
        for subject, attribute in matters:
            facts = self._of.get(subject, {}).get(attribute, {})
            yield from (one for one in facts.values() if _may_meet(one, found))

    def saying(self, fingerprint: bytes, found: _Held) -> _Held | None:
        """The first that says this and may be compared."""
        return next((one for one in self._saying.get(fingerprint, {}).values() if _may_meet(one, found)), None)


def _may_meet(one: _Held, other: _Held) -> bool:
    return one.private_to == other.private_to and one.id != other.id


class _Deciding:
    """The facts held true, as the new ones come in."""

    def __init__(self, held: Iterable[_Held], past: Iterable[_Held]) -> None:
        self._held = _Facts(held)
        self._past = _Facts(past)
        self._behind: dict[MemoryId, _Held] = {}
        self.new: list[Draft] = []
        self.links: list[Link] = []
        self.refined: list[Touched] = []
        self.replaced: list[Replacement] = []
        self.conflicts: list[Touched] = []

    def take(self, draft: Draft) -> None:
        """Learn the fact, or link it to what says the same, and let it bear on what it touches."""
        draft = self._adopted(draft)
        found = _of_draft(draft)
        # A reply with its question is compared with nothing; said again, it is not learned again.
        near = [] if draft.fact.attribute == ANSWERS else list(self._held.near(found))
        findings = [(one, compare(one.claim, found.claim)) for one in near]
        same = self._held.saying(found.fingerprint, found)
        same = same or next((one for one, finding in findings if finding.verdict == "same"), None)
        repeated = same or self._repeated(draft, found)
        if repeated is not None and not draft.own:
            self.links.append(Link(repeated.id, draft, echo=same is None or draft.source.role == "assistant"))
            if same is not None:
                self._end([pair for pair in findings if pair[0].id != same.id], same.id, draft)
            return
        self.new.append(draft)
        if (later := _later(findings)) is not None:
            self._place_before(found, *later)
            return
        for old, finding in findings:
            self._touch(old, found, finding, draft)
        self._held.add(found)

    def _adopted(self, draft: Draft) -> Draft:
        """What only tells of a change, "they moved me from D7 to C2", is about what it ends."""
        if draft.fact.attribute != CHANGED:
            return draft
        found = _of_draft(draft)
        over = {
            (one.claim.subject, one.claim.attribute)
            for one in self._held.near(found)
            if is_over(one.claim, found.claim)
        }
        if len(over) != 1:
            return draft
        [(subject, attribute)] = over
        return replace(draft, fact=replace(draft.fact, subject=subject, attribute=attribute))

    def _repeated(self, draft: Draft, found: _Held) -> _Held | None:
        """What a user said or what holds no more, where it is only repeated by somebody else."""
        if draft.source.role == "assistant":
            said = self._held.saying(draft.echoed, found) or self._past.saying(draft.echoed, found)
            if said is not None and said.claim.speaker != found.claim.speaker:
                return said
        was = self._past.saying(found.fingerprint, found)
        if was is None or found.claim.wording.changes or was.claim.speaker == found.claim.speaker:
            return None
        return was

    def _place_before(self, found: _Held, later: _Held, finding: Finding) -> None:
        """It was said before what holds: it is learned as over, and so are those said before it that are."""
        for place, pair in enumerate(self.replaced):
            earlier = self._behind.get(pair.old_id)
            if (
                earlier is not None
                and pair.new_id == later.id
                and compare(earlier.claim, found.claim).verdict == "replaced"
            ):
                self.replaced[place] = _replacement(pair.old_id, found.id, pair.finding, at=found.claim.said_at)
        self.replaced.append(_replacement(found.id, later.id, finding, at=later.claim.said_at))
        self._behind[found.id] = found
        self._past.add(found)

    def _end(self, findings: Sequence[tuple[_Held, Finding]], new_id: MemoryId, draft: Draft) -> None:
        """What else the words of a fact end that is known already."""
        for old, finding in findings:
            if finding.verdict == "replaced" and not old.frozen:
                self._replace(old, new_id, finding, draft)

    def _touch(self, old: _Held, new: _Held, finding: Finding, draft: Draft) -> None:
        if finding.verdict == "conflict" or (finding.verdict == "replaced" and old.frozen):
            self.conflicts.append(Touched(old.id, new.id, finding))
        elif finding.verdict == "replaced":
            self._replace(old, new.id, finding, draft)
        elif finding.verdict == "refined" and not old.own and not old.frozen:
            self.refined.append(Touched(old.id, new.id, finding))
            self._held.remove(old)

    def _replace(self, old: _Held, new_id: MemoryId, finding: Finding, draft: Draft) -> None:
        since = draft.fact.when
        is_dated = since is not None and draft.fact.kind != "event"
        at = max(since.first if since is not None and is_dated else draft.said_at, old.claim.said_at)
        precision = since.precision if since is not None and is_dated else "instant"
        self.replaced.append(_replacement(old.id, new_id, finding, at=at, precision=precision))
        self._held.remove(old)
        self._past.add(old)


def _later(findings: Sequence[tuple[_Held, Finding]]) -> tuple[_Held, Finding] | None:
    """The first thing said after the new fact that took its place."""
    over = [(old, finding) for old, finding in findings if finding.verdict == "outdated"]
    return min(over, key=lambda pair: (pair[0].claim.said_at, pair[0].claim.number), default=None)


def _replacement(
    old_id: MemoryId, new_id: MemoryId, finding: Finding, *, at: datetime, precision: str = "instant"
) -> Replacement:
    return Replacement(old_id, new_id, finding, at=at, precision=precision)


def _of_known(known: Known) -> _Held:
    return _Held(
        id=known.id,
        claim=claim_of(known),
        fingerprint=known.fingerprint,
        private_to=known.principal_id if known.visibility == "private" else None,
        own=known.own,
        frozen=known.frozen,
    )


def _of_draft(draft: Draft) -> _Held:
    return _Held(
        id=draft.id,
        claim=draft.claim,
        fingerprint=draft.fingerprint,
        private_to=draft.source.principal_id if draft.source.visibility == "private" else None,
        own=draft.own,
        frozen=False,
    )

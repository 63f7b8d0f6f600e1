"""What follows from new facts: which are learned, and what becomes of those that they touch. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from memsvc.extraction.replies import ANSWERS
from memsvc.ids import MemoryId, PrincipalId
from memsvc.store.learning import Known
from memsvc.upkeep.learning import Draft, claim_of
from memsvc.upkeep.updating import Claim, Finding, compare


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


def decide(drafts: Sequence[Draft], known: Sequence[Known]) -> Plan:
    """Take the new facts one by one, in the order in which they were said, against all that is held true so far.

    Facts are compared within one subject, and what is private to somebody with what is private to the same alone.
    """
    state = _Deciding([_of_known(one) for one in known])
    for draft in sorted(drafts, key=lambda one: (one.claim.said_at, one.source.number, one.fact.start)):
        state.take(draft)
    changed = {one.old_id for one in (*state.refined, *state.replaced)}
    versions = tuple((one.id, one.version) for one in known if one.id in changed)
    return Plan(
        tuple(state.new),
        tuple(state.links),
        tuple(state.refined),
        tuple(state.replaced),
        tuple(state.conflicts),
        versions,
    )


class _Deciding:
    """The facts held true, as the new ones come in."""

    def __init__(self, held: Sequence[_Held]) -> None:
        self._held = {one.id: one for one in held}
        self.new: list[Draft] = []
        self.links: list[Link] = []
        self.refined: list[Touched] = []
        self.replaced: list[Replacement] = []
        self.conflicts: list[Touched] = []

    def take(self, draft: Draft) -> None:
        """Learn the fact, or link it to what says the same, and let it bear on what it touches."""
        found = _of_draft(draft)
        near = [one for one in self._held.values() if one.private_to == found.private_to and one.id != found.id]
        same = next((one for one in near if one.fingerprint == found.fingerprint), None)
        findings = [] if draft.fact.attribute == ANSWERS else [(one, compare(one.claim, found.claim)) for one in near]
        same = same or next((one for one, finding in findings if finding.verdict == "same"), None)
        if same is not None and not draft.own:
            self.links.append(Link(same.id, draft, echo=draft.source.role == "assistant"))
            return
        self.new.append(draft)
        for old, finding in findings:
            self._touch(old, found, finding, draft)
        self._held[found.id] = found

    def _touch(self, old: _Held, new: _Held, finding: Finding, draft: Draft) -> None:
        touched = old.id, new.id, finding
        if finding.verdict == "conflict" or (finding.verdict == "replaced" and old.frozen):
            self.conflicts.append(Touched(*touched))
        elif finding.verdict == "replaced":
            since = draft.fact.when
            at = new.claim.said_at if since is None or draft.fact.kind == "event" else since.first
            precision = "instant" if since is None or draft.fact.kind == "event" else since.precision
            self.replaced.append(Replacement(*touched, at=max(at, old.claim.said_at), precision=precision))
            self._held.pop(old.id, None)
        elif finding.verdict == "refined" and not old.own and not old.frozen:
            self.refined.append(Touched(*touched))
            self._held.pop(old.id, None)


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

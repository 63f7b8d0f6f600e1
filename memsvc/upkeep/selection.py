"""What a policy lets go: the rules of a space, and which memories they choose. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from memsvc.ids import MemoryId
from memsvc.store.curve import FORGETTING
from memsvc.store.forgetting import Amount, Protection, Standing
from memsvc.wire import Capacity, ForgetPolicy, Kind

Unit = Literal["memories", "bytes", "tokens"]
UNITS: tuple[Unit, ...] = ("memories", "bytes", "tokens")
KINDS: tuple[Kind, ...] = ("turn", "document", "summary", "fact", "preference", "procedure", "concept", "core")
BY_DEFAULT = Protection(FORGETTING.pinned_importance, ())
# Of each current fact, what of it is in recall: itself, and the memories it was taken from.
Evidence = Mapping[MemoryId, set[MemoryId]]


@dataclass(frozen=True, slots=True)
class Budget:
    """The most that may be in recall of these kinds together, in each unit that is named."""

    kinds: frozenset[str]
    most: Mapping[Unit, int]

    def holds(self, amount: Amount) -> bool:
        """Whether this much is allowed."""
        return all(getattr(amount, unit) <= most for unit, most in self.most.items())


@dataclass(frozen=True, slots=True)
class Rules:
    """A space's policy `forget`, by kind. `archive_below` and `forget_below` leave out kinds that do not fade."""

    archive_below: Mapping[str, float] = field(default_factory=dict)
    forget_below: Mapping[str, float] = field(default_factory=dict)
    budgets: tuple[Budget, ...] = ()
    protection: Protection = BY_DEFAULT
    keep_facts: bool = True


@dataclass(frozen=True, slots=True)
class Weighed:
    """A memory in recall with what losing it would cost; 0 where only its age decides."""

    standing: Standing
    value: float = 0.0


@dataclass(frozen=True, slots=True)
class Going:
    """A memory that leaves recall, and why, in words without content."""

    standing: Standing
    reason: str


def read_rules(policy: ForgetPolicy | None) -> Rules:
    """The rules of a space; without a policy nothing is ever forgotten."""
    if policy is None:
        return Rules()
    after = {kind: policy.kinds[kind].after if kind in policy.kinds else policy.after for kind in KINDS}
    budgets = [Budget(frozenset({kind}), _most(own.budget)) for kind, own in policy.kinds.items() if own.budget]
    if policy.budget:
        budgets.append(Budget(frozenset(KINDS), _most(policy.budget)))
    return Rules(
        archive_below={kind: one.archive_below for kind, one in after.items() if one},
        forget_below={kind: one.forget_below for kind, one in after.items() if one},
        budgets=tuple(budgets),
        protection=Protection(policy.keep.importance, tuple(policy.keep.kinds)),
        keep_facts=policy.keep.facts,
    )


def with_share(rules: Rules, share: float, held: Mapping[str, Amount]) -> Rules:
    """The same protection, but what goes is this share of the turns in recall."""
    turns = held.get("turn", Amount()).memories
    budget = Budget(frozenset({"turn"}), {"memories": turns - int(turns * share)})
    return replace(rules, archive_below={}, budgets=(budget,))


def exceeded(rules: Rules, held: Mapping[str, Amount]) -> bool:
    """Whether any budget is, by these amounts of each kind."""
    return any(not budget.holds(_total(held, budget.kinds)) for budget in rules.budgets)


def choose(
    rules: Rules, weighed: Sequence[Weighed], evidence: Evidence, *, held: Mapping[str, Amount]
) -> Iterator[Going]:
    """The memories that leave recall, in the order in which they do; an earlier stop leaves a right beginning.

    First those that have faded, by number; then, for each budget that is exceeded, those of the lowest expected value
    (equals by number) until it holds. `held` is what is in recall of each kind, with what `weighed` leaves out.
    """
    left = dict(held)
    facts = _Facts(evidence if rules.keep_facts else {})
    gone: set[MemoryId] = set()
    free = [one for one in weighed if one.standing.kept_by is None]

    def let_go(one: Weighed, reason: str) -> Iterator[Going]:
        if one.standing.id not in gone and facts.release(one.standing.id):
            gone.add(one.standing.id)
            # A kind may be new since it was counted.
            left[one.standing.kind] = _without(left.get(one.standing.kind, Amount()), one.standing)
            yield Going(one.standing, reason)

    for one in sorted(free, key=lambda one: one.standing.number):
        bound = rules.archive_below.get(one.standing.kind)
        if bound is not None and one.standing.retention < bound:
            yield from let_go(one, f"its retention {one.standing.retention:.3f} is under {bound:g}")
    free.sort(key=lambda one: (one.value, one.standing.number))
    for budget in rules.budgets:
        for one in (one for one in free if one.standing.kind in budget.kinds):
            if budget.holds(_total(left, budget.kinds)):
                break
            yield from let_go(one, f"over budget, and its expected value {one.value:.3f} is the lowest")


def spare(going: Iterable[Going], evidence: Evidence) -> list[Going]:
    """`going` without what would be the last evidence of a current fact."""
    facts = _Facts(evidence)
    return [one for one in going if facts.release(one.standing.id)]


class _Facts:
    """What of each current fact is still in recall, while memories leave it."""

    def __init__(self, evidence: Evidence) -> None:
        self._holders: dict[MemoryId, list[set[MemoryId]]] = {}
        for members in evidence.values():
            left = set(members)
            for member in left:
                self._holders.setdefault(member, []).append(left)

    def release(self, memory: MemoryId) -> bool:
        """Let a memory go, unless it is all that is left of a fact."""
        holders = self._holders.get(memory, [])
        if any(len(members) == 1 for members in holders):
            return False
        for members in holders:
            members.discard(memory)
        return True


def _most(capacity: Capacity) -> dict[Unit, int]:
    limits = {unit: getattr(capacity, unit) for unit in UNITS}
    return {unit: most for unit, most in limits.items() if most is not None}


def _total(held: Mapping[str, Amount], kinds: frozenset[str]) -> Amount:
    found = [amount for kind, amount in held.items() if kind in kinds]
    return Amount(sum(one.memories for one in found), sum(one.bytes for one in found), sum(one.tokens for one in found))


def _without(amount: Amount, standing: Standing) -> Amount:
    return Amount(amount.memories - 1, amount.bytes - standing.bytes, amount.tokens - standing.tokens)

"""Deciding what of a request is new. Pure: items and what exists in, placements out."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from memsvc.errors import ConflictError, FieldError
from memsvc.ids import MemoryId
from memsvc.ingest.prepare import Item
from memsvc.store.spaces import Session
from memsvc.store.writes import Existing


@dataclass(frozen=True, slots=True)
class Placement:
    """What becomes of one item: `duplicate_of` an existing memory, or new at `position` of its session."""

    item: Item
    duplicate_of: MemoryId | None
    position: int | None


def place(items: Sequence[Item], existing: Existing, sessions: Mapping[str, Session]) -> list[Placement]:
    """Match items with what exists, in this order: id, place in the session, fingerprint.

    An id or a position that is taken by other content is a `ConflictError`. Without either, the n-th of several
    equal items in a request matches the n-th equal one in the store, so that a batch sent again doubles nothing while
    two equal turns of one batch are both kept.
    """
    seen: Counter[bytes] = Counter()
    next_position = {name: session.next_position for name, session in sessions.items()}
    taken: dict[tuple[str, int], Placement] = {}
    placements = []
    for item in items:
        duplicate = _by_id(item, existing) or _by_position(item, existing, sessions, taken)
        if duplicate is None and item.position is None and not item.id_given:
            twins = existing.by_fingerprint.get(item.fingerprint, ())
            if seen[item.fingerprint] < len(twins):
                duplicate = twins[seen[item.fingerprint]]
            seen[item.fingerprint] += 1
        position = None
        if duplicate is None and item.session is not None:
            position = next_position.get(item.session, 0) if item.position is None else item.position
            next_position[item.session] = max(next_position.get(item.session, 0), position + 1)
        placement = Placement(item, duplicate, position)
        if position is not None and item.session is not None:
            taken[item.session, position] = placement
        placements.append(placement)
    return placements


def _by_id(item: Item, existing: Existing) -> MemoryId | None:
    found = existing.by_id.get(item.id) if item.id_given else None
    if found is None:
        return None
    _require_same(
        item, found[0], f"{item.path}.id", "is the id of another memory", "Use a new id, or PATCH that memory."
    )
    return found[1]


def _by_position(
    item: Item,
    existing: Existing,
    sessions: Mapping[str, Session],
    taken: Mapping[tuple[str, int], Placement],
) -> MemoryId | None:
    if item.position is None or item.session is None:
        return None
    problem, remedy = "is taken by another turn", "Leave `position` out to append, or send the same content."
    earlier = taken.get((item.session, item.position))
    if earlier is not None:
        _require_same(item, earlier.item.fingerprint, f"{item.path}.position", problem, remedy)
        return earlier.item.id
    session = sessions.get(item.session)
    found = None if session is None else existing.by_position.get((session.id, item.position))
    if found is None:
        return None
    _require_same(item, found[0], f"{item.path}.position", problem, remedy)
    return found[1]


def _require_same(item: Item, fingerprint: bytes, field: str, problem: str, remedy: str) -> None:
    if item.fingerprint != fingerprint:
        raise ConflictError(f"{field} {problem}", fields=(FieldError(field, problem, remedy),))

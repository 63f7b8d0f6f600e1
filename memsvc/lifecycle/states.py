"""The lifecycle of a memory (MemOS, section 4): which state may follow which.

This is the one table; docs/lifecycle.md shows it. `generated`: stored as it came. `activated`: confirmed or in use.
`merged`: it took in others. `archived`: out of recall, can return. `expired`: its time is over. `frozen`: it holds, and
nothing may change it. `quarantined`: suspected; out of recall until somebody decides.
"""

from collections.abc import Mapping
from types import MappingProxyType

from memsvc.errors import ConflictError, FieldError, FrozenError, PreconditionFailedError
from memsvc.store.memories import Record
from memsvc.wire import State

TRANSITIONS: Mapping[str, frozenset[State]] = MappingProxyType(
    {
        "generated": frozenset({"activated", "merged", "archived", "expired", "frozen", "quarantined"}),
        "activated": frozenset({"merged", "archived", "expired", "frozen", "quarantined"}),
        "merged": frozenset({"activated", "archived", "expired", "frozen", "quarantined"}),
        "archived": frozenset({"activated", "expired", "frozen", "quarantined"}),
        "expired": frozenset(),
        "frozen": frozenset({"activated", "archived", "quarantined"}),
        "quarantined": frozenset({"activated", "archived", "expired"}),
    }
)
# Content and header can be edited in these alone.
EDITABLE = frozenset({"generated", "activated", "merged", "archived"})


def check_transition(record: Record, target: State) -> None:
    """`ConflictError`, naming what is allowed, unless the memory may go to that state."""
    allowed = TRANSITIONS[record.state]
    if target in allowed:
        return
    problem = f"memory {record.id} is {record.state} and cannot become {target}"
    remedy = (
        f"From {record.state} it may become {', '.join(sorted(allowed))}."
        if allowed
        else ("Nothing follows it; POST /v1/operations/{id}/undo takes back the operation that led there.")
    )
    raise ConflictError(problem, fields=(FieldError("state", problem, remedy),), remedy=remedy)


def check_editable(record: Record, *, field: str = "id") -> None:
    """`FrozenError` unless the memory's state lets it be changed."""
    if record.state not in EDITABLE:
        raise FrozenError.of(record.id, record.state, field=field)


def check_version(record: Record, expected: int | None) -> None:
    """`PreconditionFailedError` unless the memory still is in the version that the caller has read."""
    if expected is not None and record.version != expected:
        problem = f"memory {record.id} is at version {record.version}, not {expected}"
        raise PreconditionFailedError(
            problem, fields=(FieldError("If-Match", problem, PreconditionFailedError.remedy),)
        )

"""A later memory takes an earlier one's place: the earlier one's validity ends, and it names its successor."""

from collections.abc import Collection, Sequence
from datetime import datetime

from memsvc.errors import ConflictError, FieldError, FrozenError
from memsvc.ids import MemoryId, SpaceId
from memsvc.store import versions
from memsvc.store.database import WriteSession
from memsvc.store.memories import Record
from memsvc.store.versions import Operation

# From these a memory can still be superseded: an archived one has already left.
LIVING = frozenset({"generated", "activated", "merged", "archived"})


def check_supersedable(records: Collection[Record], space_id: SpaceId, *, field: str) -> None:
    """`ConflictError` or `FrozenError` unless each of these may be superseded by a memory of that space."""
    for record in records:
        if record.space_id != space_id:
            problem, remedy = f"memory {record.id} is in another space", "Supersede within one space."
        elif record.superseded_by is not None:
            problem = f"memory {record.id} is superseded by {record.superseded_by} already"
            remedy = f"Supersede {record.superseded_by}, the end of the chain."
        elif record.state not in LIVING:
            raise FrozenError.of(record.id, record.state, field=field)
        else:
            continue
        raise ConflictError(problem, fields=(FieldError(field, problem, remedy),), remedy=remedy)


async def supersede(
    session: WriteSession, operation: Operation, old: Sequence[Record], by: MemoryId, *, at: datetime, precision: str
) -> None:
    """End the validity of `old` at `at`, or where it had ended before; their spaces are locked."""
    for record in old:
        ended = record.valid_to is not None and record.valid_to <= at
        # What was true for no time at all keeps an interval that contains nothing.
        end = max(at, record.valid_from) if record.valid_from is not None else at
        changes: dict[str, object] = {"superseded_by": by}
        if not ended:
            changes |= {"valid_to": end, "valid_to_precision": precision}
        await versions.revise(session, operation, [record.id], changes)

"""What of a space one recall may return, as SQL: the conditions that each of its statements repeats."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from memsvc.store import access
from memsvc.store.access import When
from memsvc.store.keys import Caller
from memsvc.store.memories import as_known

# What recall may return: neither archived, expired nor quarantined.
CURRENT_STATES = ("generated", "activated", "merged", "frozen")
# Memories of this origin tell of others that are there themselves; they are returned to who asks for their kind.
OVERVIEWS = "consolidated"


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose memories may be returned, and which, whatever the space."""

    caller: Caller
    when: When
    include_superseded: bool = False
    include_archived: bool = False
    kinds: Sequence[str] | None = None
    roles: Sequence[str] | None = None
    names: Sequence[str] | None = None
    sessions: Sequence[str] | None = None
    metadata: Mapping[str, Any] | None = None
    occurred_from: datetime | None = None
    occurred_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class Conditions:
    """SQL over `memories m`. `permitted` holds for all that recall may look at, `listed` for what it may return; a key
    need not be listed, the memory that it speaks for must be."""

    permitted: str
    listed: str
    parameters: Mapping[str, object]

    @property
    def usable(self) -> str:
        """What recall may return, or look at as the key of something else."""
        return f"{self.permitted} AND ({self.listed} OR m.key_of IS NOT NULL)"

    @property
    def returned(self) -> str:
        """What recall may return."""
        return f"{self.permitted} AND {self.listed}"


def conditions(scope: Scope, space: str = "%(space)s") -> Conditions:
    """Of the space that an SQL expression names."""
    holds = f"({access.HOLDS})"
    permitted = [
        "m.tenant_id = %(tenant)s",
        f"m.space_id = {space}",
        "m.state = ANY(%(states)s)",
        f"({holds} OR m.superseded_by IS NOT NULL)" if scope.include_superseded else holds,
        access.visible(space),
    ]
    listed = [] if scope.kinds is not None else [f"m.origin <> '{OVERVIEWS}'"]
    optional: dict[str, tuple[str, object]] = {
        "kinds": ("m.kind = ANY(%(kinds)s)", scope.kinds),
        "roles": ("m.role = ANY(%(roles)s)", scope.roles),
        "names": ("m.name = ANY(%(names)s)", scope.names),
        "sessions": (
            (
                f"m.session_id IN (SELECT id FROM sessions WHERE tenant_id = %(tenant)s AND space_id = {space} "
                "AND name = ANY(%(sessions)s))"
            ),
            scope.sessions,
        ),
        "metadata": (
            "m.metadata @> %(metadata)s::jsonb",
            None if scope.metadata is None else orjson.dumps(scope.metadata).decode(),
        ),
        "occurred_from": ("m.occurred_at >= %(occurred_from)s", scope.occurred_from),
        "occurred_to": ("m.occurred_at <= %(occurred_to)s", scope.occurred_to),
    }
    states = [*CURRENT_STATES, "archived"] if scope.include_archived else list(CURRENT_STATES)
    parameters: dict[str, object] = {
        "principal": scope.caller.principal_id,
        "admin": scope.caller.admin,
        "now": scope.when.now,
        "holds_at": scope.when.holds_at,
        "known_at": scope.when.known_at,
        "states": states,
    }
    for name, (clause, value) in optional.items():
        if value is not None:
            listed.append(clause)
            parameters[name] = list(value) if isinstance(value, tuple) else value
    return Conditions(" AND ".join(permitted), " AND ".join(listed) or "true", parameters)


def relation(scope: Scope, space: str) -> str:
    """The memories of a space in the version that the scope asks for."""
    return "memories" if scope.when.known_at is None else as_known(scope.when, f"x.space_id = {space}")


def by_id(scope: Scope, memory: str) -> str:
    """The memory with this id, found by its primary key, in the version that the scope asks for."""
    return as_known(scope.when, f"x.id = {memory}")

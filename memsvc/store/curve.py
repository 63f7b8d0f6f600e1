"""The forgetting curve in SQL, and what moves it: every reinforcement is a row, and changes `memories.strength`.

R(t) = exp(-t / S) after Ebbinghaus (1885), as SAGE takes it for memories of an agent: R is the retention, t the days
since a memory happened, was recorded or was last in use, and S its stability in days. `memsvc.upkeep.retention` has the
same formulas in Python, and docs/forgetting.md explains them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Literal

from psycopg.rows import tuple_row

from memsvc.ids import MemoryId
from memsvc.store.database import ReadSession, WriteSession

Cause = Literal["recalled", "confirmed", "used", "helpful", "wrong", "repeats"]


@dataclass(frozen=True, slots=True)
class Forgetting:
    """The constants of the curve. SAGE gives none; each is chosen for the reason beside it."""

    # What was distilled from many utterances serves longer than one of them. At the default threshold a turn that
    # nobody asks for leaves recall after 3.6 months, a fact after 1.2 years, a preference after 2.4.
    base_days: Mapping[str, float] = field(
        default_factory=lambda: MappingProxyType(
            {
                "turn": 90.0,
                "document": 365.0,
                "summary": 365.0,
                "fact": 365.0,
                "preference": 730.0,
                "procedure": 730.0,
                "concept": 730.0,
                "core": 730.0,
            }
        )
    )
    # S doubles from importance .5, which is the default and leaves it as it is, to 1, and halves down to 0.
    importance_doublings: float = 2.0
    # Growth after a success, as in FSRS: 1 + gain * strength^-saturation * (exp(spacing * (1 - R)) - 1). Nothing is
    # gained while a memory is fresh (R = 1), most when it was nearly lost: the spacing effect. FSRS-5 fitted 1.02.
    spacing: float = 1.0
    # Each doubling of the strength makes the next one 13 % harder. FSRS-5 fitted .12, to people who want to remember.
    saturation: float = 0.2
    # `used` at the default threshold (R = .3) multiplies by 2.5, the ease that SM-2 starts with. To be returned by a
    # recall proves little: at best 1.2. To be said again counts between the two.
    gains: Mapping[str, float] = field(
        default_factory=lambda: MappingProxyType({"recalled": 0.2, "confirmed": 1.0, "used": 1.5, "helpful": 3.0})
    )
    # What is wrong should fade, and what repeats something known starts weaker; neither is a use, so t runs on.
    factors: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({"wrong": 0.5, "repeats": 0.5}))
    # A turn can come to last for five years, and no verdict makes it last for less than nine days.
    least_strength: float = 0.1
    most_strength: float = 20.0
    # Being returned strengthens at most once in so long: a busy agent asks the same thing all day.
    recalled_every_days: float = 1.0
    # Below the first a memory leaves recall (SAGE: for the long-term store), below the second its content may be packed
    # away. A turn at R = .7 was in use a month ago, which is no reason to let it go.
    archive_below: float = 0.3
    forget_below: float = 0.05
    # Whoever says that a memory matters this much does not want it forgotten.
    pinned_importance: float = 0.9


FORGETTING = Forgetting()
# Rows of `reinforcements` that are kept of one memory, the latest.
MOST_REINFORCEMENTS = 100


@dataclass(frozen=True, slots=True)
class Reinforcement:
    """What moved the curve: `retention` just before, `strength` just after."""

    at: datetime
    cause: str
    retention: float
    strength: float


def _by_kind() -> str:
    cases = " ".join(f"WHEN '{kind}' THEN {days}" for kind, days in FORGETTING.base_days.items())
    return f"(CASE m.kind {cases} END)::float8"


# Over `memories m`. What was imported may have any strength; and exp() must not underflow, which Postgres refuses.
STRENGTH = f"least({FORGETTING.most_strength}, greatest({FORGETTING.least_strength}, m.strength))"
STABILITY = (
    f"({_by_kind()} * power({FORGETTING.importance_doublings}::float8, 2 * m.importance - 1) * {STRENGTH})"  # days
)
SINCE = "greatest(m.recorded_at, m.occurred_at, m.last_accessed_at)"
RETENTION = f"exp(-least(700, greatest(0, extract(epoch FROM %(now)s - {SINCE})::float8 / 86400) / {STABILITY}))"

_REINFORCE = """
WITH held AS (
    SELECT m.id, w.count, {strength} AS strength, {retention} AS retention
    FROM unnest(%(ids)s::uuid[], %(counts)s::int[]) AS w(id, count)
    JOIN memories m ON m.tenant_id = %(tenant)s AND m.id = w.id ORDER BY m.id FOR UPDATE OF m
), due AS (
    SELECT h.id, h.retention, least({most}, greatest({least}, {moved})) AS strength,
        greatest(%(now)s, (SELECT max(r.at) + interval '1 microsecond' FROM reinforcements r
            WHERE r.tenant_id = %(tenant)s AND r.memory_id = h.id)) AS at
    FROM held h WHERE {is_due}
), noted AS (
    INSERT INTO reinforcements (tenant_id, memory_id, at, cause, retention, strength)
    SELECT %(tenant)s, d.id, d.at, %(cause)s, d.retention, d.strength FROM due d
), trimmed AS (
    DELETE FROM reinforcements r USING due d WHERE r.tenant_id = %(tenant)s AND r.memory_id = d.id
    AND r.at <= (SELECT x.at FROM reinforcements x WHERE x.tenant_id = %(tenant)s AND x.memory_id = d.id
        ORDER BY x.at DESC OFFSET {kept} LIMIT 1)
)
UPDATE memories m SET access_count = m.access_count + h.count, strength = coalesce(d.strength, m.strength){touched}
FROM held h LEFT JOIN due d ON d.id = h.id WHERE m.tenant_id = %(tenant)s AND m.id = h.id
"""
_GROWN = "h.strength * (1 + {gain} * power(h.strength, -{saturation}) * (exp({spacing} * (1 - h.retention)) - 1))"
_NOT_LATELY = (
    "NOT EXISTS (SELECT 1 FROM reinforcements r WHERE r.tenant_id = %(tenant)s AND r.memory_id = h.id "
    f"AND r.at > %(now)s - interval '{FORGETTING.recalled_every_days} days')"
)


def _statement(cause: Cause) -> str:
    grows = cause in FORGETTING.gains
    moved = (
        _GROWN.format(gain=FORGETTING.gains[cause], saturation=FORGETTING.saturation, spacing=FORGETTING.spacing)
        if grows
        else f"h.strength * {FORGETTING.factors[cause]}"
    )
    return _REINFORCE.format(
        strength=STRENGTH,
        retention=RETENTION,
        moved=moved,
        least=FORGETTING.least_strength,
        most=FORGETTING.most_strength,
        is_due=_NOT_LATELY if cause == "recalled" else "true",
        touched=", last_accessed_at = greatest(m.last_accessed_at, %(now)s)" if grows else "",
        kept=MOST_REINFORCEMENTS - 1,
    )


_STATEMENTS: Mapping[Cause, str] = {
    cause: _statement(cause) for cause in ("recalled", "confirmed", "used", "helpful", "wrong", "repeats")
}


async def reinforce(session: WriteSession, counts: Mapping[MemoryId, int], cause: Cause, *, now: datetime) -> None:
    """Note one reinforcement of each memory, with the accesses to add to its statistics, in one statement.

    `recalled` counts its accesses always, and strengthens only where nothing did in the last day. Rows are taken in
    one order, so two of these cannot deadlock; it is no new version, since nobody changed the memory.
    """
    ids = sorted(counts)
    await session.run(
        _STATEMENTS[cause],
        {
            "tenant": session.tenant_id,
            "now": now,
            "cause": cause,
            "ids": ids,
            "counts": [counts[memory_id] for memory_id in ids],
        },
    )


async def list_reinforcements(session: ReadSession, memory_id: MemoryId) -> list[Reinforcement]:
    """The latest reinforcements of a memory, oldest first; who may see it is the caller's to check."""
    rows = await session.fetch(
        "SELECT at, cause, retention, strength FROM reinforcements "
        "WHERE tenant_id = %(tenant)s AND memory_id = %(memory)s ORDER BY at",
        {"tenant": session.tenant_id, "memory": memory_id},
        tuple_row,
    )
    return [Reinforcement(*row) for row in rows]

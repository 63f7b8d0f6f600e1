"""What is of the times that a query names."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from memsvc.store.scope import Scope, conditions, relation

# The bounds of all spans together are for the index, the spans for what they leave out.
_TIMELY = """
SELECT m.content_number, coalesce((
    SELECT min(c.number) FROM chunks c
    WHERE c.tenant_id = m.tenant_id AND c.memory_id = m.id AND c.content_number = m.content_number
), -1)
FROM {memories} m
WHERE {returned} AND m.occurred_at >= %(since)s AND m.occurred_at < %(until)s AND EXISTS (
    SELECT 1 FROM unnest(%(firsts)s::timestamptz[], %(pasts)s::timestamptz[]) AS span(first, past)
    WHERE m.occurred_at >= span.first AND m.occurred_at < span.past
)
ORDER BY m.occurred_at DESC, m.number LIMIT %(limit)s
"""


def of_times(
    scope: Scope, space: str, spans: Sequence[tuple[datetime, datetime]], parameters: Mapping[str, object]
) -> tuple[str, dict[str, object]]:
    """The statement, with its parameters, that names the latest memories from within `spans` (from, and before).

    Its rows are the numbers of a content and of its first chunk, -1 without one. `space` is an SQL expression;
    `parameters` are the tenant, what that expression needs, and the limit.
    """
    found = conditions(scope, space)
    firsts, pasts = [first for first, _ in spans], [past for _, past in spans]
    statement = _TIMELY.format(memories=relation(scope, space), returned=found.returned)
    bounds = {"since": min(firsts), "until": max(pasts), "firsts": firsts, "pasts": pasts}
    return statement, {**found.parameters, **parameters, **bounds}

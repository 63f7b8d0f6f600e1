"""mem0: what `get_all` and the export of memories give.

An object with `results` (or `memories`) or, in older versions, the list alone. A memory has `id`, `memory`, `user_id`,
`agent_id`, `run_id`, `metadata`, `categories`, `created_at`, `updated_at`. Sources: docs.mem0.ai, API reference, "Get
memories" and "v1 get memories"; `Memory.get_all` in mem0/memory/main.py of github.com/mem0ai/mem0.
"""

from collections.abc import Iterator
from typing import Final

from memsvc.importers.draft import Draft
from memsvc.importers.model import DERIVED, Outcome, Role, Skipped
from memsvc.importers.record import Record, malformed, records_of, sample

LISTS: Final = ("results", "memories")
KEPT: Final = ("agent_id", "app_id", "run_id", "user_id", "categories", "expiration_date", "attributed_to")
# Only memories that were added with `infer=False`, word for word, have a role.
ROLES: Final[dict[str | None, Role]] = {"user": "user", "assistant": "assistant"}


def matches(document: object) -> bool:
    """Whether it looks like memories of mem0."""
    return any(isinstance(entry.get("memory"), str) and "id" in entry for entry in sample(document, *LISTS))


def read(document: object) -> Iterator[Outcome]:
    """Each memory as a fact about its user, in the order of the file."""
    if isinstance(document, dict):
        name = next((name for name in LISTS if name in document), None)
        if name is None:
            raise malformed(LISTS[0], "is missing; the memories are expected there")
        records = records_of(document[name], name)
        # The graph is drawn from the memories; importing both would say everything twice.
        relations = document.get("relations")
        if isinstance(relations, list):
            yield from (Skipped(DERIVED) for _ in relations)
    else:
        records = records_of(document, LISTS[0])
    for record in records:
        yield _memory(record)


def _memory(record: Record) -> Outcome:
    own = record.record("metadata")
    fields = {} if own is None else own.fields
    role = ROLES.get(record.label("role"))
    user = record.first_label("user_id", "agent_id")
    return Draft(
        source="mem0",
        source_id=record.label("id"),
        content=record.text("memory"),
        role=role,
        kind="procedure" if fields.get("memory_type") == "procedural_memory" else "fact",
        name=user if role is None else record.label("actor_id") or user,
        session=record.label("run_id"),
        timestamp=record.first_time("created_at", "updated_at"),
        own=fields,
        extra={**{key: record.fields.get(key) for key in KEPT}, "updated_at": record.time("updated_at")},
    ).finish()

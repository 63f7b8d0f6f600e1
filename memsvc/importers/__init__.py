"""Memories from elsewhere: exports of other memory services and chat applications, as items for `add_many`.

Pure but for reading the file: nothing here talks to a service. A module a format; each has `matches(document)`, which
tells the format by its shape, and `read(document)`, which gives items and what is skipped, in the order of the file.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import orjson

from memsvc.errors import InvalidRequestError
from memsvc.importers import chatgpt, claude, graphiti, langgraph, letta, mem0
from memsvc.importers.archive import Document, open_export
from memsvc.importers.draft import with_id, within_space
from memsvc.importers.model import (
    FUTURE,
    OTHER_FILE,
    REPEATED,
    Format,
    ImportedItem,
    ImportReport,
    JsonValue,
    Outcome,
    Skipped,
)
from memsvc.importers.record import instant

__all__ = [
    "IMPORTERS",
    "Document",
    "Format",
    "ImportReport",
    "ImportedItem",
    "Importer",
    "JsonValue",
    "Outcome",
    "Plan",
    "Skipped",
    "Survey",
    "detect",
    "items",
    "open_export",
    "survey",
]


@dataclass(frozen=True, slots=True)
class Importer:
    """How one format is recognised and read; `read` raises `InvalidRequestError` at what the format does not allow."""

    matches: Callable[[object], bool]
    read: Callable[[object], Iterator[Outcome]]


# The first that matches is the format: those that few other files look like come first.
IMPORTERS: Final[Mapping[Format, Importer]] = {
    "chatgpt": Importer(chatgpt.matches, chatgpt.read),
    "claude": Importer(claude.matches, claude.read),
    "letta": Importer(letta.matches, letta.read),
    "langgraph": Importer(langgraph.matches, langgraph.read),
    "mem0": Importer(mem0.matches, mem0.read),
    "graphiti": Importer(graphiti.matches, graphiti.read),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """A file to import into `space`. `format` None: told by its shape. `latest`: later messages are left out."""

    path: Path
    space: str
    format: Format | None = None
    latest: datetime | None = None


@dataclass(frozen=True, slots=True)
class Survey:
    """What an import will do."""

    format: Format
    report: ImportReport


def detect(document: object) -> Format | None:
    """The format of a parsed file by its shape."""
    return next((name for name, importer in IMPORTERS.items() if importer.matches(document)), None)


def survey(plan: Plan, check: Callable[[ImportedItem], object] | None = None) -> Survey:
    """Read everything once and count it; `check` is called with every item as `items` will give it.

    `InvalidRequestError` when anything cannot be read, or when nothing in the file is of a known format.
    """
    found: Format | None = None
    skipped: Counter[str] = Counter()
    count = repaired = 0
    for kind, outcome in _outcomes(plan):
        found = found or kind
        if isinstance(outcome, Skipped):
            skipped[outcome.reason] += 1
        else:
            count += 1
            if check is not None:
                check(within_space(outcome, plan.space))
            metadata = outcome.fields["metadata"]
            repaired += isinstance(metadata, dict) and metadata.get("repaired") is True
    if found is None:
        known = ", ".join(sorted(IMPORTERS)) if plan.format is None else plan.format
        raise InvalidRequestError(
            f"{plan.path.name} holds nothing that can be imported as {known}.",
            remedy="docs/importing.md says what each export looks like; name the format with --from.",
        )
    return Survey(found, ImportReport(count, dict(skipped.most_common()), repaired))


def items(plan: Plan) -> Iterator[ImportedItem]:
    """The items of a file that was surveyed, each with the id that it has in the plan's space."""
    for _, outcome in _outcomes(plan):
        if isinstance(outcome, ImportedItem):
            yield within_space(outcome, plan.space)


def _outcomes(plan: Plan) -> Iterator[tuple[Format | None, Outcome]]:
    """Every outcome with the format it was read as; nothing twice, and every item with an id."""
    seen: set[bytes] = set()
    equal: Counter[bytes] = Counter()
    chosen = plan.format
    for document in open_export(plan.path):
        kind = plan.format if plan.format is not None and not document.archived else detect(document.value)
        if kind is None or (chosen is not None and kind != chosen):
            if document.archived:
                yield None, Skipped(OTHER_FILE)
            continue
        chosen = kind
        for outcome in _read(kind, document):
            yield kind, outcome if isinstance(outcome, Skipped) else _once(outcome, plan.latest, seen, equal)


def _once(item: ImportedItem, latest: datetime | None, seen: set[bytes], equal: Counter[bytes]) -> Outcome:
    fields = item.fields
    time = fields.get("timestamp")
    if latest is not None and "role" in fields and isinstance(time, str) and instant(time) > latest:
        return Skipped(FUTURE)
    if "id" not in fields:
        # Without ids in the source, the n-th of equal items is the n-th again when the file is imported again.
        compared = {name: value for name, value in fields.items() if name != "metadata"}
        key = orjson.dumps(compared, option=orjson.OPT_SORT_KEYS)
        equal[key] += 1
        item = with_id(item, f"number {equal[key]} of its like")
    identity = str(item.fields["id"]).encode()
    if identity in seen:
        return Skipped(REPEATED)
    seen.add(identity)
    return item


def _read(kind: Format, document: Document) -> Iterator[Outcome]:
    try:
        yield from IMPORTERS[kind].read(document.value)
    except InvalidRequestError as error:
        raise InvalidRequestError(f"{document.name}: {error.detail}", fields=error.fields, remedy=error.hint) from None

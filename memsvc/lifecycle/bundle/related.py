"""What the memories of a bundle refer to, read and checked before them: sessions, operations, edges, facts, tensors."""

from graphlib import CycleError, TopologicalSorter
from uuid import UUID

from memsvc.lifecycle.bundle.archive import ArchiveReader, blob_name, refuse
from memsvc.lifecycle.bundle.rows import (
    EDGES,
    FACTS,
    MAX_ROW_BYTES,
    OPERATIONS,
    SESSIONS,
    TENSORS,
    Facts,
    Lines,
    Related,
)
from memsvc.wire.bundle import SessionRow

MAX_MATTER_BYTES = 2500  # more than an index takes is about nothing that anybody asks for


def read_related(archive: ArchiveReader) -> Related:
    """Sessions and operations, and a check of what refers to them: edges, which must close no cycle, and tensors."""
    sessions: dict[str, SessionRow] = {}
    lines = Lines(archive, "sessions", SESSIONS, max_bytes=MAX_ROW_BYTES)
    for line in lines:
        if line.row["name"] in sessions:
            raise lines.refuse(line, "repeats a name")
        sessions[line.row["name"]] = line.row
    operations: set[UUID] = set()
    made = Lines(archive, "operations", OPERATIONS, max_bytes=MAX_ROW_BYTES)
    for each in made:
        if each.row["id"] in operations:
            raise made.refuse(each, f"repeats the id {each.row['id']}")
        if each.row["kind"] == "import":  # its details say which memories it brought
            raise made.refuse(each, "is an import, which no bundle holds")
        operations.add(each.row["id"])
    _check_edges(archive, operations)
    return Related(sessions, frozenset(operations), _check_tensors(archive), _check_facts(archive))


def _check_edges(archive: ArchiveReader, operations: set[UUID]) -> None:
    sources: dict[UUID, set[UUID]] = {}
    numbers: dict[UUID, int] = {}
    edges = Lines(archive, "lineage", EDGES, max_bytes=MAX_ROW_BYTES)
    for line in edges:
        row = line.row
        if row["operation"] not in operations:
            raise edges.refuse(line, f"names operation {row['operation']}, which operations.jsonl does not have")
        if row["source"] in sources.setdefault(row["derived"], set()):
            raise edges.refuse(line, "repeats an edge")
        sources[row["derived"]].add(row["source"])
        numbers[row["derived"]] = line.number
    try:
        TopologicalSorter(sources).prepare()
    except CycleError as error:
        number = min(numbers[node] for node in error.args[1])
        raise refuse(edges.name, "closes a cycle of lineage", line=number) from None


def _check_facts(archive: ArchiveReader) -> Facts:
    found: dict[UUID, int] = {}
    found_in: dict[tuple[UUID, int], tuple[int, int]] = {}
    if not archive.has("facts"):
        return Facts(found, found_in)
    facts = Lines(archive, "facts", FACTS, max_bytes=MAX_ROW_BYTES)
    for line in facts:
        row = line.row
        if row["memory"] in found:
            raise facts.refuse(line, "repeats a memory")
        if row["end"] < row["start"]:
            raise facts.refuse(line, "ends before it starts")
        if (row["memory"] == row["source"]) == ("share" in row):
            raise facts.refuse(line, "has a share if, and only if, it was found in another memory")
        if len((row["subject"] + row["attribute"]).encode()) > MAX_MATTER_BYTES:
            raise facts.refuse(line, f"has a subject and an attribute of more than {MAX_MATTER_BYTES} bytes together")
        found[row["memory"]] = line.number
        place = row["source"], row["content"]
        found_in[place] = max((row["end"], line.number), found_in.get(place, (0, 0)))
    return Facts(found, found_in)


def _check_tensors(archive: ArchiveReader) -> frozenset[UUID]:
    tensors, blobs = Lines(archive, "tensors", TENSORS, max_bytes=MAX_ROW_BYTES), archive.blobs
    seen: set[UUID] = set()
    named: set[bytes] = set()
    for line in tensors:
        blob = bytes.fromhex(line.row["blob"])
        if blobs.get(blob) != line.row["bytes"]:
            raise tensors.refuse(line, f"names blob {line.row['blob']}, which is not there in this size")
        if line.row["memory"] in seen:
            raise tensors.refuse(line, "repeats a memory")
        seen.add(line.row["memory"])
        named.add(blob)
    for blob in blobs.keys() - named:
        raise refuse(blob_name(blob), "belongs to no line of tensors.jsonl")
    return frozenset(seen)

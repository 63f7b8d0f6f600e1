"""Reading the rows of a bundle: every line checked by itself, then against the others of its memory. No database."""

from base64 import b64decode
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from memsvc.inference.token_codes import TOKEN_BYTES
from memsvc.inference.types import Embeddings
from memsvc.ingest.units import MAX_LENGTH
from memsvc.lifecycle.bundle.archive import EMBEDDINGS, ArchiveReader, refuse
from memsvc.lifecycle.bundle.export import safetensors_header
from memsvc.store.writes import NewChunk
from memsvc.text.analysis import analyze, document_text
from memsvc.wire.bundle import (
    ChunkRow,
    ContentRow,
    EdgeRow,
    FactRow,
    HistoryRow,
    MemoryRow,
    OperationRow,
    SessionRow,
    TensorRow,
    VersionFields,
)

Vectors = NDArray[np.float32]
RowT = TypeVar("RowT")

SESSIONS: TypeAdapter[SessionRow] = TypeAdapter(SessionRow)
OPERATIONS: TypeAdapter[OperationRow] = TypeAdapter(OperationRow)
MEMORIES: TypeAdapter[MemoryRow] = TypeAdapter(MemoryRow)
HISTORY: TypeAdapter[HistoryRow] = TypeAdapter(HistoryRow)
CONTENTS: TypeAdapter[ContentRow] = TypeAdapter(ContentRow)
CHUNKS: TypeAdapter[ChunkRow] = TypeAdapter(ChunkRow)
EDGES: TypeAdapter[EdgeRow] = TypeAdapter(EdgeRow)
FACTS: TypeAdapter[FactRow] = TypeAdapter(FactRow)
TENSORS: TypeAdapter[TensorRow] = TypeAdapter(TensorRow)

BATCH_MEMORIES = 2000
BATCH_CHARACTERS = 8_000_000
# How far a stored vector's length may be from 1: none of ours is, and a longer one would win every search.
UNIT_WITHIN = 1e-3
MAX_ROW_BYTES = 64 << 20  # a line of a member without contents; no request is larger
_NUL = b"\\u0000"


class Line(NamedTuple, Generic[RowT]):
    """One line of a member: its number, its bytes, and what they say."""

    number: int
    text: bytes
    row: RowT


@dataclass(slots=True)
class Content:
    """What a memory says since a version, with its chunks and their embeddings, None if any is missing."""

    version: int
    text: str
    hash: bytes
    chunks: list[NewChunk] = field(default_factory=list)
    codes: list[bytes] = field(default_factory=list)
    embeddings: Embeddings | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """A memory of the bundle with its past versions and contents, oldest first."""

    line: Line[MemoryRow]
    history: Sequence[Line[HistoryRow]]
    contents: Mapping[int, Content]

    @property
    def id(self) -> UUID:
        """The memory's id."""
        return self.line.row["id"]

    @property
    def versions(self) -> list[VersionFields]:
        """All versions, oldest first."""
        return [*(line.row for line in self.history), self.line.row]


class Lines(Generic[RowT]):
    """The lines of a member, with a look ahead."""

    def __init__(self, archive: ArchiveReader, name: str, adapter: TypeAdapter[RowT], *, max_bytes: int) -> None:
        self.name = f"{name}.jsonl"
        self.count = 0
        self._expected: int = getattr(archive.manifest.counts, name)
        self._file = archive.open(self.name)
        self._adapter = adapter
        self._max_bytes = max_bytes
        self._next: Line[RowT] | None = None

    def __iter__(self) -> Iterator[Line[RowT]]:
        while (line := self.peek()) is not None:
            self._next = None
            yield line

    def peek(self) -> Line[RowT] | None:
        """The next line, which stays the next; None at the end."""
        if self._next is None:
            self._next = self._read()
        return self._next

    def take_of(self, memory: UUID) -> list[Line[RowT]]:
        """The next lines, as long as their field `memory` is this one."""
        found: list[Line[RowT]] = []
        while True:
            line = self._next or self._read()
            if line is None or line.row["memory"] != memory:  # type: ignore[index]  # the rows that have one are called with
                self._next = line
                return found
            found.append(line)
            self._next = None

    def refuse(self, line: Line[Any], problem: str) -> Exception:
        """The refusal of a line."""
        return refuse(self.name, problem, line=line.number)

    def _read(self) -> Line[RowT] | None:
        text = self._file.readline(self._max_bytes + 1)
        if not text:
            if self.count != self._expected:
                raise refuse(self.name, f"has {self.count} lines, the manifest says {self._expected}")
            return None
        self.count += 1
        if len(text) > self._max_bytes:
            raise refuse(self.name, f"is longer than {self._max_bytes} bytes", line=self.count)
        try:
            row = self._adapter.validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(map(str, first["loc"]))
            problem = f"{place}: {first['msg']}" if place else first["msg"]
            raise refuse(self.name, problem, line=self.count) from None
        if _NUL in text and _holds_nul(row):
            raise refuse(self.name, "holds a NUL character", line=self.count)
        return Line(self.count, text, row)


def _holds_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, dict):
        return any(_holds_nul(part) for pair in value.items() for part in pair)
    return isinstance(value, list) and any(map(_holds_nul, value))


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts by their lines; and of what they were found in, by memory and version, where the last ends, and the
    line that says so."""

    lines: Mapping[UUID, int]
    found_in: Mapping[tuple[UUID, int], tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Related:
    """What memories refer to: sessions in their order, operations, and which memories hold tensors or are facts."""

    sessions: Mapping[str, SessionRow]
    operations: frozenset[UUID]
    tensors: frozenset[UUID]
    facts: Facts


class DraftReader:
    """Memories with all that belongs to them, a batch at a time, from members that are in the same order."""

    def __init__(self, archive: ArchiveReader, related: Related, *, max_content_bytes: int, with_vectors: bool) -> None:
        # The longest JSON of a content has six bytes for a character; the other fields are short, but for metadata.
        limit = 6 * max_content_bytes + MAX_ROW_BYTES
        self._max_content_bytes = max_content_bytes
        self.memories = Lines(archive, "memories", MEMORIES, max_bytes=limit)
        self._history = Lines(archive, "history", HISTORY, max_bytes=limit)
        self._contents = Lines(archive, "contents", CONTENTS, max_bytes=limit)
        self._chunks = Lines(archive, "chunks", CHUNKS, max_bytes=limit)
        self._embeddings = _Embeddings(archive) if with_vectors and archive.manifest.embeddings else None
        self._related = related
        self.ids: set[UUID] = set()
        self._found_in: set[tuple[UUID, int]] = set()
        self._places: set[tuple[str, int]] = set()

    def read(self) -> list[Draft]:
        """The next batch; empty at the end, once nothing is left over in any member."""
        drafts = self._read_drafts()
        if self._embeddings is not None and drafts:
            contents = [content for draft in drafts for content in draft.contents.values()]
            vectors = self._embeddings.read(sum(len(content.chunks) for content in contents))
            missing = np.isnan(vectors[:, 0])
            first = 0
            for content in contents:
                last = first + len(content.chunks)
                if not missing[first:last].any():
                    content.embeddings = Embeddings(vectors[first:last], content.codes)
                first = last
        return drafts

    def _read_drafts(self) -> list[Draft]:
        drafts: list[Draft] = []
        characters = 0
        for line in self.memories:
            draft = self._draft(line)
            drafts.append(draft)
            characters += len(line.text) + sum(len(content.text) for content in draft.contents.values())
            if len(drafts) == BATCH_MEMORIES or characters > BATCH_CHARACTERS:
                return drafts
        if not drafts:
            for memory in sorted(self._related.tensors - self.ids):
                raise refuse("tensors.jsonl", f"names memory {memory}, which memories.jsonl does not have")
            self._check_facts()
            for rest in (self._history, self._contents, self._chunks):
                left = rest.peek()
                if left is not None:
                    raise rest.refuse(left, "belongs to no memory that memories.jsonl has at this place")
        return drafts

    def _draft(self, line: Line[MemoryRow]) -> Draft:
        memory = line.row["id"]
        if memory in self.ids:
            raise self.memories.refuse(line, f"repeats the id {memory}")
        self.ids.add(memory)
        history = self._history.take_of(memory)
        contents = self._read_contents(memory)
        self._read_chunks(line.row, contents)
        draft = Draft(line, history, contents)
        self._check(draft)
        self._check_found(draft)
        return draft

    def _check_found(self, draft: Draft) -> None:
        """What was found in these contents lies inside them."""
        for version, content in draft.contents.items():
            found = self._related.facts.found_in.get((draft.id, version))
            if found is None:
                continue
            if found[0] > len(content.text):
                raise refuse("facts.jsonl", f"ends behind what memory {draft.id} says", line=found[1])
            self._found_in.add((draft.id, version))

    def _check_facts(self) -> None:
        """At the end: the memories and contents that the facts name have come."""
        facts = self._related.facts
        for memory, number in facts.lines.items():
            if memory not in self.ids:
                raise refuse("facts.jsonl", f"names memory {memory}, which memories.jsonl does not have", line=number)
        for (memory, version), (_, number) in facts.found_in.items():
            if (memory, version) not in self._found_in:
                problem = f"names what memory {memory} said since version {version}, which contents.jsonl does not have"
                raise refuse("facts.jsonl", problem, line=number)

    def _read_contents(self, memory: UUID) -> dict[int, Content]:
        found: dict[int, Content] = {}
        last = 0
        for line in self._contents.take_of(memory):
            version, text = line.row["version"], line.row["content"]
            if version <= last:
                raise self._contents.refuse(line, "is not after the content before it")
            encoded = text.encode()
            if len(encoded) > self._max_content_bytes:
                problem = f"has {len(encoded)} bytes of content; MEMSVC_MAX_CONTENT_BYTES allows less"
                raise self._contents.refuse(line, problem)
            found[version] = Content(version, text, sha256(encoded).digest())
            last = version
        return found

    def _read_chunks(self, memory: MemoryRow, contents: Mapping[int, Content]) -> None:
        lines = self._chunks.take_of(memory["id"])
        order = list(contents)
        last = (-1, 0)
        for line in lines:
            row = line.row
            content = contents.get(row["content"])
            if content is None:
                raise self._chunks.refuse(line, f"cuts the content of version {row['content']}, which is not there")
            place = (order.index(row["content"]), row["start"])
            if place < last or row["end"] <= row["start"] or row["end"] > len(content.text):
                raise self._chunks.refuse(line, "does not lie after the chunk before it, inside its content")
            last = (place[0], row["end"])
            text = document_text(content.text[row["start"] : row["end"]], memory.get("name"))
            terms = Counter(analyze(text))
            content.chunks.append(NewChunk(row["start"], row["end"], terms, min(terms.total(), MAX_LENGTH)))
            content.codes.append(self._read_codes(line))

    def _read_codes(self, line: Line[ChunkRow]) -> bytes:
        try:
            codes = b64decode(line.row.get("codes", ""), validate=True)
        except ValueError as error:  # binascii's
            raise self._chunks.refuse(line, "has `codes` that are no base64") from error
        if len(codes) % TOKEN_BYTES:
            raise self._chunks.refuse(line, f"has `codes` that are not {TOKEN_BYTES} bytes a token")
        return codes

    def _check(self, draft: Draft) -> None:
        """The versions follow each other without overlapping, and name contents and operations that are there."""
        known_to: datetime | None = None
        number = 0
        used = set()
        lines: list[Line[HistoryRow] | Line[MemoryRow]] = [*draft.history, draft.line]
        ends: list[datetime | None] = [*(line.row["known_to"] for line in draft.history), None]
        for line, end in zip(lines, ends, strict=True):
            member = self.memories if end is None else self._history
            row: VersionFields = line.row
            if row["version"] <= number:
                raise member.refuse(line, "is not after the version before it")
            if known_to is not None and row["updated_at"] < known_to:
                raise member.refuse(line, "became known before the version before it had ended")
            if row["content"] not in draft.contents or row["content"] > row["version"]:
                raise member.refuse(line, f"has the content of version {row['content']}, which is not there")
            if row["operation"] not in self._related.operations:
                raise member.refuse(line, f"names operation {row['operation']}, which operations.jsonl does not have")
            if end is not None and end <= row["updated_at"]:
                raise member.refuse(line, "ended before it became known")
            number, known_to = row["version"], end
            used.add(row["content"])
        if used != set(draft.contents):
            raise self.memories.refuse(draft.line, "has a content that none of its versions has")
        if (draft.line.row["payload_type"] != "plaintext") != (draft.id in self._related.tensors):
            raise self.memories.refuse(draft.line, "has a payload type that tensors.jsonl does not agree with")
        self._check_place(draft.line)

    def _check_place(self, line: Line[MemoryRow]) -> None:
        session, position = line.row.get("session"), line.row.get("position")
        if session is None and position is None:
            return
        if session is None or position is None:
            raise self.memories.refuse(line, "has a session or a position without the other")
        if session not in self._related.sessions:
            raise self.memories.refuse(line, "names a session that sessions.jsonl does not have")
        if (session, position) in self._places:
            raise self.memories.refuse(line, f"repeats position {position} of its session")
        self._places.add((session, position))


class _Embeddings:
    """The rows of embeddings.safetensors in their order."""

    def __init__(self, archive: ArchiveReader) -> None:
        manifest = archive.manifest
        self._dimension = manifest.encoder.dimension
        self._file = archive.open(EMBEDDINGS)
        self._row = 0
        header = safetensors_header(manifest.counts.chunks, self._dimension)
        size = next(member.bytes for member in manifest.members if member.name == EMBEDDINGS)
        if self._file.read(len(header)) != header or size != len(header) + 4 * manifest.counts.chunks * self._dimension:
            problem = f"is not one float32[{manifest.counts.chunks}, {self._dimension}] named `embeddings`"
            raise refuse(EMBEDDINGS, problem)

    def read(self, count: int) -> Vectors:
        """The next rows: each of length 1, or all NaN."""
        sent = self._file.read(4 * count * self._dimension)
        if len(sent) != 4 * count * self._dimension:
            raise refuse(EMBEDDINGS, "has fewer rows than chunks.jsonl has lines")
        rows = np.frombuffer(sent, "<f4").reshape(count, self._dimension).astype(np.float32, copy=False)
        squares = np.einsum("ij,ij->i", rows, rows)
        wrong = ~(np.isnan(rows).all(axis=1) | (np.abs(squares - 1) <= 2 * UNIT_WITHIN))
        if wrong.any():
            row = self._row + int(np.flatnonzero(wrong)[0])
            raise refuse(EMBEDDINGS, f"row {row}, counted from 0, is neither of length 1 nor all NaN")
        self._row += count
        return rows

"""What the rows of a bundle become in the space that takes them: numbers, headers, and what is there already. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from memsvc.ids import MemoryId, PrincipalId, SessionId, SpaceId
from memsvc.lifecycle.bundle.rows import Content, Draft
from memsvc.store.bundle_writes import ImportedContent, ImportedVersion, Present
from memsvc.store.scope import CURRENT_STATES
from memsvc.store.tensors import ModelKey, NewTensor
from memsvc.store.writes import ChunkedContent
from memsvc.text.packing import Key
from memsvc.text.prefixes import BLOCK, chain, seed
from memsvc.wire.bundle import TensorRow


@dataclass(slots=True)
class Batch:
    """Rows of memories, ready to insert; `numbers` is how many numbers of the space they take, `packed` what is to be
    packed, as it was where the bundle comes from, `placed` the contents' numbers by memory and version."""

    current: list[ImportedVersion] = field(default_factory=list)
    past: list[ImportedVersion] = field(default_factory=list)
    contents: list[ImportedContent] = field(default_factory=list)
    chunked: list[ChunkedContent] = field(default_factory=list)
    packed: list[Key] = field(default_factory=list)
    placed: dict[tuple[UUID, int], int] = field(default_factory=dict)
    numbers: int = 0


def number(
    drafts: Sequence[Draft],
    first: int,
    principals: Mapping[str, PrincipalId],
    sessions: Mapping[str, tuple[SessionId, int]],
) -> Batch:
    """Give memories and contents their numbers in the space, in the order of the bundle. Pure."""
    batch = Batch()
    for draft in drafts:
        start, memory = first + batch.numbers, MemoryId(draft.id)
        placed = {version: start + offset for offset, version in enumerate(draft.contents)}
        batch.numbers += max(1, len(placed))
        batch.placed |= {(draft.id, version): number for version, number in placed.items()}
        for version, content in draft.contents.items():
            batch.contents.append(ImportedContent(memory, placed[version], content.text))
            batch.chunked.append(ChunkedContent(memory, placed[version], content.chunks, content.embeddings))
        row = draft.line.row
        batch.packed += [(memory, placed[version]) for version in _packed(draft)]
        batch.current.append(
            _version(
                draft.line.text,
                row["content"],
                start,
                placed,
                draft.contents,
                principals[row["principal"]],
                None if "session" not in row else sessions[row["session"]],
            )
        )
        for line in draft.history:
            batch.past.append(_version(line.text, line.row["content"], start, placed, draft.contents))
    return batch


def _packed(draft: Draft) -> list[int]:
    """The contents, by version, that have no chunks and need none: recall does not return the memory for them."""
    row = draft.line.row
    needed = row["content"] if row["state"] in CURRENT_STATES and row.get("superseded_by") is None else None
    if row["payload_type"] != "plaintext":
        return []
    return [version for version, content in draft.contents.items() if not content.chunks and version != needed]


def _version(
    text: bytes,
    content: int,
    number: int,
    placed: Mapping[int, int],
    contents: Mapping[int, Content],
    principal_id: PrincipalId | None = None,
    session: tuple[SessionId, int] | None = None,
) -> ImportedVersion:
    found = contents[content]
    searchable = found.embeddings is not None or not found.chunks
    return ImportedVersion(text, number, placed[content], found.hash, searchable, principal_id, session)


def difference(draft: Draft, found: Present, space_id: SpaceId) -> str | None:
    """Why a memory of the bundle is not the one that has its id; None when it is. Pure."""
    row = draft.line.row
    if found.space_id != space_id:
        return "its id is that of a memory in another space"
    if found.content_hash != draft.contents[row["content"]].hash:
        return "its id is that of a memory with other content"
    if found.version != row["version"]:
        return f"it is there in version {found.version}, the bundle has {row['version']}"
    if (found.operation_id, found.updated_at) != (row["operation"], row["updated_at"]):
        return "its version was made by another operation than the one that is there"
    return None


def tensor(row: TensorRow) -> NewTensor:
    """The header that a line of tensors.jsonl stands for. Pure."""
    key = ModelKey(row["model"], row["model_revision"], row["tokenizer_hash"], row.get("position_scheme"))
    source = row.get("source")
    start = seed(key.model, key.revision, key.tokenizer_hash, key.position_scheme)
    return NewTensor(
        memory_id=MemoryId(row["memory"]),
        blob_hash=bytes.fromhex(row["blob"]),
        source_id=None if source is None else MemoryId(source),
        source_version=row.get("source_version"),
        key=key,
        layers=row.get("layers"),
        heads=row.get("heads"),
        dtype=row["dtype"],
        shape=row["shape"],
        token_ids=row["token_ids"],
        prefixes=chain(start, row["token_ids"]),
        block=BLOCK,
    )

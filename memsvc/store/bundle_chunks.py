"""Writing very many chunks at once: columns as numpy arrays, and the lexical index sorted rather than looped over."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from memsvc.store.arrays import NumberArray, VectorArray
from memsvc.store.database import WriteSession
from memsvc.store.spaces import Space
from memsvc.store.writes import POSTING, ChunkedContent, NewChunk

_MOST = 0xFFFF

# The rows with vectors come first: unnest gives NULL past the end of the shorter array.
_INSERT_CHUNKS = """
INSERT INTO chunks (tenant_id, space_id, number, memory_id, content_number, ordinal, start_char, end_char, length,
    encoder_id, dimension, ann, vec, codes)
SELECT %(tenant)s, %(space)s, c.number, c.memory, c.content_number, c.ordinal, c.s, c.e, c.length,
    CASE WHEN c.vec IS NOT NULL THEN %(encoder)s::smallint END,
    CASE WHEN c.vec IS NOT NULL THEN %(dimension)s::smallint END, %(ann)s, c.vec, c.codes
FROM unnest(%(numbers)s, %(memories)b::uuid[], %(content_numbers)s, %(ordinals)s, %(starts)s, %(ends)s, %(lengths)s,
    %(vectors)s::vector[], %(codes)b::bytea[]) AS c(number, memory, content_number, ordinal, s, e, length, vec, codes)
"""
_INSERT_POSTINGS = """
INSERT INTO postings (tenant_id, space_id, term, block, entries)
SELECT %(tenant)s, %(space)s, p.term, %(block)s, p.entries
FROM unnest(%(terms)b::text[], %(entries)b::bytea[]) AS p(term, entries)
"""


@dataclass(frozen=True, slots=True)
class ChunkColumns:
    """Chunks of contents as columns, in the order of their numbers; `place` is the content that each is cut from."""

    chunks: Sequence[NewChunk]
    place: NDArray[np.int64]
    ordinal: NDArray[np.int64]
    length: NDArray[np.int64]


async def insert_many(
    session: WriteSession, space: Space, contents: Sequence[ChunkedContent], encoder_id: int
) -> tuple[int, int]:
    """Insert the chunks and postings of these contents, numbered from `space.next_chunk`.

    Returns how many chunks and terms they have, for the space's counters. As `writes.insert_chunks`, for thousands.
    """
    columns = to_columns(contents)
    count = len(columns.chunks)
    if not count:
        return 0, 0
    embedded = np.array([content.embeddings is not None for content in contents])[columns.place]
    order = np.argsort(~embedded, kind="stable")
    done = [content.embeddings for content in contents if content.embeddings is not None and content.chunks]
    vectors = np.concatenate([one.vectors for one in done]) if done else np.empty((0, 0), np.float32)
    place = columns.place[order]
    common = {"tenant": session.tenant_id, "space": space.id}
    await session.run(
        _INSERT_CHUNKS,
        {
            **common,
            "numbers": NumberArray(space.next_chunk + order),
            "memories": [contents[index].memory_id for index in place.tolist()],
            "content_numbers": NumberArray(np.array([one.content_number for one in contents], np.int64)[place]),
            "ordinals": NumberArray(columns.ordinal[order]),
            "starts": NumberArray(np.fromiter(map(attrgetter("start"), columns.chunks), np.int64, count)[order]),
            "ends": NumberArray(np.fromiter(map(attrgetter("end"), columns.chunks), np.int64, count)[order]),
            "lengths": NumberArray(columns.length[order]),
            "vectors": VectorArray(vectors),
            "codes": [code or None for one in done for code in one.codes],
            "encoder": encoder_id,
            "dimension": vectors.shape[1],
            "ann": space.ann,
        },
    )
    terms, entries = index(columns, first=space.next_chunk)
    await session.run(_INSERT_POSTINGS, {**common, "block": space.next_chunk, "terms": terms, "entries": entries})
    return count, int(columns.length.sum())


def to_columns(contents: Sequence[ChunkedContent]) -> ChunkColumns:
    """The chunks of all contents, one after the other. Pure."""
    chunks = [chunk for content in contents for chunk in content.chunks]
    counts = np.fromiter((len(content.chunks) for content in contents), np.int64, len(contents))
    place = np.repeat(np.arange(len(contents)), counts)
    ordinal = np.arange(len(chunks)) - np.repeat(np.cumsum(counts) - counts, counts)
    length = np.fromiter(map(attrgetter("length"), chunks), np.int64, len(chunks))
    return ChunkColumns(chunks, place, ordinal, length)


def index(columns: ChunkColumns, *, first: int) -> tuple[list[str], list[bytes]]:
    """The terms of chunks numbered from `first`, and for each its entries in the order of the chunks. Pure."""
    counts = np.fromiter((len(chunk.terms) for chunk in columns.chunks), np.int64, len(columns.chunks))
    total = int(counts.sum())
    words = list(chain.from_iterable(chunk.terms for chunk in columns.chunks))
    vocabulary = {word: number for number, word in enumerate(dict.fromkeys(words))}
    term = np.fromiter(map(vocabulary.__getitem__, words), np.int64, total)
    found = np.fromiter(chain.from_iterable(chunk.terms.values() for chunk in columns.chunks), np.int64, total)
    entries = np.empty(total, POSTING)
    entries["chunk"] = first + np.repeat(np.arange(len(columns.chunks)), counts)
    entries["tf"] = np.minimum(found, _MOST)
    entries["length"] = np.repeat(columns.length, counts)
    order = np.argsort(term, kind="stable")
    sizes = np.bincount(term, minlength=len(vocabulary)) * POSTING.itemsize
    ends = np.cumsum(sizes)
    packed = entries[order].tobytes()
    return list(vocabulary), [packed[end - size : end] for end, size in zip(ends.tolist(), sizes.tolist(), strict=True)]

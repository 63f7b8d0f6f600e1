"""Several spaces as one: what recall reads of each, under numbers of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memsvc.store.search import Ground, ScoredChunks

# Numbers are counted in each space; these shifts make them unique over the spaces of one recall.
NUMBER_BITS = 40
SESSION_BITS = 24
_WIDE = np.dtype([("chunk", "<i8"), ("tf", "<u2"), ("length", "<u2")])


def join_postings(postings: Sequence[Mapping[str, NDArray[Any]]]) -> Mapping[str, NDArray[Any]]:
    """The postings of all spaces by term."""
    if len(postings) == 1:
        return postings[0]
    joined: dict[str, list[NDArray[Any]]] = {}
    for index, of_space in enumerate(postings):
        for term, entries in of_space.items():
            wide = entries.astype(_WIDE)
            wide["chunk"] += index << NUMBER_BITS
            joined.setdefault(term, []).append(wide)
    return {term: np.concatenate(parts) for term, parts in joined.items()}


def join_tables(tables: Sequence[ScoredChunks]) -> ScoredChunks:
    """One table after the other; their numbers are the recall's already (`shift`)."""
    empty = np.empty(0, np.int64)
    return ScoredChunks(
        chunk=np.concatenate([empty, *(table.chunk for table in tables)]),
        memory=np.concatenate([empty, *(table.memory for table in tables)]),
        session=np.concatenate([empty.astype(np.int32), *(table.session for table in tables)]),
        position=np.concatenate([empty.astype(np.int32), *(table.position for table in tables)]),
        dense=np.concatenate([empty.astype(np.float32), *(table.dense for table in tables)]),
        length=np.concatenate([empty.astype(np.int32), *(table.length for table in tables)]),
        share=np.concatenate([empty.astype(np.float32), *(table.share for table in tables)]),
    )


def shift(table: ScoredChunks, index: int) -> ScoredChunks:
    """The table of the space at that place, under the recall's own numbers."""
    session = np.where(table.session < 0, table.session, table.session + np.int32(index << SESSION_BITS))
    return replace(
        table,
        chunk=table.chunk + (index << NUMBER_BITS),
        memory=table.memory + (index << NUMBER_BITS),
        session=session.astype(np.int32),
    )


def timely_memories(grounds: Sequence[Ground]) -> list[int]:
    """The memories of the time asked for, under the recall's own numbers."""
    return [
        number + (index << NUMBER_BITS)
        for index, ground in enumerate(grounds)
        for number in ground.timely[:, 0].tolist()
    ]

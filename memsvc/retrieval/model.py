"""The tables that ranking works on: chunks as the store scored them, and the memories they belong to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Numbers = NDArray[np.int64]
Rows = NDArray[np.intp]
# The place of a memory that stands in no session: no offset from a real place reaches it.
NO_PLACE = -(2**62)


class ChunkArrays(Protocol):
    """Parallel arrays, one row a chunk, in any order; `session` and `position` are -1 where there is none.

    `dense` is the cosine to the query, NaN for a chunk that is not embedded yet. `share`: 0 for a chunk of
    the memory itself; above, it is a key, a chunk of another memory that speaks for this one, and may lift it so far
    (1: as one of its own could). No memory has keys alone.
    """

    @property
    def chunk(self) -> NDArray[np.int64]: ...
    @property
    def memory(self) -> NDArray[np.int64]: ...
    @property
    def session(self) -> NDArray[np.int32]: ...
    @property
    def position(self) -> NDArray[np.int32]: ...
    @property
    def dense(self) -> NDArray[np.float32]: ...
    @property
    def share(self) -> NDArray[np.float32]: ...


@dataclass(frozen=True, slots=True)
class MemoryTable:
    """M memories ordered by session, position, number, and how the n chunk rows fold into them.

    `place` is session * 2**32 + position, or NO_PLACE where a memory stands in no session.
    """

    memory: Numbers
    place: Numbers
    order: Rows
    starts: Rows

    @classmethod
    def of(cls, chunks: ChunkArrays) -> "MemoryTable":
        """Group chunk rows by memory; ties in place break by memory number, then by chunk number."""
        session, position = chunks.session.astype(np.int64), chunks.position.astype(np.int64)
        place = np.where((session < 0) | (position < 0), NO_PLACE, (session << 32) + position)
        order = np.lexsort((chunks.chunk, chunks.memory, place))
        memory = chunks.memory[order]
        first = np.ones(len(memory), bool)
        first[1:] = memory[1:] != memory[:-1]
        starts = np.flatnonzero(first)
        return cls(memory=memory[starts], place=place[order][starts], order=order, starts=starts)

    def fold(self, values: Floats) -> Floats:
        """The best value of each memory's chunks, float32[M]; NaN only where all of them are."""
        if not len(self.starts):
            return np.empty(0, np.float32)
        return np.fmax.reduceat(values[self.order], self.starts).astype(np.float32)

    def spread(self, values: Floats) -> Floats:
        """The value of each memory, float32[M], at each of its chunk rows, float32[n]."""
        sizes = np.diff(self.starts, append=len(self.order))
        spread = np.empty(len(self.order), np.float32)
        spread[self.order] = np.repeat(values, sizes)
        return spread

    def best_rows(self, values: Floats) -> Rows:
        """The chunk row of each memory with the highest value (none may be NaN), the first of equals."""
        ordered = values[self.order]
        sizes = np.diff(self.starts, append=len(ordered))
        is_best = ordered == np.repeat(self.fold(values), sizes)
        candidates = np.flatnonzero(is_best)
        return self.order[candidates[np.searchsorted(candidates, self.starts)]]


@dataclass(frozen=True, slots=True)
class Column:
    """One stage's own values and what they add to the score, both float32[n]."""

    raw: Floats
    contribution: Floats


@dataclass(frozen=True, slots=True)
class StageScore:
    """One stage's part in one memory's score."""

    stage: str
    raw: float
    contribution: float


@dataclass(frozen=True, slots=True)
class ScoreSheet:
    """n memories and the named columns whose contributions sum to their scores; any stage is one more column."""

    memory: Numbers
    columns: Mapping[str, Column] = field(default_factory=lambda: MappingProxyType({}))

    def with_column(self, stage: str, raw: Floats, contribution: Floats) -> "ScoreSheet":
        """The sheet with this stage added, or replaced in its place."""
        return ScoreSheet(self.memory, MappingProxyType({**self.columns, stage: Column(raw, contribution)}))

    def take(self, rows: Rows) -> "ScoreSheet":
        """These rows, in this order."""
        columns = {stage: Column(c.raw[rows], c.contribution[rows]) for stage, c in self.columns.items()}
        return ScoreSheet(self.memory[rows], MappingProxyType(columns))

    @property
    def total(self) -> Floats:
        """The scores, float32[n]."""
        total = np.zeros(len(self.memory), np.float32)
        for column in self.columns.values():
            total += column.contribution
        return total

    def ranking(self) -> Rows:
        """All rows, best first; equal scores by memory number."""
        return np.lexsort((self.memory, -self.total))

    def explain(self, row: int) -> list[StageScore]:
        """Every stage of one row, in the order in which the stages ran."""
        return [
            StageScore(stage, float(column.raw[row]), float(column.contribution[row]))
            for stage, column in self.columns.items()
        ]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the second stage knows of a memory: `passage` is its best chunk, `vectors` float32[c, d] its chunks'.

    `later` are the memories that say otherwise since.
    """

    memory: int
    content: str
    passage: str
    role: str | None
    name: str | None
    occurred_at: datetime | None
    vectors: Floats | None = field(repr=False)
    later: tuple[int, ...] = ()

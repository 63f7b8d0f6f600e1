"""Small tables for the ranking tests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from memsvc.retrieval.model import Evidence


@dataclass(frozen=True, slots=True)
class Chunks:
    """What the store's scan returns."""

    chunk: np.ndarray
    memory: np.ndarray
    session: np.ndarray
    position: np.ndarray
    dense: np.ndarray
    share: np.ndarray


def chunks(*rows: tuple[int, int, int, int, float], keys: Mapping[int, float] | None = None) -> Chunks:
    """Rows are (chunk, memory, session, position, cosine); `keys` are chunks of others, with the share of each."""
    columns = list(zip(*rows, strict=True)) if rows else [()] * 5
    types = (np.int64, np.int64, np.int32, np.int32, np.float32)
    arrays = [np.array(column, dtype) for column, dtype in zip(columns, types, strict=True)]
    shares = [(keys or {}).get(int(number), 0.0) for number in arrays[0]]
    return Chunks(*arrays, np.array(shares, np.float32))


def evidence(
    memory: int,
    content: str,
    *,
    role: str | None = "user",
    name: str | None = None,
    at: datetime | None = None,
    vectors: Sequence[Sequence[float]] | None = None,
) -> Evidence:
    """A memory of one passage."""
    held = None if vectors is None else np.array(vectors, np.float32)
    return Evidence(memory, content, content, role, name, at, held)

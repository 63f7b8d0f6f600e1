"""The lexical arm: BM25 (Robertson and Zaragoza, 2009) over the postings of the query's terms.

Scores are divided by the sum of the query terms' idf, so that they say which share of what was asked a chunk holds.
That share has the same scale in a space of a hundred chunks and in one of a million, where a z-score of a sparse arm
grows with every chunk that does not match; and it stays small when most of the query is unknown to the space.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memsvc.retrieval.model import Floats, Numbers

Postings = NDArray[Any]  # structured: chunk, tf, length


@dataclass(frozen=True, slots=True)
class Bm25:
    """`k1`: how soon repeats of a term stop counting. `b`: how much long chunks pay, 0 to 1."""

    k1: float
    b: float


@dataclass(frozen=True, slots=True)
class LexicalStats:
    """Of all chunks of the spaces searched, whatever the filters: how many, and their mean length in terms."""

    chunks: int
    mean_length: float


@dataclass(frozen=True, slots=True)
class LexicalScores:
    """Chunks that hold any of the terms, ascending, with their BM25 sums; `attainable` is the terms' idf sum."""

    chunk: Numbers
    score: Floats
    attainable: float

    def best(self, limit: int) -> list[int]:
        """Numbers of the `limit` best chunks, best first; equal scores by number."""
        return [int(number) for number in self.chunk[np.lexsort((self.chunk, -self.score))[:limit]]]

    def at(self, chunk: NDArray[np.integer[Any]]) -> Floats:
        """The score of each of these chunks, 0 for one that holds no term: float32[n]."""
        if not len(self.chunk):
            return np.zeros(len(chunk), np.float32)
        found = np.minimum(np.searchsorted(self.chunk, chunk), len(self.chunk) - 1)
        return np.where(self.chunk[found] == chunk, self.score[found], np.float32(0))

    def share(self, score: Floats) -> Floats:
        """Scores as shares of the attainable: about 0 to 1, never more than k1 + 1."""
        return score / np.float32(self.attainable) if self.attainable > 0 else np.zeros_like(score)


def idf(chunks: int, holding: int) -> float:
    """Weight of a term that `holding` of `chunks` chunks hold; never negative (the +1 of Lucene's BM25)."""
    return float(np.log1p((chunks - holding + 0.5) / (holding + 0.5))) if chunks >= holding else 0.0


def score_terms(
    terms: Sequence[str], postings: Mapping[str, Postings], stats: LexicalStats, settings: Bm25
) -> LexicalScores:
    """BM25 of every chunk that holds one of the terms; repeated terms count once."""
    wanted = dict.fromkeys(terms)
    weights = {term: idf(stats.chunks, len(postings.get(term, ()))) for term in wanted}
    held = [(postings[term], weights[term]) for term in wanted if len(postings.get(term, ()))]
    attainable = sum(weights.values())
    if not held:
        return LexicalScores(np.empty(0, np.int64), np.empty(0, np.float32), attainable)
    entries = np.concatenate([posting for posting, _ in held])
    weight = np.repeat([weight for _, weight in held], [len(posting) for posting, _ in held])
    tf = entries["tf"].astype(np.float64)
    relative = entries["length"] / max(stats.mean_length, 1.0)
    gain = weight * tf * (settings.k1 + 1) / (tf + settings.k1 * (1 - settings.b + settings.b * relative))
    chunk, place = np.unique(entries["chunk"].astype(np.int64), return_inverse=True)
    return LexicalScores(chunk, np.bincount(place, gain, len(chunk)).astype(np.float32), attainable)

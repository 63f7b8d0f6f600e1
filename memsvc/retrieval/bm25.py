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
    """What BM25 compares a chunk with: how many chunks there are, their mean length in terms, and for each query term
    how many hold it (None: its postings tell)."""

    chunks: int
    mean_length: float
    holding: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class LexicalScores:
    """n chunks that hold any of the terms, ascending, with their BM25 sums; `idf` is what each of the t terms weighs.

    `holding` bool[n, t] tells which chunk holds which term, in the order of `idf`; None where there are no chunks.
    """

    chunk: Numbers
    score: Floats
    idf: Mapping[str, float]
    holding: NDArray[np.bool_] | None = None

    @property
    def attainable(self) -> float:
        """The idf of all terms together."""
        return sum(self.idf.values())

    def best(self, limit: int) -> list[int]:
        """Numbers of the `limit` best chunks, best first; equal scores by number."""
        return [int(number) for number in self.chunk[np.lexsort((self.chunk, -self.score))[:limit]]]

    def at(self, chunk: NDArray[np.integer[Any]]) -> Floats:
        """The score of each of these chunks, 0 for one that holds no term: float32[n]."""
        if not len(self.chunk):
            return np.zeros(len(chunk), np.float32)
        found = np.minimum(np.searchsorted(self.chunk, chunk), len(self.chunk) - 1)
        return np.where(self.chunk[found] == chunk, self.score[found], np.float32(0))

    def held(self, chunk: Numbers) -> Floats:
        """Which of these m chunks holds which of the terms, in the order of `idf`: float32[m, t] of 0 and 1."""
        if self.holding is None:
            return np.zeros((len(chunk), len(self.idf)), np.float32)
        found = np.minimum(np.searchsorted(self.chunk, chunk), len(self.chunk) - 1)
        held: Floats = (self.holding[found] & (self.chunk[found] == chunk)[:, None]).astype(np.float32)
        return held

    def share(self, score: Floats) -> Floats:
        """Scores as shares of the attainable: about 0 to 1, never more than k1 + 1."""
        attainable = self.attainable
        return score / np.float32(attainable) if attainable > 0 else np.zeros_like(score)


def idf(chunks: int, holding: int) -> float:
    """Weight of a term that `holding` of `chunks` chunks hold; never negative (the +1 of Lucene's BM25)."""
    return float(np.log1p((chunks - holding + 0.5) / (holding + 0.5))) if chunks >= holding else 0.0


@dataclass(frozen=True, slots=True)
class Seen:
    """The chunks that a recall looks at, a row each: its number, its memory's, its length in terms, and how far it may
    lift that memory: 0 for a chunk of its own, above for a key, a chunk of another memory that speaks for this one."""

    chunk: Numbers
    memory: Numbers
    length: NDArray[np.integer[Any]]
    share: NDArray[np.float32]


def restrict(postings: Mapping[str, Postings], seen: Seen) -> tuple[Mapping[str, Postings], LexicalStats]:
    """The postings of these chunks alone, and the statistics of those that are no keys.

    So a word is as rare as it is in what the asker can see: what others keep private, what was archived or replaced,
    and what merely speaks for another, has no part in it. Of a key only the words count that its memory does not hold
    itself, and only when it says all that that one says: keys extend what they stand for (LongMemEval prepends them to
    it), and must not say it twice, nor a part of it louder than the rest.
    """
    order = np.argsort(seen.chunk)
    known = seen.chunk[order]
    kept: dict[str, Postings] = {}
    holding: dict[str, int] = {}
    for term, entries in postings.items():
        numbers = entries["chunk"].astype(np.int64)
        place = np.minimum(np.searchsorted(known, numbers), max(len(known) - 1, 0))
        there = known[place] == numbers if len(known) else np.zeros(len(numbers), bool)
        row = order[place[there]] if len(known) else np.empty(0, np.intp)
        share, memory = seen.share[row], seen.memory[row]
        is_own = share == 0
        holding[term] = int(is_own.sum())
        counts = is_own if is_own.all() else is_own | ((share >= 1) & ~np.isin(memory, memory[is_own]))
        kept[term] = entries[there][counts]
    own = seen.share == 0
    count = int(own.sum())
    mean_length = float(seen.length[own].mean()) if count else 0.0
    return kept, LexicalStats(count, mean_length, holding)


def score_terms(
    terms: Sequence[str], postings: Mapping[str, Postings], stats: LexicalStats, settings: Bm25
) -> LexicalScores:
    """BM25 of every chunk that holds one of the terms; repeated terms count once."""
    wanted = dict.fromkeys(terms)
    holding = {term: len(found) for term, found in postings.items()} if stats.holding is None else stats.holding
    weights = {term: idf(stats.chunks, holding.get(term, 0)) for term in wanted}
    known = [(column, term) for column, term in enumerate(wanted) if len(postings.get(term, ()))]
    held = [(postings[term], weights[term]) for _, term in known]
    if not held:
        return LexicalScores(np.empty(0, np.int64), np.empty(0, np.float32), weights)
    entries = np.concatenate([posting for posting, _ in held])
    weight = np.repeat([weight for _, weight in held], [len(posting) for posting, _ in held])
    tf = entries["tf"].astype(np.float64)
    relative = entries["length"] / max(stats.mean_length, 1.0)
    gain = weight * tf * (settings.k1 + 1) / (tf + settings.k1 * (1 - settings.b + settings.b * relative))
    chunk, place = np.unique(entries["chunk"].astype(np.int64), return_inverse=True)
    score = np.bincount(place, gain, len(chunk)).astype(np.float32)
    holding_terms = np.zeros((len(chunk), len(weights)), np.bool_)
    holding_terms[place, np.repeat([column for column, _ in known], [len(posting) for posting, _ in held])] = True
    return LexicalScores(chunk, score, weights, holding_terms)

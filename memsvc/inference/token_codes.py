"""Token codes: what an encoder says of each token of a document, in one bit a dimension, for late interaction.

A token's output is rotated at random to `BITS` dimensions and its signs are kept; the query stays in full precision (as
in RaBitQ, Gao and Long, 2024, whose number a token for an unbiased estimate ranks no better here and is left out). The
rotation is the same everywhere and learns from no data, so that codes of one encoder can always be compared.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from memsvc.text.analysis import STOP_WORDS

Floats = NDArray[np.float32]

BITS = 256
TOKEN_BYTES = BITS // 8
# What continues a word, in the vocabularies of WordPiece models.
_CONTINUES = "##"
# What begins one, in those of byte-level and SentencePiece models.
_BEGINS = ("\u0120", "\u2581")
_SEED = 20_241_124
# The cosine of a random direction to its own signs is the root of 2 / pi; over it, estimates are right on the whole.
_SCALE = np.float32(np.sqrt(np.pi / 2 / BITS))


@lru_cache(maxsize=4)
def rotation(dimension: int) -> Floats:
    """`BITS` random directions, float32[dimension, BITS]; orthogonal where the encoder has as many dimensions.

    From a seed alone: the sign that the decomposition leaves open is fixed.
    """
    drawn = np.random.Generator(np.random.PCG64(_SEED)).standard_normal((max(dimension, BITS), BITS))
    basis, triangle = np.linalg.qr(drawn)
    directions: Floats = np.ascontiguousarray((basis * np.sign(np.diag(triangle)))[:dimension], np.float32)
    directions.setflags(write=False)
    return directions


def skipped(vocabulary: Mapping[str, int], special: Sequence[int]) -> NDArray[np.bool_]:
    """For each token number whether it is left out: marks, and words that stand in most texts; half of all tokens.

    A piece that goes on a word is never left out.
    """
    mask = np.zeros(max([*vocabulary.values(), *special], default=-1) + 1, bool)
    marked = any(token.startswith(_BEGINS) for token in vocabulary)
    for token, number in vocabulary.items():
        begins = token.startswith(_BEGINS) if marked else not token.startswith(_CONTINUES)
        word = token.removeprefix(_BEGINS[0]).removeprefix(_BEGINS[1]).lower()
        mask[number] = (begins and word in STOP_WORDS) or not any(map(str.isalnum, word))
    mask[list(special)] = True
    return mask


def pack(tokens: NDArray[np.floating]) -> bytes:
    """The codes of one text's tokens [t, d], `TOKEN_BYTES` each."""
    return np.packbits(np.asarray(tokens, np.float32) @ rotation(tokens.shape[1]) >= 0, axis=1).tobytes()


@dataclass(frozen=True, slots=True)
class TokenTable:
    """The tokens of n texts, one after the other: signs uint8[T, TOKEN_BYTES], and how many each has, int64[n]."""

    signs: NDArray[np.uint8]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, codes: Sequence[bytes]) -> "TokenTable":
        """From what `pack` made of each text; an empty one has no tokens."""
        counts = np.fromiter(map(len, codes), np.int64, len(codes)) // TOKEN_BYTES
        return cls(np.frombuffer(b"".join(codes), np.uint8).reshape(-1, TOKEN_BYTES), counts)

    def best(self, query: Floats) -> Floats:
        """The best cosine of each query token in each text, float32[n, q]; at least 0, and NaN where there is no token.

        `query` float32[q, BITS] are unit vectors as `project` gives them.
        """
        found = np.full((len(self.counts), len(query)), np.nan, np.float32)
        there = np.flatnonzero(self.counts)
        if len(there) and len(query):
            # Signs as 0 and 1: twice the sum over the ones, less the sum over all, is the sum with signs.
            ones = np.unpackbits(self.signs, axis=1).astype(np.float32) @ query.T
            starts = (np.cumsum(self.counts) - self.counts)[there]
            most = np.maximum.reduceat(ones, starts, axis=0)
            found[there] = np.maximum((2 * most - query.sum(axis=1)) * _SCALE, 0)
        return found


def project(tokens: NDArray[np.floating]) -> Floats:
    """A query's tokens [q, d] as unit vectors in the dimensions of the codes, float32[q, BITS]."""
    projected = np.asarray(tokens, np.float32) @ rotation(tokens.shape[1])
    unit: Floats = projected / np.maximum(np.linalg.norm(projected, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return unit

"""Late interaction: every word of a query looks for its best match in each memory and in the turns around it.

MaxSim (ColBERT: Khattab and Zaharia, 2020) over token codes, each query token weighing as much as its word is rare. A
short turn is judged with its neighbours, as what it replies to is said there; one that says more stands by itself.
"""

import re
from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from memsvc.inference.token_codes import TokenTable
from memsvc.retrieval.model import Floats, Numbers
from memsvc.text.analysis import analyze

# The turn itself, and how much of a match counts that a turn so many places on holds.
OFFSETS = (0, -2, -1, 1)
_SHARES = np.array([1.0, 0.85, 0.92, 0.85], np.float32)
# A turn of so many tokens with a code, or fewer, is read with its neighbours in full; of so many, by itself.
_SHORT, _LONG = 10, 40
_WORD = re.compile(r"\w+(?:['\u2019]\w+)*")


def weigh(query: str, spans: NDArray[np.int64], idf: Mapping[str, float]) -> Floats:
    """What each query token weighs, float32[q]: the idf of its word, shared among the word's tokens by their root.

    `spans` int[q, 2] are the tokens' characters in the query. A stop word weighs nothing; without any idf (no word was
    looked up) all other words weigh the same.
    """
    words = [(match.start(), match.end(), _weight(match.group(), idf)) for match in _WORD.finditer(query)]
    starts = np.array([start for start, _, _ in words], np.int64)
    place = np.searchsorted(starts, spans[:, 0], side="right") - 1
    inside = [at >= 0 and start < words[at][1] for at, start in zip(place.tolist(), spans[:, 0].tolist(), strict=True)]
    pieces = Counter(at for at, is_in in zip(place.tolist(), inside, strict=True) if is_in)
    weights = [
        words[at][2] / pieces[at] ** 0.5 if is_in else 0.0 for at, is_in in zip(place.tolist(), inside, strict=True)
    ]
    return np.array(weights, np.float32)


def _weight(word: str, idf: Mapping[str, float]) -> float:
    terms = analyze(word)
    return max((idf.get(term, 0.0) if idf else 1.0 for term in terms), default=0.0)


def match(codes: Mapping[int, bytes], windows: Numbers, query: Floats) -> Floats:
    """The best cosine of each query token in each memory or around it, float32[m, q]; NaN for a memory without codes.

    `windows` int64[m, len(OFFSETS)] are chunk numbers, -1 for none: the memory's own first, then its neighbours'.
    """
    numbers = np.unique(windows[windows >= 0])
    table = TokenTable.of([codes.get(number, b"") for number in numbers.tolist()])
    if not len(numbers):
        return np.full((len(windows), len(query)), np.nan, np.float32)
    best = table.best(query)
    row = np.minimum(np.searchsorted(numbers, windows), len(numbers) - 1)
    found = np.where((windows >= 0)[:, :, None], best[row], np.float32(np.nan)) * _SHARES[:, None]
    own = found[:, 0]
    around = np.fmax.reduce(found, axis=1)
    tokens = table.counts[row[:, 0]]
    share = np.clip((_LONG - tokens) / (_LONG - _SHORT), 0, 1).astype(np.float32)[:, None]
    return np.where(np.isnan(own), own, own + share * (around - own)).astype(np.float32)


def score(matches: Floats, weights: Floats) -> Floats:
    """The weighted mean of each memory's matches, float32[m], about 0 to 1; NaN where it has none."""
    mass = float(weights.sum())
    return matches @ weights / np.float32(mass) if mass > 0 else np.full(len(matches), np.nan, np.float32)

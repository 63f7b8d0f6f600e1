"""Arithmetic that every encoder shares: unit vectors, batches of similar length, queries that are too long."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memsvc.errors import EncoderUnavailableError
from memsvc.inference.types import Vectors

# A query is a question; what a very long one adds after this many pieces no longer moves its mean.
MAX_QUERY_PIECES = 8


def unit(rows: NDArray[Any]) -> Vectors:
    """Each row of `[n, d]` over its Euclidean length, as float32.

    A row of zeros, which has no direction, becomes the first axis: cosine distances to it stay defined. Raises
    `EncoderUnavailableError` for a value that is not finite (half precision can overflow): it must never be stored.
    """
    wide = np.asarray(rows, np.float64)
    if not np.isfinite(wide).all():
        raise EncoderUnavailableError("the encoder computed a value that is not finite")
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    if not lengths.all():
        wide = wide.copy()
        wide[lengths[:, 0] == 0, 0] = 1.0
        lengths = np.where(lengths == 0, 1.0, lengths)
    found: Vectors = (wide / lengths).astype(np.float32)
    return found


def batches(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Indexes in batches of similar length, longest first: a batch's padded size, count times longest, is at most
    `batch_tokens`, except that a batch holds at least one."""
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    start = 0
    while start < len(order):
        count = max(1, batch_tokens // max(1, lengths[order[start]]))
        yield order[start : start + count]
        start += count


def require_within(lengths: Sequence[int], max_tokens: int) -> None:
    """`ValueError` naming the first text that is over the limit: truncation would lose what was said silently."""
    for index, length in enumerate(lengths):
        if length > max_tokens:
            raise ValueError(f"text {index} has {length} tokens, the encoder takes {max_tokens}: cut it into chunks")


def query_pieces(text: str, count_tokens: Callable[[Sequence[str]], list[int]], max_tokens: int) -> list[str]:
    """The query itself when it fits, else at most `MAX_QUERY_PIECES` parts of it that do.

    A query that is too long is halved, at a space where there is one, until every part fits. Of more parts, evenly
    spaced ones are kept, the first and the last among them.
    """
    pieces = [text]
    while True:
        lengths = count_tokens(pieces)
        if all(length <= max_tokens or len(piece) < 2 for piece, length in zip(pieces, lengths, strict=True)):
            break
        pieces = [
            part
            for piece, length in zip(pieces, lengths, strict=True)
            for part in (_halves(piece) if length > max_tokens and len(piece) > 1 else (piece,))
        ]
    if len(pieces) > MAX_QUERY_PIECES:
        step = (len(pieces) - 1) / (MAX_QUERY_PIECES - 1)
        pieces = [pieces[round(step * place)] for place in range(MAX_QUERY_PIECES)]
    return pieces


def _halves(text: str) -> tuple[str, str]:
    middle = len(text) // 2
    space = text.rfind(" ", middle // 2, middle)
    cut = space + 1 if space > 0 else middle
    return text[:cut], text[cut:]


def encode_queries_in_pieces(
    texts: Sequence[str],
    encode: Callable[[Sequence[str]], Vectors],
    count_tokens: Callable[[Sequence[str]], list[int]],
    max_tokens: int,
) -> Vectors:
    """`encode` over the pieces of each query; a query's vector is the mean of its pieces', made unit again."""
    lengths = count_tokens(texts)
    if all(length <= max_tokens for length in lengths):
        return encode(texts)
    pieces = [query_pieces(text, count_tokens, max_tokens) for text in texts]
    encoded = encode([piece for parts in pieces for piece in parts])
    ends = np.cumsum([len(parts) for parts in pieces])
    return unit(np.stack([part.mean(axis=0) for part in np.split(encoded, ends[:-1])]))

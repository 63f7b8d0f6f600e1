"""The documents that wait for the encoder, and which of them make the next batch. No clock, no thread."""

import asyncio
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple

from memsvc.inference.types import Embeddings, Prepared, Vectors

# A batch that would stay small may take texts up to this much longer than the one it was made for.
_STRETCH = 1.25


@dataclass(slots=True, eq=False)
class DocumentRequest:
    """The documents of one caller. `vectors` and `codes` are filled as its batches are done; `left` are to come."""

    documents: Sequence[Prepared]
    vectors: Vectors
    future: asyncio.Future[Embeddings]
    since: float
    codes: list[bytes] = field(init=False)
    left: int = field(init=False)
    started: bool = field(default=False, init=False)
    serial: int = field(default=0, init=False)
    longest_last: list[int] = field(init=False)
    taken: bytearray = field(init=False)

    def __post_init__(self) -> None:
        self.codes = [b""] * len(self.documents)
        self.left = len(self.documents)
        self.longest_last = sorted(range(self.left), key=lambda index: (self.documents[index].tokens, index))
        self.taken = bytearray(self.left)


class Waiting(NamedTuple):
    """One document. Ordered by length; `serial` and `place` are unique, so that requests are never compared."""

    tokens: int
    serial: int
    place: int
    request: DocumentRequest

    @property
    def document(self) -> Prepared:
        """What the encoder made of it."""
        return self.request.documents[self.place]


class DocumentPool:
    """Waiting documents of all requests, sorted by length over all of them.

    Requests take turns. A batch is made for the longest waiting document of the request whose turn it is and filled
    with the documents nearest in length, whoever's they are: one bulk request is computed longest first, as if it
    were alone, and a small one beside it waits for about one batch, which is full all the same.
    """

    def __init__(self) -> None:
        self._sorted: list[Waiting] = []
        self._turns: deque[DocumentRequest] = deque()
        self._serials = count(1)

    def __len__(self) -> int:
        return len(self._sorted)

    def add(self, request: DocumentRequest) -> None:
        """Let all documents of a request wait."""
        request.serial = next(self._serials)
        self._sorted += [
            Waiting(document.tokens, request.serial, index, request) for index, document in enumerate(request.documents)
        ]
        self._sorted.sort()  # nearly sorted already: linear
        self._turns.append(request)

    def discard(self, request: DocumentRequest) -> None:
        """Forget what of a request still waits."""
        if request in self._turns:
            self._turns.remove(request)
            self._sorted = [waiting for waiting in self._sorted if waiting.request is not request]

    def clear(self) -> list[DocumentRequest]:
        """Forget everything; returns the requests."""
        requests = list(self._turns)
        self._turns.clear()
        self._sorted.clear()
        return requests

    def take(self, batch_tokens: int) -> list[Waiting]:
        """The next batch, taken out: its count times its longest is at most `batch_tokens`, or it is one document."""
        request = self._turns[0]
        self._turns.rotate(-1)
        while request.taken[request.longest_last[-1]]:
            request.longest_last.pop()
        index = request.longest_last[-1]
        tokens = request.documents[index].tokens
        last = bisect_left(self._sorted, (tokens, request.serial, index))
        first = max(0, last + 1 - max(1, batch_tokens // max(1, tokens)))
        while last + 1 < len(self._sorted):
            longer = self._sorted[last + 1].tokens
            if longer > _STRETCH * tokens or (last + 2 - first) * longer > batch_tokens:
                break
            last += 1
        found = self._sorted[first : last + 1]
        del self._sorted[first : last + 1]
        for waiting in found:
            waiting.request.taken[waiting.place] = 1
        for touched in {id(waiting.request): waiting.request for waiting in found}.values():
            if all(touched.taken):
                self._turns.remove(touched)
        return found

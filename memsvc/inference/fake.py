"""An encoder for tests: a bag of hashed word stems, deterministic, without files, that fails or waits on demand."""

import hashlib
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from memsvc.errors import EncoderUnavailableError
from memsvc.inference.types import EncoderSpec, Vectors
from memsvc.inference.vectors import encode_queries_in_pieces, require_within, unit

_TOKEN = re.compile(r"\w+|[^\w\s]")
_SUFFIX = re.compile(r"(?<=\w{3})(?:ing|ed|es|s|ly)$")
_SPECIAL_TOKENS = 2


@dataclass(frozen=True, slots=True)
class Call:
    """One call that a fake encoder received."""

    kind: str
    texts: tuple[str, ...]


class FakeEncoder:
    """Texts that share words are similar. `fail` (True, or the error) makes the next calls fail, until it is reset."""

    def __init__(self, *, dimension: int = 64, max_tokens: int = 256) -> None:
        self.fail: bool | Exception = False
        self.calls: list[Call] = []
        self.closed = False
        self.hold: str | None = None
        self._go_on = threading.Event()
        self._go_on.set()
        self.spec = EncoderSpec(
            name="fake",
            revision="1",
            dimension=dimension,
            pooling="mean",
            max_tokens=max_tokens,
            query_prefix="",
            document_prefix="",
            file_hash="none",
        )

    def pause(self) -> None:
        """Calls now wait until `resume`; those of the kind `hold`, when it is set."""
        self._go_on.clear()

    def resume(self) -> None:
        """Let waiting calls go on."""
        self._go_on.set()

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """One for a word or a mark, two more for the text."""
        return [len(_TOKEN.findall(text)) + _SPECIAL_TOKENS for text in texts]

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """`ValueError` for a text over `spec.max_tokens`; `EncoderUnavailableError` while `fail` is set."""
        require_within(self.count_tokens(texts), self.spec.max_tokens)
        return self._encode("documents", texts)

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """A query over the limit is encoded in pieces, as every encoder does."""
        return encode_queries_in_pieces(
            texts, lambda pieces: self._encode("queries", pieces), self.count_tokens, self.spec.max_tokens
        )

    def close(self) -> None:
        """Remembered in `closed`."""
        self.closed = True

    def _encode(self, kind: str, texts: Sequence[str]) -> Vectors:
        self.calls.append(Call(kind, tuple(texts)))
        if self.hold in {None, kind}:
            self._go_on.wait()
        if isinstance(self.fail, Exception):
            raise self.fail
        if self.fail:
            raise EncoderUnavailableError
        rows = np.zeros((len(texts), self.spec.dimension))
        for row, text in zip(rows, texts, strict=True):
            for token in _TOKEN.findall(text.lower()):
                place, sign = _hash(_SUFFIX.sub("", token), self.spec.dimension)
                row[place] += sign
        return unit(rows)


def _hash(word: str, dimension: int) -> tuple[int, int]:
    """An axis and a sign, so that words that fall together cancel as often as they add."""
    value = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest())
    return value // 2 % dimension, 1 if value % 2 else -1

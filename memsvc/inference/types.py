"""What an encoder is: the protocol that local, remote and fake encoders meet."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """Identity of an encoder. Two vectors may be compared only when their specs' `key` is equal."""

    name: str
    revision: str
    dimension: int
    pooling: str
    max_tokens: int
    query_prefix: str
    document_prefix: str
    file_hash: str

    @property
    def key(self) -> str:
        """Stable identity: everything that changes the vectors."""
        return "|".join(
            (
                self.name,
                self.revision,
                str(self.dimension),
                self.pooling,
                self.query_prefix,
                self.document_prefix,
                self.file_hash,
            )
        )


class Encoder(Protocol):
    """Turns texts into unit vectors, `float32[n, dimension]`. The batcher calls it from a thread."""

    @property
    def spec(self) -> EncoderSpec: ...

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, special tokens included, before any truncation."""
        ...

    def encode_documents(self, texts: Sequence[str]) -> Vectors: ...

    def encode_queries(self, texts: Sequence[str]) -> Vectors: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Prepared:
    """A document made ready to encode. `payload` is the encoder's own; only the encoder that made it reads it."""

    tokens: int
    payload: object


@runtime_checkable
class PreparingEncoder(Encoder, Protocol):
    """An encoder whose work divides into tokenising and computing, so that documents of many requests can be sorted
    by their exact length without being tokenised twice."""

    @property
    def batch_tokens(self) -> int:
        """Padded tokens of the batch that this encoder computes fastest."""
        ...

    @property
    def lanes(self) -> int:
        """Batches that it computes fastest side by side, each called from a thread of its own."""
        ...

    def prepare_documents(self, texts: Sequence[str]) -> list[Prepared]:
        """Tokenise. `ValueError` when a text is over `spec.max_tokens`. Safe to call from another thread."""
        ...

    def encode_prepared(self, documents: Sequence[Prepared]) -> Vectors:
        """`float32[n, dimension]` in the order given."""
        ...

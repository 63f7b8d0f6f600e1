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


@dataclass(frozen=True, slots=True)
class Embeddings:
    """What an encoder makes of n documents.

    `vectors` float32[n, dimension] are unit vectors, a row of NaN for a document that was not done in time. `codes` are
    each one's token codes (`inference.token_codes`), empty where the encoder makes none.
    """

    vectors: Vectors
    codes: Sequence[bytes]

    def part(self, start: int, stop: int) -> "Embeddings | None":
        """Those of the documents from `start` up to `stop`; None unless all of them are done."""
        vectors = self.vectors[start:stop]
        return None if np.isnan(vectors).any() else Embeddings(vectors, self.codes[start:stop])


@dataclass(frozen=True, slots=True)
class QueryEmbedding:
    """What an encoder makes of a query: a unit vector float32[dimension], and its tokens, where it tells them.

    `tokens` float32[q, b] are unit vectors that `TokenTable.best` takes, `spans` int[q, 2] the characters of each.
    """

    vector: Vectors
    tokens: Vectors | None = None
    spans: NDArray[np.int64] | None = None


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

    def encode_prepared(self, documents: Sequence[Prepared]) -> Embeddings:
        """In the order given; token codes come from the same pass as the vectors."""
        ...

    def embed_queries(self, texts: Sequence[str]) -> list[QueryEmbedding]:
        """Vectors and tokens from one pass; a query over `spec.max_tokens` has no tokens."""
        ...

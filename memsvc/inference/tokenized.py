"""What encoders of this process share: tokenising, batches of similar length, worker threads. No model, no torch."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from memsvc.inference.types import EncoderSpec, Prepared, Vectors
from memsvc.inference.vectors import batches, encode_queries_in_pieces, require_within, unit

# Token ids and attention mask int64[n, width] in, pooled values [n, dimension] out. Called from several threads.
Forward = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.floating]]


@dataclass(frozen=True, slots=True)
class Layout:
    """How a tokenizer fills a batch: with which token, on which side."""

    pad_token: int = 0
    left: bool = False


class TokenizedEncoder:
    """A model behind its tokenizer. `workers` batches of `batch_tokens` padded tokens are computed side by side."""

    def __init__(
        self,
        forward: Forward,
        tokenizer: Tokenizer,
        spec: EncoderSpec,
        *,
        layout: Layout,
        batch_tokens: int,
        workers: int = 1,
    ) -> None:
        self._forward = forward
        self._spec = spec
        self._layout = layout
        self._batch_tokens = batch_tokens
        self._workers = workers
        self._pool = ThreadPoolExecutor(workers, "encoder-worker")
        # A copy: truncation off, because a text that does not fit is refused or windowed, never cut unseen.
        self._tokenizer = Tokenizer.from_str(tokenizer.to_str())
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    @property
    def spec(self) -> EncoderSpec:
        """Identity of this encoder."""
        return self._spec

    @property
    def batch_tokens(self) -> int:
        """Padded tokens of one batch."""
        return self._batch_tokens

    @property
    def lanes(self) -> int:
        """One a worker."""
        return self._workers

    def prepare_documents(self, texts: Sequence[str]) -> list[Prepared]:
        """Tokenise; `ValueError` for a text above `spec.max_tokens`."""
        token_ids = self._tokenize(self._spec.document_prefix, texts)
        require_within([len(ids) for ids in token_ids], self._spec.max_tokens)
        return [Prepared(len(ids), ids) for ids in token_ids]

    def encode_prepared(self, documents: Sequence[Prepared]) -> Vectors:
        """Unit vectors float32[n, dimension] of documents that `prepare_documents` of this encoder made."""
        return self._encode([cast("list[int]", document.payload) for document in documents])

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text with the document prefix and special tokens, untruncated."""
        return [len(ids) for ids in self._tokenize(self._spec.document_prefix, texts)]

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors float32[n, dimension]; `ValueError` for a text above `spec.max_tokens`."""
        return self.encode_prepared(self.prepare_documents(texts))

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors float32[n, dimension]; a query above the limit is the mean of its pieces' vectors."""
        return encode_queries_in_pieces(texts, self._encode_queries, self._count_query_tokens, self._spec.max_tokens)

    def close(self) -> None:
        """End the worker threads."""
        self._pool.shutdown()

    def _tokenize(self, prefix: str, texts: Sequence[str]) -> list[list[int]]:
        encodings = self._tokenizer.encode_batch_fast([prefix + text for text in texts])
        return [encoding.ids for encoding in encodings]

    def _encode_queries(self, texts: Sequence[str]) -> Vectors:
        return self._encode(self._tokenize(self._spec.query_prefix, texts))

    def _count_query_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(ids) for ids in self._tokenize(self._spec.query_prefix, texts)]

    def _encode(self, token_ids: Sequence[list[int]]) -> Vectors:
        vectors = np.empty((len(token_ids), self._spec.dimension), np.float32)

        def encode(rows: list[int]) -> None:
            vectors[rows] = self._compute([token_ids[row] for row in rows])

        found = list(batches([len(ids) for ids in token_ids], self._batch_tokens))
        if self._workers == 1 or len(found) == 1:
            for rows in found:
                encode(rows)
        else:
            list(self._pool.map(encode, found))
        return vectors

    def _compute(self, token_ids: Sequence[list[int]]) -> Vectors:
        width = max(map(len, token_ids))
        ids = np.full((len(token_ids), width), self._layout.pad_token, np.int64)
        mask = np.zeros((len(token_ids), width), np.int64)
        for row, tokens in enumerate(token_ids):
            place = slice(width - len(tokens), width) if self._layout.left else slice(0, len(tokens))
            ids[row, place], mask[row, place] = tokens, 1
        return unit(self._forward(ids, mask))

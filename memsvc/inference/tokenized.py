"""What encoders of this process share: tokenising, batches of similar length, worker threads. No model, no torch."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from memsvc.inference.token_codes import pack, project, skipped
from memsvc.inference.types import Embeddings, EncoderSpec, Prepared, QueryEmbedding, Vectors
from memsvc.inference.vectors import batches, encode_queries_in_pieces, require_within, unit


class Passed(NamedTuple):
    """What a model makes of n texts: pooled values [n, dimension], and those of each token [n, width, dimension], where
    it tells them."""

    pooled: NDArray[np.floating]
    tokens: NDArray[np.floating] | None


# Token ids and attention mask int64[n, width] in. Called from several threads.
Forward = Callable[[NDArray[np.int64], NDArray[np.int64]], Passed]


@dataclass(frozen=True, slots=True)
class Layout:
    """How a tokenizer fills a batch: with which token, on which side."""

    pad_token: int = 0
    left: bool = False


# A row, its unit vector float32[dimension], and its tokens' values [t, dimension].
Take = Callable[[int, Vectors, NDArray[np.floating] | None], None]


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
        special = [number for number, token in tokenizer.get_added_tokens_decoder().items() if token.special]
        self._special = np.array(sorted({layout.pad_token, *special}), np.int64)
        self._skipped = skipped(tokenizer.get_vocab(), self._special.tolist())

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

    def encode_prepared(self, documents: Sequence[Prepared]) -> Embeddings:
        """Vectors and token codes of documents that `prepare_documents` of this encoder made."""
        token_ids = [cast("list[int]", document.payload) for document in documents]
        vectors = np.empty((len(token_ids), self._spec.dimension), np.float32)
        codes = [b""] * len(token_ids)

        def take(row: int, vector: Vectors, tokens: NDArray[np.floating] | None) -> None:
            vectors[row] = vector
            if tokens is not None:
                codes[row] = pack(tokens[self._kept(token_ids[row])])

        self._encode(token_ids, take)
        return Embeddings(vectors, codes)

    def embed_queries(self, texts: Sequence[str]) -> list[QueryEmbedding]:
        """Vectors and tokens of queries; one above the limit is the mean of its pieces' vectors, and has no tokens."""
        encodings = self._tokenizer.encode_batch([self._spec.query_prefix + text for text in texts])
        long = [row for row, encoding in enumerate(encodings) if len(encoding.ids) > self._spec.max_tokens]
        found: list[QueryEmbedding | None] = [None] * len(texts)
        for row, vector in zip(long, self.encode_queries([texts[row] for row in long]), strict=True):
            found[row] = QueryEmbedding(vector.copy())
        short = [row for row in range(len(texts)) if found[row] is None]

        def take(place: int, vector: Vectors, tokens: NDArray[np.floating] | None) -> None:
            row = short[place]
            found[row] = self._embedded(encodings[row], vector, tokens)

        self._encode([encodings[row].ids for row in short], take)
        return cast("list[QueryEmbedding]", found)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text with the document prefix and special tokens, untruncated."""
        return [len(ids) for ids in self._tokenize(self._spec.document_prefix, texts)]

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors float32[n, dimension]; `ValueError` for a text above `spec.max_tokens`."""
        return self.encode_prepared(self.prepare_documents(texts)).vectors

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
        vectors = np.empty((len(texts), self._spec.dimension), np.float32)

        def take(row: int, vector: Vectors, _tokens: NDArray[np.floating] | None) -> None:
            vectors[row] = vector

        self._encode(self._tokenize(self._spec.query_prefix, texts), take)
        return vectors

    def _count_query_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(ids) for ids in self._tokenize(self._spec.query_prefix, texts)]

    def _kept(self, ids: list[int]) -> NDArray[np.intp]:
        """Places of the tokens that get codes: what says something, or all of a text that is made of common words."""
        numbers = np.array(ids, np.int64)
        kept = np.flatnonzero(~self._skipped[numbers])
        return kept if len(kept) else np.flatnonzero(~np.isin(numbers, self._special))

    def _embedded(self, encoding: Encoding, vector: Vectors, tokens: NDArray[np.floating] | None) -> QueryEmbedding:
        """With the tokens of the query itself: what a prefix or the model adds says nothing of it."""
        before = len(self._spec.query_prefix)
        own = [place for place, (start, stop) in enumerate(encoding.offsets) if stop > start >= before]
        if tokens is None or not own:
            return QueryEmbedding(vector.copy())
        return QueryEmbedding(vector.copy(), project(tokens[own]), np.array(encoding.offsets, np.int64)[own] - before)

    def _encode(self, token_ids: Sequence[list[int]], take: Take) -> None:
        """Hand each text's unit vector, and its tokens' values [t, dimension], to `take`, batch by batch."""

        def encode(rows: list[int]) -> None:
            passed, first = self._compute([token_ids[row] for row in rows])
            vectors = unit(passed.pooled)
            for place, row in enumerate(rows):
                start = first[place]
                held = None if passed.tokens is None else passed.tokens[place, start : start + len(token_ids[row])]
                take(row, vectors[place], held)

        found = list(batches([len(ids) for ids in token_ids], self._batch_tokens))
        if self._workers == 1 or len(found) == 1:
            for rows in found:
                encode(rows)
        else:
            list(self._pool.map(encode, found))

    def _compute(self, token_ids: Sequence[list[int]]) -> tuple[Passed, list[int]]:
        """What the model makes of a batch, and the place of each text's first token in its row."""
        width = max(map(len, token_ids))
        ids = np.full((len(token_ids), width), self._layout.pad_token, np.int64)
        mask = np.zeros((len(token_ids), width), np.int64)
        first = [width - len(tokens) if self._layout.left else 0 for tokens in token_ids]
        for row, (start, tokens) in enumerate(zip(first, token_ids, strict=True)):
            place = slice(start, start + len(tokens))
            ids[row, place], mask[row, place] = tokens, 1
        return self._forward(ids, mask), first

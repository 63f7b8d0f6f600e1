"""Encoders that run in this process, over sentence-transformers and torch."""

import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling

from memsvc.config import Settings
from memsvc.errors import ConfigurationError
from memsvc.inference.device import choose_device, choose_dtype, choose_threads
from memsvc.inference.registry import BUNDLED, bundled_folder, check_hash, file_hash, find_known
from memsvc.inference.types import EncoderSpec, Prepared, Vectors
from memsvc.inference.vectors import batches, encode_queries_in_pieces, require_within, unit

# On a CPU each batch is computed by one thread, and several batches at once: as many texts a second as with torch's own
# threads, without their barriers, at which everything waits when the database or the event loop takes a core.
CPU_BATCH_TOKENS = 512


class LocalEncoder:
    """A sentence-transformers model, driven module by module: its own `encode` costs a query milliseconds more."""

    def __init__(self, model: SentenceTransformer, spec: EncoderSpec, *, batch_tokens: int, workers: int = 1) -> None:
        self._model = model.eval()
        self._spec = spec
        self._batch_tokens = batch_tokens
        self._device = model.device
        self._workers = workers
        self._pool = ThreadPoolExecutor(workers, "encoder-worker")
        tokenizer = model.tokenizer
        # A copy: truncation off, because a text that does not fit is refused or windowed, never cut unseen.
        self._tokenizer = type(tokenizer.backend_tokenizer).from_str(tokenizer.backend_tokenizer.to_str())
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._pad = int(tokenizer.pad_token_id or 0)
        self._left = tokenizer.padding_side == "left"
        self._has_types = "token_type_ids" in tokenizer.model_input_names

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
            vectors[rows] = self._forward([token_ids[row] for row in rows])

        found = list(batches([len(ids) for ids in token_ids], self._batch_tokens))
        if self._workers == 1 or len(found) == 1:
            for rows in found:
                encode(rows)
        else:
            list(self._pool.map(encode, found))
        return vectors

    @torch.inference_mode()
    def _forward(self, token_ids: Sequence[list[int]]) -> Vectors:
        width = max(map(len, token_ids))
        ids = np.full((len(token_ids), width), self._pad, np.int64)
        mask = np.zeros((len(token_ids), width), np.int64)
        for row, tokens in enumerate(token_ids):
            place = slice(width - len(tokens), width) if self._left else slice(0, len(tokens))
            ids[row, place], mask[row, place] = tokens, 1
        features: dict[str, Any] = {
            "input_ids": torch.from_numpy(ids).to(self._device),
            "attention_mask": torch.from_numpy(mask).to(self._device),
        }
        if self._has_types:
            features["token_type_ids"] = torch.zeros_like(features["input_ids"])
        for module in self._model:
            features = module(features)
        return unit(features["sentence_embedding"].float().cpu().numpy())


def load_local(settings: Settings) -> LocalEncoder:
    """The encoder that the settings name: bundled, registered, on the hub, or in a folder."""
    _quieten()
    known = find_known(settings.encoder)
    bundled = known is BUNDLED and not Path(settings.encoder).is_dir()
    source = str(bundled_folder()) if bundled else (known.source if known else settings.encoder)
    if bundled and BUNDLED.sha256 is not None:
        check_hash(bundled_folder() / "model.safetensors", BUNDLED.sha256)
    device = choose_device(settings.device)
    if device == "cpu":
        torch.set_num_threads(1)
    model = _load(source, device, settings.encoder_revision)
    pooling = known.pooling if known is not None and known.pooling is not None else _pooling_of(model)
    _apply_pooling(model, pooling)
    spec = EncoderSpec(
        name=known.name if known else settings.encoder,
        revision=settings.encoder_revision or _commit_of(model),
        dimension=int(model.get_embedding_dimension() or 0),
        pooling=pooling,
        max_tokens=_max_tokens(model, known.max_tokens if known else None),
        query_prefix=known.query_prefix if known else model.prompts.get("query", "") or "",
        document_prefix=known.document_prefix if known else model.prompts.get("document", "") or "",
        file_hash=_weights_hash(source) or "",
    )
    if device != "cpu":
        return LocalEncoder(model, spec, batch_tokens=settings.encoder_batch_tokens)
    workers = choose_threads(settings.torch_threads)
    return LocalEncoder(model, spec, batch_tokens=min(CPU_BATCH_TOKENS, settings.encoder_batch_tokens), workers=workers)


def _load(source: str, device: str, revision: str | None) -> SentenceTransformer:
    dtype = choose_dtype(device)
    try:
        return SentenceTransformer(
            source, device=device, revision=revision, local_files_only=_is_offline(), model_kwargs={"dtype": dtype}
        )
    except (OSError, ValueError, KeyError) as error:
        raise ConfigurationError(
            f"the encoder {source} cannot be loaded: {str(error).splitlines()[0]}",
            remedy=(
                "Set MEMSVC_ENCODER to a registered name, a folder with a sentence-transformers model, or the name of "
                "one on a hub that this machine can reach."
            ),
        ) from error


def _is_offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE") == "1"


def _commit_of(model: SentenceTransformer) -> str:
    """The hub's commit that a model was loaded from: without a pinned revision its weights may change under a name."""
    config = getattr(getattr(model[0], "auto_model", None), "config", None)
    return str(getattr(config, "_commit_hash", None) or "")


def _pooling_of(model: SentenceTransformer) -> str:
    for module in model:
        if isinstance(module, Pooling):
            return str(module.pooling_mode)
    return "model"


def _apply_pooling(model: SentenceTransformer, pooling: str) -> None:
    """Hub models without a sentence-transformers configuration are mean-pooled, whatever they were trained with."""
    for name, module in model.named_children():
        if isinstance(module, Pooling) and str(module.pooling_mode) != pooling:
            setattr(model, name, Pooling(module.embedding_dimension, pooling_mode=pooling))


def _max_tokens(model: SentenceTransformer, wanted: int | None) -> int:
    limits = [int(limit) for limit in (model.max_seq_length, wanted) if limit]
    return min(limits) if limits else 512


def _weights_hash(source: str) -> str | None:
    """SHA-256 of a folder's weights; a hub model is told by its name and revision."""
    weights = sorted(Path(source).glob("*.safetensors")) if Path(source).is_dir() else []
    return "+".join(file_hash(file) for file in weights) or None


def _quieten() -> None:
    """Progress bars and advice belong on no service's standard error."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.getLogger("sentence_transformers").setLevel(logging.WARNING)

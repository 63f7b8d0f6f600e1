"""Encoders that run in this process, over sentence-transformers and torch."""

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling

from memsvc.config import Settings
from memsvc.errors import ConfigurationError
from memsvc.inference.registry import BUNDLED, bundled_folder, check_hash, file_hash, find_known
from memsvc.inference.types import EncoderSpec, Vectors


class LocalEncoder:
    """A sentence-transformers model, driven module by module: its own `encode` costs a query milliseconds more."""

    def __init__(self, model: SentenceTransformer, spec: EncoderSpec, *, batch_tokens: int) -> None:
        self._model = model.eval()
        self._spec = spec
        self._batch_tokens = batch_tokens
        self._device = model.device
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

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text with the document prefix and special tokens, untruncated."""
        return [len(ids) for ids in self._tokenize(self._spec.document_prefix, texts)]

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors float32[n, dimension]; `ValueError` for a text above `spec.max_tokens`."""
        token_ids = self._tokenize(self._spec.document_prefix, texts)
        longest = max(map(len, token_ids), default=0)
        if longest > self._spec.max_tokens:
            raise ValueError(f"a text has {longest} tokens, the encoder takes {self._spec.max_tokens}: chunk it first")
        return self._encode(token_ids)

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors float32[n, dimension]; a query above the limit is the mean of its windows' vectors."""
        token_ids = self._tokenize(self._spec.query_prefix, texts)
        windows = [self._windows(ids) for ids in token_ids]
        encoded = self._encode([window for of_query in windows for window in of_query])
        starts = np.cumsum([0, *(len(of_query) for of_query in windows[:-1])])
        return _normalize(np.add.reduceat(encoded, starts)) if len(encoded) else encoded

    def close(self) -> None:
        """Nothing to give back before the process ends."""

    def _tokenize(self, prefix: str, texts: Sequence[str]) -> list[list[int]]:
        encodings = self._tokenizer.encode_batch_fast([prefix + text for text in texts])
        return [encoding.ids for encoding in encodings]

    def _windows(self, ids: list[int]) -> list[list[int]]:
        limit = self._spec.max_tokens
        if len(ids) <= limit:
            return [ids]
        first, *inner, last = ids
        return [[first, *inner[i : i + limit - 2], last] for i in range(0, len(inner), limit - 2)]

    def _encode(self, token_ids: Sequence[list[int]]) -> Vectors:
        vectors = np.empty((len(token_ids), self._spec.dimension), np.float32)
        for rows in self._batches(token_ids):
            vectors[rows] = self._forward([token_ids[row] for row in rows])
        return vectors

    def _batches(self, token_ids: Sequence[list[int]]) -> Iterator[list[int]]:
        """Rows by length, longest first, as many at a time as fit the budget with their padding."""
        order = sorted(range(len(token_ids)), key=lambda row: -len(token_ids[row]))
        start = 0
        while start < len(order):
            longest = max(1, len(token_ids[order[start]]))
            size = max(1, self._batch_tokens // longest)
            yield order[start : start + size]
            start += size

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
        return _normalize(features["sentence_embedding"].float().cpu().numpy())


def load_local(settings: Settings) -> LocalEncoder:
    """The encoder that the settings name: bundled, registered, on the hub, or in a folder."""
    _quieten()
    known = find_known(settings.encoder)
    bundled = known is BUNDLED and not Path(settings.encoder).is_dir()
    source = str(bundled_folder()) if bundled else (known.source if known else settings.encoder)
    if bundled and BUNDLED.sha256 is not None:
        check_hash(bundled_folder() / "model.safetensors", BUNDLED.sha256)
    device = pick_device(settings.device)
    if device == "cpu":
        torch.set_num_threads(settings.torch_threads or max(1, len(os.sched_getaffinity(0))))
    model = _load(source, device, settings.encoder_revision)
    pooling = known.pooling if known is not None and known.pooling is not None else _pooling_of(model)
    _apply_pooling(model, pooling)
    spec = EncoderSpec(
        name=known.name if known else settings.encoder,
        revision=settings.encoder_revision or "",
        dimension=int(model.get_embedding_dimension() or 0),
        pooling=pooling,
        max_tokens=_max_tokens(model, known.max_tokens if known else None),
        query_prefix=known.query_prefix if known else model.prompts.get("query", "") or "",
        document_prefix=known.document_prefix if known else model.prompts.get("document", "") or "",
        file_hash=_weights_hash(source) or "",
    )
    return LocalEncoder(model, spec, batch_tokens=settings.encoder_batch_tokens)


def pick_device(wanted: str) -> str:
    """The device to run on; `auto` takes the fastest there is."""
    if wanted != "auto":
        available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
        if not available[wanted]:
            raise ConfigurationError(
                f"MEMSVC_DEVICE is {wanted}, which torch does not find here", remedy="Set it to auto or cpu."
            )
        return wanted
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _load(source: str, device: str, revision: str | None) -> SentenceTransformer:
    # Half precision halves the time on a GPU and changes cosines in the third digit; on a CPU it is emulated.
    dtype = torch.float16 if device == "cuda" else torch.float32
    try:
        return SentenceTransformer(
            source, device=device, revision=revision, local_files_only=_is_offline(), model_kwargs={"dtype": dtype}
        )
    except (OSError, ValueError, KeyError) as error:
        raise ConfigurationError(
            f"the encoder {source} cannot be loaded: {str(error).splitlines()[0]}",
            remedy="Set MEMSVC_ENCODER to a registered name, a folder with a sentence-transformers model, or a hub name "
            "that this machine can reach.",
        ) from error


def _is_offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE") == "1"


def _pooling_of(model: SentenceTransformer) -> str:
    for module in model:
        if isinstance(module, Pooling):
            return str(module.pooling_mode)
    return "model"


def _apply_pooling(model: SentenceTransformer, pooling: str) -> None:
    """A hub model without a sentence-transformers configuration is mean-pooled by default, whatever it was trained with."""
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


def _normalize(vectors: Vectors) -> Vectors:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Vectors = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)
    return unit


def _quieten() -> None:
    """Progress bars and advice belong on no service's standard error."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    logging.getLogger("sentence_transformers").setLevel(logging.WARNING)

"""Encoders that run in this process, over sentence-transformers and torch."""

import logging
import os
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling

from memsvc.config import Settings
from memsvc.errors import ConfigurationError
from memsvc.inference.device import choose_device, choose_dtype
from memsvc.inference.registry import BUNDLED, bundled_folder, check_hash, file_hash, find_known
from memsvc.inference.threads import choose_threads
from memsvc.inference.tokenized import Layout, Passed, TokenizedEncoder
from memsvc.inference.types import EncoderSpec

# On a CPU each batch is computed by one thread, and several batches at once: as many texts a second as with torch's own
# threads, without their barriers, at which everything waits when the database or the event loop takes a core.
CPU_BATCH_TOKENS = 512


class TorchForward:
    """A sentence-transformers model, driven module by module: its own `encode` costs a query milliseconds more."""

    def __init__(self, model: SentenceTransformer) -> None:
        self._model = model.eval()
        self._device = model.device
        self._has_types = "token_type_ids" in model.tokenizer.model_input_names

    @torch.inference_mode()
    def __call__(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> Passed:
        """Pooled values and those of each token, float32; a model without token outputs gives none of them."""
        features: dict[str, Any] = {
            "input_ids": torch.from_numpy(ids).to(self._device),
            "attention_mask": torch.from_numpy(mask).to(self._device),
        }
        if self._has_types:
            features["token_type_ids"] = torch.zeros_like(features["input_ids"])
        for module in self._model:
            features = module(features)
        tokens = features.get("token_embeddings")
        return Passed(_to_numpy(features["sentence_embedding"]), None if tokens is None else _to_numpy(tokens))


def _to_numpy(values: torch.Tensor) -> NDArray[np.float32]:
    return cast("NDArray[np.float32]", values.float().cpu().numpy())


def load_local(settings: Settings) -> TokenizedEncoder:
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
    workers = choose_threads(settings.torch_threads) if device == "cpu" else 1
    most = CPU_BATCH_TOKENS if device == "cpu" else settings.encoder_batch_tokens
    tokenizer = model.tokenizer
    return TokenizedEncoder(
        TorchForward(model),
        tokenizer.backend_tokenizer,
        spec,
        layout=Layout(int(tokenizer.pad_token_id or 0), tokenizer.padding_side == "left"),
        batch_tokens=min(most, settings.encoder_batch_tokens),
        workers=workers,
    )


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

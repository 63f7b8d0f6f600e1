"""From the settings to an encoder. What a kind of encoder needs is imported when it is asked for: torch is slow."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from memsvc.config import Settings
from memsvc.inference.registry import INT8
from memsvc.inference.types import Encoder

REMOTE = "remote:"
_NONE_KNOWN: Mapping[str, int] = MappingProxyType({})


def load_encoder(settings: Settings, dimensions: Mapping[str, int] = _NONE_KNOWN) -> Encoder:
    """The encoder that `settings.encoder` names: `remote:<model>`, a registered name, a folder or a hub name.

    A folder with `model.onnx` and no other weights is run by onnxruntime.

    `dimensions` by encoder name saves a remote one the question, so that a service whose endpoint is down still starts.
    Raises `ConfigurationError` when there is no such encoder or its files are not as they should be, and
    `EncoderUnavailableError` when a remote one does not answer.
    """
    if settings.encoder.startswith(REMOTE):
        from memsvc.inference.remote import open_remote

        return open_remote(settings.encoder.removeprefix(REMOTE), settings, dimensions.get(settings.encoder))
    if settings.encoder == INT8.name or _is_onnx(Path(settings.encoder)):
        from memsvc.inference.onnx import load_onnx

        return load_onnx(settings)
    from memsvc.inference.local import load_local

    return load_local(settings)


def _is_onnx(folder: Path) -> bool:
    if not folder.is_dir() or any(folder.glob("*.safetensors")):
        return False
    from memsvc.inference.onnx import find_weights

    return find_weights(folder) is not None

"""What a safetensors file holds, read from its header alone; anything that is not one is refused.

The format (https://huggingface.co/docs/safetensors): a u64 length, little-endian, a JSON header of that length, then
the tensors' bytes. Nothing in it is executed, unlike a pickle.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson
from safetensors import SafetensorError, safe_open

from memsvc.errors import FieldError, InvalidRequestError

LENGTH_BYTES = 8
MAX_HEADER_BYTES = 16_000_000
MAX_DIMENSIONS = 16


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor's type, as the format names it (F32, BF16...), and shape."""

    dtype: str
    shape: tuple[int, ...]


def check_file(path: Path) -> Mapping[str, Tensor]:
    """The tensors of the file, by name; `InvalidRequestError` when it is not well-formed safetensors.

    The library checks that offsets, shapes and types agree with the file's size and leave no hole; it maps the file and
    reads no tensor, so a type that numpy has not (BF16) passes.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(LENGTH_BYTES), "little")
        if not 2 <= length <= min(MAX_HEADER_BYTES, path.stat().st_size - LENGTH_BYTES):
            raise _refused("has no header of a sane length")
        tensors = read_header(file.read(length))
    try:
        with safe_open(path, framework="numpy") as opened:
            names = set(opened.keys())
    except SafetensorError as error:
        raise _refused(f"cannot be opened ({error})") from None
    if names != tensors.keys():
        raise _refused("names tensors that it does not hold")
    return tensors


def read_header(header: bytes) -> Mapping[str, Tensor]:
    """The tensors that a header names."""
    try:
        entries = orjson.loads(header)
    except orjson.JSONDecodeError:
        raise _refused("has a header that is not JSON") from None
    if not isinstance(entries, dict):
        raise _refused("has a header that is not a JSON object")
    tensors = {name: _tensor(entry) for name, entry in entries.items() if name != "__metadata__"}
    if not tensors:
        raise _refused("holds no tensor")
    return tensors


def _tensor(entry: object) -> Tensor:
    dtype = entry.get("dtype") if isinstance(entry, dict) else None
    shape = entry.get("shape") if isinstance(entry, dict) else None
    if not isinstance(dtype, str) or not isinstance(shape, list) or len(shape) > MAX_DIMENSIONS:
        raise _refused("describes a tensor without dtype and shape")
    if not all(type(size) is int and 0 <= size < 2**31 for size in shape):
        raise _refused("describes a tensor of an impossible shape")
    return Tensor(dtype, tuple(shape))


def _refused(problem: str) -> InvalidRequestError:
    fault = FieldError("body", problem, "Send a file made by safetensors, such as with `safetensors.torch.save_file`.")
    return InvalidRequestError("the body is not a well-formed safetensors file", fields=(fault,))

"""What the methods on tensors send, and the files they read and write: pure or blocking, shared by both clients."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Literal, TypedDict, TypeVar
from uuid import UUID

import httpx
from pydantic import BaseModel

from memsvc.sdk.errors import ConnectionFailed
from memsvc.sdk.requests import Call, fetch, validated
from memsvc.wire import Metadata
from memsvc.wire.tensors import (
    ActivationIn,
    CandidateList,
    DemoteRequest,
    InvalidateRequest,
    MatchRequest,
    MatchResponse,
    ParametricIn,
    TensorChanges,
    TensorRecord,
)

PIECE_BYTES = 1 << 20
BLOB_HEADERS: Mapping[str, str] = {"Content-Type": "application/octet-stream"}
Source = str | Path | bytes
ModelT = TypeVar("ModelT", bound=BaseModel)


class ModelFields(TypedDict):
    """The model that tensors belong to."""

    model: str
    model_revision: str
    tokenizer_hash: str


class TensorOptions(ModelFields, total=False):
    """`ActivationIn` and `ParametricIn`: the model, and what is known of the tensors."""

    id: UUID | str | None
    space: str
    source: UUID | str | None
    kind: str
    content: str
    name: str | None
    layers: int
    heads: int
    dtype: str
    shape: Sequence[int]
    position_scheme: str | None
    importance: float
    sensitivity: Literal["public", "normal", "sensitive"]
    visibility: Literal["private", "space", "tenant"]
    expires_at: datetime | str | None
    metadata: Metadata
    reason: str


class MatchOptions(ModelFields, total=False):
    """`MatchRequest`: the model, and one of `token_ids` and `prefix_hashes`."""

    token_ids: Sequence[int]
    prefix_hashes: Sequence[str]
    position_scheme: str | None
    spaces: Sequence[str]


class CandidateOptions(TypedDict, total=False):
    """When a memory is worth an activation; what is left out takes the service's default."""

    model_revision: str
    spaces: Sequence[str]
    accesses: int
    stable_days: float
    tokens: int
    limit: int


class ChangeOptions(TypedDict, total=False):
    """Where something is changed, and why; `dry_run` only says what would be."""

    spaces: Sequence[str]
    dry_run: bool
    reason: str


def activation(blob: str, token_ids: Sequence[int], options: TensorOptions) -> Call[TensorRecord]:
    """`POST /v1/activations`."""
    request = validated(ActivationIn, {**options, "blob": blob, "token_ids": list(token_ids)})
    return _post("/v1/activations", request, TensorRecord)


def parametric(blob: str, options: TensorOptions) -> Call[TensorRecord]:
    """`POST /v1/parametrics`."""
    return _post("/v1/parametrics", validated(ParametricIn, {**options, "blob": blob}), TensorRecord)


def tensor_record(memory_id: UUID | str, *, adapter: bool) -> Call[TensorRecord]:
    """`GET /v1/activations/{id}` or `GET /v1/parametrics/{id}`."""
    folder = "parametrics" if adapter else "activations"
    return fetch(f"/v1/{folder}/{UUID(str(memory_id))}", TensorRecord)


def match(options: MatchOptions) -> Call[MatchResponse]:
    """`POST /v1/activations/match`."""
    return _post("/v1/activations/match", validated(MatchRequest, {**options}), MatchResponse)


def candidates(model: str, options: CandidateOptions) -> Call[CandidateList]:
    """`GET /v1/activations/candidates`."""
    plain = {name: str(value) for name, value in options.items() if name != "spaces" and value is not None}
    query = httpx.QueryParams({"model": model, **plain})
    for space in options.get("spaces", ()):
        query = query.add("space", space)
    return replace(fetch("/v1/activations/candidates", CandidateList), params=query)


def invalidate(model: str, keep_revision: str | None, options: ChangeOptions) -> Call[TensorChanges]:
    """`POST /v1/activations/invalidate`."""
    request = validated(InvalidateRequest, {**options, "model": model, "keep_revision": keep_revision})
    return _post("/v1/activations/invalidate", request, TensorChanges)


def demote(idle_days: float, options: ChangeOptions) -> Call[TensorChanges]:
    """`POST /v1/activations/demote`."""
    request = validated(DemoteRequest, {**options, "idle_days": idle_days})
    return _post("/v1/activations/demote", request, TensorChanges)


def blob_path(sha256: str) -> str:
    """Where the blob is; anything that is no SHA-256 is `ValueError`, not a request to another path."""
    if len(sha256) != 64 or bytes.fromhex(sha256).hex() != sha256:
        raise ValueError(f"{sha256!r} is not a SHA-256 in lower-case hex")
    return f"/v1/blobs/{sha256}"


def pieces(source: Source) -> Iterator[bytes]:
    """The bytes of a file, or those given, a mebibyte at a time."""
    if isinstance(source, bytes):
        for start in range(0, len(source), PIECE_BYTES):
            yield source[start : start + PIECE_BYTES]
        return
    with Path(source).open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            yield piece


def measure(source: Source) -> tuple[str, int]:
    """SHA-256 in hex, and length."""
    digest, length = hashlib.sha256(), 0
    for piece in pieces(source):
        digest.update(piece)
        length += len(piece)
    return digest.hexdigest(), length


class Partial:
    """A download on its way: written beside its target, which it replaces once the hash agrees."""

    def __init__(self, target: Path, sha256: str) -> None:
        self._target = target
        self._sha256 = sha256
        self._path = target.with_name(f"{target.name}.{sha256[:8]}.partial")
        self._digest = hashlib.sha256()
        self._file = self._path.open("wb")

    def write(self, piece: bytes) -> None:
        """Add the next piece."""
        self._digest.update(piece)
        self._file.write(piece)

    def finish(self) -> None:
        """Give the file its name; `ConnectionFailed` when its bytes are not the blob's."""
        self._file.close()
        if self._digest.hexdigest() != self._sha256:
            raise ConnectionFailed(
                f"The bytes that came for blob {self._sha256} have another hash; nothing was written.\n"
                "Download it again; if it persists, upload the original once more, which repairs the stored blob."
            )
        self._path.replace(self._target)

    def discard(self) -> None:
        """Leave nothing behind, unless it was finished."""
        self._file.close()
        self._path.unlink(missing_ok=True)


@contextmanager
def partial(target: Path, sha256: str) -> Iterator[Partial]:
    """A download that leaves the whole file or nothing."""
    download = Partial(target, sha256)
    try:
        yield download
        download.finish()
    finally:
        download.discard()


def _post(path: str, request: BaseModel, answer: type[ModelT]) -> Call[ModelT]:
    # Only what the caller set, so that an older service is not sent fields that it does not know.
    return replace(fetch(path, answer), method="POST", body=request.model_dump_json(exclude_unset=True).encode())

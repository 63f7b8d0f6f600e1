"""What each method sends and how its answer is read: pure, shared by both clients."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Generic, Literal, TypedDict, TypeVar, Unpack
from urllib.parse import quote
from uuid import UUID, uuid4

import httpx
from pydantic import BaseModel, ValidationError

from memsvc.sdk.errors import error_from_response, invalid_request, unexpected_body
from memsvc.wire import (
    DeleteMode,
    Filters,
    Health,
    Kind,
    Memory,
    MemoryPage,
    MemoryPatch,
    MessageIn,
    Metadata,
    RecallRequest,
    Receipt,
    Role,
    Sensitivity,
    SpaceOut,
    SpacePolicies,
    State,
    TextIn,
    Visibility,
    WriteRequest,
    WriteResponse,
)

MAX_ITEMS = 1000

Answer = TypeVar("Answer")
ModelT = TypeVar("ModelT", bound=BaseModel)
MessageLike = MessageIn | Mapping[str, object]
TextLike = TextIn | Mapping[str, object] | str
Moment = datetime | str | None


class WriteOptions(TypedDict, total=False):
    """`WriteRequest` without its items; what is left out takes the service's default."""

    space: str
    session: str | None
    timezone: str
    wait: bool


class RecallOptions(TypedDict, total=False):
    """`RecallRequest` without the query; `space` is short for one entry in `spaces`."""

    space: str
    spaces: Sequence[str]
    k: int
    filters: Filters | Mapping[str, object]
    as_of_valid: datetime | str | None
    as_of_known: datetime | str | None
    include_superseded: bool
    now: datetime | str | None
    timezone: str
    recipe: Literal["fast", "balanced", "deep", "temporal"]
    token_budget: int | None
    explain: bool


class ListOptions(TypedDict, total=False):
    """Which memories to list; `limit` is the page size, `cursor` comes from the page before."""

    space: str | None
    kind: Kind | None
    role: Role | None
    session: str | None
    state: State | None
    name: str | None
    as_of_valid: datetime | str | None
    as_of_known: datetime | str | None
    limit: int | None
    cursor: str | None


class PatchFields(TypedDict, total=False):
    """`MemoryPatch`: what is left out stays, None clears."""

    content: str | None
    importance: float | None
    metadata: Metadata | None
    timestamp: datetime | str | None
    expires_at: datetime | str | None
    valid_from: str | None
    valid_to: str | None
    visibility: Visibility
    sensitivity: Sensitivity
    trust: float
    timezone: str
    reason: str | None


class Sending(TypedDict, total=False):
    """How a `Call` is sent."""

    params: Mapping[str, str]
    version: int | None
    retried: bool


@dataclass(frozen=True, slots=True)
class Call(Generic[Answer]):
    """One request, ready to send any number of times."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    read: Callable[[httpx.Response], Answer]
    body: bytes | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    idempotency_key: str | None = None
    version: int | None = None
    retried: bool = True

    def headers(self) -> dict[str, str]:
        """Headers of this request alone."""
        headers = {"Content-Type": "application/json"} if self.body is not None else {}
        if self.idempotency_key:
            headers["Idempotency-Key"] = self.idempotency_key
        if self.version is not None:
            headers["If-Match"] = f'"{self.version}"'
        return headers


def write(
    messages: Sequence[MessageLike], texts: Sequence[TextLike] | str, options: WriteOptions, key: str | None
) -> Call[WriteResponse]:
    """`POST /v1/memories`; `ValueError` past 1,000 items."""
    text_items = [texts] if isinstance(texts, str) else texts
    count = len(messages) + len(text_items)
    if count > MAX_ITEMS:
        raise ValueError(f"add() takes at most {MAX_ITEMS} items, not {count}; use add_many() for more")
    request = validated(
        WriteRequest,
        {
            **options,
            "messages": list(messages),
            "texts": [{"content": text} if isinstance(text, str) else text for text in text_items],
        },
    )
    return Call(
        "POST",
        "/v1/memories",
        _reader(WriteResponse),
        body=_json(request),
        idempotency_key=key or new_idempotency_key(),
    )


def ask(
    path: str, request: type[RecallRequest], query: str, options: RecallOptions, answer: type[ModelT]
) -> Call[ModelT]:
    """`POST /v1/recall` and `POST /v1/context`, which take the same fields."""
    fields: dict[str, object] = {**options, "query": query}
    if "space" in options:
        if "spaces" in options:
            raise ValueError("give either space or spaces, not both")
        fields["spaces"] = [fields.pop("space")]
    return Call("POST", path, _reader(answer), body=_json(validated(request, fields)))


def list_page(options: ListOptions) -> Call[MemoryPage]:
    """`GET /v1/memories`; `TypeError` for a parameter that there is not."""
    unknown = sorted(options.keys() - ListOptions.__annotations__.keys())
    if unknown:
        raise TypeError(f"list() has no parameter {', '.join(unknown)}")
    return Call("GET", "/v1/memories", _reader(MemoryPage), params=parameters(options))


def memory(memory_id: UUID | str, *, valid: Moment, known: Moment) -> Call[Memory]:
    """`GET /v1/memories/{id}`."""
    params = parameters({"as_of_valid": valid, "as_of_known": known})
    return Call("GET", memory_path(memory_id), _reader(Memory), params=params)


def patch(memory_id: UUID | str, fields: PatchFields, version: int | None) -> Call[Memory]:
    """`PATCH /v1/memories/{id}` with the given fields alone; with a version not retried, as success refuses it."""
    body = _json(validated(MemoryPatch, {**fields}))
    return Call("PATCH", memory_path(memory_id), _reader(Memory), body=body, version=version, retried=version is None)


def delete(memory_id: UUID | str, mode: DeleteMode, at: Moment, version: int | None) -> Call[None]:
    """`DELETE /v1/memories/{id}`; the answer has no content."""
    params = parameters({"mode": mode, "at": at})
    return Call("DELETE", memory_path(memory_id), read_nothing, params=params, version=version)


def put_space(name: str, fields: Mapping[str, object]) -> Call[SpaceOut]:
    """`PUT /v1/spaces/{name}`."""
    body = _json(validated(SpacePolicies, fields))
    return Call("PUT", f"/v1/spaces/{name_segment(name)}", _reader(SpaceOut), body=body)


def post(
    path: str, request: type[BaseModel], fields: Mapping[str, object], answer: type[ModelT], **options: Unpack[Sending]
) -> Call[ModelT]:
    """A POST of `fields` as `request`, answered by `answer`."""
    return Call("POST", path, _reader(answer), body=_json(validated(request, fields)), **options)


def parameters(options: Mapping[str, object]) -> dict[str, str]:
    """Query parameters: what is None is left out, a moment is ISO 8601."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else str(value)
        for name, value in options.items()
        if value is not None
    }


def receipt(receipt_id: UUID | str) -> Call[Receipt]:
    """`GET /v1/receipts/{id}`."""
    return Call("GET", f"/v1/receipts/{segment(receipt_id)}", _read_receipt)


def fetch(path: str, answer: type[ModelT], params: Mapping[str, object] | None = None) -> Call[ModelT]:
    """A plain GET."""
    return Call("GET", path, _reader(answer), params=parameters(params or {}))


def readiness() -> Call[Health]:
    """`GET /readyz`, whose 503 is an answer: neither a failure nor a reason to try again."""
    return Call("GET", "/readyz", _read_readiness, retried=False)


def validated(model: type[ModelT], fields: Mapping[str, object], *, within: str = "") -> ModelT:
    """`fields` as a wire model; `InvalidRequest` with the fields at fault, under the path `within`."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise invalid_request(error, within=within) from None


def new_idempotency_key() -> str:
    """One key per logical call: every retry of it sends the same."""
    return str(uuid4())


def _json(request: BaseModel) -> bytes:
    # Only what the caller set, so that an older service is not sent fields that it does not know.
    return request.model_dump_json(exclude_unset=True).encode()


def _reader(model: type[ModelT]) -> Callable[[httpx.Response], ModelT]:
    def read(response: httpx.Response) -> ModelT:
        _raise_for_error(response)
        return _parsed(model, response)

    return read


def _read_receipt(response: httpx.Response) -> Receipt:
    _raise_for_error(response)
    return _parsed(WriteResponse, response).receipt


def read_nothing(response: httpx.Response) -> None:
    _raise_for_error(response)


def _read_readiness(response: httpx.Response) -> Health:
    try:
        return Health.model_validate_json(response.content, extra="ignore")
    except ValidationError:
        _raise_for_error(response)
        raise unexpected_body(response) from None


def _parsed(model: type[ModelT], response: httpx.Response) -> ModelT:
    try:
        # A newer service may say more than this client knows; that is no reason to fail.
        return model.model_validate_json(response.content, extra="ignore")
    except ValidationError:
        raise unexpected_body(response) from None


def _raise_for_error(response: httpx.Response) -> None:
    if not response.is_success:
        raise error_from_response(response, now=datetime.now(UTC))


def memory_path(memory_id: UUID | str) -> str:
    """The path of a memory."""
    return f"/v1/memories/{segment(memory_id)}"


def segment(value: UUID | str) -> str:
    """An id as one path segment; anything that is not an id is `ValueError`, not a request to another path."""
    return str(UUID(str(value)))


def name_segment(name: str) -> str:
    """A name as one path segment, whatever is in it; the dots too, since `..` would be another path."""
    return quote(name, safe="").replace(".", "%2E")


class EraseOptions(TypedDict, total=False):
    """Conditions of an erasure; all that are given must hold."""

    space: str
    session: str
    subject: str
    actor: str
    filters: Filters | Mapping[str, object]


def operation_path(operation_id: UUID | str) -> str:
    """The path of an operation."""
    return f"/v1/operations/{segment(operation_id)}"


def core_path(label: str) -> str:
    """The path of a section of the core memory."""
    return f"/v1/core/{name_segment(label)}"


def hold(memory_id: UUID | str, wanted: BaseModel, version: int | None) -> Call[Memory]:
    """`PUT /v1/memories/{id}/hold`."""
    return Call("PUT", f"{memory_path(memory_id)}/hold", _reader(Memory), body=_json(wanted), version=version)


def delete_core(label: str, space: str, version: int | None) -> Call[None]:
    """`DELETE /v1/core/{label}`."""
    return Call("DELETE", core_path(label), read_nothing, params={"space": space}, version=version)


def erasure(erasure_id: UUID | str) -> Call[dict[str, object]]:
    """`GET /v1/erasures/{id}`."""
    return Call("GET", f"/v1/erasures/{segment(erasure_id)}", _read_document)


def _read_document(response: httpx.Response) -> dict[str, object]:
    _raise_for_error(response)
    try:
        document = response.json()
    except ValueError:
        raise unexpected_body(response) from None
    if not isinstance(document, dict):
        raise unexpected_body(response)
    return document

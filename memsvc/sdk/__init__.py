"""The Python client: `MemoryClient` and `AsyncMemoryClient`, their errors and the models they speak."""

from memsvc.sdk._async import AsyncMemoryClient
from memsvc.sdk._sync import MemoryClient
from memsvc.sdk.bulk import BulkResult
from memsvc.sdk.errors import (
    ApiError,
    Busy,
    Conflict,
    ConnectionFailed,
    FieldProblem,
    Forbidden,
    InvalidRequest,
    LegalHold,
    MemsvcClientError,
    NotFound,
    PreconditionFailed,
    TimedOut,
    TooLarge,
    Unauthenticated,
    Unavailable,
)
from memsvc.wire import Filters, MessageIn, TextIn

__all__ = [
    "ApiError",
    "AsyncMemoryClient",
    "BulkResult",
    "Busy",
    "Conflict",
    "ConnectionFailed",
    "FieldProblem",
    "Filters",
    "Forbidden",
    "InvalidRequest",
    "LegalHold",
    "MemoryClient",
    "MemsvcClientError",
    "MessageIn",
    "NotFound",
    "PreconditionFailed",
    "TextIn",
    "TimedOut",
    "TooLarge",
    "Unauthenticated",
    "Unavailable",
]

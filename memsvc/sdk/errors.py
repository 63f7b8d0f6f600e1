# ruff: noqa: N818 - a caller reads `except NotFound`; the base classes carry the suffix
"""What the client raises. Every failure is a `MemsvcClientError`; an answer of the service is an `ApiError`."""

from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime

import httpx
from pydantic import ValidationError

from memsvc.wire import Problem


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One field at fault: `field` is a path such as `messages[3].timestamp`."""

    field: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        text = f"{self.field}: {self.problem}" if self.field else self.problem
        return f"{text} ({self.remedy})" if self.remedy else text


class MemsvcClientError(Exception):
    """The client could not do what was asked; `str()` is written for people."""

    remedy: str = ""


class ConnectionFailed(MemsvcClientError):
    """No answer came: the service is not there, or the connection broke on every try."""

    remedy = "Start the service with `memsvc serve`, or set MEMSVC_URL to where it runs."


class TimedOut(MemsvcClientError):
    """The time given to the client ran out; a write sent again with its key is not stored twice."""

    remedy = "Give the client a longer `timeout`, send less at once, or look at the service's load."


class ApiError(MemsvcClientError):
    """The service answered with an error (RFC 9457 problem details).

    `retry_after_s` is the wait that the service asked for, in seconds; `request_id` finds the log lines.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        remedy: str = "",
        errors: tuple[FieldProblem, ...] = (),
        request_id: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        self.status = status
        self.code = code
        self.detail = detail
        self.remedy = remedy
        self.errors = errors
        self.request_id = request_id
        self.retry_after_s = retry_after_s
        super().__init__(detail)

    def __str__(self) -> str:
        lines = [self.detail, *(f"- {error}" for error in self.errors)]
        if self.remedy:
            lines.append(self.remedy)
        if self.request_id:
            lines.append(f"Request id: {self.request_id}")
        return "\n".join(lines)


class InvalidRequest(ApiError):
    """The request does not have the right form; the client raises it too, before anything is sent."""


class Unauthenticated(ApiError):
    """No valid API key was sent."""


class Forbidden(ApiError):
    """The key's scopes do not allow this."""


class NotFound(ApiError):
    """There is no such thing, or not for this key."""


class Conflict(ApiError):
    """The request contradicts what is stored."""


class PreconditionFailed(ApiError):
    """The memory has changed since the version that was given was read."""


class LegalHold(ApiError):
    """A legal hold forbids it."""


class TooLarge(ApiError):
    """The request is larger than the service accepts."""


class Busy(ApiError):
    """The service asked to wait, and still did after every retry."""


class Unavailable(ApiError):
    """The service, or something it needs, did not work on any try."""


_BY_STATUS: dict[int, type[ApiError]] = {
    400: InvalidRequest,
    422: InvalidRequest,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    412: PreconditionFailed,
    413: TooLarge,
    423: LegalHold,
    429: Busy,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
    507: TooLarge,
}


def error_from_response(response: httpx.Response, *, now: datetime) -> ApiError:
    """The exception for an answer that is not a success; a body that is no problem document is quoted shortly."""
    error_class = _BY_STATUS.get(response.status_code, ApiError)
    retry_after = retry_after_s(response, now=now)
    try:
        problem = Problem.model_validate_json(response.content, extra="ignore")
    except ValidationError:
        return error_class(
            response.status_code,
            "unexpected_response",
            f"{response.request.url} answered {response.status_code}: {_shortened(response.text)}",
            remedy="Check that MEMSVC_URL names a memsvc service, and any proxy in front of it.",
            retry_after_s=retry_after,
        )
    return error_class(
        response.status_code,
        problem.code,
        problem.detail,
        remedy=problem.remedy,
        errors=tuple(
            FieldProblem(error.get("field", ""), error.get("problem", ""), error.get("remedy", ""))
            for error in problem.errors
        ),
        request_id=problem.request_id,
        retry_after_s=retry_after,
    )


def unexpected_body(response: httpx.Response) -> ApiError:
    """The exception for a success whose body is not what the service sends: most often, a wrong address."""
    return ApiError(
        response.status_code,
        "unexpected_response",
        f"{response.request.url} does not answer like memsvc: {_shortened(response.text)}",
        remedy="Check that MEMSVC_URL names a memsvc service, and that it is not older than this client.",
    )


def invalid_request(error: ValidationError, *, within: str = "") -> InvalidRequest:
    """What the service would say of this request, without asking it. `within` goes before each field's path."""
    return InvalidRequest(
        422,
        "invalid_request",
        "The request does not have the right form; nothing was sent.",
        errors=tuple(FieldProblem(_path(within, item["loc"]), item["msg"], "") for item in error.errors()),
        remedy="Correct the fields named here and call again.",
    )


def retry_after_s(response: httpx.Response, *, now: datetime) -> float | None:
    """Seconds that `Retry-After` asks for, in either of its forms (RFC 9110, 10.2.3); None without a usable one."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - now).total_seconds())
    except (ValueError, TypeError):  # no date at all, or one without a zone
        return None


def _path(within: str, location: tuple[int | str, ...]) -> str:
    path = within
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


def _shortened(text: str, limit: int = 200) -> str:
    line = " ".join(text.split()) or "(an empty body)"
    return line if len(line) <= limit else line[: limit - 1] + "…"

"""Errors as RFC 9457 problem details (`application/problem+json`), one shape for all of them."""

import math
from http import HTTPStatus

import structlog
from fastapi import FastAPI, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from memsvc.errors import FieldError, InvalidRequestError, MemsvcError
from memsvc.wire import Problem

log = structlog.get_logger(__name__)

# What a caller can do about a fault that pydantic found, by the kind of fault.
REMEDIES = {
    "missing": "Add this field.",
    "extra_forbidden": "Remove this field, or correct its name; docs/api.md lists the fields.",
    "json_invalid": "Send valid JSON in UTF-8.",
    "string_type": "Send a string.",
    "model_attributes_type": 'Send an object, such as {"content": "..."}.',
    "literal_error": "Send one of the values named in `problem`.",
    "datetime_from_date_parsing": "Send ISO 8601, such as 2026-02-14T09:30:00+01:00.",
    "datetime_parsing": "Send ISO 8601, such as 2026-02-14T09:30:00+01:00.",
    "uuid_parsing": "Send a UUID, such as 0198c0de-0000-7000-8000-000000000001.",
}


def problem_response(error: MemsvcError, request_id: str | None) -> JSONResponse:
    """The response for an error."""
    problem = Problem(
        type=f"https://memsvc.dev/problems/{error.code}",
        title=HTTPStatus(error.status).phrase,
        status=error.status,
        detail=error.detail,
        code=error.code,
        remedy=error.hint,
        request_id=request_id,
        errors=[{"field": fault.field, "problem": fault.problem, "remedy": fault.remedy} for fault in error.fields],
    )
    headers = {} if error.retry_after_s is None else {"Retry-After": str(max(1, math.ceil(error.retry_after_s)))}
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(
        jsonable_encoder(problem), status_code=error.status, headers=headers, media_type="application/problem+json"
    )


def request_id_of(request: Request) -> str | None:
    """The id that the middleware gave this request."""
    found: str | None = request.scope.get("memsvc.request_id")
    return found


def install(app: FastAPI) -> None:
    """Render every error of `app` as problem details."""

    @app.exception_handler(MemsvcError)
    async def on_known(request: Request, error: MemsvcError) -> JSONResponse:
        if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            log.warning("request_refused", code=error.code, cause=type(error.__cause__).__name__)
        return problem_response(error, request_id_of(request))

    @app.exception_handler(RequestValidationError)
    async def on_invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        faults = tuple(_fault(dict(fault)) for fault in error.errors())
        return problem_response(
            InvalidRequestError(f"{len(faults)} field(s) cannot be used", fields=faults), request_id_of(request)
        )

    @app.exception_handler(HTTPException)
    async def on_http(request: Request, error: HTTPException) -> JSONResponse:
        known = MemsvcError(str(error.detail), remedy="docs/api.md lists the paths and methods.")
        response = problem_response(known, request_id_of(request))
        status = HTTPStatus(error.status_code)
        body = Problem(
            type="about:blank",
            title=status.phrase,
            status=status,
            detail=f"{request.method} {request.url.path}: {status.phrase.lower()}",
            code=status.phrase.lower().replace(" ", "_"),
            remedy=known.hint,
            request_id=request_id_of(request),
        )
        return JSONResponse(
            jsonable_encoder(body), status_code=status, headers=error.headers, media_type=response.media_type
        )


def _fault(fault: dict[str, object]) -> FieldError:
    kind = str(fault["type"])
    location = [part for part in fault["loc"] if part not in {"body", "query", "path", "header"}]  # type: ignore[attr-defined]
    if kind == "json_invalid":
        location = []
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")
    problem = str(fault["msg"])
    if not problem[1:2].isupper():  # "JSON ..." stays
        problem = problem[:1].lower() + problem[1:]
    return FieldError(path or "body", problem, REMEDIES.get(kind, _remedy(problem)))


def _remedy(problem: str) -> str:
    _, said, expected = problem.partition("input should be ")
    if not said:
        return "Correct it as `problem` says; docs/api.md lists the fields."
    return f"Send {'a value ' if expected.startswith(('greater', 'less')) else ''}{expected}."

"""Around every request: an id, a size limit, metrics and one log line; never memory content."""

import time
from http import HTTPStatus

import structlog
from prometheus_client import Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from memsvc.api.problems import problem_response
from memsvc.errors import MemsvcError, TooLargeError
from memsvc.ids import new_uuid

log = structlog.get_logger("memsvc.access")

REQUESTS = Counter("memsvc_http_requests_total", "Requests answered.", ["method", "route", "status"])
SECONDS = Histogram(
    "memsvc_http_request_seconds",
    "Time to answer.",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30),
)
IN_FLIGHT = Gauge("memsvc_http_in_flight", "Requests being answered.")
MAX_REQUEST_ID = 128


class _BodyTooLargeError(Exception):
    """The body went past the limit while it was read."""


class RequestMiddleware:
    """Pure ASGI: it adds microseconds, and streams nothing through itself."""

    def __init__(self, app: ASGIApp, *, max_request_bytes: int, max_blob_bytes: int, max_bundle_bytes: int) -> None:
        self._app = app
        self._max_request_bytes = max_request_bytes
        self._max_blob_bytes = max_blob_bytes
        self._max_bundle_bytes = max_bundle_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name: value for name, value in scope["headers"] if name in {b"x-request-id", b"content-length"}}
        request_id = headers.get(b"x-request-id", b"").decode("latin-1")[:MAX_REQUEST_ID] or new_uuid().hex
        scope["memsvc.request_id"] = request_id
        structlog.contextvars.bind_contextvars(request_id=request_id)
        started = time.perf_counter()
        status = HTTPStatus.INTERNAL_SERVER_ERROR.value
        responded = False
        received = 0
        limit = self._limit(scope["method"], scope["path"])

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise _BodyTooLargeError
            return message

        async def stamped(message: Message) -> None:
            nonlocal status, responded
            if message["type"] == "http.response.start":
                status, responded = message["status"], True
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode("latin-1"))]
            await send(message)

        IN_FLIGHT.inc()
        try:
            if int(headers.get(b"content-length", b"0") or 0) > limit:
                raise _BodyTooLargeError  # noqa: TRY301 - one answer for both ways to be too large
            await self._app(scope, counted, stamped)
        except _BodyTooLargeError:
            error: MemsvcError = TooLargeError(f"the request body is larger than {limit} bytes")
            await problem_response(error, request_id)(scope, receive, stamped)
        except Exception as error:
            if responded and isinstance(error.__cause__, MemsvcError):  # a stream that must not be taken for whole
                log.error("response_broken_off", code=error.__cause__.code)  # noqa: TRY400 - it says enough
            else:
                log.exception("request_failed")
            if not responded:
                await problem_response(MemsvcError(), request_id)(scope, receive, stamped)
        finally:
            IN_FLIGHT.dec()
            self._account(scope, status, time.perf_counter() - started)
            structlog.contextvars.unbind_contextvars("request_id")

    def _limit(self, method: str, path: str) -> int:
        """Most bytes of a body: blobs and bundles are streamed to disk, every other body is held in memory."""
        if method == "PUT" and path.startswith("/v1/blobs/"):
            return self._max_blob_bytes
        if method == "POST" and path.startswith("/v1/spaces/") and path.endswith("/import"):
            return self._max_bundle_bytes
        return self._max_request_bytes

    @staticmethod
    def _account(scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unmatched")
        REQUESTS.labels(scope["method"], route, str(status)).inc()
        SECONDS.labels(scope["method"], route).observe(seconds)
        if route not in {"/healthz", "/readyz", "/metrics"}:
            log.info("request", method=scope["method"], route=route, status=status, ms=round(seconds * 1000, 1))

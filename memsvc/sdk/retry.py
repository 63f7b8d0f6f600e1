"""When to try again, and after how long: pure decisions that both clients share."""

import random
from datetime import UTC, datetime

import httpx

from memsvc.sdk.errors import ConnectionFailed, MemsvcClientError, TimedOut, retry_after_s

RETRIED_STATUSES = frozenset({429, 502, 503, 504})
RETRIED_FAILURES = (httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError)
FIRST_DELAY_S = 0.25
LONGEST_DELAY_S = 8.0
LONGEST_RETRY_AFTER_S = 60.0


def delay_s(outcome: httpx.Response | httpx.RequestError, attempt: int) -> float | None:
    """Seconds to wait before the next try, or None when `outcome` is final. `attempt` counts from 0.

    Every request may be repeated: reads change nothing and writes carry an Idempotency-Key. A service that
    asks for more than a minute gets no silent wait: its answer goes to the caller.
    """
    if isinstance(outcome, httpx.RequestError):
        return _back_off_s(attempt) if isinstance(outcome, RETRIED_FAILURES) else None
    if outcome.status_code not in RETRIED_STATUSES:
        return None
    asked = retry_after_s(outcome, now=datetime.now(UTC))
    if asked is None:
        return _back_off_s(attempt)
    return asked + _jitter_s(FIRST_DELAY_S) if asked <= LONGEST_RETRY_AFTER_S else None


def failure(error: httpx.RequestError, url: str) -> MemsvcClientError:
    """The exception for a request that got no answer."""
    if isinstance(error, httpx.TimeoutException):
        return TimedOut(f"{url} did not answer in time.\n{TimedOut.remedy}")
    reason = str(error) or type(error).__name__
    return ConnectionFailed(f"No answer from {url}: {reason}.\n{ConnectionFailed.remedy}")


def _back_off_s(attempt: int) -> float:
    """Exponential with jitter, so that clients turned away together do not come back together."""
    ceiling = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0**attempt)
    return ceiling / 2 + _jitter_s(ceiling / 2)


def _jitter_s(most: float) -> float:
    return random.uniform(0.0, most)  # noqa: S311 - spreads load, hides nothing

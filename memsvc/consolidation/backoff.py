"""When a job that failed runs again: what passes by itself is waited for, any other failure is tried a few times."""

import asyncio
import zlib

from procrastinate import BaseRetryStrategy, RetryDecision
from procrastinate.jobs import Job

from memsvc.errors import (
    BlobStoreUnavailableError,
    BusyError,
    DatabaseUnavailableError,
    EncoderUnavailableError,
)

PASSING = (EncoderUnavailableError, BusyError, DatabaseUnavailableError, BlobStoreUnavailableError)
MOST_ATTEMPTS = 5
LONGEST_WAIT_S = 60


class Backoff(BaseRetryStrategy):
    """1 s at first, twice as long each time and at most a minute, less up to half of it by chance.

    What a stopping worker broke off runs again at once. Any other error than a passing one makes the job dead at its
    fifth attempt: it stays, and can be requeued.
    """

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        """Retry, or None to give up."""
        if isinstance(exception, asyncio.CancelledError):
            return RetryDecision(retry_in={"seconds": 0})
        if not isinstance(exception, PASSING) and job.attempts + 1 >= MOST_ATTEMPTS:
            return None
        return RetryDecision(retry_in={"milliseconds": round(1000 * wait_s(job))})


def wait_s(job: Job) -> float:
    """Seconds until the next attempt. The chance is drawn from the job's number, so that a wait can be reproduced."""
    longest = min(2.0 ** min(job.attempts, 10), LONGEST_WAIT_S)
    drawn = zlib.crc32(f"{job.id}:{job.attempts}".encode()) / 2**32
    return longest * (1 - drawn / 2)


RETRY = Backoff()

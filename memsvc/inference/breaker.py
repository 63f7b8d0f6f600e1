"""A circuit breaker: after repeated failures calls are refused at once, until one is let through to try again."""

import time
from collections.abc import Callable

from memsvc.errors import EncoderUnavailableError

FAILURES_TO_OPEN = 3
FIRST_PAUSE_S = 2.0
LONGEST_PAUSE_S = 60.0


class CircuitBreaker:
    """Opens after three failures in a row, for 2 s at first and twice as long at each failed attempt, up to 60 s.

    When the pause is over calls pass again; the first failure among them opens it for longer. `clock` counts seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures = 0
        self._pause_s = FIRST_PAUSE_S
        self._opens_until = 0.0

    @property
    def closed(self) -> bool:
        """Calls may pass."""
        return not self.left_s

    @property
    def left_s(self) -> float:
        """Seconds of the pause that are left; 0 while calls may pass."""
        return max(0.0, self._opens_until - self._clock())

    def check(self) -> None:
        """`EncoderUnavailableError` with the seconds left while it is open."""
        if left := self.left_s:
            raise EncoderUnavailableError(
                "the encoder failed repeatedly and is given a pause", retry_after_s=max(1.0, left)
            )

    def succeeded(self) -> None:
        """The encoder answered: forget its failures."""
        self._failures = 0
        self._pause_s = FIRST_PAUSE_S

    def failed(self, retry_after_s: float | None) -> None:
        """The encoder did not answer; a longer pause that it asked for itself is kept."""
        self._failures += 1
        if self._failures >= FAILURES_TO_OPEN:
            self._opens_until = self._clock() + max(self._pause_s, min(retry_after_s or 0.0, LONGEST_PAUSE_S))
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)

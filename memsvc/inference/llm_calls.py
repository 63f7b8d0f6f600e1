"""Calls of a language model that are paid for: few at once, tried again where that helps, paused where it does not."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from time import perf_counter
from typing import Protocol

from memsvc.config import Settings
from memsvc.errors import ConfigurationError
from memsvc.inference import llm_metrics as metrics
from memsvc.inference.breaker import CircuitBreaker
from memsvc.inference.llm import (
    Answer,
    BudgetSpentError,
    LanguageModel,
    LanguageModelError,
    Request,
    Tokens,
    spent_tokens,
)

CALLS_AT_ONCE = 4
ATTEMPTS = 3
# A worker holds a job while it waits; a server that asks for more gets a pause, and its callers do without it.
LONGEST_WAIT_S = 5.0
LONGEST_PAUSE_S = 600.0
_FIRST_WAIT_S = 0.5
# A time-out is not tried again: it has cost the whole wait, and maybe the whole answer.
_AGAIN = frozenset({"rate_limited", "failed", "unreachable"})
_NOTHING = Tokens(0, 0)


@dataclass(frozen=True, slots=True)
class Reservation:
    """What is set aside for one call, until it is known what it took."""

    day: date
    purpose: str
    model: str
    tokens: Tokens


class Payer(Protocol):
    """Whose calls are counted and bounded. A call whose process dies stays counted as what was set aside for it."""

    async def reserve(self, purpose: str, model: str, tokens: Tokens) -> Reservation:
        """Count a call and set its tokens aside; `BudgetSpentError` when there are not as many left."""
        ...

    async def settle(self, reservation: Reservation, spent: Tokens, *, failed: bool) -> None:
        """Put what the call took in the place of what was set aside."""
        ...


class Calls:
    """Shares `model` among the tasks of one event loop; it owns the model and closes it."""

    def __init__(self, model: LanguageModel, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.model = model
        self._clock = clock
        self._breaker = CircuitBreaker(clock)
        self._quiet_until = 0.0
        self._slots = asyncio.Semaphore(CALLS_AT_ONCE)

    @property
    def available(self) -> bool:
        """False while the model is given a pause: after repeated failures, or since its server asked for one."""
        return self._breaker.closed and self._clock() >= self._quiet_until

    async def ask(self, request: Request, payer: Payer) -> Answer:
        """The model's answer, after at most three attempts, each of them counted; else `LanguageModelError`."""
        wait_s = _FIRST_WAIT_S
        for _ in range(ATTEMPTS - 1):
            try:
                return await self._call(request, payer)
            except LanguageModelError as error:
                pause_s = max(wait_s, error.retry_after_s or 0.0)
                if error.cause not in _AGAIN or pause_s > LONGEST_WAIT_S:
                    raise
            await asyncio.sleep(pause_s)
            wait_s *= 2
        return await self._call(request, payer)

    async def close(self) -> None:
        """Close the model."""
        await self.model.close()

    async def _call(self, request: Request, payer: Payer) -> Answer:
        """One attempt. Cancelled in the middle, it stays counted as what was set aside."""
        async with self._slots:
            reservation = await self._admit(request, payer)
            started = perf_counter()
            metrics.CALLS.labels(request.purpose).inc()
            try:
                answer = await self.model.send(request)
            except LanguageModelError as error:
                metrics.FAILURES.labels(request.purpose, error.cause).inc()
                self._note(error)
                spent = reservation.tokens if error.worked else _NOTHING
                await payer.settle(reservation, spent, failed=True)
                _count(request.purpose, spent)
                raise
            finally:
                metrics.SECONDS.labels(request.purpose).observe(perf_counter() - started)
            self._breaker.succeeded()
            spent = spent_tokens(request, answer)
            await payer.settle(reservation, spent, failed=False)
            _count(request.purpose, spent)
            return answer

    async def _admit(self, request: Request, payer: Payer) -> Reservation:
        if not self.available:
            metrics.REFUSED.labels(request.purpose, "paused").inc()
            raise LanguageModelError(
                "paused", retry_after_s=max(self._breaker.left_s, self._quiet_until - self._clock())
            )
        try:
            return await payer.reserve(request.purpose, self.model.name, request.most)
        except BudgetSpentError:
            metrics.REFUSED.labels(request.purpose, "budget").inc()
            raise

    def _note(self, error: LanguageModelError) -> None:
        """A server that refuses what it is asked is up; one that asks to be left alone is, for as long as is sane."""
        if error.cause != "refused":
            self._breaker.failed(error.retry_after_s)
        if error.retry_after_s is not None and error.retry_after_s > LONGEST_WAIT_S:
            self._quiet_until = self._clock() + min(error.retry_after_s, LONGEST_PAUSE_S)


def open_calls(settings: Settings) -> Calls | None:
    """The language model of the settings; None when none is configured. Its server may be down: nothing is sent."""
    if settings.llm_url is None and settings.llm_model is None:
        return None
    if settings.llm_url is None or settings.llm_model is None:
        raise ConfigurationError(
            "MEMSVC_LLM_URL and MEMSVC_LLM_MODEL need each other",
            remedy="Set both, such as http://127.0.0.1:11434/v1 and the model's name there, or neither.",
        )
    key = None if settings.llm_api_key is None else settings.llm_api_key.get_secret_value()
    if key is not None and not (key.isascii() and key.isprintable()):
        raise ConfigurationError("MEMSVC_LLM_API_KEY holds characters that no HTTP header may")
    # The client takes a second and 40 MB to import: nobody pays for it who has no model.
    from memsvc.inference.llm_openai import OpenAIModel

    return Calls(
        OpenAIModel(
            settings.llm_model,
            settings.llm_url,
            api_key=key,
            timeout_s=settings.llm_timeout_s,
            max_tokens=settings.llm_max_output_tokens,
        )
    )


def _count(purpose: str, spent: Tokens) -> None:
    metrics.TOKENS.labels(purpose, "input").inc(spent.input)
    metrics.TOKENS.labels(purpose, "output").inc(spent.output)

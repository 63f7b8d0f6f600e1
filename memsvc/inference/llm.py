"""What a language model is here: the protocol, what it is asked, what it answers and how it fails.

No transaction may be open during a call: it takes seconds, or the whole time-out. That is the callers' duty.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from pydantic import JsonValue

from memsvc.text.tokens import estimate_tokens

# A chat template wraps each message into a few tokens of its own; a server may add the schema and a preamble.
_TOKENS_A_MESSAGE = 4
_MOST_ADDED_TOKENS = 1000

Cause = Literal[
    "timeout", "rate_limited", "refused", "failed", "unreachable", "broken", "too_long", "invalid", "paused", "budget"
]
"""Why there is no answer: it took too long; 429; another 4xx or a redirect; 5xx; no connection, or one that broke; an
answer that is no chat completion; one that is longer than it may be; one of another form than asked for, twice; the
model is given a pause; the tenant's tokens of the day are spent."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a chat."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a call took, or may take, in tokens."""

    input: int
    output: int


@dataclass(frozen=True, slots=True)
class Request:
    """What a model is asked. `purpose` names it in counts and as the schema's name; `schema` is the JSON schema of the
    answer, and `max_tokens` bounds it."""

    purpose: str
    messages: tuple[Message, ...]
    schema: Mapping[str, JsonValue]
    max_tokens: int

    @property
    def most(self) -> Tokens:
        """What it is estimated to take at most: what a budget sets aside before the call."""
        tokens = sum(estimate_tokens(message.content) + _TOKENS_A_MESSAGE for message in self.messages)
        return Tokens(tokens, self.max_tokens)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said. `input` and `output` are the tokens that its server reports, None where it reports none."""

    text: str
    input: int | None = None
    output: int | None = None


class LanguageModelError(Exception):
    """There is no answer. `worked`: the model may have worked on one, which may have to be paid for.

    The text never quotes a server's answer: servers quote what they were sent.
    """

    def __init__(self, cause: Cause, *, retry_after_s: float | None = None, worked: bool = False) -> None:
        super().__init__(f"the language model gave no answer ({cause})")
        self.cause: Cause = cause
        self.retry_after_s = retry_after_s
        self.worked = worked


class BudgetSpentError(LanguageModelError):
    """The call may take more tokens than the tenant has left for the day: nothing was sent."""

    def __init__(self) -> None:
        super().__init__("budget")


class LanguageModel(Protocol):
    """A model that is asked once: no retries, no memory of failures."""

    @property
    def name(self) -> str:
        """What the server calls it."""
        ...

    async def send(self, request: Request) -> Answer:
        """Its answer; `LanguageModelError` when there is none."""
        ...

    async def close(self) -> None: ...


def spent_tokens(request: Request, answer: Answer) -> Tokens:
    """What a call counts as: what the server reports, but never less than estimated, nor more than can be.

    A token is at least one byte. Servers that report nothing, zero or a billion are not believed.
    """
    characters = [message.content for message in request.messages]
    added = _MOST_ADDED_TOKENS + sum(_bytes(str(key)) + _bytes(str(value)) for key, value in request.schema.items())
    return Tokens(
        _plausible(answer.input, least=request.most.input, most=sum(map(_bytes, characters)) + added),
        _plausible(
            answer.output, least=estimate_tokens(answer.text), most=max(request.max_tokens, _bytes(answer.text))
        ),
    )


def _plausible(reported: int | None, *, least: int, most: int) -> int:
    return least if reported is None else min(max(reported, least), max(least, most))


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "replace"))

"""A language model behind an OpenAI-compatible chat endpoint, through the official client. Imported when configured."""

import asyncio
from collections.abc import AsyncIterator

import httpx2
import openai
from openai.types.chat import ChatCompletionMessageParam
from pydantic import BaseModel, JsonValue, ValidationError

from memsvc.errors import ConfigurationError
from memsvc.inference.llm import Answer, Cause, LanguageModelError, Message, Request
from memsvc.inference.retry_after import retry_after_s

_CONNECT_S = 5.0
# JSON may spend six characters on one; beside the answer there are ids, a usage and sometimes the reasoning.
_BYTES_A_TOKEN = 32
_BYTES_AROUND = 64 * 1024
# What servers say that do not know a parameter: bad request, unprocessable, not implemented.
_FORM_REFUSED = frozenset({400, 422, 501})
_FORMS = 3


class _Message(BaseModel):
    content: str | None = None


class _Choice(BaseModel):
    message: _Message


class _Completion(BaseModel):
    choices: list[_Choice]
    usage: JsonValue = None


class _TooLongError(openai.OpenAIError):
    """The answer passed the cap. The client lets its own errors through, neither wrapped nor tried again."""


class _Capped(httpx2.AsyncByteStream):
    """A body that ends with an error once it is longer than it may be."""

    def __init__(self, stream: httpx2.AsyncByteStream, most: int) -> None:
        self._stream = stream
        self._most = most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = self._most
        async for part in self._stream:
            left -= len(part)
            if left < 0:
                raise _TooLongError
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


class OpenAIModel:
    """Asks once, for at most `timeout_s` in all, and reads no more than an answer of `max_tokens` can be long.

    Servers differ in the parameters that they know. What one refuses as a bad request is asked again in the next form:
    with a JSON schema; in plain text, the schema being in the prompt; in the names of newer reasoning models. A form
    that worked is kept.
    """

    def __init__(
        self, name: str, url: str, *, api_key: str | None = None, timeout_s: float = 60.0, max_tokens: int = 2000
    ) -> None:
        base_url = _base_url(url)
        self.name = name
        self._timeout_s = timeout_s
        self._most_bytes = _BYTES_AROUND + _BYTES_A_TOKEN * max_tokens
        self._form = 0
        # No redirects: they would carry what people said to another address.
        http = httpx2.AsyncClient(
            timeout=httpx2.Timeout(timeout_s, connect=min(_CONNECT_S, timeout_s)),
            follow_redirects=False,
            event_hooks={"response": [self._cap]},
        )
        self._client = openai.AsyncOpenAI(base_url=base_url, api_key=api_key or "none", max_retries=0, http_client=http)
        # The client reads these from the environment, where they are meant for another service.
        self._client.organization = self._client.project = None
        self._headers: dict[str, str | openai.Omit] = {"Accept-Encoding": "identity"}
        if api_key is None:
            self._headers["Authorization"] = openai.Omit()

    async def send(self, request: Request) -> Answer:
        """See `LanguageModel`."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return _read(await self._post(request))
        except TimeoutError:
            raise LanguageModelError("timeout", worked=True) from None

    async def close(self) -> None:
        """End the connections."""
        await self._client.close()

    async def _post(self, request: Request) -> bytes:
        for form in range(self._form, _FORMS):
            try:
                content = await self._post_form(request, form)
            except openai.APIStatusError as error:
                if error.status_code not in _FORM_REFUSED or form == _FORMS - 1:
                    raise _from_status(error) from None
            else:
                self._form = form
                return content
        raise AssertionError("the last form returns or raises")

    async def _post_form(self, request: Request, form: int) -> bytes:
        try:
            answer = await self._client.chat.completions.with_raw_response.create(
                model=self.name,
                messages=[_to_param(message) for message in request.messages],
                extra_body=_form_fields(request, form),
                extra_headers=self._headers,
            )
        except openai.APITimeoutError as error:
            raise _broken_off("timeout", error) from None
        except openai.APIConnectionError as error:
            raise _broken_off("unreachable", error) from None
        except _TooLongError:
            raise LanguageModelError("too_long", worked=True) from None
        return answer.content

    async def _cap(self, response: httpx2.Response) -> None:
        """A compressed answer could be a thousand times longer than what is read of it: none was asked for."""
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise _TooLongError
        if not isinstance(response.stream, httpx2.AsyncByteStream):
            raise TypeError("the client is asynchronous")
        response.stream = _Capped(response.stream, self._most_bytes)


def _form_fields(request: Request, form: int) -> dict[str, JsonValue]:
    schema: JsonValue = {"name": request.purpose, "strict": True, "schema": dict(request.schema)}
    typed: JsonValue = {"type": "json_schema", "json_schema": schema}
    if form == 0:
        return {"max_tokens": request.max_tokens, "temperature": 0, "response_format": typed}
    if form == 1:
        return {"max_tokens": request.max_tokens, "temperature": 0}
    return {"max_completion_tokens": request.max_tokens, "response_format": typed}


def _to_param(message: Message) -> ChatCompletionMessageParam:
    if message.role == "system":
        return {"role": "system", "content": message.content}
    if message.role == "assistant":
        return {"role": "assistant", "content": message.content}
    return {"role": "user", "content": message.content}


def _from_status(error: openai.APIStatusError) -> LanguageModelError:
    status = error.status_code
    cause: Cause = "rate_limited" if status == 429 else "failed" if status >= 500 else "refused"
    return LanguageModelError(cause, retry_after_s=retry_after_s(error.response.headers))


def _broken_off(cause: Cause, error: openai.APIConnectionError) -> LanguageModelError:
    """Without a connection nothing was sent; of one that broke it is not known how far the model came."""
    sent = not isinstance(error.__cause__, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout)
    return LanguageModelError(cause, worked=sent)


def _read(content: bytes) -> Answer:
    try:
        completion = _Completion.model_validate_json(content)
        text = completion.choices[0].message.content or ""
    except (ValidationError, IndexError):
        raise LanguageModelError("broken", worked=True) from None
    usage = completion.usage if isinstance(completion.usage, dict) else {}
    return Answer(text, _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")))


def _count(reported: JsonValue) -> int | None:
    return reported if isinstance(reported, int) and not isinstance(reported, bool) and reported >= 0 else None


def _base_url(url: str) -> str:
    """As given, but for what people leave out (`/v1`) or copy with it (`/chat/completions`)."""
    try:
        parsed = httpx2.URL(url.strip())
    except httpx2.InvalidURL as error:
        raise _unusable(str(error)) from None
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise _unusable("it must look like https://host/v1")
    path = parsed.path.rstrip("/").removesuffix("/chat/completions")
    return str(parsed.copy_with(path=path or "/v1"))


def _unusable(why: str) -> ConfigurationError:
    return ConfigurationError(f"MEMSVC_LLM_URL cannot be used: {why}")

"""The OpenAI-compatible language model against a server that misbehaves, over HTTP."""

import gzip
import json
from collections.abc import AsyncIterator, Iterator

import pytest

from evals.llm_server import Reply, ScriptedModel, serving
from memsvc.errors import ConfigurationError
from memsvc.inference.llm import Answer, LanguageModelError, Message, Request
from memsvc.inference.llm_openai import OpenAIModel

SCHEMA = {"type": "object", "properties": {"mood": {"type": "string"}}, "required": ["mood"]}
REQUEST = Request("mood", (Message("system", "How is it?"), Message("user", "my secret")), SCHEMA, 100)
FLOOD = 50 * 1024**2


@pytest.fixture
def server() -> Iterator[ScriptedModel]:
    with serving() as running:
        yield running


@pytest.fixture
async def model(server: ScriptedModel) -> AsyncIterator[OpenAIModel]:
    opened = OpenAIModel("scripted", server.url, api_key="key-1", timeout_s=20, max_tokens=100)
    yield opened
    await opened.close()


@pytest.fixture
async def hasty(server: ScriptedModel) -> AsyncIterator[OpenAIModel]:
    opened = OpenAIModel("scripted", server.url, timeout_s=0.3, max_tokens=100)
    yield opened
    await opened.close()


async def failure(model: OpenAIModel) -> LanguageModelError:
    with pytest.raises(LanguageModelError) as caught:
        await model.send(REQUEST)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None, "a server's answer would come with the traceback"
    assert caught.value.__suppress_context__
    return caught.value


async def test_the_request_is_what_openai_compatible_servers_expect(model: OpenAIModel, server: ScriptedModel) -> None:
    server.script.append(Reply("fine", usage={"prompt_tokens": 12, "completion_tokens": 3}))
    assert await model.send(REQUEST) == Answer("fine", 12, 3)
    assert server.questions[0].body == {
        "model": "scripted",
        "messages": [{"role": "system", "content": "How is it?"}, {"role": "user", "content": "my secret"}],
        "max_tokens": 100,
        "temperature": 0,
        "response_format": {"type": "json_schema", "json_schema": {"name": "mood", "strict": True, "schema": SCHEMA}},
    }
    assert server.headers[0]["authorization"] == "Bearer key-1"


async def test_without_a_key_none_is_sent_whatever_the_environment_holds(
    server: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, "meant-for-another-service")
    model = OpenAIModel("scripted", server.url)
    assert (await model.send(REQUEST)).text == "I have nothing to say."
    await model.close()
    assert "authorization" not in server.headers[0]
    assert "meant-for-another-service" not in server.headers[0].values()


@pytest.mark.parametrize(
    ("usage", "reported"),
    [
        (None, (None, None)),
        ("many", (None, None)),
        ({"prompt_tokens": "12", "completion_tokens": -1}, (None, None)),
        ({"prompt_tokens": True, "completion_tokens": 2.5}, (None, None)),
        ({"prompt_tokens": 0, "completion_tokens": 10**12}, (0, 10**12)),
    ],
)
async def test_a_usage_of_any_form_never_loses_the_answer(
    model: OpenAIModel, server: ScriptedModel, usage: object, reported: tuple[int | None, int | None]
) -> None:
    server.script.append(Reply("fine", usage=usage))
    assert await model.send(REQUEST) == Answer("fine", *reported)


async def test_a_slow_server_is_a_timeout(hasty: OpenAIModel, server: ScriptedModel) -> None:
    server.script.append(Reply("late", wait_s=60))
    error = await failure(hasty)
    assert (error.cause, error.worked) == ("timeout", True)


async def test_a_drip_is_a_timeout_though_each_byte_comes_in_time(hasty: OpenAIModel, server: ScriptedModel) -> None:
    server.script.append(Reply("drop by drop", drip_s=0.1))
    error = await failure(hasty)
    assert (error.cause, error.worked) == ("timeout", True)


@pytest.mark.parametrize(
    ("status", "cause"),
    [(401, "refused"), (404, "refused"), (413, "refused"), (307, "refused"), (500, "failed"), (503, "failed")],
)
async def test_a_status_is_a_failure_that_took_no_tokens(
    model: OpenAIModel, server: ScriptedModel, status: int, cause: str
) -> None:
    server.script.append(Reply(body=b"you said: my secret", status=status, headers={"Location": f"{server.url}/else"}))
    error = await failure(model)
    assert (error.cause, error.worked) == (cause, False)
    assert len(server.headers) == 1, "neither tried again here nor sent to another address"


async def test_a_rate_limit_tells_how_long(model: OpenAIModel, server: ScriptedModel) -> None:
    server.script.append(Reply(status=429, headers={"Retry-After": "40"}))
    error = await failure(model)
    assert (error.cause, error.retry_after_s) == ("rate_limited", 40)


@pytest.mark.parametrize("status", [200, 500])
async def test_a_flood_is_cut_off(model: OpenAIModel, server: ScriptedModel, status: int) -> None:
    server.script.append(Reply("so much", status=status, flood_bytes=FLOOD))
    error = await failure(model)
    assert (error.cause, error.worked) == ("too_long", True)
    await model.close()
    assert server.sent_bytes < FLOOD / 2


async def test_a_compressed_answer_is_not_read_since_it_could_be_a_bomb(
    model: OpenAIModel, server: ScriptedModel
) -> None:
    server.script.append(Reply(body=gzip.compress(b" " * FLOOD), headers={"Content-Encoding": "gzip"}))
    assert (await failure(model)).cause == "too_long"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b'{"choices": [',
        b"{}",
        b'{"choices": []}',
        b'{"choices": [{"message": {"content": 7}}]}',
        b"\xff",
    ],
)
async def test_a_body_that_is_no_completion_is_broken(model: OpenAIModel, server: ScriptedModel, body: bytes) -> None:
    server.script.append(Reply(body=body))
    error = await failure(model)
    assert (error.cause, error.worked) == ("broken", True)


async def test_no_text_is_an_empty_answer(model: OpenAIModel, server: ScriptedModel) -> None:
    server.script.append(
        Reply(body=json.dumps({"choices": [{"message": {"content": None, "refusal": "no"}}]}).encode())
    )
    assert await model.send(REQUEST) == Answer("")


async def test_a_connection_that_breaks_may_have_cost_tokens(model: OpenAIModel, server: ScriptedModel) -> None:
    server.script.append(Reply("half of this", reset=True))
    error = await failure(model)
    assert (error.cause, error.worked) == ("unreachable", True)


async def test_no_server_cost_none() -> None:
    with serving() as gone:
        url = gone.url
    model = OpenAIModel("scripted", url)
    error = await failure(model)
    await model.close()
    assert (error.cause, error.worked) == ("unreachable", False)


async def test_a_server_without_response_format_is_asked_in_plain_text_from_then_on(
    model: OpenAIModel, server: ScriptedModel
) -> None:
    server.rejects = frozenset({"response_format"})
    for _ in range(2):
        assert (await model.send(REQUEST)).text == "I have nothing to say."
    assert ["response_format" in question.body for question in server.questions] == [True, False, False]


async def test_a_server_with_newer_names_is_asked_in_them(model: OpenAIModel, server: ScriptedModel) -> None:
    server.rejects = frozenset({"max_tokens"})
    await model.send(REQUEST)
    await model.send(REQUEST)
    assert [question.body.get("max_completion_tokens") for question in server.questions] == [None, None, 100, 100]
    assert server.questions[-1].purpose == "mood"


async def test_what_no_form_helps_is_refused_and_the_first_form_kept(model: OpenAIModel, server: ScriptedModel) -> None:
    server.script.extend([Reply(status=400, body=b"too many tokens: my secret")] * 3)
    assert (await failure(model)).cause == "refused"
    await model.send(REQUEST)
    assert server.questions[-1].purpose == "mood"
    assert "temperature" in server.questions[-1].body


@pytest.mark.parametrize("ending", ["", "/", "/v1", "/v1/", "/v1/chat/completions"])
async def test_the_url_may_be_written_in_several_ways(server: ScriptedModel, ending: str) -> None:
    model = OpenAIModel("scripted", server.url.removesuffix("/v1") + ending)
    assert (await model.send(REQUEST)).text == "I have nothing to say."
    await model.close()


@pytest.mark.parametrize("url", ["", "localhost:80/v1", "ftp://host/v1", "http://", "http://[::1"])
def test_a_url_that_cannot_be_is_a_mistake_in_the_settings(url: str) -> None:
    with pytest.raises(ConfigurationError, match="MEMSVC_LLM_URL"):
        OpenAIModel("scripted", url)

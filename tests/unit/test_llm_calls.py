"""Paid calls of a language model over HTTP: attempts, pauses, what is counted, and answers of the wrong form."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import date

import pytest
from prometheus_client import REGISTRY
from pydantic import Field

from evals.llm_server import Question, Reply, ScriptedModel, say, serving
from memsvc.config import Settings
from memsvc.errors import ConfigurationError
from memsvc.inference import llm_calls
from memsvc.inference.llm import BudgetSpentError, LanguageModelError, Message, Request, Tokens
from memsvc.inference.llm_asking import ask
from memsvc.inference.llm_calls import Calls, Reservation, open_calls
from memsvc.inference.llm_openai import OpenAIModel
from memsvc.inference.llm_prompts import Output, Prompt

REQUEST = Request("mood", (Message("user", "How are you today, my friend?"),), {}, 100)
SET_ASIDE = Tokens(12, 100)  # 29 characters are 8 tokens, and 4 around them
NOTHING = Tokens(0, 0)


class Mood(Output):
    mood: str
    certainty: int = Field(ge=0, le=10)


PROMPT = Prompt("judge", 1, Mood)


@dataclass
class Purse:
    """Pays in memory. `left` None: without a bound."""

    left: int | None = None
    settled: list[tuple[Tokens, bool]] = field(default_factory=list)
    open: int = 0

    async def reserve(self, purpose: str, model: str, tokens: Tokens) -> Reservation:
        if self.left is not None and tokens.input + tokens.output > self.left:
            raise BudgetSpentError
        self.open += 1
        return Reservation(date(2026, 3, 1), purpose, model, tokens)

    async def settle(self, reservation: Reservation, spent: Tokens, *, failed: bool) -> None:
        self.open -= 1
        self.settled.append((spent, failed))
        if self.left is not None:
            self.left -= spent.input + spent.output


@dataclass
class Seconds:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llm_calls, "_FIRST_WAIT_S", 0.001)


@pytest.fixture
def server() -> Iterator[ScriptedModel]:
    with serving() as running:
        yield running


@pytest.fixture
def clock() -> Seconds:
    return Seconds()


@pytest.fixture
async def calls(server: ScriptedModel, clock: Seconds) -> AsyncIterator[Calls]:
    opened = Calls(OpenAIModel("scripted", server.url, timeout_s=20, max_tokens=100), clock=clock)
    yield opened
    await opened.close()


def metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def cause(calls: Calls, purse: Purse) -> str:
    with pytest.raises(LanguageModelError) as caught:
        await calls.ask(REQUEST, purse)
    assert purse.open == 0
    return caught.value.cause


# --- Attempts and pauses ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "failing",
    [Reply(status=429, headers={"Retry-After": "0"}), Reply(status=500), Reply(status=503), Reply("x", reset=True)],
)
async def test_what_may_pass_is_tried_again_and_each_attempt_counted(
    calls: Calls, server: ScriptedModel, failing: Reply
) -> None:
    server.script.extend([failing, Reply("fine")])
    purse = Purse()
    before = metric("memsvc_llm_calls_total", purpose="mood")
    assert (await calls.ask(REQUEST, purse)).text == "fine"
    assert [failed for _, failed in purse.settled] == [True, False]
    assert metric("memsvc_llm_calls_total", purpose="mood") == before + 2


async def test_it_gives_up_after_three_attempts(calls: Calls, server: ScriptedModel) -> None:
    server.script.extend([Reply(status=500)] * 9)
    purse = Purse()
    before = metric("memsvc_llm_failures_total", purpose="mood", cause="failed")
    assert await cause(calls, purse) == "failed"
    assert purse.settled == [(NOTHING, True)] * 3
    assert len(server.questions) == 3
    assert metric("memsvc_llm_failures_total", purpose="mood", cause="failed") == before + 3


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Reply("much", flood_bytes=1_000_000), "too_long"),
        (Reply(body=b"<html>"), "broken"),
        (Reply(status=401), "refused"),
    ],
)
async def test_what_will_not_pass_is_not_tried_again(
    calls: Calls, server: ScriptedModel, reply: Reply, expected: str
) -> None:
    server.script.append(reply)
    assert await cause(calls, Purse()) == expected
    assert len(server.questions) == 1


async def test_a_timeout_is_not_tried_again_and_counts_as_all_it_may_have_cost(server: ScriptedModel) -> None:
    calls = Calls(OpenAIModel("scripted", server.url, timeout_s=0.2, max_tokens=100))
    server.script.append(Reply("late", wait_s=60))
    purse = Purse()
    assert await cause(calls, purse) == "timeout"
    assert purse.settled == [(SET_ASIDE, True)]
    assert len(server.questions) == 1
    await calls.close()


async def test_a_long_retry_after_is_kept_by_all_calls_until_it_is_over(
    calls: Calls, server: ScriptedModel, clock: Seconds
) -> None:
    server.script.append(Reply(status=429, headers={"Retry-After": "40"}))
    purse = Purse()
    assert await cause(calls, purse) == "rate_limited"
    assert not calls.available
    clock.now += 39
    assert await cause(calls, purse) == "paused"
    assert len(server.questions) == 1
    assert len(purse.settled) == 1, "a call that is not made is not counted"
    clock.now += 2
    assert (await calls.ask(REQUEST, purse)).text == "I have nothing to say."


async def test_no_server_can_ask_to_be_left_alone_for_good(calls: Calls, server: ScriptedModel, clock: Seconds) -> None:
    server.script.append(Reply(status=429, headers={"Retry-After": "9" * 30}))
    assert await cause(calls, Purse()) == "rate_limited"
    clock.now += 601
    assert (await calls.ask(REQUEST, Purse())).text == "I have nothing to say."


async def test_repeated_failures_give_the_model_a_pause_that_grows(
    calls: Calls, server: ScriptedModel, clock: Seconds
) -> None:
    server.script.extend([Reply(status=500)] * 4)
    purse = Purse()
    assert await cause(calls, purse) == "failed"
    assert await cause(calls, purse) == "paused"
    clock.now += 3
    assert await cause(calls, purse) == "paused", "one attempt was let through, failed, and opened it again"
    assert len(server.questions) == 4
    clock.now += 5
    assert (await calls.ask(REQUEST, purse)).text == "I have nothing to say."


async def test_failures_between_answers_are_no_reason_for_a_pause(calls: Calls, server: ScriptedModel) -> None:
    for _ in range(4):
        server.script.extend([Reply(status=500), Reply("fine")])
        assert (await calls.ask(REQUEST, Purse())).text == "fine"


async def test_a_request_that_is_refused_is_no_reason_for_a_pause(calls: Calls, server: ScriptedModel) -> None:
    server.script.extend([Reply(status=413)] * 5)
    for _ in range(5):
        assert await cause(calls, Purse()) == "refused"
    assert calls.available


# --- Counting ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("usage", "spent"),
    [
        ({"prompt_tokens": 20, "completion_tokens": 30}, Tokens(20, 30)),
        (None, Tokens(12, 2)),
        ({"prompt_tokens": 0, "completion_tokens": 0}, Tokens(12, 2)),
        ({"prompt_tokens": -5, "completion_tokens": "x"}, Tokens(12, 2)),
        # 29 bytes of prompt and 1,000 around it; as long an answer as was asked for
        ({"prompt_tokens": 10**9, "completion_tokens": 10**9}, Tokens(1029, 100)),
    ],
)
async def test_tokens_are_those_reported_within_what_can_be(
    calls: Calls, server: ScriptedModel, usage: object, spent: Tokens
) -> None:
    server.script.append(Reply("All fine", usage=usage))
    purse = Purse()
    before = metric("memsvc_llm_tokens_total", purpose="mood", direction="output")
    await calls.ask(REQUEST, purse)
    assert purse.settled == [(spent, False)]
    assert metric("memsvc_llm_tokens_total", purpose="mood", direction="output") == before + spent.output


async def test_a_spent_budget_makes_no_call(calls: Calls, server: ScriptedModel) -> None:
    before = metric("memsvc_llm_refused_total", purpose="mood", cause="budget")
    assert await cause(calls, Purse(left=111)) == "budget"
    assert server.questions == []
    assert calls.available
    assert metric("memsvc_llm_refused_total", purpose="mood", cause="budget") == before + 1
    assert (await calls.ask(REQUEST, Purse(left=112))).text == "I have nothing to say."


async def test_no_more_than_four_calls_run_at_once(server: ScriptedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    running, most = 0, 0

    class Counting:
        name = "counting"

        async def send(self, request: Request) -> object:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            running -= 1
            raise LanguageModelError("refused")

        async def close(self) -> None: ...

    calls = Calls(Counting())
    await asyncio.gather(*(calls.ask(REQUEST, Purse()) for _ in range(20)), return_exceptions=True)
    assert most == 4


# --- Answers of the wrong form ----------------------------------------------------------------------------------------

GOOD = {"mood": "calm", "certainty": 7}
NOT_JSON = "Certainly! The mood is calm."


async def asked(calls: Calls, purse: Purse) -> Mood:
    return await ask(calls, purse, PROMPT, {"text": "it rained"}, max_tokens=100)


async def test_an_answer_of_the_right_form_is_typed(calls: Calls, server: ScriptedModel) -> None:
    server.answer = lambda _: say(GOOD)
    assert await asked(calls, Purse()) == Mood(mood="calm", certainty=7)
    assert server.questions[0].data == {"text": "it rained"}
    assert server.questions[0].purpose == "judge"


async def test_broken_json_is_asked_for_once_more_with_what_was_wrong(calls: Calls, server: ScriptedModel) -> None:
    server.script.extend([say({"mood": "calm", "certainty": 70}), say(GOOD)])
    purse = Purse()
    assert await asked(calls, purse) == Mood(mood="calm", certainty=7)
    *_, answer, complaint = server.questions[1].body["messages"]
    assert answer == {"role": "assistant", "content": '{"mood": "calm", "certainty": 70}'}
    assert complaint["role"] == "user"
    assert "certainty: Input should be less than or equal to 10" in complaint["content"]
    assert [failed for _, failed in purse.settled] == [False, False]


@pytest.mark.parametrize("bad", [NOT_JSON, "", "{", '{"mood": "calm"}', "[]", "null", "\x00", "{" * 5000])
async def test_broken_json_twice_is_no_answer(calls: Calls, server: ScriptedModel, bad: str) -> None:
    server.answer = lambda _: Reply(bad)
    purse = Purse()
    before = metric("memsvc_llm_invalid_total", purpose="judge")
    with pytest.raises(LanguageModelError) as caught:
        await asked(calls, purse)
    assert caught.value.cause == "invalid"
    assert len(server.questions) == 2
    assert len(purse.settled) == 2
    assert metric("memsvc_llm_invalid_total", purpose="judge") == before + 2


async def test_a_failure_after_broken_json_is_that_failure(calls: Calls, server: ScriptedModel) -> None:
    server.script.extend([Reply(NOT_JSON), Reply(status=401)])
    with pytest.raises(LanguageModelError) as caught:
        await asked(calls, Purse())
    assert caught.value.cause == "refused"


async def test_a_budget_that_ends_between_the_two_is_kept(calls: Calls, server: ScriptedModel) -> None:
    server.answer = lambda _: Reply(NOT_JSON)
    with pytest.raises(BudgetSpentError):
        await asked(calls, Purse(left=800))
    assert len(server.questions) == 1


async def test_a_server_without_response_format_is_understood_all_the_same(calls: Calls, server: ScriptedModel) -> None:
    def answer(question: Question) -> Reply:
        return Reply('Here you are:\n```json\n{"mood": "calm", "certainty": 7}\n```\nAnything else?')

    server.answer = answer
    server.rejects = frozenset({"response_format"})
    purse = Purse()
    assert await asked(calls, purse) == Mood(mood="calm", certainty=7)
    assert len(purse.settled) == 1, "a form that was refused is no call"


# --- Settings ---------------------------------------------------------------------------------------------------------


def test_without_settings_there_is_no_model() -> None:
    assert open_calls(Settings()) is None


async def test_settings_make_a_model_and_send_nothing(server: ScriptedModel) -> None:
    calls = open_calls(Settings(llm_url=server.url, llm_model="small", llm_api_key="key-2"))
    assert calls is not None
    assert calls.model.name == "small"
    assert server.questions == []
    await calls.ask(REQUEST, Purse())
    assert server.headers[0]["authorization"] == "Bearer key-2"
    await calls.close()


@pytest.mark.parametrize(
    "settings",
    [
        {"llm_url": "http://127.0.0.1:1/v1"},
        {"llm_model": "small"},
        {"llm_url": "nowhere", "llm_model": "small"},
        {"llm_url": "http://127.0.0.1:1/v1", "llm_model": "small", "llm_api_key": "kéy"},
    ],
)
def test_half_a_setting_is_a_mistake(settings: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="MEMSVC_LLM_"):
        open_calls(Settings(**settings))


def test_who_has_no_model_does_not_pay_for_its_client() -> None:
    code = "import sys, memsvc.runtime; print('openai' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

"""A tenant's use of the language model: counted, bounded, shown, and nobody else's."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from conftest import NOW, Clock, Service

from evals.llm_server import ScriptedModel, say, serving
from memsvc import runtime
from memsvc.config import Settings
from memsvc.deployment import Deployment
from memsvc.extraction.model import Said
from memsvc.inference.fake import FakeEncoder
from memsvc.inference.llm import BudgetSpentError, Tokens
from memsvc.inference.llm_calls import Calls
from memsvc.inference.llm_openai import OpenAIModel
from memsvc.upkeep.spending import TenantPayer
from memsvc.upkeep.thinking import Thinking, extract_facts

SEGMENT = [Said("I keep bees on the roof.", speaker="Ana", role="user", at=datetime(2026, 3, 9, tzinfo=UTC))]


def payer(service: Service, clock: Clock, tokens_a_day: int) -> TenantPayer:
    return TenantPayer(service.services.database, service.caller.tenant_id, tokens_a_day, lambda: clock.now)


async def usage(service: Service, **query: int) -> dict:
    response = await service.client.get("/v1/usage", params=query)
    assert response.status_code == 200, response.text
    return response.json()


async def test_without_calls_there_is_nothing_but_the_budget(service: Service) -> None:
    assert await usage(service) == {"model": None, "tokens_a_day": 1_000_000, "tokens_today": 0, "days": []}


async def test_what_was_set_aside_gives_way_to_what_was_spent(service: Service, clock: Clock) -> None:
    purse = payer(service, clock, 1000)
    first = await purse.reserve("judge", "small", Tokens(100, 200))
    assert (await usage(service))["tokens_today"] == 300
    second = await purse.reserve("judge", "small", Tokens(50, 200))
    await purse.settle(first, Tokens(110, 20), failed=False)
    await purse.settle(second, Tokens(0, 0), failed=True)
    assert (await usage(service))["days"] == [
        {
            "day": "2026-03-01",
            "purpose": "judge",
            "model": "small",
            "calls": 2,
            "failures": 1,
            "input_tokens": 110,
            "output_tokens": 20,
        }
    ]


async def test_a_call_whose_process_dies_stays_counted_as_what_it_may_have_cost(service: Service, clock: Clock) -> None:
    await payer(service, clock, 1000).reserve("judge", "small", Tokens(100, 200))
    assert [(day["calls"], day["input_tokens"]) for day in (await usage(service))["days"]] == [(1, 100)]


async def test_a_budget_is_of_all_purposes_and_models_of_one_utc_day(service: Service, clock: Clock) -> None:
    purse = payer(service, clock, 1000)
    await purse.reserve("judge", "small", Tokens(300, 300))
    await purse.reserve("verify", "large", Tokens(200, 200))
    with pytest.raises(BudgetSpentError):
        await purse.reserve("judge", "small", Tokens(0, 1))
    clock.now = datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC)
    with pytest.raises(BudgetSpentError):
        await purse.reserve("judge", "small", Tokens(0, 1))
    clock.now += timedelta(seconds=1)
    await purse.reserve("judge", "small", Tokens(500, 500))
    shown = await usage(service)
    assert shown["tokens_today"] == 1000
    assert [(day["day"], day["purpose"], day["model"]) for day in shown["days"]] == [
        ("2026-03-02", "judge", "small"),
        ("2026-03-01", "judge", "small"),
        ("2026-03-01", "verify", "large"),
    ]


async def test_what_is_settled_after_midnight_belongs_to_the_day_of_the_call(service: Service, clock: Clock) -> None:
    purse = payer(service, clock, 1000)
    reservation = await purse.reserve("judge", "small", Tokens(100, 200))
    clock.advance(days=1)
    await purse.settle(reservation, Tokens(100, 10), failed=False)
    assert [(day["day"], day["output_tokens"]) for day in (await usage(service))["days"]] == [("2026-03-01", 10)]


async def test_a_budget_of_zero_is_no_bound(service: Service, clock: Clock) -> None:
    await payer(service, clock, 0).reserve("judge", "small", Tokens(10**12, 10**12))


async def test_calls_at_the_same_moment_never_share_what_is_left_for_one(service: Service, clock: Clock) -> None:
    purse = payer(service, clock, 1000)
    results = await asyncio.gather(
        *(purse.reserve("judge", "small", Tokens(200, 200)) for _ in range(6)), return_exceptions=True
    )
    assert sum(isinstance(result, BudgetSpentError) for result in results) == 4
    assert (await usage(service))["tokens_today"] == 800


async def test_tenants_neither_see_nor_spend_each_others_tokens(service: Service, other: Service, clock: Clock) -> None:
    await payer(service, clock, 1000).reserve("judge", "small", Tokens(500, 500))
    assert (await usage(other))["days"] == []
    await payer(other, clock, 1000).reserve("judge", "small", Tokens(500, 500))
    assert (await usage(service))["tokens_today"] == 1000


async def test_the_list_goes_back_as_many_days_as_asked(service: Service, clock: Clock) -> None:
    for _ in range(3):
        await payer(service, clock, 0).reserve("judge", "small", Tokens(1, 1))
        clock.advance(days=1)
    clock.now = NOW + timedelta(days=2)
    assert [day["day"] for day in (await usage(service, days=2))["days"]] == ["2026-03-03", "2026-03-02"]
    assert (await service.client.get("/v1/usage", params={"days": 0})).status_code == 422
    assert (await service.client.get("/v1/usage", params={"days": 367})).status_code == 422


@pytest.fixture
def server() -> Iterator[ScriptedModel]:
    with serving() as running:
        yield running


async def extracted(service: Service, clock: Clock, server: ScriptedModel, tokens_a_day: int) -> object:
    calls = Calls(OpenAIModel("scripted", server.url, max_tokens=300))
    thinking = Thinking(calls, service.services.database, lambda: clock.now, tokens_a_day, 300)
    try:
        return await extract_facts(thinking, service.caller.tenant_id, SEGMENT)
    finally:
        await calls.close()


@pytest.mark.parametrize("reported", [None, 0, 10**9])
async def test_no_server_can_lie_its_way_past_the_budget_or_use_it_up_with_one_call(
    service: Service, clock: Clock, server: ScriptedModel, reported: int | None
) -> None:
    report = None if reported is None else {"prompt_tokens": reported, "completion_tokens": reported}
    server.answer = lambda _: say({"facts": []}, usage=report)
    assert await extracted(service, clock, server, 1_000_000) == ()
    (day,) = (await usage(service))["days"]
    assert 800 < day["input_tokens"] < 12_000
    assert 0 < day["output_tokens"] <= 300


async def test_once_the_budget_is_spent_the_rules_stand_and_no_call_is_made(
    service: Service, clock: Clock, server: ScriptedModel
) -> None:
    server.answer = lambda _: say({"facts": []})
    assert await extracted(service, clock, server, 100) is None
    assert server.questions == []
    assert (await usage(service))["days"] == []


async def test_the_configured_model_is_named(service: Service, clock: Clock, server: ScriptedModel) -> None:
    calls = Calls(OpenAIModel("scripted", server.url))
    services = service.services
    thinking = Thinking(calls, services.database, lambda: clock.now, 1000, 300)
    app = service.client._transport.app
    app.state.services = replace(services, upkeep=replace(services.upkeep, llm=thinking))
    assert (await usage(service))["model"] == "scripted"
    await calls.close()


@pytest.mark.parametrize("is_configured", [True, False])
async def test_the_process_opens_what_its_settings_name(
    deployment: Deployment, server: ScriptedModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, is_configured: bool
) -> None:
    monkeypatch.setattr(runtime, "load_encoder", lambda *_: FakeEncoder(dimension=256))
    named = {"llm_url": server.url, "llm_model": "scripted"} if is_configured else {}
    settings = Settings(data_dir=tmp_path, llm_tokens_a_day=7, llm_max_output_tokens=77, **named)
    async with runtime.open_runtime(settings, deployment.app_url) as opened:
        llm = opened.upkeep.llm
        assert (llm is not None) == is_configured
        if llm is not None:
            assert llm.extractor == "llm:scripted:extract_facts.v1"
            assert (llm.tokens_a_day, llm.max_output_tokens) == (7, 77)
    assert server.questions == []

"""Summaries of sessions: what they tell of, how they follow their turns, and that they can be taken back."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from memsvc.store.access import require
from memsvc.upkeep import derive, summarize, thinking
from memsvc.upkeep.model import Order, Run
from memsvc.upkeep.summarize import read_histories, summarize_sessions
from tests.integration.conftest import NOW, Clock, Service

GARDEN = (
    "Garden tomatoes want water every evening.",
    "Planted basil beside garden tomatoes last April.",
    "Garden tomatoes like sunny fences.",
    "Rosa gave me one rain barrel: garden tomatoes need water.",
    "Slugs ate basil, garden tomatoes survived.",
)
TRAIN = (
    "Night train Vienna to Venice leaves at 21:27.",
    "Night train sleeper to Venice costs 129 euros.",
    "Night train arrives in Venice at 8:34.",
    "Booked two sleeper beds, night train to Venice.",
    "My night train to Venice ticket lies in a blue folder.",
)


async def say(service: Service, *contents: str, session: str = "monday", space: str = "ana", **fields: object) -> list:
    messages = [
        {"role": "user", "name": "Ana", "content": content, "timestamp": "2026-02-20T10:00:00Z", **fields}
        for content in contents
    ]
    added = await service.add(space=space, session=session, messages=messages)
    return [item["id"] for item in added["items"]]


async def run(service: Service, clock: Clock, **fields: object) -> Run:
    order = Order(service.caller, "ana", clock.now, **fields)
    return await summarize_sessions(service.services.upkeep, order, idle=timedelta(minutes=30))


async def call(service: Service, method: str, path: str, body: dict | None = None, status: int = 200) -> dict:
    response = await service.client.request(method, path, json=body)
    assert response.status_code == status, response.text
    return response.json() if response.content else {}


async def listed(service: Service, *, level: str | None = None) -> list[dict]:
    page = await call(service, "GET", "/v1/memories?space=ana&kind=summary&limit=1000")
    found = [one for one in page["items"] if one["state"] not in {"archived", "expired"}]
    return [one for one in found if level in (None, one["metadata"]["level"])]


async def spoken(service: Service, clock: Clock, *contents: str) -> list[str]:
    """Two topics in a session that is quiet by now."""
    ids = await say(service, *(contents or (*GARDEN, *TRAIN)))
    clock.advance(hours=1)
    return ids


async def test_a_session_of_two_topics_has_a_summary_of_each_and_of_the_whole(service: Service, clock: Clock) -> None:
    ids = await spoken(service, clock)
    done = await run(service, clock)
    assert done.operation_id is not None
    assert [change.action for change in done.changes] == ["summarize"] * 3
    garden, train = await listed(service, level="topic")
    (whole,) = await listed(service, level="session")
    assert [(one["metadata"]["first"], one["metadata"]["last"]) for one in (garden, train)] == [(0, 4), (5, 9)]
    assert (whole["metadata"]["first"], whole["metadata"]["last"], whole["metadata"]["topics"]) == (0, 9, 2)
    assert {one["origin"] for one in (garden, train, whole)} == {"consolidated"}
    assert whole["occurred_at"] == "2026-02-20T10:00:00Z"
    assert whole["metadata"]["session"] == "monday"
    edges = (await call(service, "GET", f"/v1/memories/{train['id']}/lineage?direction=up&depth=1"))["up"]
    assert {edge["source_id"] for edge in edges} == set(ids[5:])
    edges = (await call(service, "GET", f"/v1/memories/{whole['id']}/lineage?direction=up&depth=2"))["up"]
    assert {edge["source_id"] for edge in edges} == {garden["id"], train["id"], *ids}


async def test_each_line_has_its_speaker_date_and_place_in_its_turn(service: Service, clock: Clock) -> None:
    await spoken(service, clock)
    await run(service, clock)
    said = [*GARDEN, *TRAIN]
    for one in await listed(service):
        lines = one["content"].splitlines()
        assert len(lines) == len(one["metadata"]["lines"])
        for line, (position, start, end) in zip(lines, one["metadata"]["lines"], strict=True):
            assert line == f"Ana, 20 February 2026: {said[position][start:end]}"


async def test_a_short_or_busy_session_is_left_alone(service: Service, clock: Clock) -> None:
    await say(service, *GARDEN)  # five turns
    await say(service, *GARDEN, *TRAIN, session="tuesday")
    assert (await run(service, clock)).changes == ()
    async with service.services.database.read(service.caller.tenant_id) as session:
        space_id = await require(session, service.caller, "ana", "read")
        reading = await read_histories(
            service.services.upkeep, session, space_id, now=clock.now, idle=timedelta(minutes=30), limit=100
        )
    assert reading.later == NOW + timedelta(minutes=30)
    clock.advance(minutes=31)
    await run(service, clock)
    assert {one["metadata"]["session"] for one in await listed(service)} == {"tuesday"}


async def test_running_again_changes_nothing(service: Service, clock: Clock) -> None:
    await spoken(service, clock)
    await run(service, clock)
    before = await listed(service)
    again = await run(service, clock)
    assert (again.changes, again.operation_id) == ((), None)
    assert await listed(service) == before


async def test_new_turns_make_new_versions_and_leave_the_ended_topic_alone(service: Service, clock: Clock) -> None:
    await spoken(service, clock)
    await run(service, clock)
    garden, train = await listed(service, level="topic")
    (whole,) = await listed(service, level="session")
    await say(service, "Night train to Venice was late.", "Night train to Venice has a dining car.")
    clock.advance(hours=1)
    done = await run(service, clock)
    assert {change.memory_id for change in done.changes} == {UUID(train["id"]), UUID(whole["id"])}
    garden_now, train_now = await listed(service, level="topic")
    (whole_now,) = await listed(service, level="session")
    assert garden_now == garden
    assert (train_now["id"], train_now["version"], train_now["metadata"]["last"]) == (train["id"], 2, 11)
    assert (whole_now["id"], whole_now["version"], whole_now["metadata"]["turns"]) == (whole["id"], 2, 12)
    history = await call(service, "GET", f"/v1/memories/{train['id']}/history")
    assert history["versions"][0]["memory"]["content"] == train["content"]


async def test_another_topic_of_a_session_of_one_makes_topics_of_both(service: Service, clock: Clock) -> None:
    await spoken(service, clock, *GARDEN, "Garden tomatoes want a longer hose.")
    await run(service, clock)
    (whole,) = await listed(service)
    assert (whole["metadata"]["level"], whole["metadata"]["topics"]) == ("session", 1)
    await say(service, *TRAIN)
    clock.advance(hours=1)
    await run(service, clock)
    assert [one["metadata"]["first"] for one in await listed(service, level="topic")] == [0, 6]
    (again,) = await listed(service, level="session")
    assert (again["id"], again["version"], again["metadata"]["topics"]) == (whole["id"], 2, 2)


async def test_an_edited_turn_is_told_of_as_it_is_now(service: Service, clock: Clock) -> None:
    ids = await spoken(service, clock)
    await run(service, clock)
    garden, train = await listed(service, level="topic")
    await call(service, "PATCH", f"/v1/memories/{ids[5]}", {"content": "Night train Vienna to Venice leaves at 19:05."})
    await run(service, clock)
    garden_now, train_now = await listed(service, level="topic")
    assert garden_now == garden
    assert (train_now["id"], train_now["version"]) == (train["id"], 2)
    assert "21:27" not in train_now["content"]


async def test_what_is_private_expiring_or_in_quarantine_is_not_told_of(service: Service, clock: Clock) -> None:
    hidden = [
        *await say(service, "My garden safe opens with 4711.", visibility="private"),
        *await say(service, "Garden gate code 1213 today.", expires_at="2026-12-01T00:00:00Z"),
        *await say(service, "Garden water comes from Mars."),
    ]
    ids = await spoken(service, clock)
    await call(service, "POST", f"/v1/memories/{hidden[2]}/state", {"state": "quarantined"})
    await run(service, clock)
    told = await listed(service)
    sources = set()
    for one in told:
        edges = (await call(service, "GET", f"/v1/memories/{one['id']}/lineage?direction=up&depth=1"))["up"]
        sources |= {edge["source_id"] for edge in edges}
    assert sources - {one["id"] for one in told} == set(ids)


async def test_a_reply_made_from_a_summary_is_no_source_of_one(service: Service, clock: Clock) -> None:
    ids = await spoken(service, clock)
    await run(service, clock)
    before = await listed(service)
    await say(service, "Night train to Venice costs 129 euros.", derived_from=[one["id"] for one in before])
    (fresh,) = await say(service, "Night train to Venice has a dining car.")
    clock.advance(hours=1)
    await run(service, clock)
    train = (await listed(service, level="topic"))[-1]
    assert train["metadata"]["last"] == 11
    edges = (await call(service, "GET", f"/v1/memories/{train['id']}/lineage?direction=up&depth=1"))["up"]
    assert {edge["source_id"] for edge in edges} == {*ids[5:], fresh}
    assert (await run(service, clock)).changes == ()


async def test_a_turn_put_in_quarantine_later_leaves_the_summaries(service: Service, clock: Clock) -> None:
    ids = await spoken(service, clock)
    await run(service, clock)
    (before,) = [one for one in await listed(service, level="topic") if "129" in one["content"]]
    await call(service, "POST", f"/v1/memories/{ids[6]}/state", {"state": "quarantined"})
    await run(service, clock)
    told = await listed(service)
    assert {one["id"] for one in told} >= {before["id"]}
    assert not any("129" in one["content"] for one in told)


async def test_archived_turns_stay_in_the_summary_that_stands_for_them(service: Service, clock: Clock) -> None:
    ids = await spoken(service, clock)
    await run(service, clock)
    before = await listed(service)
    for memory in ids:
        await call(service, "DELETE", f"/v1/memories/{memory}?mode=archive", status=204)
    assert (await run(service, clock)).changes == ()
    assert await listed(service) == before


async def test_erasing_a_turn_erases_its_summaries_and_the_next_run_makes_them_again(
    service: Service, clock: Clock
) -> None:
    ids = await spoken(service, clock)
    await run(service, clock)
    garden, train = await listed(service, level="topic")
    (whole,) = await listed(service, level="session")
    await call(service, "DELETE", f"/v1/memories/{ids[6]}", status=204)
    assert await listed(service) == [garden]
    await run(service, clock)
    kept, made = await listed(service, level="topic")
    assert kept == garden
    assert made["id"] not in {train["id"], whole["id"]}
    assert (made["metadata"]["first"], made["metadata"]["last"], made["metadata"]["turns"]) == (5, 9, 4)
    assert not any("129" in one["content"] for one in await listed(service))


async def test_undoing_the_first_run_takes_the_summaries_away_for_good(service: Service, clock: Clock) -> None:
    await spoken(service, clock)
    done = await run(service, clock)
    await call(service, "POST", f"/v1/operations/{done.operation_id}/undo")
    assert await listed(service) == []
    assert (await run(service, clock)).changes == ()
    await say(service, "Night train to Venice has a dining car.")
    clock.advance(hours=1)
    await run(service, clock)
    (whole,) = await listed(service, level="session")
    assert whole["metadata"]["turns"] == 11


async def test_undoing_a_renewal_brings_the_earlier_versions_back(service: Service, clock: Clock) -> None:
    await spoken(service, clock)
    await run(service, clock)
    before = {one["id"]: (one["content"], one["metadata"]) for one in await listed(service)}
    await say(service, *TRAIN[:2], "The train to Rome has a dining car.")
    clock.advance(hours=1)
    done = await run(service, clock)
    await call(service, "POST", f"/v1/operations/{done.operation_id}/undo")
    assert {one["id"]: (one["content"], one["metadata"]) for one in await listed(service)} == before


async def test_a_summary_that_somebody_edited_is_not_overwritten(service: Service, clock: Clock) -> None:
    await spoken(service, clock)
    await run(service, clock)
    (whole,) = await listed(service, level="session")
    await call(service, "PATCH", f"/v1/memories/{whole['id']}", {"content": "Ana gardens, and goes to Venice."})
    await say(service, "Night train to Venice has a dining car.")
    clock.advance(hours=1)
    await run(service, clock)
    (now,) = await listed(service, level="session")
    assert now["content"] == "Ana gardens, and goes to Venice."
    assert (await run(service, clock)).changes == ()


async def test_edited_metadata_stops_nothing(service: Service, clock: Clock) -> None:
    await spoken(service, clock)
    await run(service, clock)
    for one in await listed(service):
        broken = {**one["metadata"], "first": "x", "counted": [], "newest": "9" * 30, "lines": {"a": 1}}
        await call(service, "PATCH", f"/v1/memories/{one['id']}", {"metadata": broken})
    await run(service, clock)
    assert len(await listed(service, level="session")) == 1
    assert (await run(service, clock)).changes == ()


async def test_a_dry_run_says_what_would_be_made(service: Service, clock: Clock) -> None:
    await spoken(service, clock)
    planned = await run(service, clock, dry_run=True)
    assert await listed(service) == []
    done = await run(service, clock)
    assert planned.operation_id is None
    assert [(one.action, one.content, one.reason) for one in planned.changes] == [
        (one.action, one.content, one.reason) for one in done.changes
    ]


async def test_a_long_session_is_taken_in_bounded_steps(service: Service, clock: Clock) -> None:
    await spoken(service, clock, *GARDEN, *TRAIN, *(f"The kitchen wall number {n} is green." for n in range(6)))
    first = await run(service, clock, limit=10)
    assert first.more
    (whole,) = await listed(service, level="session")
    assert whole["metadata"]["last"] == 9
    steps = 0
    while (await run(service, clock, limit=10)).operation_id is not None:
        steps += 1
        assert steps < 5
    (whole,) = await listed(service, level="session")
    assert (whole["metadata"]["first"], whole["metadata"]["last"], whole["metadata"]["turns"]) == (0, 15, 16)


async def test_what_changed_while_a_run_was_thinking_is_left_for_the_next(
    service: Service, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = await spoken(service, clock)
    original = derive.encode

    async def meanwhile(*arguments: object) -> object:
        await call(
            service, "PATCH", f"/v1/memories/{ids[6]}", {"content": "Night train sleeper to Venice costs 99 euros."}
        )
        return await original(*arguments)

    monkeypatch.setattr(derive, "encode", meanwhile)
    await run(service, clock)
    (garden,) = await listed(service)
    assert garden["metadata"]["first"] == 0
    monkeypatch.setattr(derive, "encode", original)
    await run(service, clock)
    assert [one["metadata"]["first"] for one in await listed(service, level="topic")] == [0, 5]
    assert (await listed(service, level="topic"))[0] == garden
    assert "129" not in "".join(one["content"] for one in await listed(service))


async def test_a_failing_encoder_only_delays_the_vectors(service: Service, clock: Clock) -> None:
    await spoken(service, clock)
    service.encoder.fail = True
    await run(service, clock)
    assert {one["searchable"] for one in await listed(service)} == {False}


async def test_a_model_writes_the_longest_passages_and_only_what_is_borne_out(
    service: Service, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await spoken(service, clock)
    asked = []

    async def summarized(llm: object, tenant: object, sources: list, *, extractive: object) -> thinking.Summary:
        asked.append(sources)
        # The rules stand in where the model's sentences are not borne out.
        if "21:27" in sources[0].content:
            return thinking.Summary("Ana travels to Venice by night. She paid 129 euros.", "model")
        return thinking.Summary(extractive(sources), "rules", dropped=2)

    monkeypatch.setattr(thinking, "summarize", summarized)
    monkeypatch.setattr(summarize, "TURNS_A_PASSAGE", 5)
    upkeep = replace(service.services.upkeep, llm=object())
    await summarize.summarize_sessions(upkeep, Order(service.caller, "ana", clock.now))
    assert len(asked) == 2
    garden, train = await listed(service, level="topic")
    assert (garden["metadata"]["by"], train["metadata"]["by"]) == ("extractive/1", "model")
    assert train["content"] == "Ana travels to Venice by night.\nShe paid 129 euros."
    assert train["metadata"]["lines"] == [None, None]
    monkeypatch.setattr(summarize, "TURNS_A_PASSAGE", 200)
    await say(service, *GARDEN, *TRAIN, session="tuesday")
    clock.advance(hours=1)
    await summarize.summarize_sessions(upkeep, Order(service.caller, "ana", clock.now))
    assert len(asked) == 2  # too few turns for a call


async def test_default_recall_returns_the_turns(service: Service, clock: Clock) -> None:
    await spoken(service, clock)
    before = await service.recall("When does the night train to Venice leave?", spaces=["ana"])
    await run(service, clock)
    after = await service.recall("When does the night train to Venice leave?", spaces=["ana"])
    assert [one["memory"]["id"] for one in after["results"]] == [one["memory"]["id"] for one in before["results"]]
    asked = await service.recall("night train to Venice", spaces=["ana"], filters={"kinds": ["summary"]})
    assert {one["memory"]["kind"] for one in asked["results"]} == {"summary"}
    assert asked["results"]


async def test_sessions_of_another_space_or_tenant_are_not_read(service: Service, other: Service, clock: Clock) -> None:
    await spoken(service, clock)
    await say(service, *GARDEN, *TRAIN, space="ben")
    await say(other, *GARDEN, *TRAIN)
    clock.advance(hours=1)
    await run(service, clock)
    assert (await call(service, "GET", "/v1/memories?space=ben&kind=summary"))["items"] == []
    assert await listed(other) == []

"""What use and verdicts do to a memory: the curve, trust, and coming back from the archive."""

import asyncio
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection, text

from memsvc.deployment import Deployment
from memsvc.ids import MemoryId
from memsvc.retrieval.accesses import AccessLog
from memsvc.store.curve import RETENTION, Cause, list_reinforcements, reinforce
from memsvc.upkeep.feedback import revive
from memsvc.upkeep.retention import retention, stability, strengthened
from tests.integration.conftest import NOW, Clock, Service
from tests.integration.people import Person, person, restrict

BOAT = "I keep the boat in the north dock."


async def call(service: Service, method: str, path: str, body: dict | None = None, status: int = 200) -> dict:
    response = await service.client.request(method, path, json=body)
    assert response.status_code == status, response.text
    return response.json() if response.content else {}


async def say(service: Service, content: str = BOAT, **fields: object) -> str:
    written = await service.add(messages=[{"role": "user", "content": content, **fields}])
    return written["items"][0]["id"]


async def get(service: Service, memory: str) -> dict:
    return await call(service, "GET", f"/v1/memories/{memory}")


async def report(service: Service, memory: str, verdict: str, **fields: object) -> dict:
    answer = await call(service, "POST", "/v1/feedback", {"memories": [memory], "verdict": verdict, **fields})
    return {**answer["items"][0], "operations": answer["operations"]}


async def move(service: Service, memory: str, cause: Cause, now: datetime, count: int = 1) -> float:
    """Reinforce a memory, and return its strength afterwards."""
    async with service.services.database.write(service.caller.tenant_id) as session:
        await reinforce(session, {MemoryId(UUID(memory)): count}, cause, now=now)
    return (await get(service, memory))["strength"]


async def causes(service: Service, memory: str) -> list[str]:
    async with service.services.database.read(service.caller.tenant_id) as session:
        return [one.cause for one in await list_reinforcements(session, MemoryId(UUID(memory)))]


async def forgotten(service: Service, clock: Clock, *memories: str) -> dict:
    """Let the space's policy archive these, and nothing else."""
    await call(service, "PUT", "/v1/spaces/default", {"policies": {"forget": {"after": {}}}})
    clock.advance(days=120)
    answer = await call(service, "POST", "/v1/forget", {})
    assert [change["memory_id"] for change in answer["changes"]] == list(memories)
    return answer


class TestTheCurve:
    @pytest.mark.parametrize("kind", ["turn", "fact", "preference", "document"])
    @pytest.mark.parametrize(("importance", "strength"), [(0.5, 1.0), (0.1, 0.3), (1.0, 20.0), (0.9, -4.0), (0.5, 1e9)])
    async def test_sql_and_python_agree(
        self, service: Service, owner: Connection, kind: str, importance: float, strength: float
    ) -> None:
        if kind == "turn":
            memory = await say(service, importance=importance)
        else:
            written = await service.add(texts=[{"kind": kind, "content": BOAT, "importance": importance}])
            memory = written["items"][0]["id"]
        owner.execute(text("UPDATE memories SET strength = :s WHERE id = :id"), {"s": strength, "id": memory})
        owner.commit()
        lasts = stability(kind, importance, strength)
        async with service.services.database.read(service.caller.tenant_id) as session:
            driver = await session.driver()
            for days in (-10, 0, 0.5, 200, 1e6):
                keys = {"now": NOW + timedelta(days=days), "id": memory}
                cursor = await driver.execute(f"SELECT {RETENTION} FROM memories m WHERE id = %(id)s".encode(), keys)
                assert await cursor.fetchone() == (pytest.approx(retention(days, lasts), rel=1e-9),)
        moved = await move(service, memory, "used", NOW + timedelta(days=200))
        assert moved == pytest.approx(strengthened(strength, retention(200, lasts), "used"), rel=1e-9)

    async def test_time_counts_from_the_last_use(self, service: Service) -> None:
        memory = await say(service)
        await move(service, memory, "used", NOW + timedelta(days=90))
        async with service.services.database.read(service.caller.tenant_id) as session:
            (first,) = await list_reinforcements(session, MemoryId(UUID(memory)))
        assert (first.at, first.cause) == (NOW + timedelta(days=90), "used")
        assert first.retention == pytest.approx(0.36788, abs=1e-5)
        assert first.strength == pytest.approx(2.3224, abs=1e-4)
        await move(service, memory, "used", NOW + timedelta(days=90))
        assert (await get(service, memory))["strength"] == pytest.approx(first.strength)

    async def test_uses_spread_over_time_beat_as_many_at_once(self, service: Service) -> None:
        spread, massed = await say(service), await say(service, "I keep the car in the south garage.")
        for week in range(1, 5):
            await move(service, spread, "used", NOW + timedelta(weeks=week))
            await move(service, massed, "used", NOW + timedelta(weeks=1, minutes=week))
        assert (await get(service, spread))["strength"] > 1.2 * (await get(service, massed))["strength"]

    async def test_being_recalled_counts_always_and_strengthens_once_a_day(self, service: Service) -> None:
        memory, then = await say(service), NOW + timedelta(days=60)
        after = [await move(service, memory, "recalled", then + timedelta(hours=hour), 3) for hour in (0, 1, 23)]
        assert after == pytest.approx([1.1253] * 3, abs=1e-4)
        found = await get(service, memory)
        assert found["access_count"] == 9
        assert datetime.fromisoformat(found["last_accessed_at"]) == then + timedelta(hours=23)
        assert await causes(service, memory) == ["recalled"]
        assert await move(service, memory, "recalled", then + timedelta(hours=25)) > 1.1254
        assert await causes(service, memory) == ["recalled"] * 2

    async def test_what_recall_returned_is_strengthened_when_the_log_is_written(
        self, service: Service, clock: Clock
    ) -> None:
        memory = await say(service)
        clock.advance(days=60)
        log = AccessLog(service.services.database, clock=lambda: clock.now)
        log.note(service.caller.tenant_id, [MemoryId(UUID(memory)), MemoryId(UUID(memory)), MemoryId(uuid4())])
        await log.flush()
        found = await get(service, memory)
        assert (found["access_count"], found["version"]) == (2, 1)
        assert found["strength"] == pytest.approx(1.1253, abs=1e-4)

    async def test_the_latest_hundred_reinforcements_are_kept(self, service: Service) -> None:
        memory = await say(service)
        for day in range(103):
            await move(service, memory, "recalled", NOW + timedelta(days=2 * day))
        async with service.services.database.read(service.caller.tenant_id) as session:
            kept = await list_reinforcements(session, MemoryId(UUID(memory)))
        assert [one.at for one in kept] == [NOW + timedelta(days=2 * day) for day in range(3, 103)]

    async def test_what_is_wrong_or_repeats_is_weaker_and_was_not_in_use(self, service: Service) -> None:
        memory = await say(service)
        assert await move(service, memory, "repeats", NOW, 0) == 0.5
        assert await move(service, memory, "wrong", NOW, 0) == 0.25
        found = await get(service, memory)
        assert (found["access_count"], found["last_accessed_at"]) == (0, None)
        assert await causes(service, memory) == ["repeats", "wrong"]

    async def test_an_erase_takes_all_of_it_along(self, service: Service, owner: Connection) -> None:
        memory = await say(service)
        await report(service, memory, "helpful", note="the dock was right")
        await call(service, "DELETE", f"/v1/memories/{memory}", status=204)
        for table in ("feedback", "reinforcements"):
            count = owner.execute(text(f"SELECT count(*) FROM {table} WHERE memory_id = :id"), {"id": memory}).scalar()
            assert count == 0


class TestVerdicts:
    async def test_helpful_counts_for_more_than_used(self, service: Service, clock: Clock) -> None:
        used, helpful = await say(service), await say(service, "I keep the car in the south garage.")
        clock.advance(days=60)
        assert (await report(service, used, "used"))["strength"] == pytest.approx(1.9401, abs=1e-4)
        assert (await report(service, helpful, "helpful"))["strength"] == pytest.approx(2.8802, abs=1e-4)

    async def test_a_report_changes_no_version(self, service: Service) -> None:
        memory = await say(service)
        answer = await report(service, memory, "used", note="it answered the question")
        assert (answer["status"], answer["state"], answer["revived"]) == ("recorded", "generated", False)
        assert answer["operations"] == []
        assert (await get(service, memory))["version"] == 1

    async def test_the_same_report_of_an_episode_counts_once(
        self, service: Service, clock: Clock, deployment: Deployment
    ) -> None:
        memory = await say(service)
        first = await report(service, memory, "used", episode="trip")
        clock.advance(days=60)
        again = await report(service, memory, "used", episode="trip")
        assert (first["status"], again["status"]) == ("recorded", "known")
        assert again["strength"] == first["strength"] == 1
        other = await report(service, memory, "used", episode="another trip")
        assert (other["status"], other["strength"] > 1) == ("recorded", True)
        assert (await report(service, memory, "helpful", episode="trip"))["status"] == "recorded"
        ben = person(service, deployment, "ben")
        body = {"memories": [memory], "verdict": "used", "episode": "trip"}
        assert (await ben.post("/v1/feedback", body))["items"][0]["status"] == "recorded"

    async def test_without_an_episode_it_counts_once_a_day(self, service: Service, clock: Clock) -> None:
        memory = await say(service)
        statuses = []
        for hours in (0, 12, 13):
            clock.advance(hours=hours)
            statuses.append((await report(service, memory, "used"))["status"])
        assert statuses == ["recorded", "known", "recorded"]

    async def test_two_copies_of_a_report_at_once_count_once(self, service: Service, owner: Connection) -> None:
        memory = await say(service)
        both = await asyncio.gather(*(report(service, memory, "helpful", episode="trip") for _ in range(2)))
        assert sorted(one["status"] for one in both) == ["known", "recorded"]
        rows = owner.execute(text("SELECT count(*) FROM feedback WHERE memory_id = :id"), {"id": memory}).scalar()
        assert rows == 1

    async def test_several_memories_each_once(self, service: Service) -> None:
        one, two = await say(service), await say(service, "I keep the car in the south garage.")
        await report(service, one, "used")
        answer = await call(service, "POST", "/v1/feedback", {"memories": [two, one, two], "verdict": "used"})
        assert [(item["id"], item["status"]) for item in answer["items"]] == [(two, "recorded"), (one, "known")]

    @pytest.mark.parametrize("verdict", ["success", "failure"])
    async def test_an_outcome_belongs_to_an_episode_and_moves_nothing(
        self, service: Service, clock: Clock, owner: Connection, verdict: str
    ) -> None:
        memory = await say(service)
        clock.advance(days=60)
        refused = await call(service, "POST", "/v1/feedback", {"memories": [memory], "verdict": verdict}, 422)
        assert refused["errors"][0]["field"] == "episode"
        answer = await report(service, memory, verdict, episode="trip", note="the dock was found")
        assert (answer["status"], answer["strength"], answer["trust"]) == ("recorded", 1, 0.5)
        row = owner.execute(text("SELECT verdict, episode, note FROM feedback WHERE memory_id = :id"), {"id": memory})
        assert row.one() == (verdict, "trip", "the dock was found")

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"memories": [], "verdict": "used"}, "memories"),
            ({"memories": [str(UUID(int=1))], "verdict": "great"}, "verdict"),
            ({"memories": [str(UUID(int=1))], "verdict": "used", "note": ""}, "note"),
            ({"memories": [str(UUID(int=1))], "verdict": "used", "episode": "a\u0000b"}, "episode"),
        ],
    )
    async def test_what_cannot_be_used_is_refused_by_field(self, service: Service, body: dict, field: str) -> None:
        answer = await call(service, "POST", "/v1/feedback", body, 422)
        assert answer["errors"][0]["field"] == field


class TestWrong:
    async def test_it_lowers_trust_and_strength_once_for_each_principal(
        self, service: Service, deployment: Deployment
    ) -> None:
        memory = await say(service)
        answer = await report(service, memory, "wrong")
        assert (answer["trust"], answer["strength"], answer["state"]) == (0.4, 0.5, "generated")
        again = await report(service, memory, "wrong", episode="another")
        assert (again["status"], again["trust"], again["strength"]) == ("recorded", 0.4, 0.5)
        assert again["operations"] == []
        ben = person(service, deployment, "ben")
        body = {"memories": [memory], "verdict": "wrong", "episode": "another"}
        second = (await ben.post("/v1/feedback", body))["items"][0]
        assert (second["trust"], second["strength"]) == (pytest.approx(0.32), 0.25)

    async def test_it_hides_nothing_however_many_say_it(self, service: Service, deployment: Deployment) -> None:
        memory = await say(service)
        for number in range(4):
            ben = person(service, deployment, f"ben-{number}")
            await ben.post("/v1/feedback", {"memories": [memory], "verdict": "wrong"})
        await report(service, memory, "wrong")
        found = await service.recall("Where is the boat?")
        assert [hit["memory"]["id"] for hit in found["results"]] == [memory]
        assert found["results"][0]["memory"]["strength"] == 0.1

    async def test_it_is_an_operation_that_can_be_undone(self, service: Service) -> None:
        memory = await say(service)
        (operation,) = (await report(service, memory, "wrong"))["operations"]
        shown = await call(service, "GET", f"/v1/operations/{operation}")
        assert (shown["kind"], shown["changes"][0]["changed"]) == ("feedback", {"trust": {"before": 0.5, "after": 0.4}})
        await call(service, "POST", f"/v1/operations/{operation}/undo")
        assert (await get(service, memory))["trust"] == 0.5

    async def test_what_is_frozen_stays_as_it_is(self, service: Service) -> None:
        memory = await say(service)
        await call(service, "POST", f"/v1/memories/{memory}/state", {"state": "frozen"})
        answer = await report(service, memory, "wrong")
        assert (answer["trust"], answer["operations"]) == (0.5, [])


class TestWhoMay:
    @pytest.fixture
    async def ana(self, service: Service, deployment: Deployment) -> Person:
        return person(service, deployment, "ana")

    async def test_the_right_to_read_is_needed_and_enough(
        self, service: Service, deployment: Deployment, ana: Person
    ) -> None:
        ben = person(service, deployment, "ben")
        await restrict(service, "home", ana)
        memory = await ana.add("The door code was changed.", space="home")
        body = {"memories": [memory], "verdict": "helpful"}
        await ben.post("/v1/feedback", body, status=404)
        await ana.post("/v1/grants", {"space": "home", "principal": "ben", "rights": ["read"]}, status=201)
        assert (await ben.post("/v1/feedback", body))["items"][0]["status"] == "recorded"
        reader = person(service, deployment, "reader", ("read",))
        await reader.post("/v1/feedback", body, status=403)

    async def test_one_that_cannot_be_read_refuses_all(self, service: Service, ana: Person) -> None:
        hers, mine = await ana.add("My diary begins.", visibility="private"), await say(service)
        answer = await call(service, "POST", "/v1/feedback", {"memories": [mine, hers], "verdict": "wrong"}, 404)
        assert hers in answer["detail"]
        assert (await get(service, mine))["trust"] == 0.5
        await call(service, "GET", f"/v1/memories/{hers}/retention", status=404)

    async def test_another_tenant_is_not_reached(self, service: Service, other: Service) -> None:
        memory = await say(service)
        await call(other, "POST", "/v1/feedback", {"memories": [memory], "verdict": "wrong"}, 404)
        await call(other, "GET", f"/v1/memories/{memory}/retention", status=404)
        assert await move(other, await say(other), "used", NOW) == 1
        async with other.services.database.write(other.caller.tenant_id) as session:
            await reinforce(session, {MemoryId(UUID(memory)): 1}, "helpful", now=NOW + timedelta(days=99))
        assert (await get(service, memory))["strength"] == 1


class TestComingBack:
    async def recalled(self, service: Service, recipe: str = "balanced") -> list[str]:
        found = await service.recall("Where is the boat?", recipe=recipe)
        return [hit["memory"]["id"] for hit in found["results"]]

    @pytest.mark.parametrize("verdict", ["used", "helpful"])
    async def test_what_was_forgotten_is_found_by_a_deep_recall_and_comes_back_on_use(
        self, service: Service, clock: Clock, verdict: str
    ) -> None:
        memory = await say(service)
        await forgotten(service, clock, memory)
        assert await self.recalled(service) == []
        assert await self.recalled(service, "deep") == [memory]
        answer = await report(service, memory, verdict)
        assert (answer["state"], answer["revived"], answer["strength"] > 1) == ("activated", True, True)
        assert await self.recalled(service) == [memory]
        assert (await call(service, "POST", "/v1/forget", {}))["changes"] == []
        (operation,) = answer["operations"]
        assert (await call(service, "GET", f"/v1/operations/{operation}"))["kind"] == "revive"
        await call(service, "POST", f"/v1/operations/{operation}/undo")
        assert await self.recalled(service) == []

    async def test_what_was_packed_away_comes_back_whole(self, service: Service, clock: Clock) -> None:
        memory = await say(service)
        await forgotten(service, clock, memory)
        clock.advance(days=200)
        packed = await call(service, "POST", "/v1/compress", {})
        assert [change["memory_id"] for change in packed["changes"]] == [memory]
        assert await self.recalled(service, "deep") == []
        assert (await report(service, memory, "used"))["state"] == "activated"
        assert await self.recalled(service) == [memory]
        assert (await get(service, memory))["content"] == BOAT

    @pytest.mark.parametrize("verdict", ["wrong", "success", "failure"])
    async def test_other_verdicts_bring_nothing_back(self, service: Service, clock: Clock, verdict: str) -> None:
        memory = await say(service)
        await forgotten(service, clock, memory)
        assert (await report(service, memory, verdict, episode="trip"))["state"] == "archived"

    async def test_what_a_person_put_away_stays(self, service: Service, clock: Clock) -> None:
        memory = await say(service)
        answer = await forgotten(service, clock, memory)
        await call(service, "POST", f"/v1/operations/{answer['operation_id']}/undo")
        await call(service, "DELETE", f"/v1/memories/{memory}?mode=archive", status=204)
        again = await report(service, memory, "used")
        assert (again["state"], again["revived"]) == ("archived", False)

    async def test_what_another_memory_took_the_place_of_stays(self, service: Service) -> None:
        one, two = await say(service), await say(service, "The boat is green.")
        await call(service, "POST", "/v1/fuse", {"memories": [one, two]})
        assert (await report(service, one, "helpful"))["state"] == "archived"

    async def test_an_edit_in_the_archive_does_not_keep_it_there(self, service: Service, clock: Clock) -> None:
        memory = await say(service)
        await forgotten(service, clock, memory)
        await call(service, "PATCH", f"/v1/memories/{memory}", {"metadata": {"place": "dock"}})
        await report(service, memory, "wrong")
        assert (await report(service, memory, "used"))["state"] == "activated"

    async def test_several_at_once_are_one_operation_of_each_space(self, service: Service, clock: Clock) -> None:
        one, two = await say(service), await say(service, "The boat is green.")
        kept = await say(service, "The boat is pinned.", metadata={"pinned": True})
        await forgotten(service, clock, one, two)
        ids = [MemoryId(UUID(memory)) for memory in (one, two, kept)]
        runs = await revive(service.services.upkeep, service.caller, ids, now=clock.now)
        assert [[str(change.memory_id) for change in run.changes] for run in runs] == [[one, two]]
        assert await revive(service.services.upkeep, service.caller, ids, now=clock.now) == []


class TestRetention:
    async def shown(self, service: Service, memory: str) -> dict:
        return await call(service, "GET", f"/v1/memories/{memory}/retention")

    async def test_what_was_never_in_use(self, service: Service, clock: Clock) -> None:
        memory = await say(service)
        await call(service, "PUT", "/v1/spaces/default", {"policies": {"forget": {"after": {}}}})
        clock.advance(days=45)
        found = await self.shown(service, memory)
        assert (found["kind"], found["state"], found["strength"], found["stability_days"]) == (
            "turn",
            "generated",
            1,
            90,
        )
        assert found["retention"] == pytest.approx(0.60653, abs=1e-5)
        assert found["since"] == "2026-03-01T12:00:00Z"
        assert [(one["days"], round(one["retention"], 4)) for one in found["forecast"]] == [
            (0, 0.6065),
            (1, 0.5998),
            (7, 0.5611),
            (30, 0.4346),
            (90, 0.2231),
            (365, 0.0105),
        ]
        assert found["forecast"][1]["at"] == "2026-04-16T12:00:00Z"
        assert (found["archive"]["below"], found["archive"]["at"][:16]) == (0.3, "2026-06-17T20:34")
        assert (found["forget"]["below"], found["forget"]["at"][:16]) == (0.05, "2026-11-26T02:46")
        assert found["policy"] == {
            "action": "archive",
            "at": found["archive"]["at"],
            "kept_by": None,
            "reason": "it leaves recall unless it is used before",
            "pack_at": found["forget"]["at"],
        }
        assert found["history"]["reinforcements"] == []
        assert [(one["at"], round(one["retention"], 4)) for one in found["history"]["curve"]] == [
            ("2026-03-01T12:00:00Z", 1),
            ("2026-03-12T18:00:00Z", 0.8825),
            ("2026-03-24T00:00:00Z", 0.7788),
            ("2026-04-04T06:00:00Z", 0.6873),
            ("2026-04-15T12:00:00Z", 0.6065),
        ]

    async def test_the_history_of_its_uses(self, service: Service, clock: Clock) -> None:
        memory = await say(service)
        clock.advance(days=90)
        await report(service, memory, "used")
        clock.advance(days=90)
        await report(service, memory, "wrong")
        found = await self.shown(service, memory)
        used, wrong = found["history"]["reinforcements"]
        assert (used["at"], used["cause"], wrong["at"], wrong["cause"]) == (
            "2026-05-30T12:00:00Z",
            "used",
            "2026-08-28T12:00:00Z",
            "wrong",
        )
        assert [round(used[name], 4) for name in ("retention", "strength", "stability_days")] == [
            0.3679,
            2.3224,
            209.0155,
        ]
        assert [round(wrong[name], 4) for name in ("retention", "strength", "stability_days")] == [
            0.6501,
            1.1612,
            104.5078,
        ]
        assert found["retention"] == pytest.approx(0.4227, abs=1e-4)
        assert found["since"] == "2026-05-30T12:00:00Z"
        curve = [round(one["retention"], 4) for one in found["history"]["curve"]]
        assert (curve[0], curve[4], curve[5], curve[-1]) == (1, 0.3679, 1, 0.6501)

    async def test_what_the_policy_makes_of_it(self, service: Service, clock: Clock) -> None:
        memory = await say(service)

        async def outlook(forget: dict | None) -> dict:
            policies = {} if forget is None else {"forget": forget}
            await call(service, "PUT", "/v1/spaces/default", {"policies": policies})
            return (await self.shown(service, memory))["policy"]

        none = await outlook(None)
        assert (none["action"], none["at"]) == ("nothing", None)
        assert none["reason"] == "the space's policies let nothing of this kind go because of its age"
        assert "when their budget is exceeded" in (await outlook({"budget": {"memories": 5}}))["reason"]
        assert (await outlook({"after": {}, "kinds": {"turn": {}}}))["action"] == "nothing"
        assert (await outlook({"after": {}, "keep": {"kinds": ["turn"]}}))["kept_by"] == "kind"
        assert (await outlook({"after": {"archive_below": 0.5}}))["at"][:10] == "2026-05-02"
        await forgotten(service, clock, memory)
        packed = await outlook({"after": {}})
        assert (packed["action"], packed["at"][:10]) == ("pack", "2026-11-26")
        clock.advance(days=500)
        late = await outlook({"after": {}})
        assert (late["action"], late["at"]) == ("pack", "2027-11-11T12:00:00Z")

    async def test_there_is_none_of_what_is_not_there(self, service: Service) -> None:
        await call(service, "GET", f"/v1/memories/{UUID(int=1)}/retention", status=404)

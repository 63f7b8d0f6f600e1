"""What is asked for by its time, on a real Postgres. The clock stands at noon of Sunday, 1 March 2026."""

from datetime import UTC, datetime, timedelta

import pytest
from psycopg.rows import tuple_row

from memsvc.consolidation.jobs import index_space
from memsvc.store import spaces
from memsvc.store.database import PipelinedSession
from tests.integration.conftest import NOW, Service

TUESDAY = datetime(2026, 2, 24, 15, tzinfo=UTC)


def contents(answer: dict) -> list[str]:
    return [hit["memory"]["content"] for hit in answer["results"]]


async def tell(service: Service, *told: tuple[datetime, str], session: str = "s") -> None:
    await service.add(
        session=session,
        messages=[{"role": "user", "content": content, "timestamp": at.isoformat()} for at, content in told],
    )


async def fill(service: Service, count: int) -> None:
    """Chatter, a day apart each, none of it in 2026."""
    words = ("river", "piano", "orchard", "compass", "lantern", "harbour", "violet", "granite", "meadow", "saddle")
    start = datetime(2019, 1, 1, 12, tzinfo=UTC)
    for first in range(0, count, 250):
        await tell(
            service,
            *(
                (
                    start + timedelta(days=n),
                    f"{words[n % 10]} {words[n // 10 % 10]} {('pier', 'what', 'quay')[n % 3]} entry{n}",
                )
                for n in range(first, first + 250)
            ),
            session=f"chatter{first}",
        )


@pytest.mark.parametrize("recipe", ["balanced", "temporal", "deep"])
async def test_what_is_of_the_time_asked_for_is_found_among_many(service: Service, recipe: str) -> None:
    """Two thirds of the chatter hold words of the question, which is more than leaves the first stage."""
    await fill(service, 750)
    await tell(service, (TUESDAY, "Sketched falcons alone."))
    answer = await service.recall("What did I do at the pier last Tuesday?", recipe=recipe, k=5, explain=True)
    found = dict(zip(contents(answer), answer["results"], strict=True))
    reasons = found["Sketched falcons alone."]["reasons"]
    assert "date" in {reason["stage"] for reason in reasons}


async def test_it_is_found_in_a_space_with_hnsw_too(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    await fill(service, 1250)
    await tell(service, (TUESDAY, "Sketched falcons alone."))
    async with service.services.database.read(service.caller.tenant_id) as session:
        space = (await spaces.list_spaces(session, service.caller, ["default"]))[0]
    await index_space(service.services.ingest, service.caller.tenant_id, space.id)
    plans: list[str] = []
    send = PipelinedSession.send

    async def explained(self: PipelinedSession, sql: str, parameters: object, rows: object) -> object:
        await self.set_local({"enable_seqscan": "off", "enable_sort": "off"})
        if "unnest(%(firsts)s" in sql:
            found = await send(self, "EXPLAIN " + sql, parameters, tuple_row)
            plans.append("\n".join(row[0] for row in await found.fetchall()))
        return await send(self, sql, parameters, rows)

    monkeypatch.setattr(PipelinedSession, "send", explained)
    answer = await service.recall("What did I do at the pier last Tuesday?", k=1)
    assert contents(answer) == ["Sketched falcons alone."]
    assert "ix_memories_occurred" in plans[0]
    assert "Seq Scan" not in plans[0]


async def test_nothing_out_of_reach_is_found_by_its_time(service: Service, other: Service) -> None:
    await tell(service, (TUESDAY, "Mine."))
    await tell(other, (TUESDAY, "Another tenant's."))
    assert contents(await service.recall("What did I do last Tuesday?")) == ["Mine."]
    before = (NOW - timedelta(hours=1)).isoformat()
    assert contents(await service.recall("What did I do last Tuesday?", as_of_known=before)) == []
    filtered = await service.recall("What did I do last Tuesday?", filters={"roles": ["assistant"]})
    assert filtered["results"] == []


async def test_the_day_is_that_of_the_asker(service: Service) -> None:
    late = datetime(2026, 2, 26, 4, tzinfo=UTC)  # still the evening of the 25th in Chicago
    await tell(service, (late, "Danced until late."), (late + timedelta(days=3), "Rested."))
    asked = {"now": "2026-02-26T18:00:00-06:00", "timezone": "America/Chicago", "k": 1, "explain": True}
    answer = await service.recall("What did I do yesterday?", **asked)
    assert contents(answer) == ["Danced until late."]
    raw = {reason["stage"]: reason["raw"] for reason in answer["results"][0]["reasons"]}
    assert raw["date"] == 1.0


async def test_both_ends_of_a_duration_are_found(service: Service) -> None:
    await fill(service, 250)
    await tell(
        service,
        (datetime(2025, 1, 5, tzinfo=UTC), "The kiln arrived and the studio smells of clay."),
        *(
            (datetime(2025, 2, day, tzinfo=UTC), f"The exhibition opened its room {day} for visitors.")
            for day in (1, 2, 3)
        ),
    )
    answer = await service.recall(
        "How many days passed between when the exhibition opened its rooms for visitors and when the kiln arrived?", k=3
    )
    found = contents(answer)
    assert "The kiln arrived and the studio smells of clay." in found
    assert any("exhibition" in content for content in found)


async def test_an_order_is_answered_from_all_of_its_time(service: Service) -> None:
    first = datetime(2025, 5, 1, 12, tzinfo=UTC)
    panes = ((first + timedelta(minutes=n), f"In order of the greenhouse: pane {n} is in.") for n in range(12))
    await tell(service, *panes, session="panes")
    await tell(service, (first + timedelta(days=40), "I painted the greenhouse door."), session="door")
    await tell(service, (first + timedelta(days=80), "Tomatoes grow in the greenhouse."), session="tomatoes")
    found = contents(await service.recall("In what order did I mention the greenhouse?", k=6, recipe="temporal"))
    assert {"I painted the greenhouse door.", "Tomatoes grow in the greenhouse."} <= set(found)
    assert [call.texts for call in service.encoder.calls if call.kind == "queries"] == [("the greenhouse",)]

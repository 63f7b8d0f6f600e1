"""`POST /v1/recall` and `/v1/context`, on a real Postgres."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest
from prometheus_client import REGISTRY
from psycopg.rows import tuple_row
from sqlalchemy import Connection, text

from memsvc.consolidation.jobs import index_space
from memsvc.deployment import Deployment
from memsvc.errors import EncoderMismatchError
from memsvc.inference.types import EncoderSpec
from memsvc.store import spaces
from memsvc.store.database import PipelinedSession
from memsvc.store.encoders import claim_encoder
from memsvc.store.postings import compact_postings
from tests.integration.conftest import NOW, Service, open_service


def contents(answer: dict) -> list[str]:
    return [hit["memory"]["content"] for hit in answer["results"]]


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what is waited for happens in another thread
        await asyncio.sleep(0.01)


async def fill(service: Service, count: int, space: str = "default") -> None:
    words = ("river", "piano", "orchard", "compass", "lantern", "harbour", "violet", "granite", "meadow", "saddle")
    for start in range(0, count, 500):
        await service.add(
            space=space,
            session=f"s{start}",
            messages=[
                {"role": "user", "content": f"{words[n % 10]} {words[n // 10 % 10]} entry{n}"}
                for n in range(start, min(start + 500, count))
            ],
        )


async def test_the_best_memory_comes_first_with_its_reasons_and_neighbours(service: Service) -> None:
    await service.add(
        session="s",
        messages=[
            {"role": "user", "name": "Ana", "content": "Good morning!"},
            {"role": "user", "name": "Ana", "content": "My landlord is called Rui."},
            {"role": "assistant", "content": "Noted."},
            {"role": "user", "name": "Ana", "content": "The weather is nice."},
        ],
    )
    answer = await service.recall("Who is the landlord?", k=2, explain=True)
    first = answer["results"][0]
    assert first["memory"]["content"] == "My landlord is called Rui."
    assert first["matched_terms"] == ["landlord"]
    assert first["score"] == pytest.approx(sum(reason["contribution"] for reason in first["reasons"]), abs=1e-3)
    assert {"dense", "lexical"} <= {reason["stage"] for reason in first["reasons"]}
    assert [(turn["offset"], turn["content"]) for turn in first["neighbours"]] == [(-1, "Good morning!"), (1, "Noted.")]
    assert [hit["rank"] for hit in answer["results"]] == [1, 2]
    assert (answer["recipe"], answer["degraded"]) == ("balanced", False)
    assert set(answer["timings_ms"]) >= {"encode", "score", "fuse", "hydrate", "rerank"}


async def test_the_same_question_has_the_same_answer(service: Service) -> None:
    await service.add(texts=[{"content": f"identical but for the number {n % 3}"} for n in range(30)], space="a")
    answers = [await service.recall("identical number", spaces=["a"], k=20) for _ in range(3)]
    assert [hit["memory"]["id"] for hit in answers[0]["results"]] == [
        hit["memory"]["id"] for hit in answers[1]["results"]
    ]
    assert [hit["score"] for hit in answers[0]["results"]] == [hit["score"] for hit in answers[2]["results"]]


@pytest.mark.parametrize("recipe", ["fast", "balanced"])
async def test_what_must_not_be_returned_is_not(service: Service, owner: Connection, recipe: str) -> None:
    kinds = ("plain", "expired", "superseded", "ended", "archived", "quarantined", "private", "planned", "kept")
    written = await service.add(texts=[{"content": f"the {kind} dragon"} for kind in kinds])
    ids = dict(zip(kinds, (item["id"] for item in written["items"]), strict=True))
    other = "00000000-0000-0000-0000-000000000001"
    owner.execute(
        text("INSERT INTO principals (tenant_id, id, name) VALUES (:tenant, :id, 'other')"),
        {"tenant": service.caller.tenant_id, "id": other},
    )
    for kind, change in {
        "expired": f"expires_at = '{NOW - timedelta(seconds=1)}'",
        "superseded": f"valid_to = '{NOW}', superseded_by = '{ids['plain']}'",
        "ended": f"valid_to = '{NOW - timedelta(days=1)}'",
        "archived": "state = 'archived'",
        "quarantined": "state = 'quarantined'",
        "private": f"visibility = 'private', principal_id = '{other}'",
        "planned": f"valid_from = '{NOW + timedelta(days=9)}'",
        "kept": f"retained_until = '{NOW - timedelta(seconds=1)}'",
    }.items():
        owner.execute(text(f"UPDATE memories SET {change} WHERE id = '{ids[kind]}'"))
    owner.commit()
    found = await service.recall("dragon", recipe=recipe, k=20)
    assert contents(found) == ["the plain dragon"]
    assert (await service.client.get(f"/v1/memories/{ids['expired']}")).status_code == 404
    assert (await service.client.get(f"/v1/memories/{ids['private']}")).status_code == 404


async def test_filters_hold_for_every_result(service: Service) -> None:
    await service.add(
        session="s1",
        messages=[
            {"role": "user", "name": "Ana", "content": "tea in January", "timestamp": "2026-01-10T10:00:00Z"},
            {"role": "assistant", "content": "tea noted", "timestamp": "2026-01-10T10:01:00Z"},
            {"role": "user", "name": "Bo", "content": "tea in February", "timestamp": "2026-02-10T10:00:00Z"},
        ],
        texts=[{"kind": "preference", "content": "green tea", "metadata": {"a": 1, "b": 2}}],
    )
    expected = {
        '{"roles": ["assistant"]}': ["tea noted"],
        '{"names": ["Ana"]}': ["tea in January"],
        '{"kinds": ["preference"]}': ["green tea"],
        '{"metadata": {"a": 1}}': ["green tea"],
        '{"metadata": {"a": 2}}': [],
        '{"sessions": ["s1"], "occurred_from": "2026-02-01T00:00:00Z"}': ["tea in February"],
        '{"occurred_to": "2026-01-10T10:00:30Z"}': ["tea in January"],
        '{"sessions": ["nowhere"]}': [],
    }
    for filters, wanted in expected.items():
        body = f'{{"query": "tea", "filters": {filters}}}'
        answer = await service.client.post("/v1/recall", content=body, headers={"Content-Type": "application/json"})
        assert sorted(contents(answer.json())) == sorted(wanted), filters


async def test_several_spaces_are_one_ranking_and_keep_apart(service: Service) -> None:
    await service.add(space="one", session="s", messages=[{"role": "user", "content": "the blue bicycle"}])
    await service.add(space="two", session="s", messages=[{"role": "user", "content": "the blue bicycle bell"}])
    await service.add(space="three", session="s", messages=[{"role": "user", "content": "the blue bicycle pump"}])
    found = await service.recall("blue bicycle", spaces=["two", "one", "nowhere"], explain=True)
    assert sorted(hit["memory"]["space"] for hit in found["results"]) == ["one", "two"]
    assert all(hit["neighbours"] == [] for hit in found["results"])
    assert contents(await service.recall("bicycle", spaces=["nowhere"])) == []


async def test_the_budget_is_never_passed(service: Service) -> None:
    await service.add(texts=[{"content": f"apple pie recipe number {n} " + "with cinnamon " * n} for n in range(1, 20)])
    found = await service.recall("apple pie", k=20, token_budget=60)
    assert found["results"]
    assert found["tokens"] == sum(hit["tokens"] for hit in found["results"]) <= 60


async def test_the_context_is_in_the_order_of_time_and_cited(service: Service) -> None:
    await service.add(
        session="s",
        timezone="Europe/Lisbon",
        messages=[
            {"role": "user", "name": "Ana", "content": "Flight on Friday.", "timestamp": "2026-02-02T09:00:00"},
            {
                "role": "user",
                "name": "Ana",
                "content": "Flight on Monday.",
                "timestamp": "2026-02-03T18:30:00",
            },
        ],
    )
    answer = await service.client.post(
        "/v1/context", json={"query": "When is the flight?", "timezone": "Europe/Lisbon", "token_budget": 100}
    )
    block = answer.json()
    assert block["text"] == (
        "## 2026-02-02 (Mon), session s\n[1] 09:00 Ana: Flight on Friday.\n\n"
        "## 2026-02-03 (Tue), session s\n[2] 18:30 Ana: Flight on Monday."
    )
    assert [citation["ref"] for citation in block["citations"]] == [1, 2]
    assert block["tokens"] <= 100


async def test_without_its_encoder_recall_answers_by_words_and_says_so(service: Service) -> None:
    await service.add(texts=[{"content": "The umbrella is in the car."}, {"content": "The cellar is damp."}])
    service.encoder.fail = True
    found = await service.recall("umbrella")
    assert contents(found)[0] == "The umbrella is in the car."
    assert found["degraded"] is True
    assert "dense" in found["notes"][0]


async def is_indexed(service: Service) -> bool:
    async with service.services.database.read(service.caller.tenant_id) as session:
        return (await session.fetch("SELECT ann FROM spaces", {}, tuple_row))[0][0]


async def test_a_large_space_moves_to_hnsw_and_finds_the_same(service: Service) -> None:
    await fill(service, 1200)
    exact = [contents(await service.recall(f"entry{n}", k=3))[0] for n in (3, 600, 1199)]
    async with service.services.database.read(service.caller.tenant_id) as session:
        space = (await spaces.list_spaces(session, service.caller, ["default"]))[0]
    assert await is_indexed(service) is False
    await index_space(service.services.ingest, service.caller.tenant_id, space.id)
    await service.add(session="late", messages=[{"role": "user", "content": "a late zeppelin"}])
    async with service.services.database.read(service.caller.tenant_id) as session:
        rows = await session.fetch("SELECT count(*) FROM chunks WHERE ann", {}, tuple_row)
        assert rows[0][0] == 1201
    found = await service.recall("entry3", k=3)
    assert 3 < found["candidates"] < 1201
    assert [contents(await service.recall(f"entry{n}", k=3))[0] for n in (3, 600, 1199)] == exact
    assert contents(await service.recall("zeppelin", k=1)) == ["a late zeppelin"]


async def test_the_hot_statements_use_their_indexes(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Postgres' own plans of what a recall runs, taken on the way."""
    plans: list[str] = []
    send = PipelinedSession.send

    async def explained(self: PipelinedSession, sql: str, parameters: object, rows: object) -> object:
        # So small a table would be read whole; the question is whether the index can serve the statement.
        await self.set_local({"enable_seqscan": "off", "enable_sort": "off"})
        found = await send(self, "EXPLAIN " + sql, parameters, tuple_row)
        plans.append("\n".join(row[0] for row in await found.fetchall()))
        return await send(self, sql, parameters, rows)

    await fill(service, 1200)
    monkeypatch.setattr(PipelinedSession, "send", explained)
    await service.recall("river piano")
    lexical, in_scope, named, cosines, candidates, records = plans
    assert "pk_postings" in lexical
    assert "memories" in in_scope
    assert "Join" not in in_scope
    assert "Seq Scan" not in in_scope
    assert "Seq Scan" not in named
    assert "pk_chunks" in cosines
    for plan in (candidates, records):
        assert "pk_memories" in plan
        assert "pk_contents" in plan
        assert "Seq Scan" not in plan
    assert "pk_chunks" in candidates
    async with service.services.database.read(service.caller.tenant_id) as session:
        space = (await spaces.list_spaces(session, service.caller, ["default"]))[0]
    await index_space(service.services.ingest, service.caller.tenant_id, space.id)
    plans.clear()
    await service.recall("river piano")
    nearest = plans[3]
    assert f"ix_chunks_ann_{service.encoder.spec.dimension}" in nearest
    assert "memories_position" in nearest


async def test_one_recall_at_most_pays_for_connections_that_broke(service: Service, owner: Connection) -> None:
    await service.add(texts=[{"content": "The ladder leans on the barn."}])
    await asyncio.gather(*(service.recall(f"ladder {n}") for n in range(6)))
    ended = owner.execute(
        text("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'memsvc-recall'")
    ).scalar_one()
    assert ended >= 2
    answers = [await service.client.post("/v1/recall", json={"query": f"barn {n}"}) for n in range(6)]
    assert [answer.status_code for answer in answers] == [503, 200, 200, 200, 200, 200]
    assert answers[0].json()["code"] == "database_unavailable"


BLOCKS = "SELECT entries FROM postings WHERE term = 'kettl' ORDER BY block"


async def test_joining_posting_blocks_changes_no_answer(service: Service) -> None:
    for n in range(70):
        await service.add(texts=[{"content": f"kettle number {n}"}])
    before = await service.recall("kettle 42", k=5)
    database, tenant = service.services.database, service.caller.tenant_id
    async with database.write(tenant) as session:
        space = await spaces.lock_space(session, service.caller, "default")
        before_joining = await session.fetch(BLOCKS, {}, tuple_row)
        assert await compact_postings(session, space.id) == 2
        joined = await session.fetch(BLOCKS, {}, tuple_row)
    assert [entries for (entries,) in joined] == [b"".join(entries for (entries,) in before_joining)]
    after = await service.recall("kettle 42", k=5)
    assert [hit["score"] for hit in after["results"]] == [hit["score"] for hit in before["results"]]


async def test_accesses_are_counted(service: Service) -> None:
    written = await service.add(texts=[{"content": "count me"}])
    for _ in range(3):
        await service.recall("count me")
    await service.services.recaller._accesses.flush()
    memory = (await service.client.get(f"/v1/memories/{written['items'][0]['id']}")).json()
    assert memory["access_count"] == 3
    assert memory["last_accessed_at"] is not None


async def test_a_store_refuses_another_encoder(service: Service) -> None:
    other = EncoderSpec("other", "1", 256, "mean", 256, "", "", "")
    with pytest.raises(EncoderMismatchError, match="holds vectors of"):
        await claim_encoder(service.services.database, other)


async def test_a_full_encoder_queue_is_told_with_a_time_and_stores_nothing(deployment: Deployment) -> None:
    async with open_service(deployment, encoder_queue_texts=5) as service:

        def batch(name: str) -> dict:
            return {"space": name, "texts": [{"content": f"{name} text {n}"} for n in range(3)]}

        service.encoder.pause()
        running = asyncio.create_task(service.add(**batch("running")))
        await until(lambda: bool(service.encoder.calls))
        waiting = asyncio.create_task(service.add(**batch("waiting")))
        await until(lambda: bool(REGISTRY.get_sample_value("memsvc_encoder_waiting_texts", {"kind": "documents"})))
        refused = await service.client.post("/v1/memories", json=batch("refused"))
        stored = await service.client.post("/v1/memories", json={**batch("later"), "wait": False})
        service.encoder.resume()
        assert (refused.status_code, refused.json()["code"]) == (429, "busy")
        assert int(refused.headers["Retry-After"]) >= 1
        assert stored.status_code == 201
        assert (await running)["receipt"]["created"] == (await waiting)["receipt"]["created"] == 3
        spaces_there = (await service.client.get("/v1/spaces")).json()["items"]
        assert [space["name"] for space in spaces_there] == ["later", "running", "waiting"]


BAD = [
    ({"query": "  "}, "query"),
    ({"query": "x", "k": 0}, "k"),
    ({"query": "x", "spaces": []}, "spaces"),
    ({"query": "x", "timezone": "X/Y"}, "timezone"),
    ({"query": "x", "recipe": "magic"}, "recipe"),
    ({"query": "x", "token_budget": 0}, "token_budget"),
    (
        {"query": "x", "filters": {"occurred_from": "2026-02-01T00:00:00Z", "occurred_to": "2026-01-01T00:00:00Z"}},
        "filters.occurred_from",
    ),
    ({"query": "x", "filters": {"color": 1}}, "filters.color"),
]


@pytest.mark.parametrize(("body", "field"), BAD, ids=lambda value: str(value)[:40])
async def test_a_bad_recall_names_the_field_and_the_remedy(service: Service, body: dict, field: str) -> None:
    response = await service.client.post("/v1/recall", json=body)
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == field
    assert response.json()["errors"][0]["remedy"]

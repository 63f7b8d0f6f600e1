"""Compressing: what leaves the hot tier and says the same, comes back byte for byte, and is gone when it is erased."""

import asyncio
import hashlib
import io
import zipfile
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.rows import tuple_row
from sqlalchemy import Connection, text

from memsvc.consolidation.deliver import deliver
from memsvc.consolidation.jobs import embed_pending
from memsvc.deployment import Deployment
from memsvc.ids import MemoryId
from memsvc.lifecycle import packing
from memsvc.store import packs
from memsvc.store.schema import TENANT_TABLES
from memsvc.text.packing import Pack, unpack
from memsvc.upkeep import compress as compressing
from memsvc.upkeep.compress import compress_due
from memsvc.upkeep.model import Order
from tests.integration.conftest import Clock, Service, open_service
from tests.integration.people import person

# What must not be changed on its way: combined and lone marks, line ends, white space, astral planes.
ODD = ["cafe\u0301 or café?", "two\r\nlines\n\n", "  ends with spaces  ", "\ufeff😀 \u202e reversed", "zwei ½ ﬁn"]


async def call(
    service: Service, method: str, path: str, body: object = None, status: int = 200, **query: object
) -> dict:
    response = await service.client.request(method, path, json=body, params=query)
    assert response.status_code == status, response.text
    return response.json() if response.content else {}


async def say(service: Service, *contents: str, session: str = "monday", space: str = "default") -> list[str]:
    messages = [{"role": "user", "name": "Ana", "content": content} for content in contents]
    added = await service.add(space=space, session=session, messages=messages)
    return [item["id"] for item in added["items"]]


async def archive(service: Service, *ids: str) -> None:
    for memory in ids:
        await call(service, "DELETE", f"/v1/memories/{memory}", mode="archive", status=204)


async def compress(service: Service, status: int = 200, **request: object) -> dict:
    return await call(service, "POST", "/v1/compress", request, status)


async def get(service: Service, memory: str) -> dict:
    return await call(service, "GET", f"/v1/memories/{memory}")


async def versions(service: Service, memory: str) -> list[str]:
    """What each version says, oldest first."""
    found = (await call(service, "GET", f"/v1/memories/{memory}/history"))["versions"]
    return [one["memory"]["content"] for one in found]


async def undo(service: Service, operation: str, status: int = 200) -> dict:
    return await call(service, "POST", f"/v1/operations/{operation}/undo", status=status)


async def found(service: Service, query: str, **request: object) -> list[tuple[str, float, int, int]]:
    results = (await service.recall(query, k=50, **request))["results"]
    return [(one["memory"]["content"], one["score"], one["snippet_start"], one["snippet_end"]) for one in results]


def packed(changes: dict) -> list[str]:
    return [change["memory_id"] for change in changes["changes"] if change["action"] == "pack"]


@pytest.fixture
def rows(owner: Connection, service: Service) -> Callable[[str], list[tuple]]:
    """Rows of the test's tenant by a statement with `:tenant`."""

    def read(sql: str) -> list[tuple]:
        owner.rollback()
        return [tuple(row) for row in owner.execute(text(sql), {"tenant": service.caller.tenant_id})]

    return read


HOT = "SELECT memories, chunks, terms FROM spaces WHERE tenant_id = :tenant"
TIERS = (
    "SELECT (SELECT count(*) FROM chunks WHERE tenant_id = :tenant), "
    "(SELECT coalesce(sum(octet_length(entries)) / 8, 0)::int FROM postings WHERE tenant_id = :tenant), "
    "(SELECT count(*) FROM contents WHERE tenant_id = :tenant AND content <> ''), "
    "(SELECT count(*) FROM packs WHERE tenant_id = :tenant)"
)


async def test_what_is_archived_leaves_the_hot_tier_and_says_the_same(service: Service, rows: Callable) -> None:
    await say(service, "The boiler is in the cellar.")
    gone = await say(service, *ODD, "The old boiler was in the attic.")
    await call(service, "PATCH", f"/v1/memories/{gone[0]}", {"content": "It is a café."})
    await archive(service, *gone)
    before, history = [await get(service, memory) for memory in gone], await versions(service, gone[0])
    assert history == [ODD[0], "It is a café.", "It is a café."]
    listed = (await call(service, "GET", "/v1/memories", session="monday"))["items"]
    planned = await compress(service, dry_run=True)
    assert (planned["operation_id"], packed(planned)) == (None, gone)
    assert rows(TIERS)[0][2:] == (8, 0)
    done = await compress(service, reason="to save room")
    assert packed(done) == gone
    assert rows(TIERS) == [(1, 2, 1, 1)]
    assert rows(HOT) == [(7, 1, 2)]
    for memory, old in zip(gone, before, strict=True):
        assert await get(service, memory) == {**old, "packed": True}
        assert hashlib.sha256(old["content"].encode()).hexdigest() == old["content_hash"]
    assert await versions(service, gone[0]) == history
    again = (await call(service, "GET", "/v1/memories", session="monday"))["items"]
    assert [one["content"] for one in again] == [one["content"] for one in listed]
    assert [content for content, *_ in await found(service, "Where is the boiler?")] == ["The boiler is in the cellar."]
    assert (await compress(service))["operation_id"] is None


async def test_the_operation_says_what_it_saved(service: Service, rows: Callable) -> None:
    said = ["The old boiler was in the attic.", "It was a café once."]
    await archive(service, *await say(service, *said))
    done = await compress(service, reason="to save room")
    operation = await call(service, "GET", f"/v1/operations/{done['operation_id']}")
    assert (operation["kind"], operation["reason"]) == ("compress", "to save room")
    details = operation["details"]
    assert (details["memories"], details["contents"], details["chunks"]) == (2, 2, 2)
    assert details["text_bytes"] == sum(len(one.encode()) for one in said)
    vectors = 2 * 4 * 256
    assert details["text_bytes"] + vectors < details["bytes_before"] < details["text_bytes"] + vectors + 2 * 200
    packs_held = rows("SELECT id::text, octet_length(data) FROM packs WHERE tenant_id = :tenant")
    assert packs_held == [(details["packs"][0], details["bytes_after"])]


async def test_undo_restores_the_recall_results_exactly(service: Service, rows: Callable) -> None:
    gone = await say(service, "Ana keeps bees.", "The bees swarm in May. " * 30, "Bees like lavender.")
    await say(service, "Ben keeps goats.", "Goats like lavender too.", session="tuesday")
    await archive(service, gone[0])
    query, then = "What do bees like?", "2026-03-01T12:00:00Z"
    before, as_of = await found(service, query), await found(service, query, as_of_known=then)
    tiers, hot = rows(TIERS), rows(HOT)
    done = await compress(service)
    assert rows(TIERS) != tiers
    undone = await undo(service, done["operation_id"])
    assert (undone["restored"], undone["archived"]) == ([gone[0]], [])
    assert (await found(service, query), await found(service, query, as_of_known=then)) == (before, as_of)
    assert (rows(TIERS), rows(HOT)) == (tiers, hot)
    memory = await get(service, gone[0])
    assert (memory["packed"], memory["searchable"], memory["state"]) == (False, True, "archived")
    # An undo is an operation too: taking it back compresses again, and so on.
    again = await undo(service, undone["operation_id"])
    assert ((await get(service, gone[0]))["packed"], rows(TIERS)[0][3]) == (True, 1)
    await undo(service, again["operation_id"])
    assert (await found(service, query), rows(TIERS)) == (before, tiers)
    assert (await undo(service, done["operation_id"], 409))["code"] == "conflict"


async def test_a_pack_that_does_not_restore_lets_nothing_leave(
    service: Service, rows: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = await say(service, "A first remark.", "A second remark.")
    await archive(service, *gone)
    before, operations = rows(TIERS), rows("SELECT count(*) FROM operations WHERE tenant_id = :tenant")
    read_packs = packs.read_packs

    async def damaged(*arguments: object) -> dict:
        stored = await read_packs(*arguments)
        return {key: replace(one, data=one.data[:-1] + b"\x00") for key, one in stored.items()}

    async def other_text(*arguments: object) -> dict:
        return {key: packs.pack({(UUID(gone[0]), 1): "Another."}) for key in await read_packs(*arguments)}

    for fault in (damaged, other_text):
        monkeypatch.setattr(packs, "read_packs", fault)
        assert (await compress(service, 500))["code"] == "pack_corrupt"
        assert (rows(TIERS), rows("SELECT count(*) FROM operations WHERE tenant_id = :tenant")) == (before, operations)
    monkeypatch.setattr(packs, "read_packs", read_packs)
    assert packed(await compress(service)) == gone


async def test_what_is_not_what_its_hash_names_stays(service: Service, owner: Connection, rows: Callable) -> None:
    (gone,) = await say(service, "As it was said.")
    await archive(service, gone)
    owner.execute(text("UPDATE contents SET content = 'As it was not.' WHERE memory_id = :id"), {"id": gone})
    owner.commit()
    assert "its hash names" in (await compress(service, 500))["detail"]
    assert rows(TIERS)[0][2:] == (1, 0)


async def test_a_damaged_pack_is_never_read_as_something_else(service: Service, owner: Connection) -> None:
    (gone,) = await say(service, "As it was said.")
    await archive(service, gone)
    await compress(service)
    owner.execute(text("UPDATE packs SET raw_hash = sha256('x') WHERE tenant_id = :t"), {"t": service.caller.tenant_id})
    owner.commit()
    assert (await call(service, "GET", f"/v1/memories/{gone}", status=500))["code"] == "pack_corrupt"


async def test_restoring_brings_a_memory_its_topic_or_its_session_back(service: Service, rows: Callable) -> None:
    monday = await say(service, "Ana plants beans.", "Ana waters beans.", "Ana buys a hose.")
    tuesday = await say(service, "Ben waters beans.", session="tuesday")
    summary = await service.add(
        texts=[{"kind": "summary", "content": "Of beans.", "derived_from": [monday[0], monday[1], tuesday[0]]}]
    )
    summary = summary["items"][0]["id"]
    await archive(service, *monday, *tuesday)
    before = [await get(service, memory) for memory in [*monday, *tuesday]]
    await compress(service)

    async def restored(memory: str, **request: object) -> list[str]:
        return (await call(service, "POST", f"/v1/memories/{memory}/restore", request))["restored"]

    planned = await call(service, "POST", f"/v1/memories/{monday[1]}/restore", {"level": "topic", "dry_run": True})
    assert (planned["restored"], planned["operation_id"]) == ([monday[0], monday[1], tuesday[0]], None)
    assert await restored(monday[0]) == [monday[0]]
    assert await restored(monday[0]) == []
    assert await restored(summary, level="topic") == [monday[1], tuesday[0]]
    for memory, old in zip([*monday[:2], *tuesday], [*before[:2], before[3]], strict=True):
        assert await get(service, memory) == old
    assert await restored(summary, level="session") == [monday[2]]
    assert rows(TIERS)[0][0::3] == (5, 0)
    await compress(service)
    assert await restored(monday[2], level="session", reason="asked for") == monday
    operation = (await call(service, "GET", "/v1/operations"))["items"][0]
    assert (operation["kind"], operation["reason"], operation["details"]["contents"]) == ("restore", "asked for", 3)
    await undo(service, operation["id"])
    assert [(await get(service, memory))["packed"] for memory in monday] == [True, True, True]


async def test_what_is_activated_is_found_again(service: Service) -> None:
    """However it comes back into recall: by itself, by undo, or by a rollback."""
    (gone,) = await say(service, "The spare key hangs behind the clock.")
    query = "Where does the spare key hang?"
    before = await found(service, query)
    await call(service, "POST", "/v1/spaces/default/snapshots", {"name": "then"}, 201)
    await archive(service, gone)
    await compress(service)
    assert await found(service, query) == []
    await call(service, "POST", f"/v1/memories/{gone}/state", {"state": "activated"})
    assert await found(service, query) == before
    operation = (await call(service, "GET", "/v1/operations"))["items"][0]
    assert operation["details"] == {"unpacked": [gone]}
    await undo(service, operation["id"])
    assert ((await get(service, gone))["packed"], await found(service, query)) == (True, [])
    await call(service, "POST", "/v1/spaces/default/rollback", {"snapshot": "then"})
    await embed(service)
    assert await found(service, query) == before
    archived = (await call(service, "DELETE", f"/v1/memories/{gone}", mode="archive", status=204)) or (
        await call(service, "GET", "/v1/operations")
    )["items"][0]["id"]
    await compress(service)
    await undo(service, archived)
    assert await found(service, query) == before


async def embed(service: Service) -> None:
    async with service.services.database.read(service.caller.tenant_id) as session:
        spaces = await session.fetch("SELECT id FROM spaces", {}, tuple_row)
    for (space,) in spaces:
        await embed_pending(service.services.ingest, service.caller.tenant_id, space)


async def test_without_the_encoder_a_restore_waits_for_vectors_alone(service: Service) -> None:
    (gone,) = await say(service, "The spare key hangs behind the clock.")
    before = await found(service, "spare key")
    await archive(service, gone)
    await compress(service)
    service.encoder.fail = True
    await call(service, "POST", f"/v1/memories/{gone}/state", {"state": "activated"})
    assert (await get(service, gone))["searchable"] is False
    service.encoder.fail = False
    service.services.ingest.batcher._breaker.succeeded()
    await embed(service)
    assert (await get(service, gone))["searchable"] is True
    assert await found(service, "spare key") == before


async def test_what_it_packs_is_what_the_caller_asks_for(service: Service, clock: Clock) -> None:
    old, held, used = await say(service, "An old remark.", "A held remark.", "A remark in use.")
    await archive(service, old, held, used)
    await call(service, "PUT", f"/v1/memories/{held}/hold", {"on": True})
    clock.advance(days=5)
    (young,) = await say(service, "A young remark.")
    was, now = await say(service, "Ana lives in Porto.", "Ana lives in Lisbon.", session="tuesday")
    await call(service, "POST", f"/v1/memories/{was}/supersede", {"by": now})
    await archive(service, young)
    async with service.services.database.write(service.caller.tenant_id) as session:
        await session.run(
            "UPDATE memories SET last_accessed_at = %(now)s WHERE id = %(id)s", {"now": clock.now, "id": UUID(used)}
        )
    assert packed(await compress(service, archived_days=6)) == []
    assert packed(await compress(service, archived_days=4, dry_run=True)) == [old]
    first = await compress(service, limit=1)
    assert (packed(first), first["more"]) == ([old], True)
    second = await compress(service, limit=10)
    assert (packed(second), second["more"]) == ([used, young], False)
    assert packed(await compress(service, superseded=True)) == [was]
    assert [content for content, *_ in await found(service, "Where does Ana live?", include_superseded=True)] == [
        "Ana lives in Lisbon."
    ]
    assert (await get(service, was))["content"] == "Ana lives in Porto."
    operation = (await call(service, "GET", f"/v1/memories/{was}/history"))["versions"][-1]["operation_id"]
    await undo(service, operation)
    assert {content for content, *_ in await found(service, "Where does Ana live?")} == {
        "Ana lives in Lisbon.",
        "Ana lives in Porto.",
    }


async def test_a_policy_packs_by_itself(service: Service, other: Service, clock: Clock) -> None:
    upkeep = service.services.upkeep
    faded, recent = await say(service, "A remark on paint.", "A remark on glue.")
    (theirs,) = await say(other, "A remark on tiles.")
    await archive(service, faded)
    await archive(other, theirs)
    clock.advance(days=40)
    await archive(service, recent)
    await compress_due(upkeep, now=clock.now)
    assert (await get(service, faded))["packed"] is False
    await call(service, "PUT", "/v1/spaces/default", {"policies": {"forget": {"pack_after_days": 30}}})
    assert packed(await compress(service, dry_run=True)) == [faded]
    await compress_due(upkeep, now=clock.now)
    assert [(await get(service, one))["packed"] for one in (faded, recent)] == [True, False]
    operation = (await call(service, "GET", "/v1/operations"))["items"][0]
    assert (operation["kind"], operation["actor"]) == ("compress", "memsvc")
    await call(service, "PUT", "/v1/spaces/default", {"policies": {"forget": {"after": {}}}})
    clock.advance(days=400)
    await compress_due(upkeep, now=clock.now)
    assert (await get(service, recent))["packed"] is True
    assert (await get(other, theirs))["packed"] is False


async def test_what_others_keep_private_is_not_packed_or_restored(service: Service, deployment: Deployment) -> None:
    ana, ben = person(service, deployment, "ana"), person(service, deployment, "ben")
    secret = await ana.add("Ana's secret.", visibility="private")
    open_one = await ana.add("What Ana said.")
    for memory in (secret, open_one):
        await ana.call("DELETE", f"/v1/memories/{memory}?mode=archive")
    assert packed(await ben.post("/v1/compress")) == [open_one]
    assert packed(await ana.post("/v1/compress")) == [secret]
    await ben.post(f"/v1/memories/{secret}/restore", status=404)
    assert (await ben.post(f"/v1/memories/{open_one}/restore", {"level": "session"}))["restored"] == [open_one]
    assert (await ana.get(f"/v1/memories/{secret}"))["content"] == "Ana's secret."
    await compress(service, 404, space="nowhere")


async def test_memories_of_two_tenants_share_no_pack(service: Service, other: Service, owner: Connection) -> None:
    for one in (service, other):
        (gone,) = await say(one, "The same words.")
        await archive(one, gone)
        await compress(one)
    owner.rollback()
    holders = owner.execute(
        text("SELECT count(DISTINCT v.tenant_id) FROM contents v JOIN packs p ON p.id = v.pack_id GROUP BY p.id")
    )
    assert set(holders.scalars()) == {1}


def unpacked(rows: Callable) -> str:
    """All that any pack of the tenant holds."""
    held = rows("SELECT codec, data, raw_bytes, raw_hash FROM packs WHERE tenant_id = :tenant")
    found = [unpack(Pack(codec, bytes(data), size, bytes(digest))) for codec, data, size, digest in held]
    return "\n".join(content for each in found for content in each.values())


def holding(owner: Connection, word: str) -> list[str]:
    """The tables of which some row holds the word."""
    owner.rollback()
    return [
        table
        for table in TENANT_TABLES
        if owner.execute(
            text(f"SELECT count(*) FROM {table} x WHERE x::text ILIKE :word"), {"word": f"%{word}%"}
        ).scalar_one()
    ]


async def test_what_is_erased_is_in_no_table_and_no_pack(service: Service, owner: Connection, rows: Callable) -> None:
    secret, kept, edited = await say(
        service, "The code is zyzzyva7.", "The gate is green.", "Now zyzzyva7, later krait."
    )
    await call(service, "PATCH", f"/v1/memories/{edited}", {"content": "The gate needs paint."})
    await archive(service, secret, kept, edited)
    await compress(service)
    assert "zyzzyva7" in unpacked(rows)
    assert holding(owner, "zyzzyva7") == []  # compressed: it takes unpacking to see it
    done = await call(service, "POST", "/v1/erase", {"memories": [secret, edited]})
    assert (done["plan"]["named"], done["receipt"]["counts"]["versions"]) == (2, 5)
    assert ("zyzzyva7" in unpacked(rows), "krait" in unpacked(rows)) == (False, False)
    assert holding(owner, "zyzzyva7") == []
    assert (unpacked(rows), (await get(service, kept))["content"]) == ("The gate is green.", "The gate is green.")
    await call(service, "DELETE", f"/v1/memories/{kept}", status=204)
    assert (rows(TIERS), rows(HOT)) == ([(0, 0, 0, 0)], [(0, 0, 0)])


async def test_what_is_made_again_forgets_what_was_packed(service: Service, owner: Connection, rows: Callable) -> None:
    first, second = await say(service, "Ana likes zyzzyva7.", "Ana plays the cello.")
    fused = (await call(service, "POST", "/v1/fuse", {"memories": [first, second]}))["id"]
    await archive(service, fused)
    await compress(service)
    assert "zyzzyva7" in unpacked(rows)
    await call(service, "POST", "/v1/erase", {"memories": [first]})
    assert (await get(service, fused))["content"] == "Ana plays the cello."
    assert ("zyzzyva7" in unpacked(rows), holding(owner, "zyzzyva7")) == (False, [])


async def test_a_fork_has_packs_of_its_own(service: Service, rows: Callable) -> None:
    gone, kept = await say(service, "The gate was red.", "The gate is green.")
    await call(service, "POST", "/v1/spaces/default/snapshots", {"name": "then"}, 201)
    await archive(service, gone)
    await compress(service)
    await call(service, "POST", "/v1/spaces/default/fork", {"to": "what-if"}, 201)
    await call(service, "POST", "/v1/spaces/default/fork", {"to": "as-it-was", "at": "then"}, 201)
    await embed(service)
    copies = (await call(service, "GET", "/v1/memories", space="what-if"))["items"]
    assert [(one["content"], one["packed"]) for one in copies] == [
        ("The gate was red.", True),
        ("The gate is green.", False),
    ]
    assert [content for content, *_ in await found(service, "gate", spaces=["what-if"])] == ["The gate is green."]
    assert {content for content, *_ in await found(service, "gate", spaces=["as-it-was"])} == {
        "The gate was red.",
        "The gate is green.",
    }
    assert rows("SELECT count(DISTINCT space_id) FROM packs WHERE tenant_id = :tenant") == [(2,)]
    await call(service, "POST", "/v1/erase", {"space": "default"})
    assert (rows(TIERS)[0][3], kept in str(await call(service, "GET", "/v1/memories"))) == (0, False)


async def test_a_bundle_carries_what_is_packed(service: Service, other: Service) -> None:
    gone, edited = await say(service, *ODD[:2])
    await say(service, "The gate is green.")
    await archive(service, gone, edited)
    await compress(service)
    await call(service, "PATCH", f"/v1/memories/{edited}", {"content": "Edited after."})
    bundle = (await service.client.get("/v1/spaces/default/export?embeddings=true")).content
    lines = zipfile.ZipFile(io.BytesIO(bundle)).read("contents.jsonl").decode().splitlines()
    assert len(lines) == 4
    done = await other.client.post("/v1/spaces/default/import", content=bundle)
    assert done.status_code == 200, done.text
    assert (done.json()["memories"], done.json()["pending"]) == (3, 0)
    for memory in (gone, edited):
        assert await get(other, memory) == await get(service, memory)
        assert await versions(other, memory) == await versions(service, memory)
    assert ((await get(other, gone))["packed"], (await get(other, edited))["packed"]) == (True, False)
    assert (await other.client.get("/v1/spaces/default/export?embeddings=true")).content == bundle
    await call(other, "POST", f"/v1/memories/{gone}/state", {"state": "activated"})
    assert (await found(other, ODD[0]))[0][0] == ODD[0]


async def test_a_copy_follows_its_source_in_and_out_of_packs(service: Service) -> None:
    (source,) = await say(service, "The gate is green.", space="team")
    await call(service, "POST", "/v1/subscriptions", {"space": "mine", "source": "team"}, 201)

    async def follow() -> dict:
        async with service.services.database.read(service.caller.tenant_id) as session:
            spaces = await session.fetch("SELECT id FROM spaces WHERE name = 'team'", {}, tuple_row)
        await deliver(service.services.ingest, service.caller.tenant_id, spaces[0][0], clock=service.services.clock)
        return (await call(service, "GET", "/v1/memories", space="mine"))["items"][0]

    assert (await follow())["state"] == "generated"
    await archive(service, source)
    assert (await follow())["state"] == "archived"
    assert len(packed(await compress(service, space="mine"))) == 1
    await compress(service, space="team")
    await call(service, "POST", f"/v1/memories/{source}/state", {"state": "activated"})
    copy = await follow()
    assert (copy["state"], copy["packed"]) == ("activated", False)
    await embed(service)
    assert [content for content, *_ in await found(service, "gate", spaces=["mine"])] == ["The gate is green."]


async def test_what_came_back_meanwhile_stays(
    service: Service, monkeypatch: pytest.MonkeyPatch, rows: Callable
) -> None:
    """Between reading and applying somebody activates one of the memories; no pack holds it."""
    gone, back = await say(service, "The gate was red.", "The gate is zyzzyva7.")
    await archive(service, gone, back)
    apply = compressing._apply

    async def late(*arguments: object) -> object:
        await call(service, "POST", f"/v1/memories/{back}/state", {"state": "activated"})
        return await apply(*arguments)

    monkeypatch.setattr(compressing, "_apply", late)
    assert packed(await compress(service)) == [gone]
    assert "zyzzyva7" not in unpacked(rows)
    assert (await get(service, back))["packed"] is False


@pytest.mark.parametrize("at", ["insert_packs", "leave_to", "note"])
async def test_a_run_that_dies_leaves_everything_or_nothing(
    service: Service, rows: Callable, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    gone = await say(service, "A first remark.", "A second remark.")
    await archive(service, *gone)
    before = rows(TIERS)
    place, name = (packing, "_note") if at == "note" else (packs, at)
    original = getattr(place, name)

    async def dies(*arguments: object, **options: object) -> None:
        await original(*arguments, **options)
        raise KeyboardInterrupt

    order = Order(service.caller, "default", service.services.clock())
    with monkeypatch.context() as patched:
        patched.setattr(place, name, dies)
        with pytest.raises(KeyboardInterrupt):
            await compressing.compress(service.services.upkeep, order)
    assert rows(TIERS) == before
    assert packed(await compress(service)) == gone


SAID = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=200).filter(str.strip)


def test_any_text_in_any_version_comes_back_byte_for_byte(deployment: Deployment) -> None:
    @settings(max_examples=10, deadline=None)
    @given(st.lists(SAID, min_size=1, max_size=4), SAID)
    def run(contents: list[str], later: str) -> None:
        asyncio.run(there_and_back(deployment, contents, later))

    run()


async def there_and_back(deployment: Deployment, contents: list[str], later: str) -> None:
    async with open_service(deployment) as service:
        messages = [{"role": "user", "content": one, "position": place} for place, one in enumerate(contents)]
        ids = [item["id"] for item in (await service.add(session="s", messages=messages))["items"]]
        await call(service, "PATCH", f"/v1/memories/{ids[0]}", {"content": later})
        await archive(service, *ids)
        before = [await versions(service, memory) for memory in ids]
        assert before == [[contents[0], later, later], *([one, one] for one in contents[1:])]
        assert packed(await compress(service)) == ids
        assert [await versions(service, memory) for memory in ids] == before
        await call(service, "POST", f"/v1/memories/{ids[-1]}/restore", {"level": "session"})
        assert [await versions(service, memory) for memory in ids] == before
        assert [(await get(service, memory))["packed"] for memory in ids] == [False] * len(ids)


async def test_reading_many_packed_memories_reads_each_pack_once(service: Service, rows: Callable) -> None:
    ids = await say(service, *[f"Remark number {n} on the matter of the gate." for n in range(40)])
    await archive(service, *ids)
    await compress(service)
    assert rows(TIERS)[0][3] == 1
    async with service.services.database.read(service.caller.tenant_id) as session:
        numbers = await session.fetch("SELECT memory_id, number FROM contents", {}, tuple_row)
        texts = await packs.read_texts(session, [(MemoryId(one), number) for one, number in numbers])
    assert sorted(texts.values()) == sorted(f"Remark number {n} on the matter of the gate." for n in range(40))

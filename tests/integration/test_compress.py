"""Compressing: what leaves the hot tier says the same, comes back byte for byte, and nothing leaves unchecked."""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.rows import tuple_row
from sqlalchemy import Connection, text

from memsvc.consolidation.jobs import index_space
from memsvc.deployment import Deployment
from memsvc.lifecycle import packing
from memsvc.store import packs
from memsvc.upkeep import compress as compressing
from memsvc.upkeep.model import Order
from tests.integration.background import tidy
from tests.integration.conftest import Clock, Service, open_service
from tests.integration.packed import (
    HOT,
    ODD,
    TIERS,
    archive,
    call,
    compress,
    embed,
    found,
    get,
    packed,
    reader,
    say,
    undo,
    unpacked,
    versions,
)


@pytest.fixture
def rows(owner: Connection, service: Service) -> Callable[[str], list[tuple]]:
    return reader(owner, service)


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
    assert rows(TIERS) == [(1, 3, 1, 1)]
    assert rows(HOT) == [(7, 1, 3)]
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


async def test_what_was_forgotten_and_packed_comes_back_once_it_proves_useful(service: Service) -> None:
    gone = await say(service, "The spare key hangs behind the clock.", "Ok, thanks!")
    before = await found(service, "spare key")
    await call(service, "PUT", "/v1/spaces/default", {"policies": {"forget": {"budget": {"memories": 0}}}})
    assert len((await call(service, "POST", "/v1/forget", {}))["changes"]) == 2
    assert packed(await compress(service, archived_days=0)) == gone
    assert (await get(service, gone[0]))["packed"] is True
    noted = await call(service, "POST", "/v1/feedback", {"memories": [gone[0]], "verdict": "used"})
    assert noted["items"][0]["revived"] is True
    await embed(service)
    memory = await get(service, gone[0])
    assert (memory["packed"], memory["searchable"], memory["state"]) == (False, True, "activated")
    assert [content for content, *_ in await found(service, "spare key")] == [before[0][0]]
    await undo(service, noted["operations"][0])
    assert (await get(service, gone[0]))["packed"] is True


@pytest.mark.parametrize("exact_scan_limit", [1000, 0], ids=["exact", "hnsw"])
async def test_the_facts_of_what_is_packed_stand_for_themselves(deployment: Deployment, exact_scan_limit: int) -> None:
    async with open_service(deployment, exact_scan_limit=exact_scan_limit) as service:
        (turn,) = await say(service, "She keeps hers behind the clock, as ever.")
        text_ = {"content": "Ana's spare key hangs behind the clock.", "derived_from": [turn]}
        fact = (await service.add(texts=[text_]))["items"][0]["id"]
        async with service.services.database.write(service.caller.tenant_id) as session:
            await session.run(
                "UPDATE memories SET key_share = 1, "
                "key_of = (SELECT content_number FROM memories WHERE id = %(turn)s) WHERE id = %(fact)s",
                {"turn": UUID(turn), "fact": UUID(fact)},
            )
        await index(service)
        query = "Where does the spare key hang?"
        assert [content for content, *_ in await found(service, query)] == ["She keeps hers behind the clock, as ever."]
        await archive(service, turn)
        await compress(service)
        for recipe in ("balanced", "deep"):
            assert [content for content, *_ in await found(service, query, recipe=recipe)] == [text_["content"]]


async def index(service: Service) -> None:
    """Let the space be searched as its size asks for."""
    async with service.services.database.read(service.caller.tenant_id) as session:
        ((space, chunks),) = await session.fetch("SELECT id, next_chunk FROM spaces", {}, tuple_row)
    if chunks > service.services.ingest.exact_scan_limit:
        await index_space(service.services.ingest, service.caller.tenant_id, space)


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


async def test_a_run_takes_no_more_text_than_it_can_hold(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = await say(service, "a" * 40, "b" * 20, "c" * 20, "d" * 20)
    await archive(service, *gone)
    monkeypatch.setattr(compressing, "PACKED_BYTES", 45)
    for expected, more in (([gone[0]], True), (gone[1:3], True), ([gone[3]], False)):
        assert packed(await compress(service, dry_run=True)) == expected
        done = await compress(service)
        assert (packed(done), done["more"]) == (expected, more)


async def test_a_policy_packs_by_itself(service: Service, other: Service, clock: Clock) -> None:
    faded, recent = await say(service, "A remark on paint.", "A remark on glue.")
    (theirs,) = await say(other, "A remark on tiles.")
    await archive(service, faded)
    await archive(other, theirs)
    clock.advance(days=40)
    await archive(service, recent)
    await tidy(service, "compress_space", now=clock.now)
    assert (await get(service, faded))["packed"] is False
    await call(service, "PUT", "/v1/spaces/default", {"policies": {"forget": {"pack_after_days": 30}}})
    assert packed(await compress(service, dry_run=True)) == [faded]
    await tidy(service, "compress_space", now=clock.now)
    assert [(await get(service, one))["packed"] for one in (faded, recent)] == [True, False]
    operation = (await call(service, "GET", "/v1/operations"))["items"][0]
    assert (operation["kind"], operation["actor"]) == ("compress", "memsvc")
    await call(service, "PUT", "/v1/spaces/default", {"policies": {"forget": {"after": {}}}})
    clock.advance(days=400)
    await tidy(service, "compress_space", now=clock.now)
    assert (await get(service, recent))["packed"] is True
    assert (await get(other, theirs))["packed"] is False


async def test_the_forecast_says_when_a_policy_packs(service: Service, clock: Clock) -> None:
    async def outlook(memory: str) -> dict:
        return (await call(service, "GET", f"/v1/memories/{memory}/retention"))["policy"]

    async def policy(**forget: object) -> None:
        await call(service, "PUT", "/v1/spaces/default", {"policies": {"forget": forget}})

    def days(found: dict, name: str = "pack_at") -> float:
        return (datetime.fromisoformat(found[name]) - start).total_seconds() / 86_400

    start = clock.now
    note, kept, held = await say(service, "A remark on paint.", "A remark on glue.", "A remark on tape.")
    await policy(pack_after_days=30)
    assert (await outlook(note))["pack_at"] is None
    await policy(after={}, pack_after_days=30)
    found = await outlook(note)
    assert (found["action"], round(days(found, "at")), round(days(found))) == ("archive", 108, 138)
    await call(service, "PATCH", f"/v1/memories/{kept}", {"metadata": {"pinned": True}})
    await call(service, "PUT", f"/v1/memories/{held}/hold", {"on": True, "reason": "a lawsuit"})
    await archive(service, note, kept)
    for memory in (note, kept):
        found = await outlook(memory)
        assert (found["action"], found["at"]) == ("pack", found["pack_at"])
        assert days(found) == pytest.approx(30, abs=0.001)
    found = await outlook(held)
    assert (found["action"], found["kept_by"], found["pack_at"]) == ("nothing", "legal_hold", None)
    clock.advance(days=29.9)
    assert packed(await compress(service, dry_run=True)) == []
    clock.advance(days=0.2)
    assert packed(await compress(service)) == [note, kept]
    found = await outlook(note)
    assert (found["action"], found["pack_at"]) == ("nothing", None)
    assert found["reason"] == "its content is packed away already"


async def test_the_forecast_says_which_comes_first(service: Service) -> None:
    (note,) = await say(service, "A remark on paint.")
    await archive(service, note)
    forget = {"after": {}, "pack_after_days": 3650}
    await call(service, "PUT", "/v1/spaces/default", {"policies": {"forget": forget}})
    found = await call(service, "GET", f"/v1/memories/{note}/retention")
    assert found["policy"]["pack_at"] == found["policy"]["at"] == found["forget"]["at"]


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

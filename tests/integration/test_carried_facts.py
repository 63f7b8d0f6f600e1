"""Facts in branches and bundles: they stay facts of the turns that came along, so that nothing is learned twice."""

import io
import json
import zipfile
from collections.abc import Callable

import pytest
from sqlalchemy import Connection, text

from memsvc.deployment import Deployment
from tests.integration.conftest import Service
from tests.integration.people import person
from tests.integration.test_bundles import bring, call, fetch, lines, members, repack

SAID = ("I live in Berlin.", "I work at Siemens.")
ROW = (
    "SELECT f.subject, f.attribute, f.value, f.negated, f.confidence, f.extractor, f.start_char, f.end_char, "
    "m.key_share, s.content_number = m.key_of AS keyed, v.content FROM facts f "
    "JOIN memories m ON m.tenant_id = f.tenant_id AND m.id = f.memory_id "
    "JOIN memories s ON s.tenant_id = f.tenant_id AND s.id = f.source_id AND s.space_id = m.space_id "
    "JOIN contents v ON v.tenant_id = s.tenant_id AND v.memory_id = s.id AND v.number = s.content_number "
    "JOIN spaces sp ON sp.id = m.space_id AND sp.id = f.space_id "
    "WHERE sp.tenant_id = :tenant AND sp.name = :space ORDER BY m.number"
)

Rows = Callable[[Service, str], list[tuple]]


@pytest.fixture
def rows(owner: Connection) -> Rows:
    """The facts of a space: what they say, how far they lift their turn, and what that says."""

    def read(service: Service, space: str) -> list[tuple]:
        owner.rollback()
        found = owner.execute(text(ROW), {"tenant": str(service.caller.tenant_id), "space": space})
        return [tuple(row) for row in found]

    return read


async def say(service: Service, *contents: str, session: str, space: str = "home") -> list[str]:
    turns = [{"role": "user", "name": "Caroline", "content": content} for content in contents]
    return [item["id"] for item in (await service.add(messages=turns, session=session, space=space))["items"]]


async def learn(service: Service, space: str = "home") -> list[str]:
    """What consolidation did, each action with the fact's content if it made one."""
    done = await call(service, "POST", "/v1/consolidate", {"space": space})
    return [f"{one['action']} {one['content'] or ''}".strip() for one in done["changes"]]


@pytest.fixture
async def told(service: Service, rows: Rows) -> list[tuple]:
    """A space with two turns and what they state."""
    await say(service, *SAID, session="monday")
    assert await learn(service) == ["learn Caroline lives in Berlin", "learn Caroline works at Siemens"]
    found = rows(service, "home")
    assert [(row[8:]) for row in found] == [(0.6, True, SAID[0]), (0.6, True, SAID[1])]
    return found


async def test_a_fork_has_the_same_facts(service: Service, rows: Rows, told: list[tuple]) -> None:
    await call(service, "POST", "/v1/spaces/home/fork", {"to": "trial"}, 201)
    assert rows(service, "trial") == told
    assert await learn(service, "trial") == []
    await say(service, *SAID, session="tuesday", space="trial")
    assert await learn(service, "trial") == ["link", "link"]
    assert rows(service, "trial") == told
    assert await learn(service) == []


async def test_what_was_read_is_not_read_again_in_the_fork(service: Service, told: list[tuple]) -> None:
    await say(service, *SAID, session="tuesday")
    assert await learn(service) == ["link", "link"]
    await call(service, "POST", "/v1/spaces/home/fork", {"to": "trial"}, 201)
    assert await learn(service, "trial") == []
    progress = await call(service, "GET", "/v1/spaces/trial/upkeep")
    assert (progress["pending_operations"], progress["pending_memories"]) == (0, 0)


async def test_a_fork_of_a_snapshot_knows_what_was_known_then(service: Service, rows: Rows, told: list[tuple]) -> None:
    await call(service, "POST", "/v1/spaces/home/snapshots", {"name": "then"}, 201)
    [turn] = await say(service, "I have a cat.", session="tuesday")
    await learn(service)
    await call(service, "PATCH", f"/v1/memories/{turn}", {"content": "I have a dog."})
    await call(service, "POST", "/v1/spaces/home/fork", {"to": "trial", "snapshot": "then"}, 201)
    assert rows(service, "trial") == told
    assert await learn(service, "trial") == []


async def test_an_edited_turn_takes_its_facts_along_in_the_fork(service: Service, told: list[tuple]) -> None:
    await call(service, "POST", "/v1/spaces/home/fork", {"to": "trial"}, 201)
    listed = (await call(service, "GET", "/v1/memories?space=trial&kind=turn"))["items"]
    [turn] = [one["id"] for one in listed if one["content"] == SAID[0]]
    await call(service, "PATCH", f"/v1/memories/{turn}", {"content": "I live in Munich."})
    assert await learn(service, "trial") == ["archive", "learn Caroline lives in Munich"]
    assert await learn(service) == []


async def test_a_fact_without_its_turn_is_a_memory_like_others(
    service: Service, deployment: Deployment, owner: Connection, rows: Rows
) -> None:
    ana = person(service, deployment, "ana")
    ben = person(service, deployment, "ben")
    turn = {"role": "user", "name": "Ana", "content": SAID[0]}
    private = {"space": "home", "session": "monday", "messages": [{**turn, "visibility": "private"}]}
    await ana.post("/v1/memories", private, status=201)
    await ana.post("/v1/consolidate", {"space": "home"})
    [fact] = [one for one in (await ana.get("/v1/memories", space="home"))["items"] if one["origin"] == "extracted"]
    answer = await ana.call("PATCH", f"/v1/memories/{fact['id']}", json={"visibility": "space"})
    assert answer.status_code == 200, answer.text
    await ben.post("/v1/spaces/home/fork", {"to": "trial"}, status=201)
    [copy] = (await ben.get("/v1/memories", space="trial"))["items"]
    assert copy["content"] == fact["content"]
    assert rows(service, "trial") == []
    keys = owner.execute(text("SELECT key_of, key_share FROM memories WHERE id = :id"), {"id": copy["id"]})
    assert tuple(keys.one()) == (None, None)
    bundle = (await ben.call("GET", "/v1/spaces/home/export")).content
    assert (len(lines(bundle, "memories")), lines(bundle, "facts")) == (1, [])


async def test_a_bundle_brings_its_facts(service: Service, other: Service, rows: Rows, told: list[tuple]) -> None:
    bundle = await fetch(service, "home")
    assert [(one["subject"], one["value"], one["content"], one["share"]) for one in lines(bundle, "facts")] == [
        ("caroline", "berlin", 1, 0.6),
        ("caroline", "siemens", 1, 0.6),
    ]
    await bring(other, "copy", bundle)
    assert rows(other, "copy") == told
    assert await fetch(other, "copy") == bundle
    assert (await bring(other, "copy", bundle))["duplicates"] == 4
    assert await learn(other, "copy") == []
    await say(other, *SAID, session="tuesday", space="copy")
    assert await learn(other, "copy") == ["link", "link"]
    assert rows(other, "copy") == told


async def test_a_fact_of_an_edited_turn_is_of_what_it_said(service: Service, other: Service, told: list[tuple]) -> None:
    [turn] = await say(service, "I have a cat.", session="tuesday")
    await learn(service)
    await call(service, "PATCH", f"/v1/memories/{turn}", {"content": "I like it here."})
    bundle = await fetch(service, "home")
    [fact] = [one for one in lines(bundle, "facts") if one["source"] == turn]
    assert (fact["content"], "I have a cat."[fact["start"] : fact["end"]]) == (1, "I have a cat")
    await bring(other, "copy", bundle)
    assert [one for one in await learn(other, "copy") if one.startswith("archive")] == ["archive"]


async def test_what_somebody_wrote_as_a_fact_stays_one(service: Service, other: Service) -> None:
    added = await service.add(space="home", texts=[{"content": "Caroline lives in Berlin."}])
    await learn(service)
    bundle = await fetch(service, "home")
    [fact] = lines(bundle, "facts")
    assert (fact["memory"], fact["source"]) == (added["items"][0]["id"],) * 2
    assert "share" not in fact
    await bring(other, "copy", bundle)
    assert await fetch(other, "copy") == bundle
    await call(service, "PATCH", f"/v1/memories/{fact['memory']}", {"content": "Gone."})
    stale = await fetch(service, "home")
    assert lines(stale, "facts") == []


async def test_a_bundle_of_version_1_is_read_still(
    service: Service, other: Service, rows: Rows, told: list[tuple]
) -> None:
    files = members(await fetch(service, "home"))
    del files["facts.jsonl"]
    manifest = json.loads(files["manifest.json"])
    manifest["version"] = 1
    del manifest["counts"]["facts"]
    files["manifest.json"] = json.dumps(manifest).encode()
    assert (await bring(other, "copy", repack(files)))["memories"] == 4
    assert rows(other, "copy") == []


async def refused(other: Service, files: dict[str, bytes]) -> tuple[str, str]:
    answer = await bring(other, "copy", repack(files), 422)
    [fault] = answer["errors"]
    assert (await call(other, "GET", "/v1/spaces"))["items"] == []
    return fault["field"], fault["problem"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"end": 500}, "ends behind what memory"),
        ({"start": 9, "end": 3}, "ends before it starts"),
        ({"start": -1}, "start: Input should be greater than or equal to 0"),
        ({"content": 2}, "said since version 2, which contents.jsonl does not have"),
        ({"source": "0198f0a0-0000-7000-8000-000000000000"}, "which contents.jsonl does not have"),
        ({"memory": "0198f0a0-0000-7000-8000-000000000000"}, "which memories.jsonl does not have"),
        ({"share": None}, "has a share if, and only if"),
        ({"share": 1.5}, "share: Input should be less than or equal to 1"),
        ({"confidence": "high"}, "confidence: Input should be a valid number"),
        ({"negated": 0}, "negated: Input should be a valid boolean"),
        ({"subject": "ü" * 1000, "attribute": "ü" * 1000}, "more than 2500 bytes together"),
        ({"value": "a\x00b"}, "holds a NUL character"),
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
    ],
)
async def test_a_line_at_fault_is_named(
    service: Service, other: Service, told: list[tuple], change: dict, problem: str
) -> None:
    bundle = await fetch(service, "home")
    first, *rest = lines(bundle, "facts")
    changed = {name: value for name, value in {**first, **change}.items() if value is not None}
    files = members(bundle)
    files["facts.jsonl"] = b"".join(json.dumps(row).encode() + b"\n" for row in [changed, *rest])
    field, found = await refused(other, files)
    assert field == "facts.jsonl:1"
    assert problem in found


async def test_facts_are_there_once_in_their_version_only(service: Service, other: Service, told: list[tuple]) -> None:
    bundle = await fetch(service, "home")
    files = members(bundle)
    assert zipfile.ZipFile(io.BytesIO(bundle)).namelist()[6:9] == ["lineage.jsonl", "facts.jsonl", "tensors.jsonl"]
    twice = files["facts.jsonl"] + files["facts.jsonl"].splitlines(keepends=True)[0]
    assert await refused(other, {**files, "facts.jsonl": twice}) == ("facts.jsonl:3", "repeats a memory")
    without = {name: data for name, data in files.items() if name != "facts.jsonl"}
    assert await refused(other, without) == ("facts.jsonl", "is missing")
    manifest = {**json.loads(files["manifest.json"]), "version": 1}
    older = {**files, "manifest.json": json.dumps(manifest).encode()}
    assert await refused(other, older) == ("facts.jsonl", "is no member of a bundle of version 1")
    manifest["version"] = 3
    newer = {**files, "manifest.json": json.dumps(manifest).encode()}
    assert await refused(other, newer) == ("manifest.json", "has format version 3, not one of 1, 2")

"""Bundles: the same bytes there and back, idempotent, conflicts listed, and nothing of a hostile one."""

import hashlib
import io
import json
import zipfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np
import pytest
from safetensors.numpy import load
from typer.testing import CliRunner

from memsvc.commands import moving
from memsvc.consolidation.jobs import embed_pending
from memsvc.deployment import Deployment
from memsvc.lifecycle.erase import EraseOrder, erase
from memsvc.sdk import AsyncMemoryClient, NotFound
from memsvc.store import spaces
from memsvc.store.erasure import Selection
from memsvc.store.keys import create_key
from tests.integration.conftest import NOW, SIGNER, Service, open_service
from tests.integration.tensor_samples import keep, match

LATER = "2026-06-01T00:00:00Z"


@pytest.fixture
async def service(deployment: Deployment, tmp_path: Path) -> AsyncIterator[Service]:
    async with open_service(deployment, data_dir=tmp_path / "here") as opened:
        yield opened


@pytest.fixture
async def other(deployment: Deployment, tmp_path: Path) -> AsyncIterator[Service]:
    async with open_service(deployment, data_dir=tmp_path / "there") as opened:
        yield opened


async def fetch(service: Service, space: str, *, embeddings: bool = True) -> bytes:
    response = await service.client.get(f"/v1/spaces/{space}/export", params={"embeddings": embeddings})
    assert response.status_code == 200, response.text
    return response.content


async def bring(service: Service, space: str, bundle: bytes, status: int = 201) -> dict:
    response = await service.client.post(f"/v1/spaces/{space}/import", content=bundle)
    assert response.status_code == status, response.text
    return response.json()


async def call(service: Service, method: str, path: str, body: dict | None = None, status: int = 200) -> dict:
    response = await service.client.request(method, path, json=body)
    assert response.status_code == status, response.text
    return response.json() if response.content else {}


def members(bundle: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def lines(bundle: bytes, name: str) -> list[dict]:
    return [json.loads(line) for line in members(bundle)[f"{name}.jsonl"].splitlines()]


def repack(files: dict[str, bytes], *, truthful: bool = True, method: int = zipfile.ZIP_STORED) -> bytes:
    """A zip of these files; `truthful`: its manifest states their sizes, hashes and numbers of lines."""
    if truthful:
        manifest = json.loads(files["manifest.json"])
        names = [name for name in files if name != "manifest.json"]
        manifest["members"] = [
            {"name": name, "bytes": len(files[name]), "sha256": hashlib.sha256(files[name]).hexdigest()}
            for name in names
        ]
        for name in names:
            if name.endswith(".jsonl"):
                manifest["counts"][name.removesuffix(".jsonl")] = files[name].count(b"\n")
        files = {**files, "manifest.json": json.dumps(manifest).encode()}
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return written.getvalue()


def changed(bundle: bytes, name: str, line: int, **fields: object) -> bytes:
    """The bundle with fields of one line replaced (None: left out)."""
    files = members(bundle)
    rows = files[f"{name}.jsonl"].splitlines()
    row = {**json.loads(rows[line]), **fields}
    rows[line] = json.dumps({key: value for key, value in row.items() if value is not None}).encode()
    return repack({**files, f"{name}.jsonl": b"\n".join(rows) + b"\n"})


async def furnish(service: Service, space: str = "home") -> dict[str, str]:
    """A space with everything in it; ids by name."""
    await call(service, "PUT", f"/v1/spaces/{space}", {"policies": {"kinds": {"turn": {"ttl_days": 300}}}})
    turns = await service.add(
        space=space,
        session="monday ☀",
        messages=[
            {"role": "user", "name": "Ana", "content": "I moved to Porto 🎉. It has a balcony."},
            {"role": "assistant", "content": "Congratulations!\nShall I update the address?"},
            {"role": "user", "name": "Ana", "content": "木曜日に歯医者に行きます。", "position": 7},
        ],
    )
    texts = await service.add(
        space=space,
        texts=[
            {"content": "Ana likes green tea.", "metadata": {"z": 1, "a": [0.1, {"deep": None}]}},
            {"content": "Ana lives in Lisbon.", "valid_from": "2020", "valid_to": "2026-02"},
            {"content": "Ana lives in Porto.", "valid_from": "2026-03-01", "importance": 0.75},
            {"content": "The code is 4711.", "sensitivity": "sensitive", "visibility": "private"},
            {"content": "A joke that is over.", "expires_at": LATER},
            {"kind": "document", "content": "One sentence follows the other. " * 60},
        ],
    )
    ids = dict(
        zip(
            ("moved", "congratulations", "dentist", "tea", "lisbon", "porto", "code", "joke", "document"),
            [item["id"] for item in (*turns["items"], *texts["items"])],
            strict=True,
        )
    )
    await call(service, "PATCH", f"/v1/memories/{ids['tea']}", {"content": "Ana loves green tea.", "reason": "said so"})
    edited = (await call(service, "GET", f"/v1/memories/{ids['tea']}/history"))["versions"][-1]["operation_id"]
    await call(service, "PATCH", f"/v1/memories/{ids['tea']}", {"importance": 0.9})
    await call(service, "PATCH", f"/v1/memories/{ids['document']}", {"content": "It was shortened."})
    last = (await call(service, "GET", f"/v1/memories/{ids['document']}/history"))["versions"][-1]["operation_id"]
    await call(service, "POST", f"/v1/operations/{last}/undo", {"reason": "too short"})
    assert edited
    await call(service, "POST", f"/v1/memories/{ids['lisbon']}/supersede", {"by": ids["porto"]})
    await call(service, "POST", f"/v1/memories/{ids['code']}/state", {"state": "frozen"})
    await call(service, "PUT", f"/v1/memories/{ids['porto']}/hold", {"on": True, "reason": "case 7"})
    await call(service, "DELETE", f"/v1/memories/{ids['joke']}?mode=expire", status=204)
    await call(service, "DELETE", f"/v1/memories/{ids['congratulations']}?mode=archive", status=204)
    ids["summary"] = (
        await service.add(
            space=space, texts=[{"kind": "summary", "content": "Ana moved.", "derived_from": [ids["moved"]]}]
        )
    )["items"][0]["id"]
    fused = await call(service, "POST", "/v1/fuse", {"memories": [ids["tea"], ids["porto"]]})
    ids["fused"] = fused["id"]
    core = f"/v1/core/human?space={space}"
    await call(service, "POST", core, {"text": "The human is Ana."})
    ids["core"] = (await call(service, "POST", core, {"text": "She likes tea."}))["id"]
    return ids


@pytest.mark.parametrize("embeddings", [True, False])
async def test_a_bundle_there_and_back_has_the_same_bytes(service: Service, other: Service, embeddings: bool) -> None:
    await furnish(service)
    first = await fetch(service, "home", embeddings=embeddings)
    done = await bring(other, "elsewhere", first)
    assert (done["memories"], done["duplicates"], done["conflicts"]) == (12, 0, [])
    assert done["versions"] == len(lines(first, "memories")) + len(lines(first, "history"))
    second = await fetch(other, "elsewhere", embeddings=embeddings)
    assert members(first) == members(second)
    assert first == second


async def test_an_import_is_lossless_as_the_service_tells_it(service: Service, other: Service) -> None:
    ids = await furnish(service)
    await bring(other, "home", await fetch(service, "home"))
    assert other.encoder.calls == []
    for name in ids:
        if name == "joke":
            continue
        for path in (f"/v1/memories/{ids[name]}", f"/v1/memories/{ids[name]}/history"):
            assert await call(other, "GET", path) == await call(service, "GET", path), name
        before = await call(service, "GET", f"/v1/memories/{ids[name]}/lineage")
        assert await call(other, "GET", f"/v1/memories/{ids[name]}/lineage") == before
    for query in ("green tea", "歯医者", "Where does Ana live?"):
        here, there = [await each.recall(query, spaces=["home"], explain=True) for each in (service, other)]
        assert [(one["memory"]["id"], one["score"], one["matched_terms"]) for one in here["results"]] == [
            (one["memory"]["id"], one["score"], one["matched_terms"]) for one in there["results"]
        ]
        assert here["results"]
    there = (await call(other, "GET", "/v1/spaces/home"))["policies"]
    assert there == (await call(service, "GET", "/v1/spaces/home"))["policies"]


async def test_the_same_bundle_again_changes_nothing(service: Service, other: Service) -> None:
    await furnish(service)
    bundle = await fetch(service, "home")
    await bring(other, "home", bundle)
    before = await call(other, "GET", "/v1/operations?space=home&limit=1000")
    again = await bring(other, "home", bundle)
    assert (again["memories"], again["duplicates"], again["conflicts"]) == (0, 12, [])
    assert again["operation_id"] is None
    assert await call(other, "GET", "/v1/operations?space=home&limit=1000") == before
    assert (await bring(service, "home", bundle))["duplicates"] == 12


async def test_conflicts_are_listed_and_the_rest_is_imported(service: Service, other: Service) -> None:
    ids = await furnish(service)
    bundle = await fetch(service, "home")
    await other.add(space="home", texts=[{"id": ids["lisbon"], "content": "Something else."}])
    await other.add(space="away", texts=[{"id": ids["summary"], "content": "Ana moved.", "kind": "summary"}])
    await other.add(space="home", session="monday ☀", messages=[{"role": "user", "content": "Hi", "position": 7}])
    done = await bring(other, "home", bundle)
    assert {one["id"]: one["reason"] for one in done["conflicts"]} == {
        ids["lisbon"]: "its id is that of a memory with other content",
        ids["summary"]: "its id is that of a memory in another space",
        ids["dentist"]: "position 7 of its session is taken by another memory",
    }
    assert (done["memories"], done["outside_edges"]) == (9, 0)
    await call(service, "PATCH", f"/v1/memories/{ids['moved']}", {"importance": 1})
    newer = await bring(other, "home", await fetch(service, "home"))
    assert {one["id"]: one["reason"] for one in newer["conflicts"]}[ids["moved"]] == (
        "it is there in version 1, the bundle has 2"
    )


async def test_an_import_is_one_operation_and_can_be_undone(service: Service, other: Service) -> None:
    ids = await furnish(service)
    await other.add(space="home", texts=[{"content": "I was here."}])
    done = await bring(other, "home", await fetch(service, "home"))
    newest = (await call(other, "GET", "/v1/operations?space=home"))["items"][0]
    assert (newest["id"], newest["kind"]) == (done["operation_id"], "import")
    undone = await call(other, "POST", f"/v1/operations/{done['operation_id']}/undo")
    assert set(undone["archived"]) == set(ids.values())
    assert undone["restored"] == []
    left = await other.recall("Ana tea here", spaces=["home"])
    assert [one["memory"]["content"] for one in left["results"]] == ["I was here."]
    back = await call(other, "POST", f"/v1/operations/{undone['operation_id']}/undo")
    assert set(back["restored"]) >= {ids["moved"], ids["fused"]}
    again = await call(other, "GET", f"/v1/memories/{ids['code']}")
    assert (again["state"], again["content"]) == ("frozen", "The code is 4711.")


async def test_an_imported_operation_can_be_undone_where_it_came_to(service: Service, other: Service) -> None:
    ids = await furnish(service)
    fused = (await call(service, "GET", f"/v1/memories/{ids['fused']}"))["operation_id"]
    await bring(other, "home", await fetch(service, "home"))
    await call(other, "POST", f"/v1/operations/{fused}/undo")
    tea = await call(other, "GET", f"/v1/memories/{ids['tea']}")
    assert (tea["state"], tea["superseded_by"], tea["content"]) == ("generated", None, "Ana loves green tea.")


async def test_without_embeddings_the_worker_makes_them(service: Service, other: Service) -> None:
    ids = await furnish(service)
    done = await bring(other, "home", await fetch(service, "home", embeddings=False))
    assert done["pending"] == 12
    async with other.services.database.read(other.caller.tenant_id) as session:
        space_id = await spaces.find_space(session, "home")
    assert space_id is not None
    await embed_pending(other.services.ingest, other.caller.tenant_id, space_id)
    here, there = [await each.recall("tea that Ana loves", spaces=["home"]) for each in (service, other)]
    assert [one["memory"]["id"] for one in here["results"]] == [one["memory"]["id"] for one in there["results"]]
    assert (await call(other, "GET", f"/v1/memories/{ids['moved']}"))["searchable"] is True


async def test_embeddings_are_safetensors_one_row_a_chunk(service: Service) -> None:
    await furnish(service)
    bundle = await fetch(service, "home")
    rows = load(members(bundle)["embeddings.safetensors"])["embeddings"]
    assert rows.shape == (len(lines(bundle, "chunks")), 256)
    assert rows.dtype == np.float32
    assert np.allclose(np.linalg.norm(rows, axis=1), 1)
    manifest = json.loads(members(bundle)["manifest.json"])
    assert (manifest["format"], manifest["version"], manifest["encoder"]["name"]) == ("memsvc-bundle", 2, "fake")
    for member in manifest["members"]:
        assert hashlib.sha256(members(bundle)[member["name"]]).hexdigest() == member["sha256"]


async def test_tensors_travel_with_their_blobs(service: Service, other: Service) -> None:
    source = (await service.add(space="home", texts=[{"content": "Ana lives in Porto."}]))["items"][0]["id"]
    tokens = list(range(1, 41))
    made = await keep(service.client, tokens, source=source, space="home")
    bundle = await fetch(service, "home")
    done = await bring(other, "home", bundle)
    assert (done["tensors"], done["memories"], done["edges"]) == (1, 2, 1)
    found = await match(other.client, tokens, spaces=["home"])
    assert found is not None
    assert found["record"]["tensor"] == made["tensor"]
    blob = await other.client.get(f"/v1/blobs/{made['tensor']['blob']}")
    assert blob.content == members(bundle)[f"blobs/{made['tensor']['blob']}.safetensors"]
    files = members(bundle)
    del files[f"blobs/{made['tensor']['blob']}.safetensors"]
    problem = await bring(other, "third", repack(files), status=422)
    assert problem["errors"][0]["field"] == "tensors.jsonl:1"


async def test_what_the_reader_may_not_see_is_not_exported(service: Service, deployment: Deployment) -> None:
    await furnish(service)
    assert len(lines(await fetch(service, "home"), "memories")) == 12
    key = create_key(deployment.owner_url, tenant=service.caller.tenant, principal="guest", scopes=("read",))
    headers = {"Authorization": f"Bearer {key.key}"}
    guest = await service.client.get("/v1/spaces/home/export", headers=headers)
    assert "The code is 4711." not in guest.text
    assert len(lines(guest.content, "memories")) == 11
    await call(service, "PUT", "/v1/spaces/home", {"open": False})
    refused = await service.client.get("/v1/spaces/home/export", headers=headers)
    assert refused.status_code == 404
    assert (await service.client.post("/v1/spaces/home/import", headers=headers)).status_code == 403


async def test_what_was_erased_is_in_no_later_bundle(service: Service) -> None:
    ids = await furnish(service)
    order = EraseOrder(caller=service.caller, now=NOW, selection=Selection(memories=(UUID(ids["moved"]),)))
    await erase(service.services.ingest, SIGNER, order)
    bundle = await fetch(service, "home")
    assert ids["moved"].encode() not in bundle
    assert ids["summary"].encode() not in bundle
    assert b"balcony" not in bundle


async def test_a_rebuilt_memory_travels_too(service: Service, other: Service) -> None:
    ids = await furnish(service)
    order = EraseOrder(caller=service.caller, now=NOW, selection=Selection(memories=(UUID(ids["tea"]),)))
    await erase(service.services.ingest, SIGNER, order)
    first = await fetch(service, "home", embeddings=False)
    await bring(other, "home", first)
    assert await fetch(other, "home", embeddings=False) == first


async def test_an_export_after_an_import_and_more_writes_can_be_imported_again(
    service: Service, other: Service
) -> None:
    await furnish(service)
    await bring(other, "home", await fetch(service, "home"))
    await other.add(space="home", texts=[{"content": "Ana bought a bicycle."}])
    newer = await fetch(other, "home")
    done = await bring(service, "home", newer)
    assert (done["memories"], done["duplicates"], done["conflicts"]) == (1, 12, [])
    assert await fetch(service, "home") == newer


async def test_numbers_stay_exact(service: Service, other: Service) -> None:
    await service.add(space="home", texts=[{"content": "A large number.", "metadata": {"n": 2**62, "m": 0.1}}])
    first = await fetch(service, "home")
    assert lines(first, "memories")[0]["metadata"] == {"m": 0.1, "n": 2**62}
    await bring(other, "home", first)
    assert await fetch(other, "home") == first


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_file())


def sdk(service: Service) -> AsyncMemoryClient:
    key = service.client.headers["Authorization"].removeprefix("Bearer ")
    return AsyncMemoryClient("http://127.0.0.1:1", key, transport=service.client._transport, retries=0)


async def test_the_client_and_the_command_line_move_a_space(service: Service, other: Service, tmp_path: Path) -> None:
    ids = await furnish(service)
    file = tmp_path / "home.zip"
    async with sdk(service) as here, sdk(other) as there:
        assert await here.moving.export_bundle("home", file) == file
        assert file.read_bytes() == await fetch(service, "home")
        verified = CliRunner().invoke(moving.bundle, ["verify", str(file)])
        assert (verified.exit_code, verified.output) == (0, f"{file} is whole: 12 memories, vectors of fake.\n")
        done = await there.moving.import_bundle("with space ☀", file, reason="moved")
        assert (done.memories, done.conflicts) == (12, [])
        assert (await there.moving.snapshot("with space ☀", "a/b")).position > 12
        assert [one.name for one in (await there.moving.snapshots("with space ☀")).items] == ["a/b"]
        rolled = await there.moving.rollback("with space ☀", position=0, dry_run=True)
        assert UUID(ids["moved"]) in rolled.archived
        assert (await there.moving.fork("with space ☀", "fork", snapshot="a/b")).memories == 11
        assert (await there.moving.fuse_spaces("fork", "with space ☀", dry_run=True)).copied == []
        fused = await there.moving.fuse([ids["moved"], ids["summary"]], dry_run=True)
        assert fused.content == "I moved to Porto 🎉.\nIt has a balcony.\nAna moved."
        await there.moving.delete_snapshot("with space ☀", "a/b")
        with pytest.raises(NotFound):
            await there.moving.export_bundle("nowhere", tmp_path / "nothing.zip")
    assert files(tmp_path) == ["home.zip"]


HOSTILE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "no zip": (lambda bundle: b"not a zip" + bundle[:50], "the file"),
    "cut off": (lambda bundle: bundle[:-100], "the file"),
    "another format": (
        lambda bundle: repack({**members(bundle), "manifest.json": b'{"format": "tar"}'}, truthful=False),
        "manifest.json",
    ),
    "another version": (
        lambda bundle: repack(
            {
                **members(bundle),
                "manifest.json": json.dumps({**json.loads(members(bundle)["manifest.json"]), "version": 3}).encode(),
            },
            truthful=False,
        ),
        "manifest.json",
    ),
    "a path": (lambda bundle: repack({**members(bundle), "../../etc/passwd": b"x"}), "'../../etc/passwd'"),
    "an absolute path": (lambda bundle: repack({**members(bundle), "/absolute/x.jsonl": b"x"}), "'/absolute/x.jsonl'"),
    "a bomb": (lambda bundle: repack(members(bundle), method=zipfile.ZIP_DEFLATED), "sessions.jsonl"),
    "a member less": (
        lambda bundle: repack({name: text for name, text in members(bundle).items() if name != "lineage.jsonl"}),
        "lineage.jsonl",
    ),
    "other bytes": (
        lambda bundle: repack(
            {**members(bundle), "contents.jsonl": members(bundle)["contents.jsonl"].replace(b"Porto", b"Paris")},
            truthful=False,
        ),
        "contents.jsonl",
    ),
    "no JSON": (
        lambda bundle: repack({**members(bundle), "history.jsonl": b"{]\n" + members(bundle)["history.jsonl"]}),
        "history.jsonl:1",
    ),
    "a tenant": (lambda bundle: changed(bundle, "memories", 2, tenant_id=str(uuid4())), "memories.jsonl:3"),
    "a wrong type": (lambda bundle: changed(bundle, "memories", 0, importance="high"), "memories.jsonl:1"),
    "a NUL": (lambda bundle: changed(bundle, "memories", 3, metadata={"a": ["\x00"]}), "memories.jsonl:4"),
    "a NUL in a content": (lambda bundle: changed(bundle, "contents", 1, content="a\x00b"), "contents.jsonl:2"),
    "a surrogate": (lambda bundle: changed(bundle, "contents", 1, content="a\ud800b"), "contents.jsonl:2"),
    "two of one id": (
        lambda bundle: changed(bundle, "memories", 1, id=lines(bundle, "memories")[0]["id"]),
        "memories.jsonl:2",
    ),
    "an unknown session": (lambda bundle: changed(bundle, "memories", 0, session="tuesday"), "memories.jsonl:1"),
    "two at one place": (lambda bundle: changed(bundle, "memories", 1, position=0), "memories.jsonl:2"),
    "an unknown operation": (
        lambda bundle: changed(bundle, "memories", 0, operation=str(uuid4())),
        "memories.jsonl:1",
    ),
    "an import in it": (lambda bundle: changed(bundle, "operations", 0, kind="import"), "operations.jsonl:1"),
    "a content of another": (
        lambda bundle: changed(bundle, "contents", 0, memory=lines(bundle, "memories")[5]["id"]),
        "chunks.jsonl:1",
    ),
    "versions that overlap": (
        lambda bundle: changed(bundle, "history", 0, known_to="2030-01-01T00:00:00+00:00"),
        "",
    ),
    "a chunk past its content": (lambda bundle: changed(bundle, "chunks", 0, end=10_000), "chunks.jsonl:1"),
    "a cycle": (
        lambda bundle: repack(
            {
                **members(bundle),
                "lineage.jsonl": members(bundle)["lineage.jsonl"]
                + json.dumps(
                    {
                        **lines(bundle, "lineage")[0],
                        "derived": lines(bundle, "lineage")[0]["source"],
                        "source": lines(bundle, "lineage")[0]["derived"],
                    }
                ).encode()
                + b"\n",
            }
        ),
        "lineage.jsonl:1",
    ),
    "an edge from nowhere": (lambda bundle: changed(bundle, "lineage", 0, source=str(uuid4())), "lineage.jsonl:1"),
    "codes of another shape": (lambda bundle: changed(bundle, "chunks", 0, codes="AAAA"), "chunks.jsonl:1"),
    "codes that are none": (lambda bundle: changed(bundle, "chunks", 0, codes="AAA"), "chunks.jsonl:1"),
    "vectors too long": (
        lambda bundle: repack(
            {
                **members(bundle),
                "embeddings.safetensors": members(bundle)["embeddings.safetensors"][:-1024]
                + np.full(256, 9, "<f4").tobytes(),
            }
        ),
        "embeddings.safetensors",
    ),
    "vectors of another shape": (
        lambda bundle: repack(
            {**members(bundle), "embeddings.safetensors": members(bundle)["embeddings.safetensors"][:-4]}
        ),
        "embeddings.safetensors",
    ),
    "a date that is none": (
        lambda bundle: changed(bundle, "memories", 0, occurred_at="2026-02-30T00:00:00+00:00"),
        "memories.jsonl:1",
    ),
    "a number that Postgres cannot keep": (
        lambda bundle: repack(
            {
                **members(bundle),
                "memories.jsonl": members(bundle)["memories.jsonl"].replace(
                    b'"metadata":{}', b'"metadata":{"a":1e200000}', 1
                ),
            }
        ),
        "memories.jsonl",
    ),
}


_HOME: list[bytes] = []


async def home(deployment: Deployment, folder: Path) -> bytes:
    """The bundle of a furnished space, made once: it is the same wherever it comes from."""
    if not _HOME:
        async with open_service(deployment, data_dir=folder) as opened:
            await furnish(opened)
            _HOME.append(await fetch(opened, "home"))
    return _HOME[0]


@pytest.mark.parametrize("case", HOSTILE)
async def test_a_hostile_bundle_is_refused_by_member_and_line_and_leaves_nothing(
    other: Service, deployment: Deployment, tmp_path: Path, case: str
) -> None:
    build, place = HOSTILE[case]
    problem = await bring(other, "home", build(await home(deployment, tmp_path)), status=422)
    assert problem["code"] == "invalid_request"
    assert problem["errors"][0]["field"].startswith(place)
    assert (await call(other, "GET", "/v1/spaces"))["items"] == []


async def test_a_bundle_may_be_larger_than_a_request_but_not_than_its_own_limit(
    deployment: Deployment, tmp_path: Path
) -> None:
    limits = {"max_request_bytes": 1000, "max_bundle_bytes": 2000, "data_dir": tmp_path}
    async with open_service(deployment, **limits) as opened:
        assert (await bring(opened, "home", b"x" * 1500, status=422))["code"] == "invalid_request"
        assert (await bring(opened, "home", b"x" * 2500, status=413))["code"] == "too_large"

"""Working memory over the API: a bounded state a session, its revisions, who may touch it, and how it is erased."""

import asyncio
from collections.abc import Callable

import pytest
from sqlalchemy import Connection, text

from memsvc.deployment import Deployment
from memsvc.sdk import AsyncMemoryClient
from tests.integration.conftest import Clock, Service
from tests.integration.packed import holding
from tests.integration.people import person, restrict

SCRATCH = "/v1/scratch/monday"


async def call(
    service: Service, method: str, path: str = SCRATCH, body: object = None, status: int = 200, **headers: str
) -> dict:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    response = await service.client.request(method, path, json=body, headers=sent)
    assert response.status_code == status, response.text
    return response.json() if response.content else {}


async def write(service: Service, *contents: str, path: str = SCRATCH, **request: object) -> dict:
    entries = [{"content": content} for content in contents]
    return await call(service, "POST", f"{path}/write", {"entries": entries, **request})


def shown(state: dict) -> list[tuple[str, str]]:
    return [(entry["id"], entry["content"]) for entry in state["entries"]]


@pytest.fixture
def rows(owner: Connection, service: Service) -> Callable[[str], int]:
    """How many rows of the test's tenant a table has."""

    def count(table: str) -> int:
        owner.rollback()
        keys = {"tenant": service.caller.tenant_id}
        return owner.execute(text(f"SELECT count(*) FROM {table} WHERE tenant_id = :tenant"), keys).scalar_one()

    return count


async def test_a_state_is_written_rewritten_and_pruned_in_revisions(service: Service, clock: Clock) -> None:
    empty = await call(service, "GET", f"{SCRATCH}?space=default", status=404)
    assert empty["code"] == "not_found"
    first = await write(service, "Goal: book a table.", "The Anchor is full on Friday.")
    assert shown(first) == [("1.1", "Goal: book a table."), ("1.2", "The Anchor is full on Friday.")]
    assert (first["revision"], first["parent"], first["tokens"], first["token_limit"]) == (1, 0, 13, 2048)
    clock.advance(minutes=1)
    named = {"entries": [{"id": "1.1", "content": "Goal: a table for four.", "pinned": True}], "scope": "named"}
    await call(service, "POST", f"{SCRATCH}/rewrite", named)
    summary = {"ids": ["1.2"], "summary": "The Anchor: no.", "id": "anchor"}
    pruned = await call(service, "POST", f"{SCRATCH}/prune", summary)
    assert shown(pruned) == [("1.1", "Goal: a table for four."), ("anchor", "The Anchor: no.")]
    assert (pruned["entries"][1]["pruned"], pruned["entries"][0]["pinned"]) == (["1.2"], True)
    assert await call(service, "GET") == pruned
    assert shown(await call(service, "GET", f"{SCRATCH}?revision=1")) == shown(first)
    nothing = await call(service, "GET", f"{SCRATCH}?revision=0")
    assert (nothing["revision"], nothing["parent"], nothing["entries"]) == (0, None, [])
    await call(service, "GET", f"{SCRATCH}?revision=4", status=404)
    whole = await call(service, "POST", f"{SCRATCH}/rewrite", {"entries": [{"content": "Booked."}]})
    assert (shown(whole), whole["revision"]) == ([("4.1", "Booked.")], 4)
    assert (await call(service, "GET", "/v1/scratch/tuesday"))["revision"] == 0


async def test_every_revision_tells_what_it_did(service: Service, clock: Clock) -> None:
    await write(service, "One.", "Two.")
    clock.advance(minutes=1)
    await call(service, "POST", f"{SCRATCH}/prune", {"ids": ["1.1"], "summary": "1."})
    await call(service, "POST", f"{SCRATCH}/rewrite", {"entries": [{"id": "1.2", "content": "2."}], "scope": "named"})
    page = await call(service, "GET", f"{SCRATCH}/revisions?limit=2")
    third, second = page["items"]
    assert (third["operation"], [one["content"] for one in third["changed"]], third["added"]) == ("rewrite", ["2."], [])
    assert (second["operation"], second["removed"], second["pruned"]) == ("prune", ["1.1"], ["1.1"])
    assert [(one["id"], one["content"]) for one in second["added"]] == [("2.1", "1.")]
    assert (second["parent"], second["actor"], second["recorded_at"]) == (1, "tester", "2026-03-01T12:01:00Z")
    assert page["next_before"] == 2
    (first,) = (last := await call(service, "GET", f"{SCRATCH}/revisions?before=2"))["items"]
    assert ([one["id"] for one in first["added"]], first["parent"], last["next_before"]) == (["1.1", "1.2"], 0, None)
    assert (await call(service, "GET", "/v1/scratch/tuesday/revisions"))["items"] == []


async def test_what_passes_the_bound_is_refused_and_says_how_much_to_prune(service: Service) -> None:
    await call(service, "PUT", SCRATCH, {"token_limit": 20})
    await write(service, "a" * 40, "b" * 32)
    refused = await call(service, "POST", f"{SCRATCH}/write", {"entries": [{"content": "c" * 20}]}, 422)
    (fault,) = refused["errors"]
    assert (fault["field"], fault["problem"]) == ("entries", "would bring the scratch to 23 tokens of 20")
    assert "Prune 3 tokens" in refused["remedy"]
    refused = await call(service, "POST", f"{SCRATCH}/prune", {"ids": ["1.1"], "summary": "s" * 60}, 422)
    assert refused["errors"][0]["field"] == "summary"
    assert (await call(service, "GET"))["revision"] == 1
    evicted = await write(service, "c" * 20, on_overflow="evict")
    assert (evicted["evicted"], evicted["tokens"]) == (["1.1"], 13)
    assert (await call(service, "GET", f"{SCRATCH}?revision=1"))["entries"][0]["content"] == "a" * 40
    refused = await call(service, "PUT", SCRATCH, {"token_limit": 16}, 200)
    assert (refused["token_limit"], refused["revision"]) == (16, 2)
    assert (await call(service, "POST", f"{SCRATCH}/write", {"entries": [{"content": "d" * 80}]}, 422))["errors"]


async def test_a_smaller_bound_evicts_only_when_asked(service: Service) -> None:
    await write(service, "a" * 60, "b" * 60)
    refused = await call(service, "PUT", SCRATCH, {"token_limit": 20}, 422)
    assert (refused["errors"][0]["field"], (await call(service, "GET"))["token_limit"]) == ("token_limit", 2048)
    done = await call(service, "PUT", SCRATCH, {"token_limit": 20, "on_overflow": "evict"})
    assert (done["token_limit"], done["evicted"], done["revision"], done["tokens"]) == (20, ["1.1"], 2, 15)
    (last, _) = (await call(service, "GET", f"{SCRATCH}/revisions"))["items"]
    assert (last["operation"], last["evicted"], last["removed"]) == ("prune", ["1.1"], ["1.1"])
    new = await call(service, "PUT", "/v1/scratch/new", {"token_limit": 50})
    assert (new["revision"], new["token_limit"]) == (0, 50)


async def test_a_lost_update_is_refused(service: Service) -> None:
    response = await service.client.post(
        f"{SCRATCH}/write", json={"entries": [{"content": "One."}]}, headers={"If-Match": '"0"'}
    )
    assert (response.status_code, response.headers["ETag"]) == (200, '"1"')
    stale = {"entries": [{"content": "Two."}]}
    refused = await call(service, "POST", f"{SCRATCH}/write", stale, 412, If_Match='"0"')
    assert refused["detail"] == "the scratch of session 'monday' is at revision 1, not 0"
    await call(service, "POST", f"{SCRATCH}/prune", {"ids": ["1.1"], "summary": "x"}, 412, If_Match='"7"')
    await call(service, "PUT", SCRATCH, {"token_limit": 100}, 412, If_Match='"0"')
    await call(service, "DELETE", SCRATCH, None, 412, If_Match='"0"')
    assert (await call(service, "POST", f"{SCRATCH}/write", stale, If_Match='"1"'))["revision"] == 2


async def test_writers_at_once_each_get_a_revision(service: Service) -> None:
    done = await asyncio.gather(*(write(service, f"Note {n}.") for n in range(8)))
    assert sorted(one["revision"] for one in done) == list(range(1, 9))
    assert sorted(content for _, content in shown(await call(service, "GET"))) == [f"Note {n}." for n in range(8)]


async def test_a_retry_does_nothing_again(service: Service, deployment: Deployment) -> None:
    body = {"entries": [{"content": "One."}]}
    first = await call(service, "POST", f"{SCRATCH}/write", body, Idempotency_Key="k1", If_Match='"0"')
    await write(service, "Two.")
    again = await service.client.post(
        f"{SCRATCH}/write", json=body, headers={"Idempotency-Key": "k1", "If-Match": '"0"'}
    )
    assert (again.status_code, again.json(), again.headers["Idempotent-Replay"]) == (200, first, "true")
    other = {"entries": [{"content": "Another."}]}
    refused = await call(service, "POST", f"{SCRATCH}/write", other, 409, Idempotency_Key="k1")
    assert refused["errors"][0]["field"] == "Idempotency-Key"
    ben = person(service, deployment, "ben")  # a key is its principal's own
    done = await ben.client.post(f"{SCRATCH}/write", json=other, headers={**ben.headers, "Idempotency-Key": "k1"})
    assert (done.json()["revision"], (await call(service, "GET"))["revision"]) == (3, 3)


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("write", {"entries": [{"content": "ok"}, {"content": " "}]}, "entries[1].content"),
        ("write", {"entries": [{"content": "a\u0000b"}]}, "entries[0].content"),
        ("write", {"entries": []}, "entries"),
        ("write", {"entries": [{"content": "a", "id": "x"}, {"content": "b", "id": "x"}]}, "entries"),
        ("rewrite", {"entries": [{"content": "a"}], "scope": "named"}, "entries[0].id"),
        ("prune", {"ids": ["1.1"], "summary": ""}, "summary"),
        ("prune", {"ids": [], "summary": "x"}, "ids"),
    ],
)
async def test_what_cannot_be_stored_is_refused_by_field(service: Service, path: str, body: dict, field: str) -> None:
    await write(service, "One.")
    refused = await call(service, "POST", f"{SCRATCH}/{path}", body, 422)
    assert refused["errors"][0]["field"] == field


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("write", {"entries": [{"id": "1.1", "content": "x"}]}, "entries[0].id"),
        ("rewrite", {"entries": [{"id": "9.9", "content": "x"}], "scope": "named"}, "entries[0].id"),
        ("prune", {"ids": ["9.9"], "summary": "x"}, "ids[0]"),
    ],
)
async def test_what_contradicts_the_state_is_a_conflict(service: Service, path: str, body: dict, field: str) -> None:
    await write(service, "One.")
    assert (await call(service, "POST", f"{SCRATCH}/{path}", body, 409))["errors"][0]["field"] == field


async def test_it_is_its_spaces_own(service: Service, other: Service, deployment: Deployment) -> None:
    ana, ben = person(service, deployment, "ana"), person(service, deployment, "ben")
    reader = person(service, deployment, "carla", scopes=("read",))
    await restrict(service, "diary", ana)
    path = f"{SCRATCH}/write?space=diary"
    await ana.post(path, {"entries": [{"content": "Mine."}]})
    for method, where in (("GET", SCRATCH), ("GET", f"{SCRATCH}/revisions"), ("DELETE", SCRATCH)):
        assert (await ben.call(method, f"{where}?space=diary")).status_code == 404
    assert (await ben.call("POST", path, json={"entries": [{"content": "x"}]})).status_code == 403
    grant = {"space": "diary", "principal": "ben", "rights": ["read"]}
    await ana.post("/v1/grants", grant, status=201)
    assert (await ben.get(SCRATCH, space="diary"))["revision"] == 1
    await ben.post(path, {"entries": [{"content": "x"}]}, status=403)
    assert (await ben.call("DELETE", f"{SCRATCH}?space=diary")).status_code == 403
    await reader.post(f"{SCRATCH}/write", {"entries": [{"content": "x"}]}, status=403)
    assert (await other.client.get(f"{SCRATCH}?space=diary")).status_code == 404
    assert (await ana.call("DELETE", f"{SCRATCH}?space=diary")).status_code == 204
    assert (await ana.get(SCRATCH, space="diary"))["revision"] == 0


async def test_deleting_it_removes_every_revision(service: Service, rows: Callable) -> None:
    await write(service, "One.")
    await write(service, "Two.")
    assert (rows("scratches"), rows("scratch_revisions")) == (1, 2)
    await call(service, "DELETE", SCRATCH, None, 204)
    assert (rows("scratches"), rows("scratch_revisions")) == (0, 0)
    await call(service, "DELETE", SCRATCH, None, 404)


async def erase(service: Service, **request: object) -> int:
    planned = await call(service, "POST", "/v1/erase", {**request, "dry_run": True})
    done = await call(service, "POST", "/v1/erase", request)
    assert planned["plan"] == done["plan"]
    assert done["receipt"]["counts"]["scratches"] == done["plan"]["scratches"]
    return done["plan"]["scratches"]


EVERY = {"monday", "tuesday", "friday"}


async def sessions(service: Service) -> dict[str, list[str]]:
    """Three sessions with a turn each, of Ana or Ben, and a scratch each; the turns' ids by session."""
    ids = {}
    for session, name in (("monday", "Ana"), ("tuesday", "Ben"), ("friday", "Ana")):
        messages = [{"role": "user", "name": name, "content": f"{name} on {session}."}]
        if session == "friday":
            messages.append({"role": "user", "name": "Ben", "content": "Ben on friday."})
        ids[session] = [one["id"] for one in (await service.add(session=session, messages=messages))["items"]]
        await write(service, f"Of {name}, on {session}.", path=f"/v1/scratch/{session}")
    return ids


@pytest.mark.parametrize(
    ("request_", "left"),
    [
        ({"space": "default", "session": "monday"}, {"tuesday", "friday"}),
        ({"space": "default"}, set()),
        ({"subject": "Ana"}, {"tuesday"}),
        ({"subject": "Nobody"}, EVERY),
        ({"space": "default", "filters": {"sessions": ["friday", "tuesday"]}}, {"monday"}),
        ({"space": "default", "session": "monday", "filters": {"sessions": ["friday"]}}, EVERY),
    ],
)
async def test_erasing_takes_the_scratch_of_its_sessions_along(service: Service, request_: dict, left: set) -> None:
    await sessions(service)
    assert await erase(service, **request_) == 3 - len(left)
    found = {
        session for session in EVERY if left and (await call(service, "GET", f"/v1/scratch/{session}"))["revision"]
    }
    assert found == left


async def test_erasing_by_id_takes_the_scratch_of_a_session_that_it_empties(service: Service) -> None:
    ids = await sessions(service)
    assert await erase(service, memories=[ids["friday"][0]]) == 0
    assert await erase(service, memories=[ids["friday"][1], *ids["monday"]]) == 2


async def test_a_space_that_holds_nothing_but_a_scratch_can_be_erased(service: Service, rows: Callable) -> None:
    await write(service, "One.", path=SCRATCH)
    assert await erase(service, space="default") == 1
    assert (rows("scratches"), rows("spaces")) == (0, 0)


async def test_what_was_noted_is_in_no_table_afterwards(service: Service, owner: Connection) -> None:
    await service.add(session="monday", messages=[{"role": "user", "content": "hello"}])
    await write(service, "The word is zyzzyva9.", "And more.")
    await call(service, "POST", f"{SCRATCH}/prune", {"ids": ["1.1", "1.2"], "summary": "It is known."})
    assert holding(owner, service, "zyzzyva9") == ["scratch_revisions"]
    await erase(service, space="default", session="monday")
    assert holding(owner, service, "zyzzyva9") == []


@pytest.mark.parametrize("session", ["a/b", "a/revisions", "a/b/write", "..", "a/../b", "100%2F", "/"])
async def test_a_session_may_have_any_name(service: Service, session: str) -> None:
    """Percent-encoded it is one segment, over the SDK too; and it is no other session."""
    key = service.client.headers["authorization"].split()[1]
    sdk = AsyncMemoryClient("http://service", key, transport=service.client._transport, retries=0)
    await sdk.scratch.write("a", "Another one.")
    await sdk.scratch.write(session, "It has a slash.")
    assert (await sdk.scratch.get(session)).session == session
    assert [one.operation for one in (await sdk.scratch.revisions(session)).items] == ["write"]
    path = "/v1/scratch/" + "".join(f"%{byte:02x}" for byte in session.encode())
    assert (await call(service, "GET", path))["session"] == session
    assert [entry["content"] for entry in (await call(service, "GET", path))["entries"]] == ["It has a slash."]
    assert (await write(service, "More.", path=path))["revision"] == 2
    assert len((await call(service, "GET", f"{path}/revisions"))["items"]) == 2
    await call(service, "DELETE", path, status=204)
    assert [entry.content for entry in (await sdk.scratch.get("a")).entries] == ["Another one."]


async def test_a_space_and_a_section_may_be_named_by_dots(service: Service) -> None:
    key = service.client.headers["authorization"].split()[1]
    sdk = AsyncMemoryClient("http://service", key, transport=service.client._transport, retries=0)
    assert (await sdk.set_space("..")).name == ".."
    assert (await sdk.jobs.progress("..")).space == ".."
    await sdk.core.append("..", "Ana likes tea.", space="..")
    assert [section.content for section in (await sdk.core.get(space="..")).sections] == ["Ana likes tea."]

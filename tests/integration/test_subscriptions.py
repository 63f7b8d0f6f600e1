"""Copies come, change and go with their sources, exactly once, within what the subscriber may do."""

import asyncio
from uuid import UUID

import pytest
from httpx import Response
from sqlalchemy import Connection, text

from memsvc.consolidation.deliver import deliver
from memsvc.consolidation.jobs import embed_pending
from memsvc.deployment import Deployment
from memsvc.errors import DatabaseUnavailableError
from memsvc.lifecycle import copies, subscriptions
from memsvc.lifecycle.fuse import FUSED
from memsvc.store import spaces
from memsvc.store.keys import list_keys, revoke_key
from tests.integration.conftest import NOW, Service
from tests.integration.people import Person, person, restrict

HEADER = (
    "kind", "content", "role", "name", "occurred_at", "occurred_zone", "valid_from", "valid_from_precision", "valid_to",
    "importance", "trust", "sensitivity", "visibility", "expires_at", "metadata", "content_hash", "state", "searchable",
)  # fmt: skip


@pytest.fixture
async def ana(service: Service, deployment: Deployment) -> Person:
    return person(service, deployment, "ana")


@pytest.fixture
async def ben(service: Service, deployment: Deployment) -> Person:
    return person(service, deployment, "ben")


async def deliver_from(service: Service, source: str = "news") -> None:
    """Run the job that a change of `source` enqueues."""
    async with service.services.database.read(service.caller.tenant_id) as session:
        space_id = await spaces.find_space(session, source)
    assert space_id is not None
    await deliver(service.services.ingest, service.caller.tenant_id, space_id, clock=service.services.clock)


async def subscribe(who: Person, source: str = "news", space: str = "desk", **fields: object) -> dict:
    return await who.post("/v1/subscriptions", {"source": source, "space": space, **fields}, status=201)


async def held(who: Person, space: str = "desk") -> list[dict]:
    return (await who.get("/v1/memories", space=space, limit=1000))["items"]


async def state_of(who: Person, subscription: dict) -> dict:
    listed = (await who.get("/v1/subscriptions"))["items"]
    return next(each for each in listed if each["id"] == subscription["id"])


async def test_what_is_added_comes_with_its_header_and_its_lineage(service: Service, ana: Person) -> None:
    await ana.add("Before.", space="news")
    subscription = await subscribe(ana)
    texts = [
        {
            "kind": "preference",
            "content": "Ana prefers trains to planes.",
            "name": "Ana",
            "importance": 0.8,
            "sensitivity": "sensitive",
            "timestamp": "2026-02-01T10:00:00+01:00",
            "valid_from": "2025",
            "expires_at": "2027-01-01T00:00:00Z",
            "metadata": {"topic": "travel"},
        }
    ]
    messages = [
        {"role": "user", "name": "Ana", "content": "Which train?"},
        {"role": "assistant", "content": "The 9:14."},
    ]
    body = {"space": "news", "session": "monday", "texts": texts, "messages": messages}
    written = await ana.post("/v1/memories", body, status=201)
    await deliver_from(service)
    sources = (await held(ana, "news"))[1:]
    found = await held(ana)
    assert [{name: one[name] for name in HEADER} for one in found] == [
        {name: one[name] for name in HEADER} for one in sources
    ]
    assert {(one["origin"], one["actor"], one["version"]) for one in found} == {("subscription", "ana", 1)}
    assert [(one["session"], one["position"]) for one in found if one["session"]] == [
        ("news/monday", position) for position in range(len([one for one in sources if one["session"]]))
    ]
    for source, copy in zip(sources, found, strict=True):
        edges = (await ana.get(f"/v1/memories/{copy['id']}/lineage", direction="up"))["up"]
        assert [(edge["source_id"], edge["source_version"]) for edge in edges] == [(source["id"], 1)]
    assert [item["id"] for item in written["items"]] != [one["id"] for one in found]
    recalled = await ana.post("/v1/recall", {"query": "trains planes", "spaces": ["desk"]})
    assert recalled["results"][0]["memory"]["content"] == "Ana prefers trains to planes."
    assert (await state_of(ana, subscription))["behind"] == 0
    operation = (await ana.get("/v1/operations", space="desk"))["items"][0]
    assert (operation["kind"], operation["actor"]) == ("deliver", "ana")
    assert operation["details"] == {"subscription": subscription["id"], "added": 3, "updated": 0, "moved": 0}


async def test_vectors_and_words_are_taken_over_without_encoding_again(
    service: Service, ana: Person, owner: Connection
) -> None:
    await subscribe_new(ana)
    await ana.add("The violet umbrella stands in the hall.", space="news", name="Ana", kind="document")
    service.encoder.fail = True
    await deliver_from(service)
    copy = (await held(ana))[0]
    assert copy["searchable"] is True
    rows = owner.execute(
        text(
            "SELECT c.start_char, c.end_char, c.length, c.encoder_id, c.vec::text FROM chunks c "
            "JOIN memories m ON m.id = c.memory_id JOIN spaces s ON s.id = m.space_id "
            "WHERE m.tenant_id = :tenant AND m.kind = 'document' ORDER BY s.name, c.ordinal"
        ),
        {"tenant": service.caller.tenant_id},
    ).all()
    assert rows[: len(rows) // 2] == rows[len(rows) // 2 :]
    terms = owner.execute(
        text(
            "SELECT s.name, p.term FROM postings p JOIN spaces s ON s.id = p.space_id "
            "WHERE p.tenant_id = :tenant ORDER BY 1, 2"
        ),
        {"tenant": service.caller.tenant_id},
    ).all()
    assert {"violet", "umbrella"} <= {term for space, term in terms if space == "desk"}
    assert {term for space, term in terms if space == "desk"} < {term for space, term in terms if space == "news"}


async def subscribe_new(who: Person, **fields: object) -> dict:
    """Subscribe `desk` to a `news` that holds one private memory of nobody's interest."""
    await who.add("(the first of the space)", space="news", visibility="private", kind="concept")
    return await subscribe(who, filters={"kinds": ["fact", "turn", "document"]}, **fields)


async def test_what_is_not_embedded_yet_is_embedded_in_its_own_space(service: Service, ana: Person) -> None:
    await subscribe_new(ana)
    await ana.post("/v1/memories", {"space": "news", "wait": False, "texts": [{"content": "Later."}]}, status=201)
    await deliver_from(service)
    assert [one["searchable"] for one in await held(ana)] == [False]
    async with service.services.database.read(service.caller.tenant_id) as session:
        desk = await spaces.find_space(session, "desk")
    assert await embed_pending(service.services.ingest, service.caller.tenant_id, desk) == 1
    assert [one["searchable"] for one in await held(ana)] == [True]


async def test_an_edit_makes_a_version_of_the_copy(service: Service, ana: Person) -> None:
    await subscribe_new(ana)
    memory = await ana.add("Rent is 900.", space="news")
    await deliver_from(service)
    await ana.call("PATCH", f"/v1/memories/{memory}", json={"content": "Rent is 950.", "importance": 0.9})
    await ana.call("PATCH", f"/v1/memories/{memory}", json={"metadata": {"since": "May"}})
    await deliver_from(service)
    copy = (await held(ana))[0]
    assert (copy["content"], copy["importance"], copy["metadata"], copy["version"]) == (
        "Rent is 950.",
        0.9,
        {"since": "May"},
        2,
    )
    versions = (await ana.get(f"/v1/memories/{copy['id']}/history"))["versions"]
    assert [version["memory"]["content"] for version in versions] == ["Rent is 900.", "Rent is 950."]
    edges = (await ana.get(f"/v1/memories/{copy['id']}/lineage", direction="up"))["up"]
    assert edges[0]["source_version"] == 3
    assert (await ana.post("/v1/recall", {"query": "rent 950", "spaces": ["desk"]}))["results"][0]["matched_terms"]
    await deliver_from(service)
    assert (await held(ana))[0]["version"] == 2


async def test_states_and_supersession_follow(service: Service, ana: Person) -> None:
    await subscribe_new(ana)
    old = await ana.add("Ana lives in Rome.", space="news")
    other = await ana.add("Ana likes tea.", space="news")
    await deliver_from(service)
    new = await ana.add("Ana lives in Porto.", space="news", supersedes=[old])
    await ana.post(f"/v1/memories/{other}/state", {"state": "archived"})
    await deliver_from(service)
    copies = {one["content"]: one for one in await held(ana)}
    assert copies["Ana lives in Rome."]["superseded_by"] == copies["Ana lives in Porto."]["id"] != new
    assert copies["Ana lives in Rome."]["valid_to"] == "2026-03-01T12:00:00Z"
    assert copies["Ana likes tea."]["state"] == "archived"
    await ana.post(f"/v1/memories/{other}/state", {"state": "activated"})
    await deliver_from(service)
    assert {one["content"]: one["state"] for one in await held(ana)}["Ana likes tea."] == "activated"
    await ana.post(f"/v1/memories/{other}/state", {"state": "quarantined"})
    await deliver_from(service)
    assert {one["content"]: one["state"] for one in await held(ana)}["Ana likes tea."] == "quarantined"


async def test_a_successor_that_comes_first_is_named_too(service: Service, ana: Person) -> None:
    """From the start: the superseded memory's present version was made before its successor's."""
    old = await ana.add("Ana lives in Rome.", space="news")
    new = await ana.add("Ana lives in Porto.", space="news", supersedes=[old])
    await ana.call("PATCH", f"/v1/memories/{new}", json={"importance": 0.9})
    await subscribe(ana, from_start=True)
    await deliver_from(service)
    copies = {one["content"]: one for one in await held(ana)}
    assert copies["Ana lives in Rome."]["superseded_by"] == copies["Ana lives in Porto."]["id"]


async def test_what_stops_to_match_is_archived_and_comes_back(service: Service, ana: Person) -> None:
    await ana.add("Unrelated.", space="news")
    await subscribe(ana, filters={"metadata": {"topic": "travel"}})
    memory = await ana.add("Trains are late.", space="news", metadata={"topic": "travel"})
    await ana.add("Bread is cheap.", space="news", metadata={"topic": "food"})
    await deliver_from(service)
    assert [one["content"] for one in await held(ana)] == ["Trains are late."]
    for topic, state in (("food", "archived"), ("travel", "generated")):
        await ana.call("PATCH", f"/v1/memories/{memory}", json={"metadata": {"topic": topic}})
        await deliver_from(service)
        assert [one["state"] for one in await held(ana)] == [state]


async def test_from_the_start_or_from_now_on(service: Service, ana: Person) -> None:
    for number in range(3):
        await ana.add(f"fact {number}", space="news")
    await subscribe(ana, space="late")
    await subscribe(ana, space="whole", from_start=True)
    await deliver_from(service)
    assert [one["content"] for one in await held(ana, "whole")] == ["fact 0", "fact 1", "fact 2"]
    assert await held(ana, "late") == []


async def test_an_erase_at_the_source_erases_the_copies_of_copies_too(
    service: Service, ana: Person, owner: Connection
) -> None:
    await subscribe_new(ana)
    await ana.add("(own)", space="desk")
    await subscribe(ana, source="desk", space="board", include_copies=True)
    memory = await ana.add("The vault code is 4711.", space="news")
    await ana.call("PATCH", f"/v1/memories/{memory}", json={"content": "The vault code is 4712."})
    await deliver_from(service)
    await deliver_from(service, "desk")
    assert "The vault code is 4712." in [one["content"] for one in await held(ana, "board")]
    since = {space: (await ana.get("/v1/changes", space=space, limit=1000))["cursor"] for space in ("desk", "board")}
    await ana.call("DELETE", f"/v1/memories/{memory}")
    for space in ("news", "desk", "board"):
        assert "vault" not in str(await held(ana, space))
    for space, cursor in since.items():
        page = await ana.get("/v1/changes", space=space, since=cursor)
        assert [(item["operation"], item["change"]) for item in page["items"]] == [("erase", "removed")]
    left = text("SELECT count(*) FROM contents WHERE tenant_id = :tenant AND content LIKE '%vault code%'")
    assert owner.execute(left, {"tenant": service.caller.tenant_id}).scalar_one() == 0
    await deliver_from(service)
    assert "vault" not in str(await held(ana))


async def test_a_copy_that_is_erased_does_not_come_back(service: Service, ana: Person) -> None:
    await subscribe_new(ana)
    memory = await ana.add("Ana lives in Rome.", space="news")
    await deliver_from(service)
    await ana.call("DELETE", f"/v1/memories/{(await held(ana))[0]['id']}")
    await ana.call("PATCH", f"/v1/memories/{memory}", json={"content": "Ana lives in Porto."})
    await deliver_from(service)
    assert await held(ana) == []


async def test_an_id_that_is_given_again_is_another_memory(service: Service, clock: object, ana: Person) -> None:
    await subscribe_new(ana)
    given = "0198c0de-0000-7000-8000-000000000001"
    await ana.add("The first.", space="news", id=given)
    await deliver_from(service)
    await ana.call("DELETE", f"/v1/memories/{given}")
    clock.advance(seconds=1)  # type: ignore[attr-defined]
    await ana.add("The second.", space="news", id=given)
    await deliver_from(service)
    assert [one["content"] for one in await held(ana)] == ["The second."]


async def test_what_the_space_itself_has_settled_stays(service: Service, ana: Person) -> None:
    await subscribe_new(ana)
    memories = {state: await ana.add(f"to be {state}", space="news") for state in ("archived", "frozen", "quarantined")}
    await deliver_from(service)
    for copy in await held(ana):
        await ana.post(f"/v1/memories/{copy['id']}/state", {"state": copy["content"].removeprefix("to be ")})
    for memory in memories.values():
        await ana.call("PATCH", f"/v1/memories/{memory}", json={"content": "changed"})
    await deliver_from(service)
    assert {one["content"]: one["state"] for one in await held(ana)} == {f"to be {state}": state for state in memories}


async def test_what_somebody_writes_is_no_duplicate_of_a_copy(service: Service, ana: Person) -> None:
    await subscribe_new(ana)
    memory = await ana.add("Ana lives in Rome.", space="news")
    await deliver_from(service)
    own = await ana.add("Ana lives in Rome.", space="desk")
    await ana.call("DELETE", f"/v1/memories/{memory}")
    assert [one["id"] for one in await held(ana)] == [own]


async def test_core_memory_tensors_and_what_is_private_to_others_stay_where_they_are(
    service: Service, ana: Person, ben: Person
) -> None:
    await ben.add("(ben's)", space="news")
    await subscribe(ana, filters={})
    await ana.post("/v1/core/persona?space=news", {"text": "You are helpful."})
    await ben.add("Ben's secret.", space="news", visibility="private")
    mine = await ana.add("Ana's secret.", space="news", visibility="private")
    shared = await ben.add("Ben's news.", space="news")
    await deliver_from(service)
    assert [(one["content"], one["visibility"]) for one in await held(ana)] == [
        ("Ana's secret.", "private"),
        ("Ben's news.", "space"),
    ]
    assert [one["content"] for one in await held(ben)] == ["Ben's news."]
    await ben.call("PATCH", f"/v1/memories/{shared}", json={"visibility": "private"})
    await ben.call("PATCH", f"/v1/memories/{shared}", json={"content": "Ben's other secret."})
    await deliver_from(service)
    assert [(one["content"], one["state"]) for one in await held(ana)] == [
        ("Ana's secret.", "generated"),
        ("Ben's news.", "archived"),
    ]
    assert mine not in str(await held(ben, "news"))


async def test_lost_permission_suspends_and_resuming_goes_on_where_it_stopped(
    service: Service, ana: Person, ben: Person
) -> None:
    await restrict(service, "news", ana)
    body = {"space": "news", "principal": "ben", "rights": ["read"]}
    grant = await ana.post("/v1/grants", body, status=201)
    subscription = await subscribe(ben)
    await ana.add("first", space="news")
    await deliver_from(service)
    await ana.call("DELETE", f"/v1/grants/{grant['id']}")
    await ana.add("second", space="news")
    await deliver_from(service)
    found = await state_of(ben, subscription)
    assert (found["state"], found["reason"], found["behind"]) == (
        "suspended",
        "principal 'ben' may no longer read 'news'",
        1,
    )
    assert [one["content"] for one in await held(ben)] == ["first"]
    assert (await ben.call("POST", f"/v1/subscriptions/{subscription['id']}/resume")).status_code == 404
    await ana.post("/v1/grants", body, status=201)
    assert (await ben.post(f"/v1/subscriptions/{subscription['id']}/resume"))["state"] == "active"
    await deliver_from(service)
    assert [one["content"] for one in await held(ben)] == ["first", "second"]


async def test_a_principal_without_a_valid_key_receives_nothing_more(
    service: Service, deployment: Deployment, ana: Person, ben: Person
) -> None:
    await ana.add("(own)", space="news")
    subscription = await subscribe(ben)
    for key in list_keys(deployment.owner_url):
        if (key.tenant, key.principal) == (service.caller.tenant, "ben"):
            revoke_key(deployment.owner_url, key.prefix)
    await ana.add("news", space="news")
    await deliver_from(service)
    found = await state_of(ana, subscription)
    assert (found["state"], found["reason"]) == ("suspended", "principal 'ben' has no valid API key any more")
    taken_over = await ana.post(f"/v1/subscriptions/{subscription['id']}/resume")
    assert taken_over["subscriber"] == "ana"
    await deliver_from(service)
    assert [one["content"] for one in await held(ana)] == ["news"]


async def test_cycles_are_refused_and_copies_are_not_passed_on_unless_asked(service: Service, ana: Person) -> None:
    await ana.add("a", space="a")
    await subscribe(ana, source="a", space="b", from_start=True)
    await deliver_from(service, "a")
    await subscribe(ana, source="b", space="c", from_start=True)
    await subscribe(ana, source="b", space="d", from_start=True, include_copies=True)
    for source, space, status in (("b", "a", 409), ("c", "a", 409), ("a", "a", 422), ("a", "b", 409)):
        refused = await ana.call("POST", "/v1/subscriptions", json={"source": source, "space": space})
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (status, "source")
    await ana.add("b", space="b")
    await deliver_from(service, "b")
    assert [one["content"] for one in await held(ana, "c")] == ["b"]
    assert [one["content"] for one in await held(ana, "d")] == ["a", "b"]
    await subscribe(ana, source="a", space="c")  # two ways to the same space are no cycle


async def test_a_subscription_needs_reading_there_and_writing_here(service: Service, ana: Person, ben: Person) -> None:
    await restrict(service, "news", ana)
    await restrict(service, "desk", ana)
    await ben.add("(own)", space="own")
    for source, space, status in (("news", "own", 404), ("own", "desk", 403), ("nowhere", "own", 404)):
        refused = await ben.call("POST", "/v1/subscriptions", json={"source": source, "space": space})
        assert refused.status_code == status
    subscription = await subscribe(ana)
    assert (await ben.get("/v1/subscriptions"))["items"] == []
    assert (await ben.call("DELETE", f"/v1/subscriptions/{subscription['id']}")).status_code == 404
    assert (await ana.call("DELETE", f"/v1/subscriptions/{subscription['id']}")).status_code == 204


async def test_followers_are_counted(service: Service, ana: Person, owner: Connection) -> None:
    def followers() -> int:
        statement = text("SELECT followers FROM spaces WHERE tenant_id = :tenant AND name = 'news'")
        return owner.execute(statement, {"tenant": service.caller.tenant_id}).scalar_one()

    def jobs() -> int:
        statement = text(
            "SELECT count(*) FROM procrastinate_jobs WHERE args->>'tenant_id' = :tenant AND task_name = 'deliver'"
        )
        return owner.execute(statement, {"tenant": str(service.caller.tenant_id)}).scalar_one()

    await ana.add("(own)", space="news")
    assert (followers(), jobs()) == (0, 0)
    first = await subscribe(ana)
    await subscribe(ana, space="board")
    assert (followers(), jobs()) == (2, 1)
    await ana.call("DELETE", f"/v1/subscriptions/{first['id']}")
    assert followers() == 1
    await ana.add("(own)", space="board")
    await ana.post("/v1/erase", {"space": "board"})
    await deliver_from(service)
    assert followers() == 0


class KilledError(Exception):
    """The worker is gone."""


@pytest.mark.parametrize("moment", ["add", "note_versions", "advance"])
async def test_a_worker_killed_in_between_loses_and_doubles_nothing(
    service: Service, ana: Person, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    subscription = await subscribe_new(ana)
    for number in range(3):
        await ana.add(f"fact {number}", space="news")
    await deliver_from(service)
    for number in range(3, 6):
        await ana.add(f"fact {number}", space="news")

    async def killed(*_: object, **__: object) -> None:
        raise KilledError

    where = {"add": (copies.lineage, "insert_edges"), "advance": (subscriptions.subscriptions, "advance")}
    with monkeypatch.context() as patched:
        patched.setattr(*where.get(moment, (copies.subscriptions, moment)), killed)
        with pytest.raises(KilledError):
            await deliver_from(service)
    assert len(await held(ana)) == 3
    assert (await state_of(ana, subscription))["behind"] == 3
    await deliver_from(service)
    await deliver_from(service)
    assert [one["content"] for one in await held(ana)] == [f"fact {number}" for number in range(6)]
    numbers = [one["number"] for one in (await ana.get("/v1/changes", space="desk", limit=1000))["items"]]
    assert len(numbers) == 6


async def test_a_large_operation_and_many_small_ones_all_arrive_in_order(service: Service, ana: Person) -> None:
    await subscribe_new(ana)
    body = {"space": "news", "wait": False, "texts": [{"content": f"bulk {number:04}"} for number in range(450)]}
    await ana.post("/v1/memories", body, status=201)
    for number in range(60):
        await ana.add(f"single {number:02}", space="news")
    await deliver_from(service)
    contents = [one["content"] for one in await held(ana)]
    assert contents == [f"bulk {number:04}" for number in range(450)] + [f"single {number:02}" for number in range(60)]


async def test_the_job_runs_when_the_source_changes(service: Service, ana: Person, owner: Connection) -> None:
    from memsvc.api.services import Services
    from memsvc.consolidation.jobs import register
    from memsvc.lifecycle.blobs import open_tensor_store

    owner.execute(text("DELETE FROM procrastinate_jobs"))  # what other tests left would be run as well
    owner.commit()
    services: Services = service.services
    await subscribe_new(ana)
    await ana.add("news", space="news")
    queue = services.ingest.queue
    register(queue, services.upkeep, open_tensor_store(services.settings, services.ingest), services.signer)
    await queue.run_worker_async(wait=False, install_signal_handlers=False, listen_notify=False)
    assert [one["content"] for one in await held(ana)] == ["news"]


def test_an_id_of_a_copy_is_a_uuid_of_version_7_with_the_time_of_its_source() -> None:
    class Source:
        id = UUID("0198c0de-0000-7000-8000-000000000001")
        recorded_at = NOW

    space = UUID("0198c0de-0000-7000-8000-0000000000aa")
    copy = copies.copy_id(space, Source)  # type: ignore[arg-type]
    assert copy == copies.copy_id(space, Source)  # type: ignore[arg-type]
    assert copy != copies.copy_id(Source.id, Source)  # type: ignore[arg-type]
    assert (copy.version, copy.variant, copy.int >> 80) == (7, "specified in RFC 4122", Source.id.int >> 80)


async def test_a_copy_of_what_was_rebuilt_without_something_erased_is_made_anew(
    service: Service, ana: Person, owner: Connection
) -> None:
    await subscribe_new(ana)
    secret = await ana.add("The code is 4711.", space="news", kind="concept")
    rest = await ana.add("The door is green.", space="news", kind="concept")
    both = await ana.add("The code is 4711. The door is green.", space="news", derived_from=[secret, rest])
    statement = text("UPDATE memories SET origin = :origin WHERE id = :id")
    owner.execute(statement, {"origin": FUSED, "id": both})
    owner.commit()
    await deliver_from(service)
    assert [one["content"] for one in await held(ana)] == ["The code is 4711. The door is green."]
    await ana.call("DELETE", f"/v1/memories/{secret}")
    assert await held(ana) == []
    await deliver_from(service)
    assert [one["content"] for one in await held(ana)] == ["The door is green."]


async def test_writing_erasing_and_delivering_at_once_leaves_no_copy_without_its_source(
    service: Service, ana: Person
) -> None:
    await ana.add("(the first)", space="news", kind="concept")
    await ana.add("(own)", space="desk", kind="concept")
    await subscribe(ana, filters={"kinds": ["fact"]})
    erased: set[str] = set()

    async def patiently(method: str, path: str, **options: object) -> Response:
        while (answer := await ana.call(method, path, **options)).status_code == 503:
            pass
        return answer

    async def write(writer: int) -> None:
        for number in range(8):
            body = {"space": "news", "texts": [{"content": f"{writer} {number} {each}"} for each in range(3)]}
            ids = [item["id"] for item in (await patiently("POST", "/v1/memories", json=body)).json()["items"]]
            await patiently("PATCH", f"/v1/memories/{ids[0]}", json={"importance": 0.9})
            assert (await patiently("DELETE", f"/v1/memories/{ids[1]}")).status_code == 204
            erased.add(f"{writer} {number} 1")

    async def keep_delivering(writers: asyncio.Future) -> None:
        last = False
        while not last:
            last = writers.done()
            try:
                await deliver_from(service)
            except DatabaseUnavailableError:  # of two that wait for each other one gives way; the job is run again
                last = False

    writers = asyncio.gather(*(write(writer) for writer in range(4)))
    await asyncio.gather(keep_delivering(writers), keep_delivering(writers), writers)
    sources = {one["content"]: one["importance"] for one in await held(ana, "news") if one["kind"] == "fact"}
    copies = {one["content"]: one["importance"] for one in await held(ana) if one["kind"] == "fact"}
    assert len(sources) == 4 * 8 * 2
    assert copies == sources
    assert not erased & copies.keys()

"""What is learned over many sessions: concepts and procedures from outcomes, topics from facts, proposals for core."""

from uuid import UUID

import pytest
from sqlalchemy import Connection, text

from memsvc.ids import MemoryId
from memsvc.store.access import require
from memsvc.store.learning import NewFact, insert_facts
from memsvc.upkeep.concepts import learn_concepts
from memsvc.upkeep.model import Order, Run
from memsvc.upkeep.topics import summarize_topics
from tests.integration.conftest import Clock, Service

ASKED = "The nightly deploy of {} fails with timeout {}, can you fix it?"
DONE = "1. Open the file `{}.toml`.\n2. Set the timeout to {} s.\n3. Restart the worker."


async def call(service: Service, method: str, path: str, body: dict | None = None, status: int = 200) -> dict:
    response = await service.client.request(method, path, json=body)
    assert response.status_code == status, response.text
    return response.json() if response.content else {}


async def listed(service: Service, kind: str, space: str = "ops") -> list[dict]:
    page = await call(service, "GET", f"/v1/memories?space={space}&kind={kind}&limit=1000")
    return [one for one in page["items"] if one["state"] not in {"archived", "expired"}]


async def tried(
    service: Service, name: str, asked: str, done: str, verdict: str = "success", **fields: object
) -> list[str]:
    """An episode: a request, what the agent did, and how it ended."""
    added = await service.add(
        space="ops",
        session=name,
        messages=[
            {"role": "user", "content": asked, **fields},
            {"role": "assistant", "content": done, **fields},
        ],
    )
    ids = [item["id"] for item in added["items"]]
    await call(service, "POST", "/v1/feedback", {"memories": ids, "verdict": verdict, "episode": name})
    return ids


async def learn(service: Service, clock: Clock, **fields: object) -> Run:
    return await learn_concepts(service.services.upkeep, Order(service.caller, "ops", clock.now, **fields))


async def test_a_success_is_a_concept_that_a_second_one_proves(service: Service, clock: Clock) -> None:
    first = await tried(service, "e1", ASKED.format("billing", 504), DONE.format("billing", 30))
    run = await learn(service, clock)
    assert [(change.action, change.memory_id) for change in run.changes] == [("learn", run.changes[0].memory_id)]
    (concept,) = await listed(service, "concept")
    assert (concept["state"], concept["origin"], concept["metadata"]["used_in"]) == ("generated", "learned", ["e1"])
    assert "Restart the worker" not in concept["content"]
    edges = (await call(service, "GET", f"/v1/memories/{concept['id']}/lineage?direction=up&depth=1"))["up"]
    assert {edge["source_id"] for edge in edges} == set(first)

    second = await tried(service, "e2", ASKED.format("search", 502), DONE.format("search", 60))
    await learn(service, clock)
    (proved,) = await listed(service, "concept")
    assert (proved["id"], proved["version"], proved["state"]) == (concept["id"], 2, "activated")
    assert proved["metadata"]["successes"] == 2
    assert "2. Set the timeout to {number_1}." in proved["content"]
    assert "number_1: such as 30 s, 60 s" in proved["content"]
    (steps,) = await listed(service, "procedure")
    assert steps["content"].splitlines()[1:] == [
        "1. Open the file {text_1}.",
        "2. Set the timeout to {number_1}.",
        "3. Restart the worker.",
    ]
    edges = (await call(service, "GET", f"/v1/memories/{steps['id']}/lineage?direction=up&depth=1"))["up"]
    assert {edge["source_id"] for edge in edges} >= {concept["id"], *second}


async def test_what_was_learned_is_in_recall(service: Service, clock: Clock) -> None:
    await tried(service, "e1", ASKED.format("billing", 504), DONE.format("billing", 30))
    await learn(service, clock)
    found = await service.recall("the deploy of billing fails with a timeout", spaces=["ops"])
    assert "concept" in {one["memory"]["kind"] for one in found["results"]}


async def test_learning_again_changes_nothing(service: Service, clock: Clock) -> None:
    await tried(service, "e1", ASKED.format("billing", 504), DONE.format("billing", 30))
    await tried(service, "e2", ASKED.format("search", 502), DONE.format("search", 60))
    await learn(service, clock)
    before = [await listed(service, kind) for kind in ("concept", "procedure")]
    again = await learn(service, clock)
    assert (again.changes, again.operation_id) == ((), None)
    assert [await listed(service, kind) for kind in ("concept", "procedure")] == before


async def test_a_failure_is_a_caution_and_the_last_outcome_counts(service: Service, clock: Clock) -> None:
    ids = await tried(service, "e1", ASKED.format("billing", 504), "I restarted the database.")
    clock.advance(minutes=1)
    await call(service, "POST", "/v1/feedback", {"memories": ids, "verdict": "failure", "episode": "e1"})
    await learn(service, clock)
    (caution,) = await listed(service, "concept")
    assert caution["metadata"]["caution"] is True
    assert caution["content"].endswith("this did not work: I restarted the database.")


async def test_a_concept_that_was_used_counts_how_it_went(service: Service, clock: Clock) -> None:
    await tried(service, "e1", ASKED.format("billing", 504), DONE.format("billing", 30))
    await learn(service, clock)
    (concept,) = await listed(service, "concept")
    body = {"memories": [concept["id"]], "verdict": "failure", "episode": "e2"}
    await call(service, "POST", "/v1/feedback", body)
    await learn(service, clock)
    (counted,) = await listed(service, "concept")
    assert (counted["metadata"]["successes"], counted["metadata"]["failures"]) == (1, 1)
    assert counted["metadata"]["used_in"] == ["e1", "e2"]
    assert (await learn(service, clock)).changes == ()


async def test_a_reply_made_from_a_concept_teaches_it_nothing(service: Service, clock: Clock) -> None:
    await tried(service, "e1", ASKED.format("billing", 504), DONE.format("billing", 30))
    await learn(service, clock)
    (concept,) = await listed(service, "concept")
    messages = [
        {"role": "user", "content": ASKED.format("mail", 500)},
        {"role": "assistant", "content": "1. Reboot the site.", "derived_from": [concept["id"]]},
        {"role": "assistant", "content": "1. Call the hosting company."},
    ]
    added = await service.add(space="ops", session="e2", messages=messages)
    ids = [item["id"] for item in added["items"]]
    await call(service, "POST", "/v1/feedback", {"memories": ids, "verdict": "success", "episode": "e2"})
    await learn(service, clock)
    (now,) = await listed(service, "concept")
    assert now["version"] == 2
    assert "Call the hosting company." in str(now["metadata"])
    assert "Reboot" not in str(now["metadata"])


async def test_erasing_an_episode_erases_what_it_taught_and_the_rest_is_learned_anew(
    service: Service, clock: Clock
) -> None:
    first = await tried(service, "e1", ASKED.format("billing", 504), DONE.format("billing", 30))
    await tried(service, "e2", ASKED.format("search", 502), DONE.format("search", 60))
    await learn(service, clock)
    await call(service, "POST", "/v1/erase", {"memories": first})
    assert await listed(service, "concept") == await listed(service, "procedure") == []
    await learn(service, clock)
    (concept,) = await listed(service, "concept")
    assert concept["metadata"]["used_in"] == ["e2"]
    assert "billing" not in str(concept)


async def test_undoing_takes_the_lesson_back_for_good(service: Service, clock: Clock) -> None:
    await tried(service, "e1", ASKED.format("billing", 504), DONE.format("billing", 30))
    run = await learn(service, clock)
    await call(service, "POST", f"/v1/operations/{run.operation_id}/undo")
    assert (await learn(service, clock)).changes == ()
    assert await listed(service, "concept") == []


async def test_an_edited_concept_keeps_its_words_and_goes_on_counting(service: Service, clock: Clock) -> None:
    await tried(service, "e1", ASKED.format("billing", 504), DONE.format("billing", 30))
    await learn(service, clock)
    (concept,) = await listed(service, "concept")
    await call(service, "PATCH", f"/v1/memories/{concept['id']}", {"content": "Ask Rosa first."})
    await tried(service, "e2", ASKED.format("search", 502), DONE.format("search", 60))
    await learn(service, clock)
    (now,) = await listed(service, "concept")
    assert (now["content"], now["metadata"]["successes"]) == ("Ask Rosa first.", 2)


@pytest.mark.parametrize("fields", [{"visibility": "private"}, {"expires_at": "2027-01-01T00:00:00Z"}])
async def test_private_and_passing_episodes_teach_nothing(service: Service, clock: Clock, fields: dict) -> None:
    await tried(service, "e1", ASKED.format("billing", 504), DONE.format("billing", 30), **fields)
    assert (await learn(service, clock)).changes == ()


async def test_a_dry_run_and_another_tenant_see_no_change(service: Service, other: Service, clock: Clock) -> None:
    await tried(service, "e1", ASKED.format("billing", 504), DONE.format("billing", 30))
    await tried(other, "e1", ASKED.format("payroll", 504), DONE.format("payroll", 30))
    planned = await learn(service, clock, dry_run=True)
    assert [change.action for change in planned.changes] == ["learn"]
    assert await listed(service, "concept") == []
    await learn(service, clock)
    assert await listed(other, "concept") == []
    assert "payroll" not in str(await listed(service, "concept"))


class Facts:
    """Facts as consolidation stores them: a memory each, with a row that names the turn it is from."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def state(
        self,
        content: str,
        *,
        session: str,
        attribute: str = "hobby",
        kind: str = "fact",
        said: str | None = None,
        **fields: object,
    ) -> dict:
        message = {"role": "user", "name": "Ana", "content": said or content}
        turn = (await self._service.add(space="ops", session=session, messages=[message]))["items"][0]["id"]
        item = {"kind": kind, "content": content, "name": "Ana", "derived_from": [turn], **fields}
        fact = (await self._service.add(space="ops", texts=[item]))["items"][0]["id"]
        stated = NewFact(
            memory_id=MemoryId(UUID(fact)),
            source_id=MemoryId(UUID(turn)),
            start=0,
            end=5,
            subject="ana",
            attribute=attribute,
            value="x",
            negated=False,
            confidence=0.85,
            extractor="test",
        )
        tenant = self._service.caller.tenant_id
        async with self._service.services.database.write(tenant) as session:
            await insert_facts(session, await require(session, self._service.caller, "ops", "write"), [stated])
        return {"turn": turn, "fact": fact}


@pytest.fixture
def facts(service: Service) -> Facts:
    return Facts(service)


async def summaries(service: Service) -> list[dict]:
    return [one for one in await listed(service, "summary") if one["metadata"]["level"] == "space"]


async def told(service: Service, clock: Clock) -> Run:
    return await summarize_topics(service.services.upkeep, Order(service.caller, "ops", clock.now))


POTTERY = (
    "Attends pottery clay studio class weekly.",
    "Glazed pottery clay studio bowls.",
    "Bought pottery clay studio tools.",
    "Sells pottery clay studio mugs.",
)
OTHERS = (
    "Fears spiders since childhood.",
    "Owns three bicycles.",
    "Speaks Danish fluently.",
    "Votes green every year.",
    "Sleeps badly before exams.",
)


async def state_all(facts: Facts) -> list[dict]:
    made = [await facts.state(one, session=f"s{place}") for place, one in enumerate(POTTERY)]
    for place, one in enumerate(OTHERS):
        await facts.state(one, session=f"t{place}")
    return made


async def test_facts_of_several_sessions_are_told_together(service: Service, clock: Clock, facts: Facts) -> None:
    made = await state_all(facts)
    await told(service, clock)
    (summary,) = await summaries(service)
    assert (summary["name"], summary["metadata"]["facts"], summary["origin"]) == ("Ana", 4, "consolidated")
    assert "spiders" not in summary["content"]
    edges = (await call(service, "GET", f"/v1/memories/{summary['id']}/lineage?direction=up&depth=1"))["up"]
    assert {edge["source_id"] for edge in edges} == {one["fact"] for one in made}
    assert (await told(service, clock)).changes == ()

    await facts.state("Repairs pottery clay studio vases.", session="s7")
    await told(service, clock)
    (renewed,) = await summaries(service)
    assert (renewed["id"], renewed["version"], renewed["metadata"]["facts"]) == (summary["id"], 2, 5)


async def test_a_fact_that_no_longer_holds_leaves_its_topic(service: Service, clock: Clock, facts: Facts) -> None:
    made = await state_all(facts)
    await told(service, clock)
    new = await facts.state("Threw out all mugs.", session="s8")
    await call(service, "POST", f"/v1/memories/{made[3]['fact']}/supersede", {"by": new["fact"]})
    clock.advance(days=1)
    await told(service, clock)
    (summary,) = await summaries(service)
    assert "Sells" not in summary["content"]
    assert summary["metadata"]["facts"] == 3
    assert (await told(service, clock)).changes == ()


async def test_erasing_a_turn_erases_the_topic_that_its_fact_is_in(
    service: Service, clock: Clock, facts: Facts
) -> None:
    made = await state_all(facts)
    await told(service, clock)
    assert len(await summaries(service)) == 1
    await call(service, "DELETE", f"/v1/memories/{made[0]['turn']}", status=204)
    assert await summaries(service) == []
    await told(service, clock)
    assert await summaries(service) == []  # three facts are too few


async def proposals(service: Service) -> list[dict]:
    return (await call(service, "GET", "/v1/core/proposals?space=ops"))["proposals"]


async def test_lasting_facts_of_the_main_user_are_proposed(service: Service, facts: Facts) -> None:
    home = await facts.state("Ana lives in Porto", session="s1", attribute="home")
    tea = await facts.state("Ana prefers green tea", session="s2", attribute="likes", kind="preference")
    await facts.state("Ana went to the opera", session="s3", attribute="go to", metadata={"type": "event"})
    assert [(one["label"], one["text"], one["sources"]) for one in await proposals(service)] == [
        ("profile", "Ana lives in Porto.", [home["fact"]]),
        ("preferences", "Ana prefers green tea.", [tea["fact"]]),
    ]
    assert (await call(service, "GET", "/v1/core?space=ops"))["sections"] == []


async def test_what_the_core_memory_says_is_not_proposed_again(service: Service, facts: Facts) -> None:
    await facts.state("Ana lives in Porto", session="s1", attribute="home")
    await facts.state("Ana works as a nurse", session="s1", attribute="job")
    (one,) = await proposals(service)
    await call(service, "POST", "/v1/core/profile?space=ops", {"mode": "append", "text": one["text"]})
    assert await proposals(service) == []


async def test_of_two_values_the_stronger_is_proposed_and_none_in_conflict(
    service: Service, facts: Facts, owner: Connection
) -> None:
    weak = await facts.state("Ana lives in Lisbon", session="s1", attribute="home")
    strong = await facts.state("Ana lives in Porto", session="s2", attribute="home", importance=0.9)
    assert [one["text"] for one in await proposals(service)] == ["Ana lives in Porto."]
    owner.execute(
        text(
            "INSERT INTO conflicts (tenant_id, id, space_id, first_id, second_id, reason, operation_id, found_at) "
            "SELECT tenant_id, :id, space_id, :first, :second, 'test', operation_id, recorded_at FROM memories "
            "WHERE id = :first"
        ),
        {"id": UUID(weak["turn"]), "first": UUID(weak["fact"]), "second": UUID(strong["fact"])},
    )
    owner.commit()
    assert await proposals(service) == []


async def test_proposals_are_the_callers_to_see(service: Service, other: Service, facts: Facts) -> None:
    await facts.state("Ana hides her diary", session="s1", attribute="secret", visibility="private")
    assert await proposals(service) == []
    await call(other, "GET", "/v1/core/proposals?space=ops", status=404)

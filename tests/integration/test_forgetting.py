"""Forgetting by policy over the API: what goes, in which order, what is kept, and that all of it can be taken back."""

from datetime import timedelta

import pytest
from sqlalchemy import Connection, text

from memsvc.deployment import Deployment
from memsvc.ids import SpaceId
from memsvc.store import forgetting, memories, principals
from memsvc.store.forgetting import Amount
from memsvc.store.spaces import list_spaces
from memsvc.text.tokens import estimate_tokens
from memsvc.upkeep import forget as runs
from memsvc.upkeep.forget import forgotten_candidates
from tests.integration.background import tidy
from tests.integration.conftest import NOW, Clock, Service
from tests.integration.people import Person, person, restrict

FADING = {"after": {}}
# From the one that tells the least to the one that tells the most.
TURNS = (
    "What do you think about it?",
    "Hi!",
    "Ok, thanks!",
    "The meeting was moved to the afternoon.",
    "I work with Greta Lindqvist in the harbour office.",
    "My sister Ines was born on 4 July 1988 in Coimbra and I visit her every summer by train.",
)


async def call(service: Service, method: str, path: str, body: dict | None = None, status: int = 200) -> dict:
    response = await service.client.request(method, path, json=body)
    assert response.status_code == status, response.text
    return response.json() if response.content else {}


async def say(service: Service, *contents: str, space: str = "default", **fields: object) -> list[str]:
    messages = [{"role": "user", "content": content, **fields} for content in contents]
    return [item["id"] for item in (await service.add(space=space, messages=messages))["items"]]


async def know(service: Service, *contents: str, space: str = "default", **fields: object) -> list[str]:
    texts = [{"content": content, **fields} for content in contents]
    return [item["id"] for item in (await service.add(space=space, texts=texts))["items"]]


async def policy(service: Service, forget: dict | None, space: str = "default") -> None:
    policies = {} if forget is None else {"forget": forget}
    await call(service, "PUT", f"/v1/spaces/{space}", {"policies": policies})


async def run(service: Service, **fields: object) -> dict:
    answer = await call(service, "POST", "/v1/forget", fields)
    assert {change["action"] for change in answer["changes"]} <= {"archive"}
    return answer


def archived(answer: dict) -> list[str]:
    return [change["memory_id"] for change in answer["changes"]]


async def hot(service: Service, space: str = "default") -> list[str]:
    page = await call(service, "GET", f"/v1/memories?space={space}&limit=1000")
    return [one["content"] for one in page["items"] if one["state"] not in {"archived", "expired", "quarantined"}]


async def space_id(service: Service, name: str = "default") -> SpaceId:
    async with service.services.database.read(service.caller.tenant_id) as session:
        return next(one.id for one in await list_spaces(session, service.caller) if one.name == name)


def extracted(owner: Connection, fact: str, source: str, *, attribute: str = "lives") -> None:
    """Note that extraction drew that fact from a turn."""
    owner.execute(
        text(
            "INSERT INTO facts (tenant_id, memory_id, space_id, source_id, start_char, end_char, subject, attribute, "
            "value, negated, confidence, extractor) SELECT tenant_id, id, space_id, :source, 0, 1, 'ana', :attribute, "
            "'porto', false, 0.9, 'test' FROM memories WHERE id = :fact"
        ),
        {"fact": fact, "source": source, "attribute": attribute},
    )
    owner.commit()


async def test_without_a_policy_nothing_is_ever_forgotten(service: Service, clock: Clock) -> None:
    await say(service, *TURNS)
    clock.advance(days=10_000)
    answer = await run(service)
    assert (answer["changes"], answer["operation_id"], answer["more"]) == ([], None, False)
    assert await hot(service) == list(TURNS)


async def test_what_has_faded_leaves_recall_kind_by_kind(service: Service, clock: Clock) -> None:
    await policy(service, FADING)
    turns = await say(service, "The tap in the kitchen drips.")
    await know(service, "The kitchen has a tap.")
    clock.advance(days=108)
    assert archived(await run(service)) == []
    clock.advance(days=1)
    answer = await run(service, reason="spring cleaning")
    assert archived(answer) == turns
    assert answer["changes"][0]["reason"] == "its retention 0.298 is under 0.3"
    operation = await call(service, "GET", f"/v1/operations/{answer['operation_id']}")
    assert (operation["kind"], operation["actor"], operation["reason"]) == ("forget", "tester", "spring cleaning")
    assert operation["details"] == {"archived": 1}
    assert await hot(service) == ["The kitchen has a tap."]
    found = await service.recall("kitchen tap")
    assert [hit["memory"]["content"] for hit in found["results"]] == ["The kitchen has a tap."]


async def test_a_kind_follows_its_own_thresholds_or_none(service: Service, clock: Clock) -> None:
    kinds = {"turn": {}, "fact": {"after": {"archive_below": 0.9}}, "summary": {"budget": {"memories": 1}}}
    await policy(service, {"after": {}, "kinds": kinds})
    await say(service, "Turns do not fade here.")
    await know(service, "Facts fade soon.", name="Ana")
    await know(service, "We talked of summaries.", "I told of Greta Lindqvist and the harbour.", kind="summary")
    clock.advance(days=50)  # a fact is at .872
    await run(service)
    assert await hot(service) == ["Turns do not fade here.", "I told of Greta Lindqvist and the harbour."]


@pytest.mark.parametrize(
    ("budget", "left"),
    [
        ({"memories": 4}, 4),
        ({"bytes": len("".join(TURNS[3:]).encode())}, 3),
        ({"tokens": sum(estimate_tokens(turn) for turn in TURNS[2:])}, 4),
        ({"memories": 5, "bytes": len(TURNS[5])}, 1),
        ({"memories": 6}, 6),
        ({"memories": 0}, 0),
    ],
)
async def test_a_budget_keeps_what_is_worth_most_in_each_unit(service: Service, budget: dict, left: int) -> None:
    await policy(service, {"budget": budget})
    await say(service, *(TURNS[place] for place in (3, 0, 5, 1, 4, 2)))
    await run(service)
    assert sorted(await hot(service), key=TURNS.index) == list(TURNS[len(TURNS) - left :])


async def test_bytes_and_tokens_are_counted_as_everywhere(service: Service) -> None:
    contents = ["Grüße aus Zürich, 你好!", "plain words"]
    await say(service, *contents)
    async with service.services.database.read(service.caller.tenant_id) as session:
        held = await forgetting.measure(session, await space_id(service), now=NOW)
    assert held == {"turn": Amount(2, 28 + 11, sum(estimate_tokens(one) for one in contents))}


async def test_what_matters_or_told_something_is_worth_more(service: Service, owner: Connection) -> None:
    """Alike but for one thing each, from the first that goes to the last; the equal ones by number."""
    places = ("garden", "cellar", "attic", "barn", "tower", "boat")  # none of them a stop word
    alike = [f"I left the {place} key under a stone." for place in places]
    summed_up, first, second, important, noted, told = await say(service, *alike)
    await call(service, "PATCH", f"/v1/memories/{important}", {"importance": 0.6})
    kept = {"importance": 0.95}
    await know(service, "There is a garden key.", kind="summary", derived_from=[summed_up], **kept)
    await know(service, "Ana has a tower.", derived_from=[noted], **kept)
    (fact,) = await know(service, "Ana has a boat.", **kept)
    extracted(owner, fact, told)
    await policy(service, {"budget": {"memories": 3}})
    answer = await run(service, dry_run=True)
    assert archived(answer) == [summed_up, first, second, important, noted, told]


async def test_a_fact_that_speaks_for_a_turn_goes_before_one_that_stands_alone(
    service: Service, owner: Connection
) -> None:
    (turn,) = await say(service, "I left the boat key under a stone.", importance=0.95)
    alone, key = await know(service, "Ben lost the barn key.", "Ana hid the boat key.")
    extracted(owner, key, turn)
    await policy(service, {"budget": {"memories": 1}})
    assert archived(await run(service, dry_run=True)) == [key, alone]
    await call(service, "PATCH", f"/v1/memories/{turn}", {"importance": 0.5})
    await policy(service, {"kinds": {"turn": {"budget": {"memories": 0}}}})
    assert archived(await run(service)) == [turn]
    await policy(service, {"budget": {"memories": 1}})
    assert archived(await run(service, dry_run=True)) == [alone]  # the fact is the last evidence now


async def test_use_shows_once_time_has_passed(service: Service, clock: Clock) -> None:
    plain, useful = await say(service, "I left a key in the barn.", "I left a key in the attic.")
    await call(service, "POST", "/v1/feedback", {"memories": [plain], "verdict": "wrong"})
    await call(service, "POST", "/v1/feedback", {"memories": [useful], "verdict": "used"})
    await policy(service, {"budget": {"memories": 1}})
    clock.advance(days=60)
    assert archived(await run(service)) == [plain]


@pytest.mark.parametrize(
    ("fault", "field"),
    [
        ({}, "policies.forget"),
        ({"budget": {}}, "policies.forget.budget"),
        ({"budget": {"memories": -1}}, "policies.forget.budget.memories"),
        ({"after": {"archive_below": 1.0}}, "policies.forget.after.archive_below"),
        ({"after": {"archive_below": 0.2, "forget_below": 0.5}}, "policies.forget.after"),
        ({"after": {"archived_below": 0.2}}, "policies.forget.after.archived_below"),
        ({"kinds": {"turns": {"after": {}}}}, "policies.forget.kinds.turns.[key]"),
    ],
)
async def test_a_policy_that_cannot_be_used_is_refused_by_field(service: Service, fault: dict, field: str) -> None:
    answer = await call(service, "PUT", "/v1/spaces/default", {"policies": {"forget": fault}}, 422)
    assert [error["field"] for error in answer["errors"]] == [field]


async def test_a_policy_is_shown_with_its_defaults(service: Service) -> None:
    await policy(service, FADING)
    shown = (await call(service, "GET", "/v1/spaces/default"))["policies"]["forget"]
    assert shown["after"] == {"archive_below": 0.3, "forget_below": 0.05}
    assert shown["keep"] == {"importance": 0.9, "kinds": [], "facts": True}
    await policy(service, None)
    assert (await call(service, "GET", "/v1/spaces/default"))["policies"]["forget"] is None


class TestKeepRules:
    """Each on one of two memories that are alike: the other one goes, by its age as by the budget."""

    @pytest.fixture(params=[FADING, {"budget": {"memories": 0}}], ids=["faded", "budget"])
    async def pair(self, service: Service, clock: Clock, request: pytest.FixtureRequest) -> list[str]:
        await policy(service, {**request.param, "keep": {"kinds": ["procedure"]}})
        pair = await say(service, "I keep the boat in the north dock.", "I keep the car in the south garage.")
        clock.advance(days=400)
        return pair

    async def kept(self, service: Service, memory: str, rule: str) -> None:
        shown = await call(service, "GET", f"/v1/memories/{memory}/retention")
        assert shown["policy"]["kept_by"] == rule
        assert shown["policy"]["action"] == "nothing"

    async def test_pinned(self, service: Service, pair: list[str]) -> None:
        await call(service, "PATCH", f"/v1/memories/{pair[0]}", {"metadata": {"pinned": True}})
        await call(service, "PATCH", f"/v1/memories/{pair[1]}", {"metadata": {"pinned": False}})
        await self.kept(service, pair[0], "pinned")
        assert archived(await run(service)) == [pair[1]]

    async def test_important(self, service: Service, pair: list[str]) -> None:
        await call(service, "PATCH", f"/v1/memories/{pair[0]}", {"importance": 0.9})
        await call(service, "PATCH", f"/v1/memories/{pair[1]}", {"importance": 0.2})
        await self.kept(service, pair[0], "important")
        assert archived(await run(service)) == [pair[1]]

    async def test_frozen(self, service: Service, pair: list[str]) -> None:
        await call(service, "POST", f"/v1/memories/{pair[0]}/state", {"state": "frozen"})
        await self.kept(service, pair[0], "frozen")
        assert archived(await run(service)) == [pair[1]]

    async def test_held(self, service: Service, pair: list[str]) -> None:
        await call(service, "PUT", f"/v1/memories/{pair[0]}/hold", {"on": True})
        await self.kept(service, pair[0], "legal_hold")
        assert archived(await run(service)) == [pair[1]]

    async def test_a_kept_kind_and_core(self, service: Service, pair: list[str], clock: Clock) -> None:
        (how,) = await know(service, "To open it, lift the latch.", kind="procedure")
        section = await call(service, "POST", "/v1/core/human", {"mode": "append", "text": "Name: Ana."})
        clock.advance(days=10_000)
        await self.kept(service, how, "kind")
        await self.kept(service, section["id"], "core")
        assert archived(await run(service)) == pair

    async def test_an_open_conflict_until_it_is_settled(
        self, service: Service, pair: list[str], owner: Connection
    ) -> None:
        (other,) = await say(service, "I keep the boat on land.")
        owner.execute(
            text(
                "INSERT INTO conflicts (tenant_id, id, space_id, first_id, second_id, reason, operation_id, found_at) "
                "SELECT tenant_id, gen_random_uuid(), space_id, :first, id, 'places', operation_id, recorded_at "
                "FROM memories WHERE id = :second"
            ),
            {"first": pair[0], "second": other},
        )
        owner.commit()
        await self.kept(service, pair[0], "conflict")
        assert archived(await run(service)) == [pair[1]]
        owner.execute(text("UPDATE conflicts SET state = 'settled' WHERE first_id = :first"), {"first": pair[0]})
        owner.commit()
        assert pair[0] in archived(await run(service))

    async def test_quarantined_and_expired_ones_are_not_touched(
        self, service: Service, pair: list[str], clock: Clock
    ) -> None:
        await call(service, "POST", f"/v1/memories/{pair[0]}/state", {"state": "quarantined"})
        later = (clock.now + timedelta(seconds=1)).isoformat()
        await call(service, "PATCH", f"/v1/memories/{pair[1]}", {"expires_at": later})
        clock.advance(days=1)
        assert (await run(service))["changes"] == []


class TestEvidence:
    """Of a current fact something stays in recall: the fact itself, or what it was taken from."""

    @pytest.fixture(params=[{"after": {"archive_below": 0.99, "forget_below": 0.01}}, {"budget": {"memories": 0}}])
    def forget(self, request: pytest.FixtureRequest) -> dict:
        return request.param

    @pytest.fixture
    async def turn(self, service: Service, forget: dict) -> str:
        await policy(service, forget)
        return (await say(service, "I moved to Porto in spring."))[0]

    async def left(self, service: Service, clock: Clock) -> list[str]:
        clock.advance(days=300)
        await run(service)
        assert (await run(service))["changes"] == []
        return await hot(service)

    async def test_one_of_the_two_may_go(self, service: Service, clock: Clock, turn: str, forget: dict) -> None:
        await know(service, "Ana lives in Porto.", derived_from=[turn])
        # What fades goes by number; a budget keeps the one that is worth more.
        stays = "Ana lives in Porto." if "after" in forget else "I moved to Porto in spring."
        assert await self.left(service, clock) == [stays]

    async def test_and_so_with_an_extracted_one(
        self, service: Service, clock: Clock, owner: Connection, turn: str, forget: dict
    ) -> None:
        (fact,) = await know(service, "Ana lives in Porto.")
        extracted(owner, fact, turn)
        stays = "Ana lives in Porto." if "after" in forget else "I moved to Porto in spring."
        assert await self.left(service, clock) == [stays]

    async def test_the_last_source_of_a_fact_that_is_not_kept_stays(
        self, service: Service, clock: Clock, owner: Connection, forget: dict
    ) -> None:
        await policy(service, forget)
        (fact,) = await know(service, "Porto?", importance=0.0)
        turn, second = await say(service, "I moved to Porto in spring.", "I live at the river in Porto now.")
        extracted(owner, fact, turn)
        await know(service, "We spoke of Porto.", kind="summary", derived_from=[second])
        assert await self.left(service, clock) == ["I moved to Porto in spring."]
        assert (await call(service, "GET", f"/v1/memories/{turn}/retention"))["policy"]["kept_by"] == "evidence"
        await call(service, "PATCH", f"/v1/memories/{fact}", {"metadata": {"seen": True}})
        assert await self.left(service, clock) == ["I moved to Porto in spring."]

    async def test_what_a_person_put_away_needs_no_evidence(self, service: Service, clock: Clock, turn: str) -> None:
        (fact,) = await know(service, "Ana lives in Porto.", derived_from=[turn])
        await call(service, "DELETE", f"/v1/memories/{fact}?mode=archive", status=204)
        assert await self.left(service, clock) == []

    async def test_what_no_longer_holds_needs_no_evidence(self, service: Service, clock: Clock, turn: str) -> None:
        (fact,) = await know(service, "Ana lives in Porto.", derived_from=[turn])
        (later,) = await know(service, "Ana lives in Faro.", importance=1.0)
        await call(service, "POST", f"/v1/memories/{fact}/supersede", {"by": later})
        assert await self.left(service, clock) == ["Ana lives in Faro."]

    async def test_nor_what_held_until_some_time_ago(self, service: Service, clock: Clock, turn: str) -> None:
        await know(service, "Ana lives in Porto.", derived_from=[turn], valid_to="2026-04")
        assert await self.left(service, clock) == []

    async def test_nor_does_one_that_tells_no_attribute(
        self, service: Service, clock: Clock, owner: Connection, turn: str
    ) -> None:
        (fact,) = await know(service, "Something was said of Porto.")
        extracted(owner, fact, turn, attribute="")
        assert await self.left(service, clock) == []

    async def test_nor_one_that_nothing_was_named_for(self, service: Service, clock: Clock, turn: str) -> None:
        await know(service, "Ana lives in Porto.")
        assert await self.left(service, clock) == []

    async def test_a_policy_may_do_without_the_rule(
        self, service: Service, clock: Clock, turn: str, forget: dict
    ) -> None:
        await policy(service, {**forget, "keep": {"facts": False}})
        await know(service, "Ana lives in Porto.", derived_from=[turn])
        assert await self.left(service, clock) == []


async def test_undoing_it_restores_what_recall_answers(service: Service, clock: Clock) -> None:
    await policy(service, {"after": {}, "budget": {"memories": 2}})
    await say(service, *TURNS, "I sold the boat to Bruno.", "I bought a boat from Greta.", session="monday")
    await know(service, "Bruno owns a boat.")

    async def answers() -> list[list[tuple[str, float]]]:
        found = [
            await service.recall(query, k=50, explain=True) for query in ("Who owns a boat?", "my sister", "thanks")
        ]
        return [[(hit["memory"]["id"], hit["score"], hit["neighbours"]) for hit in one["results"]] for one in found]

    before = await answers()
    clock.advance(days=40)
    answer = await run(service)
    assert len(archived(answer)) == 7
    assert await answers() != before
    await call(service, "POST", f"/v1/operations/{answer['operation_id']}/undo")
    assert await answers() == before
    history = await call(service, "GET", f"/v1/memories/{archived(answer)[0]}/history")
    assert [one["operation"] for one in history["versions"]] == ["add", "forget", "undo"]


@pytest.mark.parametrize("forget", [{"after": {"archive_below": 0.75}}, {"budget": {"memories": 3}}])
async def test_a_dry_run_tells_exactly_what_the_run_then_does(service: Service, clock: Clock, forget: dict) -> None:
    await policy(service, forget)
    for turn in TURNS:
        await say(service, turn)
        clock.advance(days=7)
    before = await call(service, "GET", "/v1/memories?limit=1000")
    dry = await run(service, dry_run=True)
    assert (len(dry["changes"]), dry["operation_id"], dry["dry_run"]) == (3, None, True)
    assert await call(service, "GET", "/v1/memories?limit=1000") == before
    done = await run(service)
    assert (done["changes"], done["more"], done["dry_run"]) == (dry["changes"], dry["more"], False)


@pytest.mark.parametrize(
    "forget", [{"after": {}}, {"budget": {"memories": 2}}, {"after": {}, "budget": {"memories": 1}}]
)
async def test_in_batches_the_same_goes_as_at_once(
    service: Service, clock: Clock, forget: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "READ_AT_ONCE", 2)
    ids = await say(service, *TURNS, "I play the cello on Sundays.")
    await say(service, *TURNS, "I play the cello on Sundays.", space="twin")
    clock.advance(days=200)
    fresh = await say(service, "I bought new strings today.")
    await say(service, "I bought new strings today.", space="twin")
    for space in ("default", "twin"):
        await policy(service, forget, space)
    batches = []
    while True:
        answer = await run(service, limit=3)
        batches.append(archived(answer))
        if not answer["more"]:
            break
    assert [len(batch) for batch in batches] in ([3, 3, 1], [3, 3])
    names = {memory: place for place, memory in enumerate([*ids, *fresh])}
    twins = (await call(service, "GET", "/v1/memories?space=twin"))["items"]
    twin_names = {one["id"]: place for place, one in enumerate(twins)}
    whole = await run(service, space="twin")
    assert whole["more"] is False
    assert [names[one] for batch in batches for one in batch] == [twin_names[one] for one in archived(whole)]


async def test_a_share_of_the_turns_goes_whatever_the_policy(service: Service) -> None:
    await say(service, *TURNS)
    await know(service, "A greeting.")
    assert len(archived(await run(service, share=0.5))) == 3
    assert await hot(service) == [*TURNS[3:], "A greeting."]
    for share in (0, 1, -0.1):
        answer = await call(service, "POST", "/v1/forget", {"share": share}, 422)
        assert answer["errors"][0]["field"] == "share"


async def test_what_is_touched_meanwhile_stays(service: Service, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    await policy(service, FADING)
    edited, used, held, gone, source = await say(
        service, "The first note.", "The second note.", "The third note.", "The fourth note.", "The fifth note."
    )
    (fact,) = await know(service, "There is a fifth note.", derived_from=[source])
    clock.advance(days=120)
    planned = runs._plan

    async def plan_and_wait(*arguments: object) -> object:
        plan = await planned(*arguments)
        await call(service, "PATCH", f"/v1/memories/{edited}", {"content": "The first note, corrected."})
        await call(service, "POST", "/v1/feedback", {"memories": [used], "verdict": "used"})
        await call(service, "PUT", f"/v1/memories/{held}/hold", {"on": True})
        monkeypatch.setattr(runs, "_plan", planned)
        await policy(service, {"kinds": {"fact": {"after": {"archive_below": 0.99}}}})
        assert archived(await run(service)) == [fact]  # now the source is its last evidence
        await policy(service, FADING)
        return plan

    assert len(archived(await run(service, dry_run=True))) == 5
    monkeypatch.setattr(runs, "_plan", plan_and_wait)
    assert archived(await run(service)) == [gone]
    assert archived(await run(service)) == [edited]


async def test_a_run_that_finds_everything_touched_records_nothing(
    service: Service, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await policy(service, FADING)
    (only,) = await say(service, "The only note.")
    clock.advance(days=120)
    planned = runs._plan

    async def plan_and_wait(*arguments: object) -> object:
        plan = await planned(*arguments)
        await call(service, "PATCH", f"/v1/memories/{only}", {"importance": 0.9})
        return plan

    monkeypatch.setattr(runs, "_plan", plan_and_wait)
    answer = await run(service)
    assert (answer["changes"], answer["operation_id"]) == ([], None)


@pytest.fixture
async def ana(service: Service, deployment: Deployment) -> Person:
    return person(service, deployment, "ana")


async def test_a_caller_lets_go_only_what_he_may_change(
    service: Service, deployment: Deployment, clock: Clock, ana: Person
) -> None:
    await policy(service, FADING)
    private = await ana.add("My diary begins.", visibility="private")
    shared = await ana.add("The door code was changed.")
    clock.advance(days=500)
    answer = await run(service)
    assert archived(answer) == [shared]
    assert private not in str(answer)
    await tidy(service, "forget_space", now=clock.now)
    assert (await ana.get(f"/v1/memories/{private}"))["state"] == "archived"


async def test_forgetting_needs_the_right_to_write_in_the_space(
    service: Service, deployment: Deployment, ana: Person
) -> None:
    ben = person(service, deployment, "ben")
    reader = person(service, deployment, "reader", ("read",))
    await restrict(service, "home", ana)
    await ben.post("/v1/forget", {"space": "home"}, status=404)
    await ana.post("/v1/grants", {"space": "home", "principal": "ben", "rights": ["read"]}, status=201)
    await ben.post("/v1/forget", {"space": "home"}, status=403)
    await ben.post("/v1/forget", {"space": "home", "dry_run": True}, status=403)
    await ana.post("/v1/forget", {"space": "home"})
    await reader.post("/v1/forget", {}, status=403)
    await ana.post("/v1/forget", {"space": "nowhere"}, status=404)


async def test_the_periodic_run_serves_each_space_that_has_a_policy(
    service: Service, other: Service, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "ARCHIVED_AT_ONCE", 2)
    for space in ("fading", "keeping"):
        await say(service, *TURNS, space=space)
        await say(other, *TURNS, space=space)
    await policy(service, FADING, "fading")
    await policy(other, {"budget": {"memories": 5}}, "fading")
    await tidy(service, "forget_space", now=NOW + timedelta(days=200))
    assert await hot(service, "fading") == []
    assert await hot(service, "keeping") == list(TURNS)
    assert await hot(other, "fading") == list(TURNS[1:])
    assert await hot(other, "keeping") == list(TURNS)
    done = await call(service, "GET", "/v1/operations?space=fading")
    assert [(one["kind"], one["actor"], one["details"]) for one in done["items"][:3]] == [
        ("forget", "memsvc", {"archived": 2})
    ] * 3
    await call(service, "POST", f"/v1/operations/{done['items'][0]['id']}/undo")
    assert len(await hot(service, "fading")) == 2


async def test_what_may_be_packed_away_is_archived_and_faded_further(service: Service, clock: Clock) -> None:
    await policy(service, FADING)
    ids = await say(service, "A note on tiles.", "A note on paint.", "A note on glue.", "A note on nails.")
    clock.advance(days=200)
    assert archived(await run(service)) == ids
    await call(service, "POST", "/v1/feedback", {"memories": [ids[1]], "verdict": "wrong"})
    await call(service, "PATCH", f"/v1/memories/{ids[2]}", {"metadata": {"pinned": True}})
    upkeep, tenant = service.services.upkeep, service.caller.tenant_id

    async def candidates(limit: int = 10) -> list[str]:
        async with upkeep.ingest.database.write(tenant) as session:
            (space,) = (await memories.lock_spaces(session, {await space_id(service)})).values()
            caller = await principals.service_caller(session)
            found = await forgotten_candidates(
                session, space.id, space.policies, caller=caller, now=clock.now, limit=limit
            )
            return [str(one) for one in found]

    assert await candidates() == [ids[1]]  # half the stability: R = .012, where the others are at .108
    clock.advance(days=70)
    assert await candidates() == [ids[0], ids[1], ids[3]]
    assert await candidates(limit=1) == [ids[0]]
    packed = await call(service, "POST", "/v1/compress", {"limit": 1})
    assert [change["memory_id"] for change in packed["changes"]] == [ids[0]]
    assert await candidates() == [ids[1], ids[3]]
    await policy(service, {"budget": {"memories": 10}})
    assert await candidates() == []

"""Random histories against a model in plain Python: what the service does, tells of the past, and takes back."""

import asyncio
import copy
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memsvc.deployment import Deployment
from memsvc.lifecycle.states import EDITABLE, TRANSITIONS
from tests.integration.conftest import NOW, Clock, Service, open_service

RECALLED = {"generated", "activated", "merged", "frozen"}
WORDS = ("harbour", "lantern", "violin", "glacier", "pepper", "saddle")

index = st.integers(0, 30)
command = st.one_of(
    st.tuples(st.just("add"), st.integers(0, 5)),
    st.tuples(st.just("add"), st.integers(0, 5)),
    st.tuples(st.just("derive"), st.integers(0, 5), index),
    st.tuples(st.just("edit"), index, st.integers(0, 5)),
    st.tuples(st.just("weigh"), index, st.sampled_from([0.1, 0.5, 0.9])),
    st.tuples(st.just("move"), index, st.sampled_from(sorted(TRANSITIONS))),
    st.tuples(st.just("supersede"), index, index),
    st.tuples(st.just("undo"), index),
    st.tuples(st.just("undo"), index),
    st.tuples(st.just("erase"), index),
)


@dataclass
class Made:
    """A memory as the model has it."""

    content: str
    state: str = "generated"
    importance: float = 0.5
    valid_to: str | None = None
    superseded_by: str | None = None


@dataclass
class Done:
    """An operation as the model has it: what each memory was before, None where it was made."""

    before: dict[str, Made | None]
    after: dict[str, int]
    undoes: str | None = None
    undone: bool = False


@dataclass
class Model:
    """What the service should hold."""

    memories: dict[str, Made] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    operations: dict[str, Done] = field(default_factory=dict)
    past: list[tuple[datetime, dict[str, Made]]] = field(default_factory=list)

    def note(self, operation: str, ids: list[str], before: dict[str, Made | None], undoes: str | None = None) -> None:
        for memory in ids:
            self.versions[memory] = self.versions.get(memory, 0) + 1
        self.operations[operation] = Done(before, {memory: self.versions[memory] for memory in ids}, undoes)

    def undoable(self, operation: str) -> bool:
        done = self.operations[operation]
        there = {memory: version for memory, version in done.after.items() if memory in self.memories}
        if done.undone or not there:
            return False
        made = [memory for memory, before in done.before.items() if before is None]
        stands = any(
            source in made and derived not in made and self.memories[derived].state not in {"archived", "expired"}
            for derived, source in self.sources.items()
            if derived in self.memories
        )
        return not stands and not any(self.changed_since(memory, version) for memory, version in there.items())

    def changed_since(self, memory: str, version: int) -> bool:
        """Whether an operation that stands changed it: one not undone, and no undo, which leaves it as it was."""
        return any(
            later.after.get(memory, 0) > version
            and not later.undone
            and not (later.undoes is not None and self.operations[later.undoes].undone)
            for later in self.operations.values()
        )

    def derived(self, memory: str) -> set[str]:
        below = {derived for derived, source in self.sources.items() if source == memory and derived in self.memories}
        return below.union(*(self.derived(one) for one in below)) if below else below


class Play:
    """Runs commands on the service and on the model, and expects them to agree."""

    def __init__(self, service: Service, clock: Clock) -> None:
        self.service, self.clock, self.model = service, clock, Model()

    async def step(self, name: str, *arguments: object) -> None:
        self.clock.advance(minutes=1)
        if name == "add" or self.model.memories:
            await getattr(self, name)(*arguments)
        self.model.past.append((self.clock.now, copy.deepcopy(self.model.memories)))

    def pick(self, number: int) -> str:
        ids = list(self.model.memories)
        return ids[number % len(ids)]

    async def add(self, word: int, **fields: object) -> None:
        content = f"{WORDS[word]} number {len(self.model.versions)}"
        written = await self.service.add(texts=[{"content": content, **fields}])
        memory = written["items"][0]["id"]
        self.model.memories[memory] = Made(content)
        operation = (await self.service.client.get(f"/v1/memories/{memory}")).json()["operation_id"]
        self.model.note(operation, [memory], {memory: None})

    async def derive(self, word: int, number: int) -> None:
        source = self.pick(number)
        await self.add(word, derived_from=[source])
        self.model.sources[list(self.model.memories)[-1]] = source

    async def change(self, memory: str, allowed: bool, response: object, **fields: object) -> None:
        if not allowed:
            assert 400 <= response.status_code < 500, response.text
            assert response.json()["remedy"]
            return
        assert response.status_code == 200, response.text
        before = copy.copy(self.model.memories[memory])
        for name, value in fields.items():
            setattr(self.model.memories[memory], name, value)
        self.model.note(response.json()["operation_id"], [memory], {memory: before})

    async def edit(self, number: int, word: int) -> None:
        memory = self.pick(number)
        content = f"{WORDS[word]} edited {sum(self.model.versions.values())}"
        response = await self.service.client.patch(f"/v1/memories/{memory}", json={"content": content})
        await self.change(memory, self.model.memories[memory].state in EDITABLE, response, content=content)

    async def weigh(self, number: int, importance: float) -> None:
        memory = self.pick(number)
        response = await self.service.client.patch(f"/v1/memories/{memory}", json={"importance": importance})
        await self.change(memory, self.model.memories[memory].state in EDITABLE, response, importance=importance)

    async def move(self, number: int, state: str) -> None:
        memory = self.pick(number)
        response = await self.service.client.post(f"/v1/memories/{memory}/state", json={"state": state})
        allowed = state in TRANSITIONS[self.model.memories[memory].state]
        await self.change(memory, allowed, response, state=state)

    async def supersede(self, first: int, second: int) -> None:
        old, new = self.pick(first), self.pick(second)
        made = self.model.memories
        response = await self.service.client.post(f"/v1/memories/{old}/supersede", json={"by": new})
        allowed = (
            old != new
            and made[old].state in EDITABLE
            and made[old].superseded_by is None
            and made[new].superseded_by is None
        )
        await self.change(old, allowed, response, superseded_by=new, valid_to=self.clock.now.isoformat())

    async def undo(self, number: int) -> None:
        ids = list(self.model.operations)
        operation = ids[-1 - number % min(len(ids), 4)]  # what is older is seldom free to be undone
        allowed = self.model.undoable(operation)
        response = await self.service.client.post(f"/v1/operations/{operation}/undo")
        assert (response.status_code == 200) is allowed, response.text
        if not allowed:
            assert response.status_code in {404, 409}
            return
        done = self.model.operations[operation]
        ids = [memory for memory in done.before if memory in self.model.memories]
        current = {memory: copy.copy(self.model.memories[memory]) for memory in ids}
        changed = []
        for memory in ids:
            before = done.before[memory]
            if before is not None:
                self.model.memories[memory] = copy.copy(before)
                changed.append(memory)
            elif self.model.memories[memory].state != "archived":
                self.model.memories[memory].state = "archived"
                changed.append(memory)
        self.model.note(response.json()["operation_id"], changed, {m: current[m] for m in changed}, operation)
        done.undone, above = True, done.undoes
        flip = False
        while above is not None:
            self.model.operations[above].undone = flip
            flip, above = not flip, self.model.operations[above].undoes

    async def erase(self, number: int) -> None:
        memory = self.pick(number)
        response = await self.service.client.post("/v1/erase", json={"memories": [memory]})
        assert response.status_code == 200, response.text
        gone = {memory} | self.model.derived(memory)
        assert set(response.json()["plan"]["derived_ids"]) == gone - {memory}
        for one in gone:
            del self.model.memories[one]
            for _, memories in self.model.past:
                memories.pop(one, None)

    async def check(self) -> None:
        """Now and at every moment that was, through list, get and recall."""
        for moment, memories in [*self.model.past, (self.clock.now, self.model.memories)]:
            known = (moment + timedelta(seconds=30)).isoformat()
            expected = {memory: self.shown(memory, made) for memory, made in memories.items()}
            listed = (await self.service.client.get("/v1/memories", params={"as_of_known": known})).json()["items"]
            assert {m["id"]: self.facts(m) for m in listed} == expected, moment
            holding = {
                memory: made
                for memory, made in memories.items()
                if expected[memory][1] in RECALLED and (made.valid_to is None or made.valid_to > known)
            }
            for recipe in ("fast", "balanced"):
                query = " ".join(WORDS)
                found = await self.service.recall(query, k=100, as_of_known=known, recipe=recipe)
                assert {hit["memory"]["id"]: hit["memory"]["content"] for hit in found["results"]} == {
                    memory: made.content for memory, made in holding.items()
                }
            for memory in list(memories)[:2]:
                got = await self.service.client.get(f"/v1/memories/{memory}", params={"as_of_known": known})
                assert self.facts(got.json()) == expected[memory]

    def shown(self, memory: str, made: Made) -> tuple:
        """What was put in quarantine or expired since does not come back through the past."""
        today = self.model.memories[memory].state
        state = today if today in {"quarantined", "expired"} else made.state
        return made.content, state, made.importance, made.superseded_by, made.valid_to is None

    @staticmethod
    def facts(memory: dict) -> tuple:
        return (
            memory["content"],
            memory["state"],
            memory["importance"],
            memory["superseded_by"],
            memory["valid_to"] is None,
        )


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=st.lists(command, min_size=10, max_size=30))
def test_the_past_is_what_it_was_and_undo_is_an_inverse(deployment: Deployment, script: list[tuple]) -> None:
    async def play() -> None:
        clock = Clock(NOW)
        async with open_service(deployment, clock=lambda: clock.now) as service:
            run = Play(service, clock)
            for name, *arguments in script:
                await run.step(name, *arguments)
            clock.advance(minutes=1)
            await run.check()

    asyncio.run(play())

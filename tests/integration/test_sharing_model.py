"""What the statements decide about access is what a plain model of the rules decides, in worlds made at random."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memsvc.deployment import Deployment
from memsvc.ids import new_uuid
from memsvc.store import memories, principals, sharing
from memsvc.store.access import RIGHTS, When
from memsvc.store.database import WriteSession
from memsvc.store.feed import Cursor, read_changes
from memsvc.store.history import list_operations
from memsvc.store.keys import Caller
from memsvc.store.memories import ListFilter
from memsvc.store.scope import Scope
from memsvc.store.search import find_ground
from tests.integration.conftest import NOW, Service, open_service

PEOPLE = ("ana", "ben", "cleo")
GROUPS = ("friends", "staff")


@dataclass(frozen=True)
class World:
    """One space. Memories are (author, visibility); grants are (memory or None for the space, grantee, rights)."""

    open: bool
    owner: str
    members: frozenset[tuple[str, str]]
    memories: tuple[tuple[str, str], ...]
    grants: tuple[tuple[int | None, str, tuple[str, ...]], ...]

    def granted(self, who: str, right: str, memory: int | None) -> bool:
        groups = {group for group, member in self.members if member == who}
        return any(on == memory and to in {who, *groups} and right in rights for on, to, rights in self.grants)

    def allows(self, who: str, admin: bool, right: str) -> bool:
        """In the space as a whole."""
        return self.open or admin or who == self.owner or self.granted(who, right, None)

    def permits(self, who: str, admin: bool, right: str, memory: int) -> bool:
        """With one memory."""
        author, visibility = self.memories[memory]
        if who == author or self.granted(who, right, memory):
            return True
        if visibility == "private":
            return right == "erase" and admin
        if visibility == "tenant" and right == "read":
            return True
        return self.allows(who, admin, right)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    count = draw(st.integers(1, 4))
    rights = st.lists(st.sampled_from(RIGHTS), min_size=1, max_size=4, unique=True).map(tuple)
    grant = st.tuples(st.sampled_from([None, *range(count)]), st.sampled_from([*PEOPLE, *GROUPS]), rights)
    memory = st.tuples(st.sampled_from(PEOPLE), st.sampled_from(["private", "space", "tenant"]))
    return World(
        open=draw(st.integers(0, 3)) == 0,
        owner=draw(st.sampled_from(PEOPLE)),
        members=draw(st.frozensets(st.tuples(st.sampled_from(GROUPS), st.sampled_from(PEOPLE)))),
        memories=tuple(draw(st.lists(memory, min_size=count, max_size=count))),
        grants=tuple(draw(st.lists(grant, max_size=6))),
    )


@pytest.fixture
def running(deployment: Deployment) -> Iterator[tuple[asyncio.Runner, Service]]:
    with asyncio.Runner() as runner:
        opened = open_service(deployment)
        service = runner.run(opened.__aenter__())
        yield runner, service
        runner.run(opened.__aexit__(None, None, None))


async def build(session: WriteSession, world: World) -> dict[str, Any]:
    """Write the world straight into the tables; the ids of what is in it."""
    ids: dict[str, Any] = dict(await principals.ensure_principals(session, PEOPLE))
    space, operation = new_uuid(), new_uuid()
    ids |= {"space": space, "name": f"space-{space}", "memories": [new_uuid() for _ in world.memories]}
    tenant = {"tenant": session.tenant_id, "space": space, "now": NOW, "operation": operation}
    await session.run(
        "INSERT INTO spaces (tenant_id, id, name, owner_id, open, next_operation) "
        "VALUES (%(tenant)s, %(space)s, %(name)s, %(owner)s, %(open)s, %(next)s)",
        {**tenant, "name": ids["name"], "owner": ids[world.owner], "open": world.open, "next": len(world.memories) + 1},
    )
    for group in GROUPS:
        ids[group] = new_uuid()
        await session.run(
            "INSERT INTO groups (tenant_id, id, name) VALUES (%(tenant)s, %(id)s, %(name)s)",
            {**tenant, "id": ids[group], "name": f"{group}-{space}"},
        )
    for group, member in world.members:
        await sharing.add_member(session, ids[group], ids[member])
    for number, (author, visibility) in enumerate(world.memories, start=1):
        row = {**tenant, "id": ids["memories"][number - 1], "number": number, "author": ids[author]}
        row |= {"visibility": visibility, "operation": new_uuid()}
        await session.run(
            "INSERT INTO operations (tenant_id, id, space_id, number, kind, principal_id, recorded_at) "
            "VALUES (%(tenant)s, %(operation)s, %(space)s, %(number)s, 'add', %(author)s, %(now)s)",
            row,
        )
        await session.run(
            "INSERT INTO memories (tenant_id, id, space_id, number, kind, principal_id, recorded_at, updated_at, "
            "operation_id, content_number, content_hash, fingerprint, searchable, visibility) VALUES (%(tenant)s, "
            "%(id)s, %(space)s, %(number)s, 'fact', %(author)s, %(now)s, %(now)s, %(operation)s, %(number)s, '', '', "
            "true, %(visibility)s)",
            row,
        )
        await session.run("INSERT INTO contents VALUES (%(tenant)s, %(id)s, %(number)s, 'x')", row)
    for memory, grantee, rights in world.grants:
        row = {**tenant, "id": new_uuid(), "memory": None if memory is None else ids["memories"][memory]}
        row |= {"principal": ids[grantee] if grantee in PEOPLE else None, "rights": list(rights)}
        row |= {"group": None if grantee in PEOPLE else ids[grantee], "by": ids[world.owner]}
        await session.run(
            "INSERT INTO grants (tenant_id, id, space_id, memory_id, principal_id, group_id, rights, granted_by, "
            "created_at) VALUES (%(tenant)s, %(id)s, %(space)s, %(memory)s, %(principal)s, %(group)s, %(rights)s, "
            "%(by)s, %(now)s)",
            row,
        )
    return ids


async def compare(service: Service, world: World, who: str, admin: bool, ids: dict[str, Any]) -> None:
    scopes = frozenset({"admin"} if admin else {"read", "write"})
    caller: Caller = replace(service.caller, principal_id=ids[who], principal=who, scopes=scopes)
    when, every = When(NOW), ids["memories"]
    expected = {
        right: {each for index, each in enumerate(every) if world.permits(who, admin, right, index)} for right in RIGHTS
    }
    database = service.services.database
    async with database.read(caller.tenant_id) as session:
        for right in RIGHTS:
            assert await sharing.allows(session, caller, ids["space"], right) == world.allows(who, admin, right)
            found = await memories.get_records(session, every, caller=caller, when=when, right=right)
            assert set(found) == expected[right]
            refused = await sharing.refused(session, every, caller=caller, when=when, right=right)
            assert set(refused) == set(every) - expected[right]
        listed = await memories.list_records(
            session, ListFilter(space=ids["name"]), caller=caller, when=when, after=None, limit=100
        )
        assert {record.id for record in listed} == expected["read"]
        page = await read_changes(session, ids["space"], since=Cursor(0), limit=100, caller=caller, when=when)
        assert [item.memory_id for item in page.items] == [each for each in every if each in expected["read"]]
        operations = await list_operations(session, ids["space"], caller=caller, after=0, limit=100)
        shown = {every[operation.number - 1] for operation in operations}
        assert shown == expected["read"]
    async with database.pipeline(caller.tenant_id) as session:
        ground = await find_ground(session, Scope(caller, when), [ids["name"]], [])
        assert ground[0].in_scope is not None
        recalled = {every[number - 1] for number in ground[0].in_scope.memory.tolist()}
        assert recalled == expected["read"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(world=worlds())
def test_the_statements_decide_as_the_rules_say(running: tuple[asyncio.Runner, Service], world: World) -> None:
    runner, service = running

    async def check() -> None:
        async with service.services.database.write(service.caller.tenant_id) as session:
            ids = await build(session, world)
        for who in PEOPLE:
            for admin in (False, True):
                await compare(service, world, who, admin, ids)

    runner.run(check())

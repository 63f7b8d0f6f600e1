"""Webhooks: signed messages to a real receiver, at least once, the same at each try."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from sqlalchemy import Connection, text

from memsvc.consolidation import deliver as delivering
from memsvc.consolidation.deliver import deliver
from memsvc.deployment import Deployment
from memsvc.lifecycle.webhooks import sign
from memsvc.store import spaces
from memsvc.store.keys import list_keys, revoke_key
from tests.integration.conftest import Clock, Service
from tests.integration.people import Person, person, restrict


@dataclass
class Receiver:
    """A web server on loopback that keeps what it gets and answers what it is told to (None: nothing at all)."""

    url: str = ""
    answers: list[tuple[int, dict[str, str]] | None] = field(default_factory=list)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        raw = dict(line.split(": ", 1) for line in lines[1:] if line)
        headers["webhook-signature"] = raw["webhook-signature"]
        self.got.append((headers, await reader.readexactly(int(headers["content-length"]))))
        answer = self.answers.pop(0) if self.answers else (204, {})
        if answer is not None:
            status, more = answer
            head = "".join(f"{name}: {value}\r\n" for name, value in more.items())
            writer.write(f"HTTP/1.1 {status} X\r\n{head}Connection: close\r\n\r\n".encode())
        writer.close()

    @property
    def messages(self) -> list[dict]:
        return [json.loads(body) for _, body in self.got]

    @property
    def told(self) -> list[tuple[str, str]]:
        return [(item["memory_id"], item["change"]) for message in self.messages for item in message["data"]["items"]]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    found = Receiver()
    async with await asyncio.start_server(found.serve, "127.0.0.1", 0) as server:
        found.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
        yield found


@pytest.fixture
async def boss(service: Service) -> Person:
    return Person("tester", service.client, dict(service.client.headers))


async def make(boss: Person, receiver: Receiver, space: str = "default") -> dict:
    await boss.add("(before)", space=space)
    return await boss.post("/v1/webhooks", {"space": space, "url": receiver.url}, status=201)


async def run(service: Service, space: str = "default") -> None:
    """Run the job that a change of the space enqueues."""
    async with service.services.database.read(service.caller.tenant_id) as session:
        space_id = await spaces.find_space(session, space)
    assert space_id is not None
    await deliver(service.services.ingest, service.caller.tenant_id, space_id, clock=service.services.clock)


async def standing(boss: Person) -> dict:
    return (await boss.get("/v1/webhooks"))["items"][0]


def test_the_signature_is_that_of_the_specification() -> None:
    """The published test vector of Standard Webhooks."""
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signature = sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_a_change_arrives_signed_and_without_content(service: Service, boss: Person, receiver: Receiver) -> None:
    made = await make(boss, receiver)
    memory = await boss.add("The vault code is 4711.", name="vault-name", metadata={"k": "vault-metadata"})
    await run(service)
    ((headers, body),) = receiver.got
    assert made["secret"].startswith("whsec_")
    secret = base64.b64decode(made["secret"].removeprefix("whsec_"))
    assert len(secret) == 32
    expected = sign(secret, headers["webhook-id"], int(headers["webhook-timestamp"]), body)
    assert headers["webhook-signature"] == expected
    assert headers["content-type"] == "application/json"
    assert int(headers["webhook-timestamp"]) == int(service.services.clock().timestamp())
    assert b"vault" not in body
    message = json.loads(body)
    assert message["type"] == "memory.changes"
    assert message["timestamp"] == "2026-03-01T12:00:00Z"
    (item,) = message["data"]["items"]
    assert (item["memory_id"], item["change"], item["version"], item["operation"]) == (memory, "added", 1, "add")
    assert (message["data"]["space"], message["data"]["cursor"]) == ("default", "2")
    await run(service)
    assert len(receiver.got) == 1


async def test_many_changes_come_in_pages_and_in_order(service: Service, boss: Person, receiver: Receiver) -> None:
    await make(boss, receiver)
    texts = [{"content": f"fact {number}"} for number in range(230)]
    await boss.post("/v1/memories", {"wait": False, "texts": texts}, status=201)
    await boss.add("the last")
    await run(service)
    assert [len(message["data"]["items"]) for message in receiver.messages] == [100, 100, 31]
    page = await boss.get("/v1/changes", since="1", limit=1000)
    assert [memory for memory, _ in receiver.told] == [item["memory_id"] for item in page["items"]]
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 3


async def test_a_failed_message_is_sent_again_as_it_was(
    service: Service, clock: Clock, boss: Person, receiver: Receiver
) -> None:
    await make(boss, receiver)
    receiver.answers = [(500, {}), (302, {"Location": "http://127.0.0.1:9/elsewhere"}), None]
    first = await boss.add("first")
    await run(service)
    found = await standing(boss)
    assert (found["failures"], found["last_error"]) == (1, "answered HTTP 500")
    assert found["next_try_at"] == "2026-03-01T12:00:05Z"
    second = await boss.add("second")
    await run(service)
    assert len(receiver.got) == 1  # not before its time
    for seconds in (5, 10):
        clock.advance(seconds=seconds)
        await run(service)
    found = await standing(boss)
    assert (found["failures"], found["last_error"]) == (3, "no answer: RemoteProtocolError")
    assert found["failing_since"] == "2026-03-01T12:00:00Z"
    clock.advance(seconds=20)
    await run(service)
    assert receiver.told == [(first, "added")] * 4 + [(second, "added")]
    assert len({headers["webhook-id"] for headers, _ in receiver.got[:4]}) == 1
    assert len({body for _, body in receiver.got[:4]}) == 1
    assert len({headers["webhook-timestamp"] for headers, _ in receiver.got[:4]}) == 4
    found = await standing(boss)
    assert (found["failures"], found["last_error"], found["failing_since"], found["next_try_at"]) == (
        0,
        None,
        None,
        None,
    )


async def test_the_next_try_is_a_job_of_its_own_and_holds_up_nothing(
    service: Service, boss: Person, receiver: Receiver, owner: Connection
) -> None:
    made = await make(boss, receiver)
    receiver.answers = [(503, {"Retry-After": "120"})]
    await boss.add("first")
    await run(service)
    await boss.add("second")
    rows = owner.execute(
        text(
            "SELECT queueing_lock, lock, scheduled_at IS NOT NULL AS later FROM procrastinate_jobs "
            "WHERE args->>'tenant_id' = :tenant AND task_name = 'deliver' AND status = 'todo' ORDER BY id"
        ),
        {"tenant": str(service.caller.tenant_id)},
    ).all()
    tenant = service.caller.tenant_id
    assert [row.later for row in rows] == [False, True]
    assert rows[0].queueing_lock.startswith(f"deliver:{tenant}:")
    assert (rows[1].queueing_lock, rows[1].lock) == (f"deliver:{made['id']}",) * 2
    assert (await standing(boss))["next_try_at"] == "2026-03-01T12:02:00Z"


async def test_after_a_day_of_failures_it_is_paused_until_somebody_resumes_it(
    service: Service, clock: Clock, boss: Person, receiver: Receiver
) -> None:
    made = await make(boss, receiver)
    receiver.answers = [(500, {})] * 3
    memory = await boss.add("first")
    await run(service)
    clock.advance(hours=23)
    await run(service)
    assert (await standing(boss))["state"] == "active"
    clock.advance(hours=2)
    await run(service)
    found = await standing(boss)
    assert (found["state"], found["failures"], found["last_error"]) == ("paused", 3, "answered HTTP 500")
    clock.advance(days=3)
    await run(service)
    assert len(receiver.got) == 3
    resumed = await boss.post(f"/v1/webhooks/{made['id']}/resume")
    assert (resumed["state"], resumed["failures"]) == ("active", 0)
    await run(service)
    assert receiver.told[-1] == (memory, "added")


async def test_a_receiver_that_is_gone_is_asked_no_more(service: Service, boss: Person, receiver: Receiver) -> None:
    await make(boss, receiver)
    receiver.answers = [(410, {})]
    await boss.add("first")
    await run(service)
    assert (await standing(boss))["state"] == "paused"


async def test_waits_grow_up_to_an_hour(service: Service, clock: Clock, boss: Person, receiver: Receiver) -> None:
    await make(boss, receiver)
    receiver.answers = [(500, {})] * 12
    await boss.add("first")
    waits = []
    for _ in range(12):
        await run(service)
        found = await standing(boss)
        next_try = service.services.clock().fromisoformat(found["next_try_at"])
        waits.append(int((next_try - clock.now).total_seconds()))
        clock.now = next_try
    assert waits == [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]


async def test_nothing_listens(service: Service, boss: Person, receiver: Receiver) -> None:
    await make(boss, receiver)
    receiver.url = "http://127.0.0.1:9/hook"
    made = await boss.post("/v1/webhooks", {"url": receiver.url}, status=201)
    await boss.add("first")
    await run(service)
    found = {each["id"]: each for each in (await boss.get("/v1/webhooks"))["items"]}
    assert found[made["id"]]["last_error"] == "no answer: ConnectError"
    assert len(receiver.got) == 1  # the one beside it is served


async def test_no_transaction_is_open_while_a_message_travels(
    service: Service, boss: Person, receiver: Receiver, owner: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make(boss, receiver)
    memory = await boss.add("first")
    statement = text(
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND pid <> pg_backend_pid()"
    )
    real, seen = delivering.send, []

    async def watched(*arguments: object, **options: object) -> object:
        seen.append(owner.execute(statement).scalar_one())
        if len(seen) == 1:  # writers are not held up
            await boss.call("PATCH", f"/v1/memories/{memory}", json={"importance": 0.9})
        return await real(*arguments, **options)

    monkeypatch.setattr(delivering, "send", watched)
    await run(service)
    assert seen == [0, 0]
    assert receiver.told == [(memory, "added"), (memory, "updated")]


async def test_a_worker_killed_after_sending_sends_the_same_again(
    service: Service, clock: Clock, boss: Person, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(Exception):
        pass

    async def killed(*_: object, **__: object) -> None:
        raise KilledError

    await make(boss, receiver)
    await boss.add("first")
    with monkeypatch.context() as patched:
        patched.setattr(delivering.webhooks, "note_delivered", killed)
        with pytest.raises(KilledError):
            await run(service)
    await run(service)
    assert len(receiver.got) == 1  # the dead worker's claim still stands
    clock.advance(minutes=2)
    await run(service)
    assert len(receiver.got) == 2
    assert receiver.got[0][0]["webhook-id"] == receiver.got[1][0]["webhook-id"]


async def test_two_workers_do_not_send_the_same(service: Service, boss: Person, receiver: Receiver) -> None:
    await make(boss, receiver)
    await boss.add("first")
    await asyncio.gather(run(service), run(service), run(service))
    assert len(receiver.got) == 1


async def test_it_is_told_only_what_its_owner_may_read(
    service: Service, deployment: Deployment, boss: Person, receiver: Receiver
) -> None:
    await make(boss, receiver)
    ana = person(service, deployment, "ana")
    await ana.add("hidden", visibility="private")
    shown = await ana.add("shown")
    await run(service)
    assert receiver.told == [(shown, "added")]
    for key in list_keys(deployment.owner_url):
        if (key.tenant, key.principal) == (service.caller.tenant, "tester"):
            revoke_key(deployment.owner_url, key.prefix)
    await ana.add("later")
    await run(service)
    assert len(receiver.got) == 1
    found = await standing(person(service, deployment, "root", ("admin",)))
    assert (found["state"], found["last_error"]) == ("paused", "its owner 'tester' has no valid API key any more")


async def test_an_owner_who_may_no_longer_read_the_space_is_told_nothing(
    service: Service, deployment: Deployment, boss: Person, receiver: Receiver, owner: Connection
) -> None:
    ana = person(service, deployment, "ana")
    await restrict(service, "plans", ana)
    await make(boss, receiver, "plans")
    for key in list_keys(deployment.owner_url):
        if (key.tenant, key.principal) == (service.caller.tenant, "tester"):
            revoke_key(deployment.owner_url, key.prefix)
    person(service, deployment, "tester", ("read",))
    await ana.add("news", space="plans")
    await run(service, "plans")
    found = await standing(person(service, deployment, "root", ("admin",)))
    assert (found["state"], found["last_error"]) == ("paused", "its owner 'tester' may no longer read the space")
    assert receiver.got == []


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/hook",
        "ftp://example.org/hook",
        "https://",
        "https://user:password@example.org/hook",
        "http://127.0.0.1.example.org/",
        "https://example.org:port/",
        "https://exa mple.org/",
        "example.org",
        "http://[::1/",
        "file:///etc/passwd",
    ],
)
async def test_a_url_that_cannot_be_used_is_refused(service: Service, boss: Person, url: str) -> None:
    await boss.add("x")
    refused = await boss.call("POST", "/v1/webhooks", json={"url": url})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "url")
    assert "password" not in refused.json()["detail"]


@pytest.mark.parametrize("url", ["https://example.org/a?b=c", "http://localhost:8080/", "http://[::1]:8080/"])
async def test_https_and_loopback_are_fine(service: Service, boss: Person, url: str) -> None:
    await boss.add("x")
    assert (await boss.post("/v1/webhooks", {"url": url}, status=201))["url"] == url


async def test_webhooks_are_for_admins_and_of_one_tenant(
    service: Service, other: Service, deployment: Deployment, boss: Person, receiver: Receiver, owner: Connection
) -> None:
    made = await make(boss, receiver)
    ana = person(service, deployment, "ana")
    path = f"/v1/webhooks/{made['id']}"
    for who, status in ((ana, 403), (Person("other", other.client, {}), 404)):
        assert (await who.call("DELETE", path)).status_code == status
        assert (await who.call("POST", f"{path}/resume")).status_code == status
    assert (await ana.call("GET", "/v1/webhooks")).status_code == 403
    assert (await other.client.get("/v1/webhooks")).json()["items"] == []
    statement = text("SELECT followers FROM spaces WHERE tenant_id = :tenant")
    assert owner.execute(statement, {"tenant": service.caller.tenant_id}).scalar_one() == 1
    assert (await boss.call("DELETE", path)).status_code == 204
    assert owner.execute(statement, {"tenant": service.caller.tenant_id}).scalar_one() == 0


async def test_the_secret_is_shown_once_and_never_again(
    service: Service, clock: Clock, boss: Person, receiver: Receiver, caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    made = await make(boss, receiver)
    receiver.answers = [(500, {}), None]
    await boss.add("first")
    await run(service)
    clock.advance(minutes=1)
    await run(service)
    shown = (await boss.call("GET", "/v1/webhooks")).text
    resumed = (await boss.call("POST", f"/v1/webhooks/{made['id']}/resume")).text
    printed = capfd.readouterr()
    secret = made["secret"].removeprefix("whsec_")
    everything = shown + resumed + caplog.text + printed.out + printed.err
    assert secret not in everything
    assert base64.b64decode(secret).hex() not in everything
    assert "webhook_failed" in everything
    assert receiver.url not in caplog.text + printed.out + printed.err

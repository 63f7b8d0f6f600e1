"""What `client.lifecycle` and `client.core` send, and what the commands over them print."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sdk_samples import MEMORY, MEMORY_ID, PROBLEM, Recorded
from typer.testing import CliRunner

import memsvc.sdk
from memsvc.cli import app
from memsvc.ids import MemoryId
from memsvc.lifecycle.receipts import FORMAT, hash_id
from memsvc.lifecycle.signing import Signer
from memsvc.sdk import AsyncMemoryClient, LegalHold, MemoryClient, PreconditionFailed

OTHER = "01890000-0000-7000-8000-000000000002"
OPERATION = "01890000-0000-7000-8000-0000000000aa"
PATH = f"/v1/memories/{MEMORY_ID}"
SECTION = {
    "label": "human",
    "id": MEMORY_ID,
    "content": "Ana.",
    "tokens": 1,
    "version": 2,
    "updated_at": "2026-01-01T00:00:00Z",
}
PLAN = {
    "named": 1,
    "derived": 2,
    "rebuilt": 0,
    "held": [],
    "named_ids": [MEMORY_ID],
    "derived_ids": [],
    "rebuilt_ids": [],
}
ERASED = {"done": True, "plan": PLAN, "receipt": {"id": "r-1"}}
UNDONE = {"operation_id": OTHER, "restored": [MEMORY_ID], "archived": []}
PAGE = {
    "items": [
        {
            "id": OPERATION,
            "space": "home",
            "number": 3,
            "kind": "edit",
            "actor": "ana",
            "reason": None,
            "details": {},
            "recorded_at": "2026-01-01T00:00:00Z",
            "undoes": None,
            "undone_by": None,
        }
    ],
    "next_cursor": None,
}
LINEAGE = {"id": MEMORY_ID, "up": [], "down": [], "superseded_by": [OTHER], "supersedes": []}
VERSION = {
    "version": 2,
    "known_from": "2026-01-01T00:00:00Z",
    "known_to": None,
    "operation_id": OPERATION,
    "operation": "edit",
    "actor": "ana",
    "reason": "it was moved",
    "changed": {"content": {"before": "attic", "after": "cellar"}},
    "memory": MEMORY,
}
HISTORY = {"id": MEMORY_ID, "versions": [VERSION]}
CORE = {"space": "home", "sections": [SECTION], "tokens": 1, "limit": 1000}

Case = tuple[Callable[[Any], Any], dict, str, str, Any]
CASES: list[Case] = [
    (
        lambda c: c.lifecycle.set_state(MEMORY_ID, "frozen", reason="agreed", version=3),
        MEMORY,
        "POST",
        f"{PATH}/state",
        {"state": "frozen", "reason": "agreed"},
    ),
    (
        lambda c: c.lifecycle.supersede(MEMORY_ID, OTHER, at="2025-04"),
        MEMORY,
        "POST",
        f"{PATH}/supersede",
        {"by": OTHER, "at": "2025-04", "timezone": "UTC", "reason": None},
    ),
    (lambda c: c.lifecycle.set_hold(MEMORY_ID, on=True), MEMORY, "PUT", f"{PATH}/hold", {"on": True, "reason": None}),
    (lambda c: c.lifecycle.history(MEMORY_ID), HISTORY, "GET", f"{PATH}/history", None),
    (lambda c: c.lifecycle.lineage(MEMORY_ID, depth=3), LINEAGE, "GET", f"{PATH}/lineage?direction=both&depth=3", None),
    (lambda c: c.lifecycle.operations(space="home"), PAGE, "GET", "/v1/operations?space=home&limit=100", None),
    (
        lambda c: c.lifecycle.operation(OPERATION),
        {**PAGE["items"][0], "changes": []},
        "GET",
        f"/v1/operations/{OPERATION}",
        None,
    ),
    (
        lambda c: c.lifecycle.undo(OPERATION, reason="oops"),
        UNDONE,
        "POST",
        f"/v1/operations/{OPERATION}/undo",
        {"reason": "oops"},
    ),
    (
        lambda c: c.lifecycle.erase([MEMORY_ID]),
        ERASED,
        "POST",
        "/v1/erase",
        {"memories": [MEMORY_ID], "dry_run": False},
    ),
    (
        lambda c: c.lifecycle.erase(subject="Ana", filters={"kinds": ["turn"]}, dry_run=True),
        {**ERASED, "done": False, "receipt": None},
        "POST",
        "/v1/erase",
        {"subject": "Ana", "filters": {"kinds": ["turn"]}, "dry_run": True},
    ),
    (lambda c: c.lifecycle.erasure(OTHER), {"id": OTHER}, "GET", f"/v1/erasures/{OTHER}", None),
    (
        lambda c: c.lifecycle.signing_key(),
        {"algorithm": "ed25519", "public_key": "AA=="},
        "GET",
        "/v1/signing-key",
        None,
    ),
    (lambda c: c.core.get(space="home"), CORE, "GET", "/v1/core?space=home", None),
    (
        lambda c: c.core.append("to do", "Buy tea.", space="home"),
        SECTION,
        "POST",
        "/v1/core/to%20do?space=home",
        {"mode": "append", "text": "Buy tea.", "reason": None},
    ),
    (
        lambda c: c.core.replace("human", "Ana", "Bo"),
        SECTION,
        "POST",
        "/v1/core/human?space=default",
        {"mode": "replace", "old": "Ana", "text": "Bo", "reason": None},
    ),
    (
        lambda c: c.core.rewrite("human", "Bo."),
        SECTION,
        "POST",
        "/v1/core/human?space=default",
        {"mode": "rewrite", "text": "Bo.", "reason": None},
    ),
]


def check(recorded: Recorded, method: str, path: str, body: object) -> None:
    request = recorded.requests[-1]
    assert (request.method, request.url.raw_path.decode()) == (method, path)
    assert (json.loads(request.content) if request.content else None) == body


@pytest.mark.parametrize(("call", "answer", "method", "path", "body"), CASES)
def test_each_method_sends_its_request(
    call: Callable[[Any], Any], answer: dict, method: str, path: str, body: object
) -> None:
    recorded = Recorded([httpx.Response(200, json=answer)])
    call(MemoryClient("http://memsvc.test", "k", transport=recorded.transport))
    check(recorded, method, path, body)


@pytest.mark.parametrize(("call", "answer", "method", "path", "body"), CASES)
async def test_the_asynchronous_client_sends_the_same(
    call: Callable[[Any], Any], answer: dict, method: str, path: str, body: object
) -> None:
    recorded = Recorded([httpx.Response(200, json=answer)])
    async with AsyncMemoryClient("http://memsvc.test", "k", transport=recorded.transport) as client:
        await call(client)
    check(recorded, method, path, body)


def test_a_version_is_sent_as_if_match_and_the_call_is_not_repeated() -> None:
    recorded = Recorded([httpx.Response(503, json={**PROBLEM, "status": 503})])
    client = MemoryClient("http://memsvc.test", "k", transport=recorded.transport)
    with pytest.raises(memsvc.sdk.Unavailable):
        client.lifecycle.set_state(MEMORY_ID, "frozen", version=3)
    assert [request.headers["If-Match"] for request in recorded.requests] == ['"3"']


@pytest.mark.parametrize(("status", "kind"), [(412, PreconditionFailed), (423, LegalHold)])
def test_the_errors_have_classes(status: int, kind: type[Exception]) -> None:
    recorded = Recorded([httpx.Response(status, json={**PROBLEM, "status": status})])
    client = MemoryClient("http://memsvc.test", "k", transport=recorded.transport)
    with pytest.raises(kind):
        client.update(MEMORY_ID, content="x", version=1)


def test_iterating_operations_follows_the_cursor() -> None:
    recorded = Recorded([httpx.Response(200, json={**PAGE, "next_cursor": "c2"}), httpx.Response(200, json=PAGE)])
    client = MemoryClient("http://memsvc.test", "k", transport=recorded.transport)
    assert [operation.number for operation in client.lifecycle.iterate_operations(space="home")] == [3, 3]
    assert recorded.requests[1].url.params["cursor"] == "c2"


# The command line


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Recorded]:
    def answer(*answers: dict) -> Recorded:
        recorded = Recorded([httpx.Response(200, json=each) for each in answers])
        real = memsvc.sdk._sync.MemoryClient
        monkeypatch.setattr(memsvc.sdk, "MemoryClient", partial(real, retries=0, transport=recorded.transport))
        return recorded

    monkeypatch.setenv("MEMSVC_URL", "http://memsvc.test")
    monkeypatch.setenv("MEMSVC_API_KEY", "k")
    return answer


run = partial(CliRunner().invoke, app)


@pytest.mark.parametrize(
    ("arguments", "answers", "said"),
    [
        (["state", MEMORY_ID, "frozen"], [{**MEMORY, "state": "frozen", "version": 4}], "is frozen, version 4."),
        (["supersede", MEMORY_ID, OTHER], [{**MEMORY, "valid_to": "2025-04-01T00:00:00Z"}], "until 2025-04-01 00:00."),
        (["hold", MEMORY_ID], [{**MEMORY, "legal_hold": True}], "is under legal hold."),
        (["hold", MEMORY_ID, "--lift"], [MEMORY], "is not under legal hold."),
        (["history", MEMORY_ID], [HISTORY], "it was moved"),
        (["lineage", MEMORY_ID], [LINEAGE], f"superseded by {OTHER}"),
        (["operations", "--space", "home"], [PAGE], OPERATION),
        (["undo", OPERATION], [UNDONE], "1 restored, 0 archived"),
        (["erase", MEMORY_ID, "--dry-run"], [{**ERASED, "done": False}], "Would erase 1 memories and 2 derived ones"),
        (["erase", "--subject", "Ana", "--yes"], [{**ERASED, "done": False}, ERASED], "Erased 1 memories"),
        (["core", "show"], [CORE], "## human (version 2, 1 tokens)"),
        (["core", "append", "human", "x"], [SECTION], "human is at version 2"),
        (["core", "replace", "human", "a", "b"], [SECTION], "human is at version 2"),
        (["core", "rewrite", "human", "x"], [SECTION], "human is at version 2"),
    ],
)
def test_commands(serve: Callable[..., Recorded], arguments: list[str], answers: list[dict], said: str) -> None:
    serve(*answers)
    result = run(arguments)
    assert result.exit_code == 0, result.output
    assert said in result.stdout


def test_erase_asks_first(serve: Callable[..., Recorded]) -> None:
    recorded = serve({**ERASED, "done": False})
    result = CliRunner().invoke(app, ["erase", MEMORY_ID], input="n\n")
    assert result.exit_code == 1
    assert len(recorded.requests) == 1
    assert run(["erase"]).exit_code == 2


def test_a_receipt_is_verified_without_the_service(tmp_path: Path) -> None:
    signer = Signer.from_file(tmp_path / "signing.key")
    assert Signer.from_file(tmp_path / "signing.key").public_key == signer.public_key
    assert (tmp_path / "signing.key").stat().st_mode & 0o777 == 0o600
    document = {"format": FORMAT, "erased_at": "2026-01-01", "erased_sha256": [hash_id(MemoryId(UUID(MEMORY_ID)))]}
    file = tmp_path / "receipt.json"
    file.write_text(json.dumps(signer.sign(document)))
    good = run(["verify-receipt", str(file), "--key", signer.public_key, "--memory", MEMORY_ID])
    assert (good.exit_code, "1 memories erased" in good.stdout) == (0, True)
    other = Signer(Ed25519PrivateKey.generate()).public_key
    for arguments, said in (
        (["--key", other], "was signed with the key"),
        (["--memory", OTHER], "is not among the erased"),
    ):
        bad = run(["verify-receipt", str(file), *arguments])
        assert (bad.exit_code, said in bad.output) == (1, True)
    file.write_text("[]")
    assert run(["verify-receipt", str(file)]).exit_code == 1


SPACE = {
    "name": "home",
    "memories": 3,
    "chunks": 3,
    "pending": 0,
    "encoder": "e",
    "owner": "ana",
    "open": False,
    "policies": {"ttl_days": 365.0},
    "created_at": "2026-01-01T00:00:00Z",
}


def test_spaces_on_the_command_line(serve: Callable[..., Recorded]) -> None:
    serve({"items": [SPACE]})
    assert "those granted" in run(["spaces", "list"]).stdout
    recorded = serve(SPACE)
    done = run(["spaces", "set", "home", "--restricted", "--ttl-days", "365", "--kind-ttl", "turn=90"])
    assert (done.exit_code, "home is restricted." in done.stdout) == (0, True)
    assert json.loads(recorded.requests[0].content) == {
        "open": False,
        "policies": {"ttl_days": 365.0, "kinds": {"turn": {"ttl_days": 90.0}}},
    }
    assert run(["spaces", "set", "home", "--kind-ttl", "turn"]).exit_code == 2


def test_update_and_relations_on_the_command_line(serve: Callable[..., Recorded]) -> None:
    recorded = serve({**MEMORY, "version": 4})
    done = run(["update", MEMORY_ID, "--content", "New.", "--reason", "moved", "--version", "3"])
    assert (done.exit_code, "at version 4" in done.stdout) == (0, True)
    assert json.loads(recorded.requests[0].content) == {"content": "New.", "reason": "moved"}
    assert recorded.requests[0].headers["If-Match"] == '"3"'

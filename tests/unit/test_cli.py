"""The command line: what it sends, prints and answers with."""

import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import httpx
import pytest
from sdk_samples import CONTEXT, MEMORY, MEMORY_ID, PROBLEM, RECALL, Handler, Recorded, written
from typer.testing import CliRunner

import memsvc.sdk
from memsvc.cli import app
from memsvc.errors import ConfigurationError, FieldError, InvalidRequestError

ROOT = Path(__file__).resolve().parents[2]
run = partial(CliRunner().invoke, app)

Service = Callable[[list[httpx.Response | Exception] | Handler], Recorded]


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    """Lets the commands talk to a service that gives the answers it is called with."""

    def answer(answers: list[httpx.Response | Exception] | Handler) -> Recorded:
        recorded = Recorded(answers)
        real = memsvc.sdk._sync.MemoryClient
        monkeypatch.setattr(memsvc.sdk, "MemoryClient", partial(real, retries=0, transport=recorded.transport))
        return recorded

    monkeypatch.setenv("MEMSVC_URL", "http://memsvc.test")
    monkeypatch.setenv("MEMSVC_API_KEY", "k")
    return answer


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts a module in the place of one of the service's, which the command then imports."""

    def install(name: str, **members: object) -> None:
        stand_in = ModuleType(name)
        vars(stand_in).update(members)
        parent, _, child = name.rpartition(".")
        monkeypatch.setitem(sys.modules, name, stand_in)
        monkeypatch.setattr(importlib.import_module(parent), child, stand_in, raising=False)

    return install


def ok(body: object) -> list[httpx.Response | Exception]:
    return [httpx.Response(200, json=body)]


# Storing


def test_add_texts(service: Service) -> None:
    recorded = service(written)
    result = run(["add", "Likes tea.", "Lives in Lisbon.", "--kind", "preference", "--name", "Sam", "--space", "sam"])
    assert result.exit_code == 0
    assert "2 items are stored in sam." in result.stdout
    assert recorded.body["space"] == "sam"
    assert recorded.body["texts"] == [
        {"content": "Likes tea.", "kind": "preference", "name": "Sam"},
        {"content": "Lives in Lisbon.", "kind": "preference", "name": "Sam"},
    ]


def test_add_a_message(service: Service) -> None:
    recorded = service(written)
    arguments = [
        "--role",
        "user",
        "--session",
        "s1",
        "--timestamp",
        "2024-05-07T10:30:00",
        "--timezone",
        "Europe/Lisbon",
    ]
    assert run(["add", "Hello.", *arguments]).exit_code == 0
    assert recorded.body["timezone"] == "Europe/Lisbon"
    assert recorded.body["messages"] == [
        {"role": "user", "content": "Hello.", "session": "s1", "timestamp": "2024-05-07T10:30:00"}
    ]


def test_add_prints_the_response_as_json(service: Service) -> None:
    service(written)
    body = json.loads(run(["add", "x", "--json"]).stdout)
    assert body["receipt"]["stored"] == 1
    assert body["items"][0]["status"] == "created"


def test_add_a_json_lines_file(service: Service, tmp_path: Path) -> None:
    recorded = service(written)
    file = tmp_path / "chat.jsonl"
    lines = [
        {"role": "user", "content": "One\u2028line.", "session": "own"},
        {"content": "A fact."},
        {"kind": "preference", "content": "Tea."},
    ]
    file.write_text("\n".join(json.dumps(line, ensure_ascii=False) for line in lines) + "\n\n", encoding="utf-8")
    result = run(["add", "--file", str(file), "--session", "s1"])
    assert result.stdout == "3 items are stored in default.\n"
    assert recorded.body["messages"] == [lines[0]]
    assert recorded.body["texts"] == [{"session": "s1", **lines[1]}, {"session": "s1", **lines[2]}]


def test_add_a_text_file_line_by_line_or_whole(service: Service, tmp_path: Path) -> None:
    recorded = service(written)
    file = tmp_path / "notes.txt"
    file.write_bytes("\ufeffLikes tea.\r\n\r\nLives in Lisbon.\r\n".encode())
    assert run(["add", "-f", str(file)]).exit_code == 0
    assert [text["content"] for text in recorded.body["texts"]] == ["Likes tea.", "Lives in Lisbon."]
    assert run(["add", "-f", str(file), "--kind", "document"]).exit_code == 0
    assert recorded.body["texts"] == [{"content": "Likes tea.\r\n\r\nLives in Lisbon.\r\n", "kind": "document"}]


def test_add_from_stdin(service: Service) -> None:
    recorded = service(written)
    assert run(["add", "-f", "-"], input='{"role": "user", "content": "Hi."}\n').exit_code == 0
    assert recorded.body["messages"] == [{"role": "user", "content": "Hi."}]
    assert run(["add", "-f", "-", "--json"], input="one\ntwo\n").exit_code == 0
    assert [text["content"] for text in recorded.body["texts"]] == ["one", "two"]


def test_bad_lines_are_named_and_nothing_is_sent(service: Service, tmp_path: Path) -> None:
    recorded = service(written)
    file = tmp_path / "chat.jsonl"
    file.write_text('{"content": "fine"}\n{"role": "user", "content": "x", "timestamp": "never"}\n[1]\n{"half\n')
    result = run(["add", "-f", str(file)])
    assert (result.exit_code, result.stdout, recorded.requests) == (1, "", [])
    assert "3 of 4 lines cannot be stored; nothing was sent." in result.stderr
    assert "- line 2: timestamp: Input should be a valid datetime" in result.stderr
    assert "- line 3: must be a JSON object" in result.stderr
    assert "- line 4: is not JSON" in result.stderr


def test_a_file_that_is_no_text_or_empty(service: Service, tmp_path: Path) -> None:
    recorded = service(written)
    file = tmp_path / "notes.txt"
    file.write_bytes(b"caf\xe9")
    assert "not UTF-8 text: byte 3" in run(["add", "-f", str(file)]).stderr
    file.write_bytes(b"\n \n")
    assert "holds no items" in run(["add", "-f", str(file)]).stderr
    assert recorded.requests == []


def test_a_file_that_fails_half_way_says_how_to_go_on(service: Service, tmp_path: Path) -> None:
    def second_fails(request: httpx.Request) -> httpx.Response:
        refused = request.headers["Idempotency-Key"] == "import-7:1"
        return httpx.Response(413, json=PROBLEM) if refused else written(request)

    service(second_fails)
    file = tmp_path / "notes.txt"
    file.write_text("x\n" * 201)
    result = run(["add", "-f", str(file), "--idempotency-key", "import-7"])
    assert result.exit_code == 1
    assert "200 items are stored." in result.stderr
    assert "idempotency key import-7" in result.stderr


@pytest.mark.parametrize(
    "arguments", [[], ["x", "-f", "-"], ["x", "--kind", "fact", "--role", "user"], ["-f", "/no/such/file"], ["-f", "/"]]
)
def test_usage_errors_of_add(service: Service, arguments: list[str]) -> None:
    recorded = service(written)
    assert run(["add", *arguments]).exit_code == 2
    assert recorded.requests == []


# Asking


def test_recall_shows_the_memory_and_why(service: Service) -> None:
    recorded = service(ok(RECALL))
    result = run(["recall", "Where does Ada live?", "-s", "a", "-s", "b", "--k", "3", "--explain", "--recipe", "fast"])
    assert result.exit_code == 0
    assert recorded.body == {
        "query": "Where does Ada live?", "spaces": ["a", "b"], "k": 3, "explain": True, "recipe": "fast",
    }  # fmt: skip
    for part in ("0.812", "2024-05-07 10:30", "Sam", "Ada moved to Lisbon", "+0.500  bm25 (raw 7.250)", MEMORY_ID):
        assert part in result.stdout


def test_recall_without_explain_or_results(service: Service) -> None:
    service(ok(RECALL))
    assert "bm25" not in run(["recall", "x"]).stdout
    service(ok({**RECALL, "results": [], "degraded": True, "notes": ["dense: the encoder does not answer"]}))
    result = run(["recall", "x"])
    assert "Nothing was found." in result.stdout
    assert "Incomplete: dense: the encoder does not answer" in result.stdout


def test_matched_words_are_marked() -> None:
    from memsvc.commands.output import marked

    text = marked("Lisbon? She moved (to Lisbon) and unmoved.", ["lisbon", "move"])
    assert [text.plain[span.start : span.end] for span in text.spans] == ["Lisbon", "moved", "Lisbon"]
    assert marked("a.b axb", ["a.b"]).spans[0].end == 3


def test_stored_text_cannot_steer_the_terminal(service: Service) -> None:
    hostile = {**MEMORY, "content": "\x1b]0;owned\x07 [bold]x[/bold] \x9b31m", "name": "\x1b[2J", "session": None}
    first = {**RECALL["results"][0], "memory": hostile}
    service(ok({**RECALL, "results": [first]}))
    shown = run(["recall", "x"]).stdout
    service(ok({"items": [hostile], "next_cursor": None}))
    shown += run(["list"]).stdout
    service(ok(hostile))
    shown += run(["get", MEMORY_ID]).stdout
    assert not set(shown) & {"\x1b", "\x07", "\x9b"}
    assert "[bold]x[/bold]" in shown


def test_context_is_plain_text(service: Service) -> None:
    recorded = service(ok(CONTEXT))
    result = run(["context", "x", "--budget", "300"])
    assert result.stdout == "[1] Sam: Ada moved to Lisbon.\n"
    assert recorded.body == {"query": "x", "spaces": ["default"], "token_budget": 300}


def test_list_get_delete(service: Service) -> None:
    recorded = service(ok({"items": [MEMORY], "next_cursor": "c2"}))
    result = run(["list", "--kind", "turn", "--limit", "5"])
    assert dict(recorded.requests[0].url.params) == {"space": "default", "kind": "turn", "limit": "5"}
    assert MEMORY_ID in result.stdout
    assert "--cursor c2" in result.stdout
    service(ok(MEMORY))
    assert "My sister Ada moved to Lisbon in spring." in run(["get", MEMORY_ID]).stdout
    service([httpx.Response(204)])
    assert run(["delete", MEMORY_ID]).stdout == f"Erased {MEMORY_ID}.\n"
    assert run(["get", "seven"]).exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        (["recall", "x"], RECALL),
        (["context", "x"], CONTEXT),
        (["list"], {"items": [MEMORY], "next_cursor": None}),
        (["get", MEMORY_ID], MEMORY),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_json_is_the_response(service: Service, arguments: list[str], body: dict[str, Any]) -> None:
    service(ok(body))
    assert json.loads(run([*arguments, "--json"]).stdout) == body


# Errors


def test_an_error_of_the_service_reads_well(service: Service) -> None:
    service([httpx.Response(422, json=PROBLEM)])
    result = run(["recall", "x", "--json"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "Error: The request does not have the right form.\n"
        "- messages[3].timestamp: is no date (Write it as ISO 8601.)\n"
        "Correct the fields.\n"
        "Request id: r-1\n"
    )


def test_no_service(service: Service) -> None:
    service([httpx.ConnectError("refused")])
    result = run(["list"])
    assert result.exit_code == 1
    assert "No answer from http://memsvc.test: refused." in result.stderr
    assert "Start the service with `memsvc serve`" in result.stderr


def test_an_unusable_url(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMSVC_URL", "nonsense")
    assert "MEMSVC_URL: 'nonsense' is not the URL of a service" in run(["list"]).stderr


def test_the_projects_errors_are_reported_with_fields_and_remedy(module: Callable[..., None]) -> None:
    def run_worker(settings: object) -> None:
        raise InvalidRequestError("No.", fields=(FieldError("a.b", "is odd", "Make it even."),), remedy="Try this.")

    module("memsvc.worker", run=run_worker)
    result = run(["worker"])
    assert (result.exit_code, result.stderr) == (1, "Error: No.\n- a.b: is odd (Make it even.)\nTry this.\n")


def test_a_defect_is_not_hidden(module: Callable[..., None]) -> None:
    def run_worker(settings: object) -> None:
        raise ZeroDivisionError

    module("memsvc.worker", run=run_worker)
    assert isinstance(run(["worker"]).exception, ZeroDivisionError)


# The service


def test_serve_passes_what_was_chosen(module: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMSVC_HOST", "10.0.0.1")
    calls: list[tuple[Any, Path | None]] = []
    module("memsvc.main", serve=lambda settings, ready_file: calls.append((settings, ready_file)))
    assert run(["serve", "--port", "0", "--ready-file", "ready.json", "--no-worker"]).exit_code == 0
    assert run(["serve"]).exit_code == 0
    (chosen, file), (default, no_file) = calls
    assert (chosen.host, chosen.port, chosen.worker_in_serve, file) == ("10.0.0.1", 0, False, Path("ready.json"))
    assert (default.port, default.worker_in_serve, no_file) == (8377, True, None)


def test_a_setting_that_cannot_be_used(module: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMSVC_PORT", "many")
    module("memsvc.worker", run=lambda _: None)
    result = run(["worker"])
    assert result.exit_code == 1
    assert "MEMSVC_PORT" in result.stderr


def test_migrate(module: Callable[..., None]) -> None:
    calls: list[object] = []
    module("memsvc.deployment", migrate=calls.append)
    assert run(["migrate"]).exit_code == 0
    assert len(calls) == 1


@dataclass(frozen=True)
class Check:
    name: str
    ok: bool
    detail: str
    remedy: str


def test_doctor(module: Callable[..., None]) -> None:
    good = Check("database", True, "PostgreSQL 18", "")
    bad = Check("encoder", False, "no such model", "Set MEMSVC_ENCODER.")
    module("memsvc.doctor", diagnose=lambda _: [good])
    assert run(["doctor"]).exit_code == 0
    module("memsvc.doctor", diagnose=lambda _: [good, bad])
    result = run(["doctor"])
    assert result.exit_code == 1
    for part in ("database", "PostgreSQL 18", "FAILED", "no such model", "Set MEMSVC_ENCODER."):
        assert part in result.stdout


def key(**changes: object) -> SimpleNamespace:
    fields = {"prefix": "ab12", "tenant": "acme", "principal": "bot", "scopes": ("read",), "created_at": None}
    return SimpleNamespace(**fields, revoked_at=None, **changes)


def test_keys(module: Callable[..., None]) -> None:
    made: list[dict[str, object]] = []

    def create_key(settings: object, **arguments: object) -> SimpleNamespace:
        made.append(arguments)
        return key(key="msk_ab12_secret")

    module("memsvc.deployment", create_key=create_key, list_keys=lambda _: [key()])
    result = run(["keys", "create", "--tenant", "acme", "--principal", "bot", "--scopes", "read, admin"])
    assert made == [{"tenant": "acme", "principal": "bot", "scopes": ["read", "admin"]}]
    assert result.stdout == "msk_ab12_secret\n"
    assert "cannot be shown again" in result.stderr
    listed = run(["keys", "list"]).stdout
    assert "ab12" in listed
    assert "acme" in listed


def test_keys_revoke(module: Callable[..., None]) -> None:
    def revoke_key(settings: object, prefix: str) -> SimpleNamespace:
        if prefix != "ab12":
            raise ConfigurationError(f"There is no key {prefix}.")
        return key()

    module("memsvc.deployment", revoke_key=revoke_key)
    assert run(["keys", "revoke", "ab12"]).stdout == "Key ab12 of bot in acme is revoked.\n"
    assert "There is no key zz." in run(["keys", "revoke", "zz"]).stderr


# The program


def test_version_and_help() -> None:
    assert run(["--version"]).stdout == f"memsvc {memsvc.__version__}\n"
    shown = run(["--help"]).stdout
    for command in ("serve", "worker", "migrate", "doctor", "keys", "add", "recall", "context", "list", "get", "demo"):
        assert command in shown
    assert run(["forget-everything"]).exit_code == 2


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, memsvc.cli; "
        "print(*sorted({'pydantic', 'httpx', 'numpy', 'torch', 'fastapi', 'sqlalchemy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == ""


def test_it_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "memsvc", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == f"memsvc {memsvc.__version__}\n"

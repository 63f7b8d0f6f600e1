"""The commands on upkeep: what they send and print."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from sdk_samples import (
    CONFLICT,
    CONFLICT_ID,
    FEEDBACK,
    MEMORY_ID,
    OPERATION_ID,
    RETENTION,
    RUN,
    SCRATCH,
    Recorded,
)
from typer.testing import CliRunner

import memsvc.sdk
from memsvc.cli import app

OTHER = "01890000-0000-7000-8000-000000000002"
LATER = "01890000-0000-7000-8000-0000000000ab"
CONFLICTS = {"items": [CONFLICT], "next_cursor": None}
DEFAULTS = {"space": "default", "dry_run": False, "limit": 1000, "reason": None}
SETTLED = {**CONFLICT, "state": "settled", "resolution": "first", "settled_by": OPERATION_ID}

run = partial(CliRunner().invoke, app)
Serve = Callable[[dict[str, Any]], Recorded]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Lets the commands talk to a service that gives this answer."""

    def answer(body: dict[str, Any]) -> Recorded:
        recorded = Recorded([httpx.Response(200, json=body)])
        real = memsvc.sdk._sync.MemoryClient
        monkeypatch.setattr(memsvc.sdk, "MemoryClient", partial(real, retries=0, transport=recorded.transport))
        return recorded

    monkeypatch.setenv("MEMSVC_URL", "http://memsvc.test")
    monkeypatch.setenv("MEMSVC_API_KEY", "k")
    return answer


@pytest.mark.parametrize(
    ("arguments", "path", "body"),
    [
        (["consolidate"], "/v1/consolidate", DEFAULTS),
        (
            ["consolidate", "-s", "home", "--dry-run", "--limit", "5", "--reason", "now"],
            "/v1/consolidate",
            {"space": "home", "dry_run": True, "limit": 5, "reason": "now"},
        ),
        (["forget"], "/v1/forget", {**DEFAULTS, "share": None}),
        (["forget", "--space", "home", "--share", "0.25"], "/v1/forget", {**DEFAULTS, "space": "home", "share": 0.25}),
        (["compress"], "/v1/compress", {**DEFAULTS, "archived_days": None, "superseded": False}),
        (
            ["compress", "--space", "home", "--archived-days", "0", "--superseded"],
            "/v1/compress",
            {**DEFAULTS, "space": "home", "archived_days": 0.0, "superseded": True},
        ),
        (
            ["feedback", MEMORY_ID, OTHER, "--verdict", "success", "--episode", "trip"],
            "/v1/feedback",
            {"memories": [MEMORY_ID, OTHER], "verdict": "success", "episode": "trip", "note": None},
        ),
        (
            ["conflicts", "settle", CONFLICT_ID, "--keep", "first", "--reason", "she said so"],
            f"/v1/conflicts/{CONFLICT_ID}/settle",
            {"keep": "first", "reason": "she said so"},
        ),
    ],
)
def test_what_commands_send(serve: Serve, arguments: list[str], path: str, body: dict[str, Any]) -> None:
    answers = {"/v1/feedback": FEEDBACK, f"/v1/conflicts/{CONFLICT_ID}/settle": SETTLED}
    recorded = serve(answers.get(path, RUN))
    result = run(arguments)
    assert result.exit_code == 0, result.output
    assert (recorded.requests[0].url.path, recorded.body) == (path, body)


@pytest.mark.parametrize("command", ["consolidate", "forget", "compress"])
def test_a_run_is_shown_with_its_changes_and_how_to_undo_it(serve: Serve, command: str) -> None:
    serve(RUN)
    shown = run([command]).stdout
    for part in (MEMORY_ID, "learn", "Ada lives in Lisbon.", "she moved there"):
        assert part in shown
    assert f"1 changes in home. Undo {OPERATION_ID} to revert.\n" in shown
    assert "There is more" not in shown


def test_a_run_of_several_operations_that_stopped_at_its_limit(serve: Serve) -> None:
    serve({**RUN, "further": [LATER], "more": True})
    shown = run(["consolidate"]).stdout
    assert f"Undo {OPERATION_ID}, {LATER} (the last first) to revert.\n" in shown
    assert "There is more: run it again.\n" in shown


def test_a_run_without_changes_and_a_dry_one(serve: Serve) -> None:
    serve({**RUN, "operation_id": None, "changes": []})
    assert run(["forget"]).stdout == "There was nothing to do in home.\n"
    serve({**RUN, "operation_id": None, "dry_run": True})
    dry = run(["forget", "--dry-run"]).stdout
    assert "Would make 1 changes in home.\n" in dry
    assert "Undo" not in dry


def test_feedback(serve: Serve) -> None:
    serve(FEEDBACK)
    shown = run(["feedback", MEMORY_ID, "--verdict", "helpful"]).stdout
    for part in (MEMORY_ID, "recorded", "activated again", "0.80", "1.50", f"Undo operation {OPERATION_ID}"):
        assert part in shown


def test_retention(serve: Serve) -> None:
    recorded = serve(RETENTION)
    shown = run(["retention", MEMORY_ID]).stdout
    assert recorded.requests[0].url.path == f"/v1/memories/{MEMORY_ID}/retention"
    assert "retention 0.750, stability 180.0 days since 2024-05-07 10:30." in shown
    for part in ("helpful", "0.400", "2024-07-01 00:00", "0.635", "Below 0.3 (archive) from 2024-12-09 00:00."):
        assert part in shown
    assert "Below 0.05 (forget) from 2025-10-28 00:00." in shown
    assert "The policy: nothing at –, kept by pinned (it is pinned)" in shown


def test_conflicts(serve: Serve) -> None:
    recorded = serve({**CONFLICTS, "next_cursor": "c2"})
    shown = run(["conflicts", "list", "--space", "home", "--limit", "5"]).stdout
    assert dict(recorded.requests[0].url.params) == {"space": "home", "state": "open", "limit": "5"}
    assert CONFLICT_ID in shown
    assert "There are more: repeat with --cursor c2" in shown
    recorded = serve({"items": [SETTLED], "next_cursor": None})
    shown = run(["conflicts", "list", "--all"]).stdout
    assert "state" not in recorded.requests[0].url.params
    assert "settled: first" in " ".join(shown.split())
    serve({"items": [], "next_cursor": None})
    assert run(["conflicts", "list"]).stdout == "There are none.\n"
    serve(SETTLED)
    assert run(["conflicts", "settle", CONFLICT_ID, "--keep", "first"]).stdout == (
        f"{CONFLICT_ID} is settled: first. Undo operation {OPERATION_ID} to open it again.\n"
    )


def test_a_scratch(serve: Serve) -> None:
    recorded = serve(SCRATCH)
    shown = run(["scratch", "show", "booking", "--space", "home", "--revision", "3"]).stdout
    assert recorded.requests[0].url.raw_path == b"/v1/scratch/booking?space=home&revision=3"
    assert shown == (
        "## 1.1 (4 tokens, pinned)\nGoal: a table.\n\n"
        "## 3.1 (12 tokens, in the place of a)\nThe Anchor is full.\n\n"
        "16 of 2048 tokens, revision 3\n"
    )


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        (["consolidate"], RUN),
        (["forget"], RUN),
        (["compress"], RUN),
        (["feedback", MEMORY_ID, "--verdict", "used"], FEEDBACK),
        (["retention", MEMORY_ID], RETENTION),
        (["conflicts", "list"], CONFLICTS),
        (["conflicts", "settle", CONFLICT_ID, "--keep", "both"], CONFLICT),
        (["scratch", "show", "booking"], SCRATCH),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else "",
)
def test_json_is_the_response(serve: Serve, arguments: list[str], body: dict[str, Any]) -> None:
    serve(body)
    assert json.loads(run([*arguments, "--json"]).stdout) == body


def test_what_cannot_be_asked(serve: Serve) -> None:
    recorded = serve(RUN)
    assert run(["feedback", "--verdict", "used"]).exit_code == 2
    assert run(["feedback", MEMORY_ID]).exit_code == 2
    assert run(["retention", "seven"]).exit_code == 2
    assert run(["compress", "--limit", "0"]).exit_code == 2
    for arguments, field in (
        (["feedback", MEMORY_ID, "--verdict", "great"], "verdict"),
        (["conflicts", "settle", CONFLICT_ID, "--keep", "third"], "keep"),
        (["forget", "--share", "1"], "share"),
    ):
        result = run(arguments)
        assert (result.exit_code, f"- {field}: " in result.stderr) == (1, True)
    assert recorded.requests == []


def test_stored_text_cannot_steer_the_terminal(serve: Serve) -> None:
    hostile = "\x1b]0;owned\x07 [bold]x[/bold] \x9b31m"
    serve({**RUN, "changes": [{**RUN["changes"][0], "content": hostile, "reason": hostile}]})
    shown = run(["consolidate"]).stdout
    serve({"items": [{**CONFLICT, "first": {**CONFLICT["first"], "content": hostile}}], "next_cursor": None})
    shown += run(["conflicts", "list"]).stdout
    serve({**SCRATCH, "entries": [{**SCRATCH["entries"][0], "id": hostile, "content": hostile}]})
    shown += run(["scratch", "show", "booking"]).stdout
    assert not set(shown) & {"\x1b", "\x07", "\x9b"}
    assert "[bold]x[/bold]" in shown


FORGET = {"after": {"archive_below": 0.2, "forget_below": 0.05}, "pack_after_days": 365}
SPACE = {
    "name": "home", "memories": 0, "chunks": 0, "pending": 0, "encoder": None, "owner": "ada", "open": True,
    "policies": {}, "created_at": "2026-03-01T12:00:00Z",
}  # fmt: skip


@pytest.mark.parametrize("from_file", [False, True])
def test_any_policy_of_a_space_is_set_from_json(serve: Serve, tmp_path: Path, from_file: bool) -> None:
    given = json.dumps({"forget": FORGET, "ttl_days": 10, "consolidate": "off"})
    if from_file:
        (tmp_path / "policies.json").write_text(given)
        given = str(tmp_path / "policies.json")
    recorded = serve(SPACE)
    result = run(["spaces", "set", "home", "--policy", given, "--ttl-days", "20"])
    assert result.exit_code == 0, result.output
    sent = recorded.body["policies"]
    assert (sent["ttl_days"], sent["consolidate"]) == (20, "off")
    assert (sent["forget"]["after"], sent["forget"]["pack_after_days"]) == (FORGET["after"], 365)


@pytest.mark.parametrize("given", ["nowhere.json", "{forget", "{}]", "[]"])
def test_a_policy_that_cannot_be_read_is_refused_before_anything_is_sent(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "[]").write_text("[]")
    recorded = serve(SPACE)
    result = run(["spaces", "set", "home", "--policy", given])
    assert result.exit_code == 2
    assert "--policy" in result.output
    assert recorded.requests == []


def test_an_unknown_policy_is_refused(serve: Serve) -> None:
    recorded = serve(SPACE)
    result = run(["spaces", "set", "home", "--policy", '{"forgets": {}}'])
    assert result.exit_code != 0
    assert "forgets" in result.output
    assert recorded.requests == []

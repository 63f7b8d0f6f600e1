"""Exports of others: what becomes of each, what is left out, and that nothing malformed gets further."""

import copy
import json
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest
import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from importers_samples import FORMATS, JUNK, ROWS, SAMPLES, SKIPPED, load, outcomes, places, row
from sdk_samples import Recorded, written
from typer.testing import CliRunner

import memsvc.sdk
from memsvc.cli import ReportingGroup
from memsvc.commands.importing import import_export
from memsvc.errors import InvalidRequestError
from memsvc.importers import IMPORTERS, Format, Plan, archive, detect, items, open_export, survey
from memsvc.sdk.bulk import as_item


def fault(kind: Format, document: object) -> tuple[str, str]:
    with pytest.raises(InvalidRequestError) as caught:
        list(IMPORTERS[kind].read(document))
    assert caught.value.hint
    (field,) = caught.value.fields
    assert field.field in str(caught.value)
    return field.field, field.problem


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes an export: one JSON file, or a zip of several."""

    def make(name: str, files: object) -> Path:
        path = tmp_path / name
        if path.suffix != ".zip":
            path.write_text(json.dumps(files), encoding="utf-8")
            return path
        assert isinstance(files, dict)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
            for member, value in files.items():
                zipped.writestr(member, value if isinstance(value, str | bytes) else json.dumps(value))
        return path

    return make


# What becomes of each format


@pytest.mark.parametrize("name", FORMATS)
def test_a_sample_is_recognised_and_read(name: str) -> None:
    document = load(name)
    assert detect(document) == FORMATS[name]
    found, skipped = outcomes(FORMATS[name], document)
    assert [row(item) for item in found] == ROWS[name]
    assert skipped == SKIPPED.get(name, {})
    for item in found:
        as_item(item.fields, within="")
        assert item.session == item.fields.get("session")


def test_metadata_say_where_an_item_is_from() -> None:
    first = outcomes("mem0", load("mem0"))[0][0]
    assert first.fields["metadata"] == {
        "source": "mem0",
        "source_id": "8c1f0a52-0001-4000-8000-000000000001",
        "topic": "garden",
        "categories": ["pets"],
        "user_id": "ines",
        "agent_id": "kitchen",
        "run_id": "spring-1",
        "updated_at": "2026-03-04T10:00:00-08:00",
        "original": {"source": "phone"},
    }
    answer = outcomes("chatgpt", load("chatgpt"))[0][2]
    assert answer.fields["metadata"] == {
        "source": "chatgpt",
        "source_id": "a1",
        "conversation_id": "c-1",
        "title": "Rye bread",
        "model": "gpt-5",
    }
    turns = outcomes("graphiti", load("graphiti"))[0]
    metadata: Any = turns[2].fields["metadata"]
    assert metadata["source_id"] == "5f7e0001-0000-4000-8000-000000000002#1"


def test_ids_are_derived_and_never_change() -> None:
    ids = [item.fields.get("id") for item in outcomes("mem0", load("mem0"))[0]]
    assert ids == [
        "963228cc-8705-570f-bd15-337d938ec79c",
        "cbc24afa-caf2-5794-90e8-42f8a79ba3ba",
        "f037fb30-42e5-5cf1-972c-d56d998fa23d",
    ]
    assert all("id" not in item.fields for item in outcomes("letta", load("letta_agent"))[0])


def test_an_edited_memory_gets_another_id_and_edited_metadata_do_not() -> None:
    document = load("mem0")
    before = outcomes("mem0", document)[0][0].fields["id"]
    document["results"][0]["categories"] = ["animals"]
    assert outcomes("mem0", document)[0][0].fields["id"] == before
    document["results"][0]["memory"] = "Ines keeps three hens"
    edited: Any = outcomes("mem0", document)[0][0].fields
    assert edited["id"] != before
    assert edited["metadata"]["source_id"] == "8c1f0a52-0001-4000-8000-000000000001"


def test_what_cannot_be_stored_is_replaced_and_marked() -> None:
    value = {"id": 1, "memory": "a\x00b", "user_id": "x\n" + "y" * 300, "metadata": {"n": 10**30, "s": "\ud800"}}
    (item,) = outcomes("mem0", [value])[0]
    assert item.fields["content"] == "a�b"
    assert item.fields["metadata"] == {
        "source": "mem0",
        "source_id": "1",
        "user_id": value["user_id"],
        "n": "1" + "0" * 30,
        "s": "�",
        "repaired": True,
    }
    name = item.fields["name"]
    assert isinstance(name, str)
    assert (len(name), "\n" in name) == (200, False)
    as_item(item.fields, within="")


# Malformed files


@pytest.mark.parametrize(
    ("kind", "change", "place", "problem"),
    [
        ("chatgpt", lambda d: d[1].pop("mapping"), "conversations[1].mapping", "is missing; it holds the messages"),
        ("chatgpt", lambda d: d[0].update(mapping=[]), "conversations[0].mapping", "must be an object"),
        (
            "chatgpt",
            lambda d: d[0].update(current_node="nowhere"),
            "conversations[0].current_node",
            "names no entry of `mapping`",
        ),
        (
            "chatgpt",
            lambda d: d[0]["mapping"]["root"].update(parent="a2"),
            "conversations[0].mapping",
            "has a circle: a2 is its own ancestor",
        ),
        (
            "chatgpt",
            lambda d: d[0]["mapping"]["q1"]["message"].update(create_time="soon"),
            "conversations[0].mapping.q1.message.create_time",
            "is not a time",
        ),
        ("claude", lambda d: d[0].update(chat_messages={}), "conversations[0].chat_messages", "must be a list"),
        (
            "claude",
            lambda d: d[0]["chat_messages"][2].update(content=["x"]),
            "conversations[0].chat_messages[2].content[0]",
            "must be an object",
        ),
        ("mem0", lambda d: d["results"].append(7), "results[4]", "must be an object"),
        ("mem0", lambda d: d["results"][1].update(memory=7), "results[1].memory", "must be text"),
        ("mem0", lambda d: d.pop("results"), "results", "is missing; the memories are expected there"),
        ("graphiti", lambda d: d[0].update(valid_at="2026-13-01"), "episodes[0].valid_at", "is not a time"),
        ("letta_agent", lambda d: d["agents"][0]["messages"][1].update(role="x"), "agents[0].messages[1].role", None),
        ("langgraph", lambda d: d["items"][0].pop("key"), "items[0].key", "is missing"),
    ],
)
def test_a_malformed_file_is_refused_with_the_place(
    kind: str, change: Callable[[Any], object], place: str, problem: str | None
) -> None:
    document = load(kind)
    change(document)
    assert fault(FORMATS[kind], document) == (place, problem or "is not a role of Letta")


@pytest.mark.parametrize("kind", IMPORTERS)
@pytest.mark.parametrize("document", [None, 1, "text", {}, {"other": []}, [1], [[]]], ids=repr)
def test_other_json_is_refused(kind: Format, document: object) -> None:
    assert detect(document) is None
    assert fault(kind, document)[0]


@given(data=st.data(), name=st.sampled_from(list(FORMATS)))
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_mutated_exports_give_valid_items_or_a_named_place(data: st.DataObject, name: str) -> None:
    document = copy.deepcopy(load(name))
    for _ in range(data.draw(st.integers(1, 3))):
        found = list(places(document))
        if not found:
            break
        container, key = data.draw(st.sampled_from(found))
        if isinstance(container, dict) and data.draw(st.booleans()):
            del container[key]
        else:
            container[key] = data.draw(JUNK)
    detect(document)
    try:
        found_items, _ = outcomes(FORMATS[name], document)
    except InvalidRequestError:
        return  # that it names the place is asserted where the fault is known
    for item in found_items:
        as_item(item.fields, within="")
        assert b"\\u0000" not in orjson.dumps(item.fields)  # which raises for what JSON in the service cannot be


# Files and archives


def test_a_zip_is_read_by_shape_and_the_rest_is_counted(write: Callable[..., Path]) -> None:
    path = write(
        "claude.zip",
        {
            "data/memories/acc-1.json": load("claude_memories")[0],
            "data/a_chat.json": [{"uuid": "x", "role": "user", "content": "of another product"}],
            "data/conversations.json": load("claude"),
            "data/projects/p-1.json": load("claude_projects")[0],
            "data/users.json": [{"uuid": "acc-1", "full_name": "Eli"}],
            "data/picture.png": b"\x89PNG",
            "__MACOSX/data/._users.json": b"\x00",
        },
    )
    found = survey(Plan(path, "s"))
    assert (found.format, found.report.items, found.report.repaired) == ("claude", 10, 0)
    assert found.report.skipped["file in the archive that is not part of the export's memory"] == 2
    assert [item.fields["content"] for item in items(Plan(path, "s", "claude"))][:2] == [
        "Which paint for a larch hull?",
        "Hull: larch, 6 metres",
    ]


def test_a_large_chatgpt_export_in_shards(write: Callable[..., Path]) -> None:
    first, second = load("chatgpt")
    path = write("c.zip", {"conversations-000.json": [first], "conversations-001.json": [second, second]})
    report = survey(Plan(path, "s")).report
    assert (report.items, report.skipped["repeated in the export"]) == (7, 2)


def test_json_lines_utf_16_and_a_byte_order_mark(tmp_path: Path) -> None:
    lines = tmp_path / "a.jsonl"
    lines.write_text("\n".join(json.dumps(each) for each in load("letta_passages")) + "\n\n")
    assert survey(Plan(lines, "s")).report.items == 2
    for encoding in ("utf-16", "utf-8-sig"):
        path = tmp_path / f"{encoding}.json"
        path.write_text(json.dumps(load("mem0")), encoding=encoding)
        assert survey(Plan(path, "s")).report.items == 3


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"results": [', "m.json is not JSON: Expecting value at line 1, column 14."),
        (b"[" * 100_000, "m.json is not JSON: it is nested too deeply."),
        (b'["\xff"]', "m.json is not JSON: it is not UTF-8."),
        (b"", "m.json is not JSON: Expecting value at line 1, column 1."),
        (b"[]", "m.json holds nothing that can be imported as chatgpt, claude, graphiti, langgraph, letta, mem0."),
        (b"PK\x03\x04 no zip", "The archive is damaged or cannot be read: File is not a zip file."),
    ],
)
def test_a_file_that_is_no_export(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "m.json"
    path.write_bytes(content)
    with pytest.raises(InvalidRequestError) as caught:
        survey(Plan(path, "s"))
    assert caught.value.detail == said


@pytest.mark.parametrize("member", ["../conversations.json", "/etc/conversations.json", "a\\..\\..\\b.json"])
def test_an_archive_whose_names_lead_out_of_it_is_refused(write: Callable[..., Path], member: str) -> None:
    path = write("e.zip", {member: []})
    with pytest.raises(InvalidRequestError, match="leads out of it"):
        list(open_export(path))


def test_a_zip_bomb_is_refused_before_it_is_unpacked(write: Callable[..., Path]) -> None:
    path = write("b.zip", {"conversations.json": "[" + " " * (8 << 20) + "]"})
    with pytest.raises(InvalidRequestError, match="unpacks to more than 200 times its size"):
        list(open_export(path))


def test_sizes_are_bounded(write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_DOCUMENT_BYTES", 100)
    for path in (write("m.json", load("mem0")), write("m.zip", {"m.json": load("mem0")})):
        with pytest.raises(InvalidRequestError, match=r"m\.json is larger than"):
            list(open_export(path))
    monkeypatch.setattr(archive, "MAX_ARCHIVE_BYTES", 100)
    with pytest.raises(InvalidRequestError, match="unpacks to more than"):
        list(open_export(path))


def test_a_damaged_zip_is_refused(write: Callable[..., Path]) -> None:
    path = write("d.zip", {"conversations.json": load("chatgpt")})
    content = bytearray(path.read_bytes())
    content[60:90] = bytes(30)
    path.write_bytes(content)
    with pytest.raises(InvalidRequestError, match="damaged"):
        list(open_export(path))


def test_a_bundle_of_memsvc_has_its_own_command(write: Callable[..., Path]) -> None:
    path = write("b.zip", {"manifest.json": {"format": "memsvc-bundle"}, "memories.jsonl": "{}"})
    with pytest.raises(InvalidRequestError) as caught:
        survey(Plan(path, "s"))
    assert caught.value.hint == "Use `memsvc bundle import`."
    other = write("c.zip", {"manifest.json": {"format": "other"}, "conversations.json": load("claude")})
    assert survey(Plan(other, "s")).report.items == 4


# Importing again


@pytest.mark.parametrize("name", FORMATS)
def test_the_same_file_gives_the_same_ids_and_another_space_others(name: str) -> None:
    def ids(space: str) -> list[object]:
        return [item.fields["id"] for item in items(Plan(SAMPLES / f"{name}.json", space))]

    assert ids("a") == ids("a")
    assert len(set(ids("a"))) == len(ROWS[name])
    assert not set(ids("a")) & set(ids("b"))


def test_equal_messages_without_ids_are_kept_apart(write: Callable[..., Path]) -> None:
    document = load("letta_agent_v1")
    document["messages"] *= 3
    path = write("a.json", document)
    assert len({str(item.fields["id"]) for item in items(Plan(path, "s"))}) == 4


def test_messages_of_the_future_are_left_out(write: Callable[..., Path]) -> None:
    path = write("z.json", load("zep_messages"))
    report = survey(Plan(path, "s", latest=datetime(2026, 2, 1, 10, 0, 6, tzinfo=UTC))).report
    assert (report.items, report.skipped) == (2, {"dated in the future": 1})


# The command


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> tuple[Callable[..., Any], Recorded]:
    recorded = Recorded(written)
    client = partial(memsvc.sdk._sync.MemoryClient, retries=0, transport=recorded.transport)
    monkeypatch.setattr(memsvc.sdk, "MemoryClient", client)
    monkeypatch.setenv("MEMSVC_URL", "http://memsvc.test")
    monkeypatch.setenv("MEMSVC_API_KEY", "k")
    app = typer.Typer(cls=ReportingGroup)
    app.command("import")(import_export)
    app.callback()(lambda: None)
    return partial(CliRunner().invoke, app), recorded


def test_the_command_sends_the_items_and_says_what_it_left_out(run: tuple[Callable[..., Any], Recorded]) -> None:
    invoke, recorded = run
    result = invoke(["import", str(SAMPLES / "mem0.json"), "--space", "ines", "--timezone", "Europe/Lisbon"])
    assert result.stdout == (
        "3 items of mem0 are stored in ines.\nSkipped 2:\n  1  made by the source itself\n  1  no text\n"
    )
    assert (recorded.body["space"], recorded.body["timezone"]) == ("ines", "Europe/Lisbon")
    assert [each["content"] for each in recorded.body["messages"]] == ["I sold the old tractor."]
    sent = recorded.body["messages"] + recorded.body["texts"]
    assert {each["id"] for each in sent} == {
        str(item.fields["id"]) for item in items(Plan(SAMPLES / "mem0.json", "ines"))
    }


def test_a_dry_run_sends_nothing(run: tuple[Callable[..., Any], Recorded]) -> None:
    invoke, recorded = run
    result = invoke(["import", str(SAMPLES / "langgraph.json"), "--dry-run"])
    assert result.stdout.startswith("3 items of langgraph would be stored in default; nothing was sent.\n")
    result = invoke(["import", str(SAMPLES / "langgraph.json"), "--dry-run", "--json"])
    assert json.loads(result.stdout) == {
        "format": "langgraph",
        "space": "default",
        "items": 3,
        "stored": 0,
        "created": 0,
        "duplicates": 0,
        "pending": 0,
        "repaired": 0,
        "skipped": {"no text": 1},
        "sent": False,
    }
    assert recorded.requests == []


def test_the_command_names_the_fault_and_sends_nothing(
    run: tuple[Callable[..., Any], Recorded], write: Callable[..., Path]
) -> None:
    invoke, recorded = run
    document = load("chatgpt")
    del document[1]["mapping"]
    result = invoke(["import", str(write("c.json", document)), "--from", "chatgpt"])
    assert (result.exit_code, result.stdout, recorded.requests) == (1, "", [])
    assert result.stderr.splitlines() == [
        "Error: c.json: The export cannot be read at conversations[1].mapping.",
        "- conversations[1].mapping: is missing; it holds the messages",
        "Check that the file is a complete and unchanged export, or name its format with --from.",
    ]
    assert invoke(["import", "no-such-file.json"]).exit_code == 2
    assert invoke(["import", str(SAMPLES / "mem0.json"), "--from", "elsewhere"]).exit_code == 2


def test_a_wrong_format_is_said(run: tuple[Callable[..., Any], Recorded]) -> None:
    invoke, _ = run
    result = invoke(["import", str(SAMPLES / "mem0.json"), "--from", "claude"])
    assert result.exit_code == 1
    assert "conversations[0].chat_messages" in result.stderr

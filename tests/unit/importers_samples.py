"""Exports in `tests/samples/importers`, what they must give, and how to read them."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from memsvc.importers import IMPORTERS, Format, ImportedItem, Skipped

SAMPLES = Path(__file__).parents[1] / "samples/importers"
FORMATS: dict[str, Format] = {
    "mem0": "mem0",
    "mem0_list": "mem0",
    "graphiti": "graphiti",
    "zep_messages": "graphiti",
    "letta_passages": "letta",
    "letta_agent": "letta",
    "letta_agent_v1": "letta",
    "letta_messages": "letta",
    "langgraph": "langgraph",
    "chatgpt": "chatgpt",
    "claude": "claude",
    "claude_memories": "claude",
    "claude_projects": "claude",
}
Row = tuple[str, str | None, str | None, str | None, str]

ROWS: dict[str, list[Row]] = {
    "mem0": [
        (
            "fact",
            "ines",
            "mem0:spring-1",
            "2026-03-02T09:30:00.125000-08:00",
            "Ines keeps two hens",
        ),
        ("procedure", "ines", None, "2026-03-05T07:00:00+00:00", "Water the seedlings before nine"),
        ("user", "Ines", "mem0:spring-1", "2026-03-06T18:00:00+00:00", "I sold the old tractor."),
    ],
    "mem0_list": [("fact", None, None, "2025-11-07T05:31:56+00:00", "Tomas reads weather maps")],
    "graphiti": [
        ("user", "Mara", "graphiti:harbour", "2026-01-31T20:15:00+01:00", "The ferry leaves at six."),
        ("user", None, "graphiti:harbour", "2026-02-01T10:05:00+00:00", "Where is my crate?"),
        ("assistant", None, "graphiti:harbour", "2026-02-01T10:05:00+00:00", "On the pier.\nIt is blue."),
        ("user", "Jonas", "graphiti:harbour", "2026-02-01T11:00:00+00:00", "Fog until noon."),
        ("document", "Tide table", None, "2026-02-03T06:12:00+00:00", '{"high": "06:12"}'),
    ],
    "zep_messages": [
        ("user", "Mara", "graphiti:t-9", "2026-02-01T10:00:00+00:00", "Two tickets please."),
        ("assistant", "Desk", "graphiti:t-9", "2026-02-01T10:00:05+00:00", "Done: row 4."),
        ("user", None, "graphiti:t-9", "2026-02-01T10:00:09+00:00", "(door opens)"),
    ],
    "letta_passages": [
        ("fact", None, None, "2026-01-10T12:00:00+00:00", "Bo collects ship models."),
        ("document", "log.txt", None, "2026-01-11T12:00:00+00:00", "Chapter one."),
    ],
    "letta_agent": [
        ("user", None, "letta:Skipper", "2026-01-01T08:00:02+00:00", "Ahoy, I am Bo."),
        ("assistant", None, "letta:Skipper", "2026-01-01T08:00:03+00:00", "Welcome aboard, Bo."),
        ("fact", "human", None, None, "Name: Bo. Sails on Sundays."),
    ],
    "letta_agent_v1": [
        ("user", None, "letta:Cook", "2025-05-01T18:00:00", "What is for supper?"),
        ("fact", "human", None, None, "Bo is vegetarian."),
    ],
    "letta_messages": [
        ("user", "Bo", "letta:agent-77770000-0000-4000-8000-000000000001", "2026-01-02T09:00:00+00:00", "What wind?"),
        (
            "assistant",
            None,
            "letta:agent-77770000-0000-4000-8000-000000000001",
            "2026-01-02T09:00:05+00:00",
            "North-west, force four.",
        ),
    ],
    "langgraph": [
        ("fact", None, None, "2026-04-01T10:00:00.000001+00:00", "Lea plays the cello"),
        ("fact", None, None, "2026-04-01T11:00:00+00:00", "Lea rehearses on Tuesdays"),
        ("fact", None, None, "2026-04-01T12:00:00+02:00", '{"age":41,"city":"Graz"}'),
    ],
    "chatgpt": [
        ("preference", None, None, None, "I bake bread for a living."),
        ("user", None, "chatgpt:c-1", "2026-03-02T09:01:00.250000+00:00", "How long does this rye dough rise?"),
        ("assistant", None, "chatgpt:c-1", "2026-03-02T09:01:04+00:00", "About twelve hours,\nat 24 degrees."),
        ("user", None, "chatgpt:c-1", "2026-03-02T09:01:04+00:00", "Remember that I proof overnight."),
        ("fact", None, "chatgpt:c-1", "2026-03-02T09:01:10+00:00", "Proofs dough overnight."),
        ("user", None, "chatgpt:c-2", "2026-03-03T09:00:00+00:00", "Hello"),
        ("assistant", None, "chatgpt:c-2", "2026-03-03T09:00:09+00:00", "Hello!"),
    ],
    "claude": [
        ("user", None, "claude:d-1", "2026-05-01T08:00:01+00:00", "Which paint for a larch hull?"),
        ("document", None, "claude:d-1", "2026-05-01T08:00:01+00:00", "Hull: larch, 6 metres"),
        ("assistant", None, "claude:d-1", "2026-05-01T08:01:00+00:00", "Let me look.\n\nLinseed oil paint."),
        ("user", None, "claude:d-2", "2026-05-02T08:00:00+02:00", "I launch on Saturday."),
    ],
    "claude_memories": [
        ("summary", None, None, None, "**Work**\nEli restores boats."),
        ("summary", None, None, None, "The sloop is from 1931."),
        ("summary", "/profile.md", None, "2026-05-03T03:04:05+00:00", "- Prefers metric units"),
    ],
    "claude_projects": [
        ("concept", "Sloop", None, "2026-04-01T00:00:00+00:00", "Restoring a sloop"),
        ("procedure", "Sloop", None, "2026-04-01T00:00:00+00:00", "Answer in metres."),
        ("document", "rig.md", None, "2026-04-01T01:00:00+00:00", "Mast: 9 m"),
    ],
}
SKIPPED = {
    "mem0": {"made by the source itself": 1, "no text": 1},
    "graphiti": {"no text": 1},
    "letta_passages": {"deleted in the source": 1},
    "letta_agent": {
        "system prompt or event": 2,
        "reasoning of the model": 1,
        "tool call or result": 2,
        "no text": 1,
        "file whose text is not in the export": 1,
    },
    "letta_messages": {"image": 1, "tool call or result": 1, "reasoning of the model": 1},
    "langgraph": {"no text": 1},
    "chatgpt": {
        "hidden from the conversation": 1,
        "image": 1,
        "file whose text is not in the export": 1,
        "reasoning of the model": 1,
        "tool call or result": 3,
        "sound or video": 1,
        "no text": 1,
        "on another branch of the conversation": 3,
    },
    "claude": {
        "made by the source itself": 1,
        "file whose text is not in the export": 2,
        "on another branch of the conversation": 1,
        "reasoning of the model": 1,
        "tool call or result": 2,
        "no text": 1,
    },
    "claude_projects": {"made by the source itself": 1},
}


def load(name: str) -> Any:
    return json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8"))


def outcomes(kind: Format, document: object) -> tuple[list[ImportedItem], dict[str, int]]:
    found: list[ImportedItem] = []
    skipped: Counter[str] = Counter()
    for outcome in IMPORTERS[kind].read(document):
        if isinstance(outcome, Skipped):
            skipped[outcome.reason] += 1
        else:
            found.append(outcome)
    return found, dict(skipped)


def row(item: ImportedItem) -> Row:
    fields: Any = item.fields
    optional = (fields.get(name) for name in ("name", "session", "timestamp"))
    return (fields.get("role") or fields["kind"], *optional, fields["content"])


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.sampled_from([10**40, "", "\ud800", "\x00", "0001-01-01", "9999-12-31T23:59:59-14:00", "message", "x" * 300]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container of a JSON value with each of its keys."""
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from places(value[key])

"""LangGraph: items of a store, as its search gives them or as rows of the table `store`.

An item has `namespace` (a list of text, or text), `key`, `value` (an object), `created_at`, `updated_at`; a row has
`prefix` in the place of `namespace`, joined with dots. Sources: reference.langchain.com, `langgraph.store.base.Item`
and, in camel case, the JavaScript `Item`.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from memsvc.importers.draft import Draft, json_text
from memsvc.importers.model import NO_TEXT, Outcome, Skipped
from memsvc.importers.record import Record, malformed, records_of, sample

# Where the text of a value is, by habit: LangMem writes `content`, the examples of the documentation the others.
TEXT_KEYS: Final = ("content", "memory", "text", "data", "fact")


def matches(document: object) -> bool:
    """Whether it looks like items of a store."""
    return any(
        "key" in entry and "value" in entry and ("namespace" in entry or "prefix" in entry)
        for entry in sample(document, "items")
    )


def read(document: object) -> Iterator[Outcome]:
    """Each item as a fact, in the order of the file."""
    for record in records_of(document.get("items") if isinstance(document, dict) else document, "items"):
        yield _item(record)


def _item(record: Record) -> Outcome:
    key = record.label("key")
    if key is None:
        raise malformed(record.at("key"), "is missing")
    namespace = _namespace(record)
    value = record.fields.get("value")
    if not value:
        return Skipped(NO_TEXT)
    content, rest = _split(value)
    return Draft(
        source="langgraph",
        source_id="/".join([*namespace, key]),
        content=content,
        timestamp=record.first_time("created_at", "createdAt", "updated_at", "updatedAt"),
        extra={
            "namespace": namespace,
            "key": key,
            "value": rest,
            "updated_at": record.first_time("updated_at", "updatedAt"),
        },
    ).finish()


def _namespace(record: Record) -> list[str]:
    if isinstance(record.fields.get("namespace"), list):
        return record.strings("namespace")
    joined = record.first_label("namespace", "prefix")
    return [] if joined is None else joined.split(".")


def _split(value: object) -> tuple[str, Mapping[str, object] | None]:
    """What a value says, and what else is in it. A value without a text of its own is kept as JSON."""
    if isinstance(value, str):
        return value, None
    if not isinstance(value, dict):
        return json_text(value), None
    for key in TEXT_KEYS:
        said = value.get(key)
        rest = {name: each for name, each in value.items() if name != key}
        if isinstance(said, str) and said.strip():
            return said, rest
        if isinstance(said, dict) and len(said) == 1:
            # LangMem wraps the text of a memory once more: {"kind": "Memory", "content": {"content": "..."}}.
            inner = next(iter(said.values()))
            if isinstance(inner, str) and inner.strip():
                return inner, rest
    return json_text(value), None

"""From what a source holds to an item that the service accepts, with an id that every import of it derives alike."""

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from uuid import UUID, uuid5

import orjson

from memsvc.importers.model import NO_TEXT, TOO_LONG, Format, ImportedItem, JsonValue, Outcome, Role, Skipped, TextKind

NAMESPACE = UUID("6c1f0f0e-3f0b-5d0c-9a41-0d4f5b1c7a52")  # of the ids of imported items; changing it doubles imports
MAX_CONTENT_BYTES = 2_000_000  # the service's default of MEMSVC_MAX_CONTENT_BYTES
MAX_NAME = 200
MAX_DEPTH = 32
REPLACEMENT = "�"
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_CONTROL = re.compile(r"[\x00-\x1f]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An item before it is checked. With a `role` it is a message, else a text of `kind`.

    `own` is metadata that the source's user wrote, `extra` what the importer adds; nulls in `extra` are left out.
    """

    source: Format
    content: str | None
    source_id: str | None = None
    role: Role | None = None
    kind: TextKind = "fact"
    name: str | None = None
    session: str | None = None
    timestamp: str | None = None
    own: Mapping[str, object] = field(default_factory=dict)
    extra: Mapping[str, object] = field(default_factory=dict)

    def finish(self) -> Outcome:
        """The item, or why there is none."""
        if self.content is None or not self.content.strip():
            return Skipped(NO_TEXT)
        content = _storable(self.content)
        if len(content.encode()) > MAX_CONTENT_BYTES:
            return Skipped(TOO_LONG)
        session = None if self.session is None else _label(f"{self.source}:{self.session}")
        metadata, repaired = self._metadata()
        if repaired or content != self.content:
            metadata["repaired"] = True
        fields: dict[str, JsonValue] = {"kind": self.kind} if self.role is None else {"role": self.role}
        fields["content"] = content
        optional = {
            "name": None if self.name is None else _label(self.name),
            "timestamp": self.timestamp,
            "session": session,
        }
        fields |= {key: value for key, value in optional.items() if value is not None}
        fields["metadata"] = metadata
        item = ImportedItem(session, fields)
        return item if self.source_id is None else with_id(item, self.source_id)

    def _metadata(self) -> tuple[dict[str, JsonValue], bool]:
        ours = {"source": self.source, "source_id": self.source_id, **self.extra}
        ours = {key: value for key, value in ours.items() if value is not None and value not in ("", [], {})}
        # A key of the user's that ours would overwrite is kept under `original`.
        taken = {key: value for key, value in self.own.items() if key in ours and value != ours[key]}
        return _json_object({**self.own, **ours} | ({"original": taken} if taken else {}), depth=0)


def with_id(item: ImportedItem, source_id: str) -> ImportedItem:
    """`item` with an id of its own: a UUIDv5 of its source, its id there and all that the service compares.

    The service answers 409 to an id that comes again with other content, and so would stop the import of an export in
    which one memory was edited since. With the content in the id, an item that is unchanged is recognised and one that
    was edited is stored beside the older one; both carry the same `source_id`.
    """
    fields = item.fields
    content = hashlib.sha256(str(fields["content"]).encode()).hexdigest()
    compared = [fields.get(key) for key in ("role", "kind", "name", "session", "timestamp")]
    source = fields["metadata"].get("source") if isinstance(fields["metadata"], dict) else None
    name = orjson.dumps([source, _storable(source_id), *compared, content]).decode()
    return replace(item, fields={"id": str(uuid5(NAMESPACE, name)), **fields})


def within_space(item: ImportedItem, space: str) -> ImportedItem:
    """`item` with the id that it has in `space`: the service knows an id once in the whole tenant."""
    return replace(item, fields={**item.fields, "id": str(uuid5(UUID(str(item.fields["id"])), space))})


def json_value(value: object, depth: int = 0) -> tuple[JsonValue, bool]:
    """`value` as JSON that the service can store, and whether anything of it had to be replaced.

    NUL, lone surrogates and what is nested too deeply are replaced; numbers that JSON cannot carry become text.
    """
    if isinstance(value, str):
        text = _storable(value)
        return text, text != value
    if value is None or isinstance(value, bool):
        return value, False
    if isinstance(value, int):
        return (value, False) if -(2**63) <= value < 2**63 else (str(value), False)
    if isinstance(value, float):
        return (value, False) if math.isfinite(value) else (str(value), False)
    if depth == MAX_DEPTH:
        return REPLACEMENT, True
    if isinstance(value, Mapping):
        return _json_object(value, depth)
    if isinstance(value, list | tuple):
        parts = [json_value(each, depth + 1) for each in value]
        return [each for each, _ in parts], any(changed for _, changed in parts)
    return _storable(str(value)), True


def json_text(value: object) -> str:
    """`value` as JSON text, the same for the same value."""
    return orjson.dumps(json_value(value)[0], option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS).decode()


def _json_object(value: Mapping[str, object], depth: int) -> tuple[dict[str, JsonValue], bool]:
    pairs = {_storable(key): json_value(each, depth + 1) for key, each in value.items()}
    changed = any(changed for _, changed in pairs.values()) or any(key not in value for key in pairs)
    return {key: each for key, (each, _) in pairs.items()}, changed


def _storable(text: str) -> str:
    return _UNSTORABLE.sub(REPLACEMENT, text)


def _label(text: str) -> str | None:
    """A name or session that the service takes; one that is too long ends in a digest, so that two stay two."""
    label = _CONTROL.sub(" ", _storable(text)).strip()
    if len(label) > MAX_NAME:
        digest = hashlib.sha256(label.encode()).hexdigest()[:12]
        label = f"{label[: MAX_NAME - len(digest) - 1]}~{digest}"
    return label or None

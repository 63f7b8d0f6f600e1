"""Files of items to store: JSON Lines or plain text, checked whole before anything is sent."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import typer

from memsvc.errors import FieldError, InvalidRequestError
from memsvc.sdk import InvalidRequest
from memsvc.sdk.bulk import Item, as_item

SHOWN_PROBLEMS = 20
JSON_LINES_REMEDY = 'Write one object a line, such as {"role": "user", "content": "..."} or {"content": "..."}.'


@dataclass(frozen=True, slots=True)
class Defaults:
    """What the command line says of items that do not say it themselves."""

    kind: str | None = None
    role: str | None = None
    name: str | None = None
    session: str | None = None
    timestamp: str | None = None
    valid_from: str | None = None
    valid_to: str | None = None
    expires_at: str | None = None
    visibility: str | None = None
    derived_from: tuple[str, ...] = ()
    supersedes: tuple[str, ...] = ()

    def complete(self, fields: dict[str, object]) -> dict[str, object]:
        """`fields` with what they lack. An item with a role is a message; an item with a kind is none."""
        common: dict[str, object] = {
            "name": self.name,
            "session": self.session,
            "timestamp": self.timestamp,
            "valid_from": self.valid_from,
            "valid_to": self.valid_to,
            "expires_at": self.expires_at,
            "visibility": self.visibility,
            "derived_from": list(self.derived_from),
            "supersedes": list(self.supersedes),
        }
        said: dict[str, object] = {name: value for name, value in common.items() if value not in (None, [])}
        if self.role is not None and "kind" not in fields:
            said["role"] = self.role
        elif self.kind is not None and "role" not in fields:
            said["kind"] = self.kind
        return said | fields


def read_text(path: str) -> str:
    """The file, or stdin for `-`; a usage error when it cannot be read, `InvalidRequestError` when it is not UTF-8."""
    try:
        content = typer.get_binary_stream("stdin").read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"cannot read {path}: {error.strerror}", param_hint="--file") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequestError(
            f"{path} is not UTF-8 text: byte {error.start} cannot be read; nothing was sent.",
            remedy="Convert it to UTF-8, for example with iconv.",
        ) from None


def is_json_lines(path: str, text: str) -> bool:
    """By the file's ending; stdin by its first character."""
    if path == "-":
        return text.lstrip()[:1] == "{"
    return Path(path).suffix.lower() in {".jsonl", ".ndjson"}


def parse_items(text: str, *, json_lines: bool, defaults: Defaults) -> list[Item]:
    """Every item of a file. Plain text gives one item a line, or a single one when the kind is `document`.

    `InvalidRequestError` names each bad line and field; then no item is returned, so that none is sent.
    """
    items: list[Item] = []
    problems: list[FieldError] = []
    bad_lines = 0
    for number, piece in _pieces(text, json_lines=json_lines, whole=defaults.kind == "document"):
        try:
            fields: dict[str, object] = _object(piece) if json_lines else {"content": piece}
            items.append(as_item(defaults.complete(fields), within=""))
        except ValueError as error:
            bad_lines += 1
            problems.append(FieldError(f"line {number}", str(error), ""))
        except InvalidRequest as error:
            bad_lines += 1
            problems += [FieldError(f"line {number}: {each.field}", each.problem, each.remedy) for each in error.errors]
    if problems:
        hidden = len(problems) - SHOWN_PROBLEMS
        raise InvalidRequestError(
            f"{bad_lines} of {bad_lines + len(items)} lines cannot be stored; nothing was sent."
            + (f" {hidden} more problems are not shown." if hidden > 0 else ""),
            fields=tuple(problems[:SHOWN_PROBLEMS]),
            remedy=JSON_LINES_REMEDY if json_lines else None,
        )
    if not items:
        raise InvalidRequestError("The file holds no items; nothing was sent.", remedy=JSON_LINES_REMEDY)
    return items


def _pieces(text: str, *, json_lines: bool, whole: bool) -> Iterator[tuple[int, str]]:
    if whole and not json_lines:
        yield 1, text
        return
    # Not splitlines(): it also cuts at U+2028, which may stand inside a JSON string.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, line.rstrip("\r")


def _object(line: str) -> dict[str, object]:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error.msg} at column {error.colno}") from None
    if not isinstance(value, dict):
        raise ValueError("must be a JSON object")  # noqa: TRY004 - the file is wrong, not the program
    return value

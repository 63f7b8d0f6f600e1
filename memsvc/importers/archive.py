"""Opening an export: JSON, JSON Lines, or a zip of such, read one document at a time and never unpacked to disk."""

import json
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

import orjson

from memsvc.errors import InvalidRequestError

MAX_DOCUMENT_BYTES: Final = 1 << 29  # parsed, JSON takes several times its size in memory
MAX_ARCHIVE_BYTES: Final = 1 << 32  # of the documents in a zip together, unpacked
MAX_ENTRIES: Final = 200_000
MAX_RATIO: Final = 200  # conversations shrink 5 to 30 times; a bomb shrinks a thousand times
RATIO_FROM_BYTES: Final = 1 << 20
MAX_MANIFEST_BYTES: Final = 1 << 20
LINES: Final = frozenset({".jsonl", ".ndjson"})
READ: Final = frozenset({".json", ".af", *LINES})
ZIP_SIGNATURES: Final = (b"PK\x03\x04", b"PK\x05\x06")
BUNDLE_FORMAT: Final = "memsvc-bundle"
# RuntimeError is zipfile's for a password, and NotImplementedError, which is one, for a method that it does not have.
UNREADABLE: Final = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, RuntimeError, OSError, ValueError),
)


@dataclass(frozen=True, slots=True)
class Document:
    """One parsed file; `archived` when it is one of several in a zip."""

    name: str
    value: object
    archived: bool


def open_export(path: Path) -> Iterator[Document]:
    """The documents of a .json, .jsonl, .af or .zip file, each parsed when its turn comes.

    `InvalidRequestError` for what is not JSON, too large, damaged or encrypted, for archives whose names lead out of
    them or that unpack to much more than they are, and for memsvc's own bundles.
    """
    try:
        with path.open("rb") as file:
            zipped = file.read(4) in ZIP_SIGNATURES
            if not zipped:
                file.seek(0)
                content = file.read(MAX_DOCUMENT_BYTES + 1)
    except OSError as error:
        raise InvalidRequestError(
            f"{path.name} cannot be read: {error.strerror}.", remedy="Check the path and who may read it."
        ) from None
    if zipped:
        yield from _unzip(path)
    else:
        yield Document(path.name, parse(path.name, content), archived=False)


def parse(name: str, content: bytes) -> object:
    """JSON or, by the name's ending, JSON Lines as a list; a single line stands for itself."""
    if len(content) > MAX_DOCUMENT_BYTES:
        raise InvalidRequestError(
            f"{name} is larger than {MAX_DOCUMENT_BYTES >> 20} MiB.",
            remedy="Split it: as JSON Lines, or as several files with a part of the list each.",
        )
    if PurePosixPath(name).suffix.lower() not in LINES:
        return _json(name, content)
    lines = enumerate(content.split(b"\n"), start=1)
    values = [_json(f"{name}, line {number},", line) for number, line in lines if line.strip()]
    return values[0] if len(values) == 1 else values


def _json(name: str, content: bytes) -> object:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        pass
    try:
        # Slower, but it takes what exports hold in practice: a byte order mark, UTF-16, NaN, halves of characters.
        return json.loads(content)
    except RecursionError:
        problem = "it is nested too deeply"
    except UnicodeDecodeError:
        problem = "it is not UTF-8"
    except json.JSONDecodeError as error:
        problem = f"{error.msg} at line {error.lineno}, column {error.colno}"
    except ValueError as error:  # a number of too many digits
        problem = str(error)
    raise InvalidRequestError(
        f"{name} is not JSON: {problem}.", remedy="Download the export again; it may be cut off or not an export."
    )


def _unzip(path: Path) -> Iterator[Document]:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = _entries(archive)
            _refuse_bundle(archive)
            for entry in entries:
                content = _unpack(archive, entry, MAX_DOCUMENT_BYTES)
                yield Document(entry.filename, parse(entry.filename, content), archived=True)
    except UNREADABLE as error:
        raise InvalidRequestError(
            f"The archive is damaged or cannot be read: {error}.",
            remedy="Download the export again, or unpack it and import its files.",
        ) from None


def _entries(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The files to read, the whole archive checked before the first is unpacked."""
    entries = archive.infolist()
    if len(entries) > MAX_ENTRIES:
        raise _refused(f"holds {len(entries)} files")
    chosen: list[zipfile.ZipInfo] = []
    for entry in entries:
        name = PurePosixPath(entry.filename.replace("\\", "/"))
        if name.is_absolute() or ".." in name.parts:
            raise _refused(f"has a file whose name leads out of it: {entry.filename!r}")
        hidden = any(part.startswith((".", "__MACOSX")) for part in name.parts)
        if entry.filename.endswith("/") or hidden or name.suffix.lower() not in READ:
            continue
        if entry.file_size > RATIO_FROM_BYTES and entry.file_size > MAX_RATIO * max(1, entry.compress_size):
            raise _refused(f"unpacks to more than {MAX_RATIO} times its size: {entry.filename!r}")
        chosen.append(entry)
    if sum(entry.file_size for entry in chosen) > MAX_ARCHIVE_BYTES:
        raise _refused(f"unpacks to more than {MAX_ARCHIVE_BYTES >> 30} GiB")
    # Conversations first: they tell whose export it is, which smaller files do not always.
    return sorted(chosen, key=lambda entry: (not _base(entry).startswith("conversations"), entry.filename))


def _base(entry: zipfile.ZipInfo) -> str:
    return PurePosixPath(entry.filename).name


def _unpack(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, limit: int) -> bytes:
    with archive.open(entry) as file:
        # The size in the directory may lie: what is read is bounded by itself, and `parse` refuses the byte too many.
        return file.read(limit + 1)


def _refuse_bundle(archive: zipfile.ZipFile) -> None:
    if "manifest.json" not in archive.namelist():
        return
    content = _unpack(archive, archive.getinfo("manifest.json"), MAX_MANIFEST_BYTES)
    if len(content) > MAX_MANIFEST_BYTES:
        return
    manifest = parse("manifest.json", content)
    if isinstance(manifest, dict) and manifest.get("format") == BUNDLE_FORMAT:
        raise InvalidRequestError("This is a bundle of memsvc's own.", remedy="Use `memsvc bundle import`.")


def _refused(problem: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"The archive {problem}; nothing of it was read.",
        remedy="If it is from a source that you trust, unpack it and import its files.",
    )

"""The zip around a bundle: written piece by piece, always with the same bytes, and read with suspicion.

Members are stored, not deflated: how a deflater packs depends on its version, and the bytes of a bundle may not. It
also leaves nothing for a zip bomb to unpack.
"""

import hashlib
import io
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Self, cast

import orjson
from pydantic import ValidationError

from memsvc.errors import FieldError, InvalidRequestError
from memsvc.wire.bundle import EARLIER, FORMAT, VERSION, BundleMember, Manifest

MANIFEST = "manifest.json"
EMBEDDINGS = "embeddings.safetensors"
ROW_MEMBERS = ("sessions", "operations", "memories", "history", "contents", "chunks", "lineage", "facts", "tensors")
SINCE_2 = "facts"
PIECE_BYTES = 1 << 20
MAX_MANIFEST_BYTES = 64 << 20
_BLOB = re.compile(r"blobs/([0-9a-f]{64})\.safetensors")
_FIRST_MOMENT = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can state
_REMEDY = "Export the space again, and import the file as it was written."


def blob_name(blob_hash: bytes) -> str:
    """The member that holds a blob."""
    return f"blobs/{blob_hash.hex()}.safetensors"


def refuse(member: str, problem: str, *, line: int | None = None, remedy: str = _REMEDY) -> InvalidRequestError:
    """The refusal of a bundle: which member, which line, what is wrong."""
    place = member if line is None else f"{member}:{line}"
    return InvalidRequestError(
        f"the bundle cannot be used: {place} {problem}", fields=(FieldError(place, problem, remedy),), remedy=remedy
    )


class _Sink:
    """A file that cannot seek, whose bytes are taken away as they come."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def write(self, piece: bytes) -> int:
        self.pieces.append(bytes(piece))
        return len(piece)

    def flush(self) -> None:
        """Nothing is held back."""


class Member:
    """A member that is being written."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()
        self.bytes = 0

    def write(self, piece: bytes) -> None:
        """Add the next piece."""
        self.digest.update(piece)
        self.bytes += len(piece)
        self._file.write(piece)


class ArchiveWriter:
    """Writes members one after the other; `take` gives the bytes that are ready, so that none are held."""

    def __init__(self) -> None:
        self._sink = _Sink()
        self._zip = zipfile.ZipFile(cast("IO[bytes]", self._sink), "w", zipfile.ZIP_STORED)
        self.members: list[BundleMember] = []

    @contextmanager
    def member(self, name: str) -> Iterator[Member]:
        """One member, noted with its size and hash when it is whole."""
        with self._zip.open(_entry(name), "w", force_zip64=True) as file:
            member = Member(file)
            yield member
        self.members.append(BundleMember(name=name, bytes=member.bytes, sha256=member.digest.hexdigest()))

    def finish(self, manifest: Manifest) -> None:
        """Add the manifest, and close."""
        with self._zip.open(_entry(MANIFEST), "w", force_zip64=True) as file:
            file.write(orjson.dumps(manifest.model_dump(mode="json"), option=orjson.OPT_INDENT_2) + b"\n")
        self._zip.close()

    def take(self) -> bytes:
        """What was written since the last call."""
        ready = b"".join(self._sink.pieces)
        self._sink.pieces.clear()
        return ready


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _FIRST_MOMENT)
    entry.create_system = 3
    entry.external_attr = 0o600 << 16
    return entry


class ArchiveReader:
    """An opened bundle whose names, sizes and checksums are those of its manifest. Used as a context."""

    def __init__(self, path: Path) -> None:
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise refuse("the file", f"is no zip archive that can be read: {error}") from None
        try:
            self._entries = self._check_entries(path.stat().st_size)
            self.manifest = self._read_manifest()
            self._check_members()
        except BaseException:
            self._zip.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()

    @property
    def blobs(self) -> dict[bytes, int]:
        """The blobs of the bundle with their sizes."""
        found = {}
        for name, entry in self._entries.items():
            if match := _BLOB.fullmatch(name):
                found[bytes.fromhex(match[1])] = entry.file_size
        return found

    def has(self, rows: str) -> bool:
        """Whether a bundle of this version has that member of rows."""
        return rows != SINCE_2 or self.manifest.version not in EARLIER

    def open(self, name: str) -> IO[bytes]:
        """A member to read from its start; its size and hash were checked."""
        try:
            # Lines are found in a large buffer of C, which a zip member does in Python.
            return io.BufferedReader(cast("io.RawIOBase", self._zip.open(self._entries[name])), PIECE_BYTES)
        except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError) as error:
            raise refuse(name, f"cannot be read: {error}") from None

    def verify(self) -> None:
        """`InvalidRequestError` unless every member has the hash that the manifest states. Reads the whole bundle."""
        for member in self.manifest.members:
            digest = hashlib.sha256()
            try:
                with self.open(member.name) as file:
                    while piece := file.read(PIECE_BYTES):
                        digest.update(piece)
            except (zipfile.BadZipFile, EOFError, OSError) as error:
                raise refuse(member.name, f"cannot be read: {error}") from None
            if digest.hexdigest() != member.sha256:
                raise refuse(member.name, "has another SHA-256 than the manifest states")

    def _check_entries(self, size: int) -> dict[str, zipfile.ZipInfo]:
        entries: dict[str, zipfile.ZipInfo] = {}
        for entry in self._zip.infolist():
            name = entry.filename
            known = name in {MANIFEST, EMBEDDINGS} or name in {f"{each}.jsonl" for each in ROW_MEMBERS}
            if not known and not _BLOB.fullmatch(name):
                raise refuse(repr(name), "is no member of a bundle")
            if name in entries:
                raise refuse(name, "is there twice")
            if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
                raise refuse(name, "is compressed; the members of a bundle are stored")
            if entry.flag_bits & 0x1:
                raise refuse(name, "is encrypted")
            entries[name] = entry
        # Entries that overlap would make more of a file than it holds.
        if sum(entry.file_size for entry in entries.values()) > size:
            raise refuse("the file", "holds less than its members claim")
        return entries

    def _read_manifest(self) -> Manifest:
        entry = self._entries.get(MANIFEST)
        if entry is None:
            raise refuse(MANIFEST, "is missing")
        if entry.file_size > MAX_MANIFEST_BYTES:
            raise refuse(MANIFEST, f"has {entry.file_size} bytes")
        try:
            text = self._zip.read(entry)
            stated = orjson.loads(text)
        except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError, orjson.JSONDecodeError) as error:
            raise refuse(MANIFEST, f"cannot be read: {error}") from None
        if not isinstance(stated, dict) or stated.get("format") != FORMAT:
            raise refuse(MANIFEST, f"does not say that this is a {FORMAT}")
        version = stated.get("version")
        if type(version) is not int or version not in (*EARLIER, VERSION):
            remedy = "Import it with a release of memsvc that knows this version."
            known = ", ".join(map(str, (*EARLIER, VERSION)))
            raise refuse(MANIFEST, f"has format version {version!r}, not one of {known}", remedy=remedy)
        try:
            return Manifest.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            raise refuse(MANIFEST, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None

    def _check_members(self) -> None:
        stated = [member.name for member in self.manifest.members]
        if sorted([*stated, MANIFEST]) != sorted(self._entries):
            odd = sorted(set(stated) ^ (set(self._entries) - {MANIFEST})) or stated
            raise refuse(MANIFEST, f"does not list the members that are there: {', '.join(odd[:5])}")
        for name in ROW_MEMBERS:
            if not self.has(name):
                if f"{name}.jsonl" in self._entries:
                    raise refuse(f"{name}.jsonl", f"is no member of a bundle of version {self.manifest.version}")
            elif f"{name}.jsonl" not in self._entries:
                raise refuse(f"{name}.jsonl", "is missing")
        if self.manifest.embeddings != (EMBEDDINGS in self._entries):
            raise refuse(EMBEDDINGS, "is there or not, against what the manifest says")
        for member in self.manifest.members:
            if self._entries[member.name].file_size != member.bytes:
                raise refuse(member.name, f"has {self._entries[member.name].file_size} bytes, not {member.bytes}")

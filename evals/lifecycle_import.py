"""How fast a bundle with embeddings is imported: conversational memories, over HTTP, into a fresh space."""

import json
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any
from uuid import UUID, uuid4

import httpx
import numpy as np
import orjson

from evals.bench_run import distinct, load_texts
from evals.service import TIMEOUT_S, Service
from memsvc.config import Settings
from memsvc.deployment import create_key
from memsvc.lifecycle.bundle.archive import EMBEDDINGS, MANIFEST, ArchiveWriter
from memsvc.lifecycle.bundle.export import safetensors_header
from memsvc.wire.bundle import BundleCounts, BundleEncoder, Manifest, VersionFields

MEMORIES = 20_000
TURNS_A_SESSION = 40
ITEMS_AN_OPERATION = 200
_BATCH = 4096
_FIRST = datetime(2026, 1, 5, 9, tzinfo=UTC)


# Turns are recorded a second apart from `_FIRST` on, all before the first moment; the edits come after it.
BEFORE_EDITS = datetime(2026, 1, 20, tzinfo=UTC)
AFTER_EDITS = datetime(2026, 2, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Shape:
    """A space of turns: the first `subject` of them are about one name, the next `derived` were derived from those, and
    `edited`, spread over all, have an earlier version."""

    memories: int
    edited: int = 0
    subject: int = 0
    derived: int = 0
    subject_name: str = "Subject"

    @property
    def edited_numbers(self) -> range:
        """Which turns were edited."""
        return range(0, self.memories, self.memories // self.edited) if self.edited else range(0)


@dataclass(frozen=True, slots=True)
class ImportSpeed:
    """Medians of the rounds; `bytes` of the bundle."""

    memories: int
    bytes: int
    memories_per_s: float
    seconds: float
    export_s: float


def measure_import(
    service: Service, *, memories: int = MEMORIES, rounds: int = 3, say: Callable[[str], object] = lambda _: None
) -> ImportSpeed:
    """Import, export and import again `rounds` times a space of `memories` turns with vectors.

    The space is made by importing a bundle that is written here, with texts of the demonstration and made-up unit
    vectors. What is timed is the import of the service's own export into a space that does not exist, from the first
    byte sent to the answer that follows COMMIT. Ids are unique in a tenant: a service of our own gets a new tenant for
    every round; on another one the space is erased before each, and the sweep that follows an erasure is timed with it.
    The key needs the scope `admin`.
    """
    with tempfile.TemporaryDirectory(prefix="memsvc-eval-") as folder, _http(service) as http:
        say(f"a space of {memories} memories")
        made, exported = Path(folder) / "made.zip", Path(folder) / "exported.zip"
        write_bundle(made, _encoder(http), Shape(memories))
        source = f"import-{uuid4().hex[:8]}"
        _import(http, source, made, memories)
        imports, exports = [], []
        for number in range(rounds):
            say(f"round {number + 1} of {rounds}")
            exports.append(_export(http, source, exported))
            target = f"import-{uuid4().hex[:8]}"
            if service.data_dir is None:
                _erase(http, source)
                source = target
            with _http(_elsewhere(service)) as there:
                imports.append(_import(there, target, exported, memories))
        _erase(http, source)
        size = exported.stat().st_size
    seconds = median(imports)
    return ImportSpeed(memories, size, memories / seconds, seconds, median(exports))


def _elsewhere(service: Service) -> Service:
    """The same service as a tenant that has nothing yet, if it is ours to make one."""
    if service.data_dir is None:
        return service
    settings = Settings(data_dir=service.data_dir, database_url=None, admin_database_url=None)
    key = create_key(settings, tenant=uuid4().hex, principal="evaluation", scopes=["read", "write", "admin"])
    return replace(service, key=key.key)


def load_space(service: Service, space: str, shape: Shape, path: Path) -> None:
    """Make a space of that shape, by way of a bundle that is written to `path`."""
    with _http(service) as http:
        write_bundle(path, _encoder(http), shape)
        _import(http, space, path, shape.memories)


def write_bundle(path: Path, encoder: BundleEncoder, shape: Shape) -> None:
    """A bundle of so many turns in sessions of two speakers, one chunk each, with random unit vectors."""
    memories = shape.memories
    texts = distinct(load_texts(None).turns, 0, memories)
    sessions = -(-memories // TURNS_A_SESSION)
    operations = [uuid4() for _ in range(-(-memories // ITEMS_AN_OPERATION))]
    ids = [uuid4() for _ in range(memories)]
    rows: dict[str, list[dict[str, Any]]] = {
        "sessions": [
            {"name": f"s{n}", "next_position": TURNS_A_SESSION, "created_at": _FIRST} for n in range(sessions)
        ],
        "operations": [
            {"id": each, "kind": "add", "principal": "evaluation", "details": {}, "recorded_at": _FIRST}
            for each in operations
        ],
        "memories": [_memory(n, ids[n], operations[n // ITEMS_AN_OPERATION], shape) for n in range(memories)],
        "history": [
            _past_version(n, ids[n], operations[n // ITEMS_AN_OPERATION], shape) for n in sorted(shape.edited_numbers)
        ],
        "contents": [{"memory": ids[n], "version": 1, "content": text} for n, text in enumerate(texts)],
        "chunks": [{"memory": ids[n], "content": 1, "start": 0, "end": len(text)} for n, text in enumerate(texts)],
        "lineage": [
            {
                "derived": ids[shape.subject + n],
                "source": ids[n * shape.subject // shape.derived],
                "source_version": 1,
                "operation": operations[(shape.subject + n) // ITEMS_AN_OPERATION],
                "recorded_at": _FIRST,
            }
            for n in range(shape.derived)
        ],
        "tensors": [],
    }
    archive = ArchiveWriter()
    with path.open("wb") as file:
        for name, lines in rows.items():
            with archive.member(f"{name}.jsonl") as member:
                member.write(b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines))
            file.write(archive.take())
        with archive.member(EMBEDDINGS) as member:
            member.write(safetensors_header(memories, encoder.dimension))
            for vectors in _vectors(memories, encoder.dimension):
                member.write(vectors.tobytes())
                file.write(archive.take())
        counts = {name: len(lines) for name, lines in rows.items()}
        archive.finish(
            Manifest.model_validate(
                {
                    "format": "memsvc-bundle",
                    "version": 1,
                    "counts": BundleCounts(**counts, blobs=0, outside_edges=0),
                    "encoder": encoder,
                    "embeddings": True,
                    "space": {"open": True, "policies": {}},
                    "members": archive.members,
                }
            )
        )
        file.write(archive.take())


def _past_version(number: int, memory: UUID, operation: UUID, shape: Shape) -> dict[str, Any]:
    """The first version of a memory whose importance was changed at `AFTER_EDITS`."""
    current = _memory(number, memory, operation, shape)
    row = {name: value for name, value in current.items() if name in VersionFields.__annotations__}
    first = _FIRST + timedelta(seconds=number)
    past = {"memory": memory, "version": 1, "updated_at": first, "known_to": AFTER_EDITS, "importance": 0.4}
    return {**row, **past, "operation": operation}


def _memory(number: int, memory: UUID, operation: UUID, shape: Shape) -> dict[str, Any]:
    moment = _FIRST + timedelta(seconds=number)
    edited = number in shape.edited_numbers
    return {
        "id": memory,
        "kind": "turn",
        "payload_type": "plaintext",
        "role": ("user", "assistant")[number % 2],
        "name": shape.subject_name if number < shape.subject else ("Ana", "Ben")[number % 2],
        "session": f"s{number // TURNS_A_SESSION}",
        "position": number % TURNS_A_SESSION,
        "origin": "user_input",
        "principal": "evaluation",
        "recorded_at": moment,
        "version": 2 if edited else 1,
        "content": 1,
        "operation": operation,
        "updated_at": AFTER_EDITS if edited else moment,
        "occurred_at": moment,
        "occurred_zone": "UTC",
        "state": "generated",
        "importance": 0.5,
        "strength": 1.0,
        "access_count": 0,
        "trust": 0.5,
        "sensitivity": "normal",
        "visibility": "space",
        "legal_hold": False,
        "fingerprint": sha256(f"{number} {memory}".encode()).hexdigest()[:32],
        "metadata": {},
    }


def _vectors(count: int, dimension: int) -> Iterator[Any]:
    random = np.random.default_rng(7)
    for first in range(0, count, _BATCH):
        rows = random.standard_normal((min(_BATCH, count - first), dimension)).astype("<f4")
        yield rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _encoder(http: httpx.Client) -> BundleEncoder:
    """The service's own encoder, as it describes it in a bundle."""
    space = f"import-{uuid4().hex[:8]}"
    http.post("/v1/memories", json={"space": space, "texts": [{"content": "One."}]}).raise_for_status()
    body = http.get(f"/v1/spaces/{space}/export").raise_for_status().content
    _erase(http, space)
    with tempfile.TemporaryFile() as file:
        file.write(body)
        with zipfile.ZipFile(file) as archive:
            return BundleEncoder.model_validate(json.loads(archive.read(MANIFEST))["encoder"])


def _import(http: httpx.Client, space: str, path: Path, expected: int) -> float:
    """Seconds until the answer."""
    started = perf_counter()
    with path.open("rb") as file:
        headers = {"Content-Length": str(path.stat().st_size), "Content-Type": "application/zip"}
        answer = http.post(f"/v1/spaces/{space}/import", content=_pieces(file.read), headers=headers)
    seconds = perf_counter() - started
    assert answer.is_success, answer.text
    done = answer.json()
    assert (done["memories"], done["pending"], done["conflicts"]) == (expected, 0, [])
    return seconds


def _export(http: httpx.Client, space: str, path: Path) -> float:
    started = perf_counter()
    with (
        http.stream("GET", f"/v1/spaces/{space}/export", params={"embeddings": "true"}) as answer,
        path.open("wb") as to,
    ):
        answer.raise_for_status()
        for piece in answer.iter_bytes():
            to.write(piece)
    return perf_counter() - started


def _erase(http: httpx.Client, space: str) -> None:
    http.post("/v1/erase", json={"space": space}).raise_for_status()


def _pieces(read: Callable[[int], bytes]) -> Iterator[bytes]:
    while piece := read(1 << 20):
        yield piece


@contextmanager
def _http(service: Service) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {service.key}"} if service.key else {}
    with httpx.Client(base_url=service.url, headers=headers, timeout=TIMEOUT_S, trust_env=False) as client:
        yield client


def report(speed: ImportSpeed) -> dict[str, float]:
    """As it stands in a summary."""
    return {
        "lifecycle.import.memories_per_s": speed.memories_per_s,
        "lifecycle.import.seconds": speed.seconds,
        "lifecycle.import.bundle_bytes": speed.bytes,
        "lifecycle.export.seconds": speed.export_s,
    }

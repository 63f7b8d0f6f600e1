"""The made-up space that the lifecycle's figures are measured on is a good bundle of the shape that was asked for."""

import json
import zipfile
from pathlib import Path

from typer.testing import CliRunner

from evals.lifecycle_import import AFTER_EDITS, BEFORE_EDITS, Shape, write_bundle
from memsvc.cli import app
from memsvc.wire.bundle import BundleEncoder

ENCODER = BundleEncoder(
    key="k", name="test", revision="1", dimension=8, pooling="mean", query_prefix="", document_prefix="", file_hash="00"
)


def rows(path: Path, member: str) -> list[dict]:
    with zipfile.ZipFile(path) as archive:
        return [json.loads(line) for line in archive.read(member).splitlines()]


def test_the_space_has_the_shape_that_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "space.zip"
    write_bundle(path, ENCODER, Shape(memories=300, edited=30, subject=50, derived=20))
    assert CliRunner().invoke(app, ["bundle", "verify", str(path)]).exit_code == 0
    memories = rows(path, "memories.jsonl")
    assert len(memories) == 300
    assert sum(memory["name"] == "Subject" for memory in memories) == 50
    edited = [memory["id"] for memory in memories if memory["version"] == 2]
    assert len(edited) == 30
    past = rows(path, "history.jsonl")
    assert [version["memory"] for version in past] == edited
    assert {version["importance"] for version in past} == {0.4}
    assert max(version["updated_at"] for version in past) < BEFORE_EDITS.isoformat() < AFTER_EDITS.isoformat()
    edges = rows(path, "lineage.jsonl")
    names = {memory["id"]: memory["name"] for memory in memories}
    assert len({edge["derived"] for edge in edges}) == 20
    assert all(names[edge["source"]] == "Subject" != names[edge["derived"]] for edge in edges)

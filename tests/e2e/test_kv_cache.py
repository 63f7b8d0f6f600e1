"""The example against a real service: the cache of a memory is stored, found, fetched and continued from."""

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from memsvc.commands import tensors
from memsvc.demo.service import ServiceProcess
from memsvc.sdk import MemoryClient
from tests.e2e.tiny_model import save_tiny_model, words

ROOT = Path(__file__).parents[2]
WORDS = 400


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    with ServiceProcess(tmp_path_factory.mktemp("kv") / "data") as running:
        yield running


@pytest.fixture
def client(service: ServiceProcess, monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryClient]:
    monkeypatch.setenv("MEMSVC_URL", service.url)
    monkeypatch.setenv("MEMSVC_API_KEY", service.api_key)
    with MemoryClient() as opened:
        yield opened


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("kv_cache", ROOT / "examples" / "kv_cache.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["kv_cache"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "tiny-llama"
    save_tiny_model(folder)
    return folder


def remember(client: MemoryClient, content: str) -> str:
    return str(client.add(texts=[content]).items[0].id)


def test_generation_continues_from_the_stored_cache_with_the_same_tokens(
    client: MemoryClient, example: ModuleType, model: Path
) -> None:
    local = example.load_model(model)
    memory = remember(client, words(WORDS))
    assert example.remember(client, local, memory) == WORDS
    question = words(12, start=3)
    report = example.continue_from_cache(client, local, memory, question, 32)
    assert report.identical
    assert (report.reused_tokens, report.prompt_tokens) == (WORDS, WORDS + 12)
    assert len(report.answer.split()) == 32
    # Keys and values of 2 layers, 2 heads of 16 dimensions, 4 bytes each, and the file's header.
    assert 0 < report.blob_bytes - WORDS * 2 * 2 * 2 * 16 * 4 < 1000
    assert "400 from the cache" in str(report)
    client.update(memory, content=words(WORDS, start=1))
    assert example.continue_from_cache(client, local, memory, question, 4) is None


def test_a_cache_serves_a_prompt_that_only_begins_like_it(
    client: MemoryClient, example: ModuleType, model: Path
) -> None:
    local = example.load_model(model)
    example.remember(client, local, remember(client, words(WORDS, start=2)))
    shorter = remember(client, words(100, start=2))
    report = example.continue_from_cache(client, local, shorter, words(9, start=7), 16)
    assert report.identical
    assert report.reused_tokens == 100


def test_changed_weights_find_no_old_cache(
    client: MemoryClient, example: ModuleType, model: Path, tmp_path: Path
) -> None:
    memory = remember(client, words(WORDS, start=4))
    example.remember(client, example.load_model(model), memory)
    save_tiny_model(tmp_path / "tiny-llama", seed=6)
    changed = example.load_model(tmp_path / "tiny-llama")
    assert example.continue_from_cache(client, changed, memory, words(5), 4) is None


def test_the_script_runs_from_the_command_line(
    client: MemoryClient, example: ModuleType, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    memory = remember(client, words(50, start=5))
    assert example.main([str(model), memory, "--question", words(3, start=9), "--tokens", "4"]) == 0
    said = capsys.readouterr().out
    assert "stored the cache of 50 tokens" in said
    assert "identical tokens with and without the cache: True" in said
    assert "prompt tokens read: 3 instead of 53" in said


def test_the_commands_upload_match_download_and_demote(
    client: MemoryClient, example: ModuleType, model: Path, tmp_path: Path
) -> None:
    def run(*arguments: str) -> str:
        result = CliRunner().invoke(tensors.app, list(arguments), catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output.strip()

    local = example.load_model(model)
    ids = list(range(1, 41))
    source, tokens, out = tmp_path / "in.safetensors", tmp_path / "ids.json", tmp_path / "out.safetensors"
    example.save_cache(example.build_cache(local, ids), source)
    tokens.write_text(json.dumps([*ids[:30], 499]))
    blob = run("upload", str(source))
    key = {"model": "cli", "model_revision": "1", "tokenizer_hash": "2"}
    client.add(space="cli", texts=["so that the space exists"])
    made = client.tensors.create_activation(blob, token_ids=ids, space="cli", **key)
    found = ("match", "-m", "cli", "--revision", "1", "--tokenizer", "2", "--tokens", str(tokens), "-s", "cli")
    assert run(*found) == f"{made.memory.id}  30 of 31 tokens  blob {blob}"
    assert json.loads(run(*found, "--json"))["matched_tokens"] == 30
    run("download", blob, str(out))
    assert out.read_bytes() == source.read_bytes()
    listed = run("candidates", "-m", "cli", "-s", "cli", "--accesses", "0", "--stable-days", "0", "--tokens", "1")
    assert "so that the space exists" in listed
    assert run("demote", "--idle-days", "0", "-s", "cli", "--dry-run") == "cli: 1 would be archived"
    assert run("invalidate", "-m", "cli", "-s", "cli").startswith("cli: 1 expired by operation ")
    assert run(*found) == "No activation shares the first 16 of 31 tokens."

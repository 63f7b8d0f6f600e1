"""What every encoder must do: the same tests on the fake, the local, the exported and the remote one."""

from collections.abc import Iterator

import numpy as np
import pytest
from embeddings_server import serve_embeddings

from memsvc.config import Settings
from memsvc.inference.fake import FakeEncoder
from memsvc.inference.loading import load_encoder
from memsvc.inference.token_codes import TOKEN_BYTES, TokenTable
from memsvc.inference.tokenized import TokenizedEncoder
from memsvc.inference.types import Encoder

TEXTS = [
    "The ferry leaves at noon.",
    "Ana keeps bees behind the old mill and sells the honey on Saturdays.",
    "Yes.",
    "",
    "Поезд опоздал на час.",
    "橋の下で待っています。",
    "The ferry to the island leaves at noon from the second pier, unless the wind is strong.",
]


@pytest.fixture(scope="module", params=["fake", "local", "onnx", "remote"])
def encoder(request: pytest.FixtureRequest) -> Iterator[Encoder]:
    if request.param == "fake":
        yield FakeEncoder()
        return
    if request.param == "local":
        loaded = load_encoder(Settings(device="cpu", torch_threads=1))
        yield loaded
        loaded.close()
        return
    if request.param == "onnx":
        loaded = load_encoder(Settings(encoder="all-MiniLM-L6-v2-int8", torch_threads=2))
        yield loaded
        loaded.close()
        return
    with serve_embeddings() as server:
        loaded = load_encoder(Settings(encoder="remote:test-model", encoder_url=server.url))
        yield loaded
        loaded.close()


def test_a_document_becomes_a_unit_vector(encoder: Encoder) -> None:
    vectors = encoder.encode_documents(TEXTS)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(TEXTS), encoder.spec.dimension)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_order_and_company_do_not_matter(encoder: Encoder) -> None:
    together = encoder.encode_documents(TEXTS)
    alone = np.concatenate([encoder.encode_documents([text]) for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_the_same_text_gives_the_same_vector(encoder: Encoder) -> None:
    assert (encoder.encode_documents(TEXTS) == encoder.encode_documents(TEXTS)).all()
    assert (encoder.encode_queries(TEXTS) == encoder.encode_queries(TEXTS)).all()


def test_a_query_is_nearest_to_what_it_asks_about(encoder: Encoder) -> None:
    query = encoder.encode_queries(["Where does Ana sell honey?"])
    assert np.argmax(encoder.encode_documents(TEXTS) @ query[0]) == 1


def test_nothing_in_nothing_out(encoder: Encoder) -> None:
    assert encoder.encode_documents([]).shape == (0, encoder.spec.dimension)
    assert encoder.encode_queries([]).shape == (0, encoder.spec.dimension)
    assert encoder.count_tokens([]) == []


def test_tokens_are_counted_beyond_the_limit(encoder: Encoder) -> None:
    short, long = encoder.count_tokens(["bees", "bees and honey " * 2000])
    assert 1 <= short <= 4
    assert long > encoder.spec.max_tokens


def test_a_document_over_the_limit_is_refused_and_never_cut(encoder: Encoder) -> None:
    with pytest.raises(ValueError, match=str(encoder.spec.max_tokens)):
        encoder.encode_documents(["bees", "bees and honey " * 2000])


def test_the_end_of_a_query_over_the_limit_counts(encoder: Encoder) -> None:
    start = "bees and honey " * 300
    vectors = encoder.encode_queries([start, start + "the ferry leaves the pier at noon " * 300])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    ferry = encoder.encode_documents([TEXTS[0]])[0]
    assert vectors[1] @ ferry > vectors[0] @ ferry + 0.05


def test_the_spec_says_what_vectors_may_be_compared_with(encoder: Encoder) -> None:
    assert encoder.spec.name in encoder.spec.key
    assert str(encoder.spec.dimension) in encoder.spec.key


@pytest.fixture
def telling(encoder: Encoder) -> TokenizedEncoder:
    """An encoder that tells its tokens."""
    assert isinstance(encoder, TokenizedEncoder)
    return encoder


TELLING = pytest.mark.parametrize("encoder", ["local", "onnx"], indirect=True, scope="module")


@TELLING
def test_token_codes_come_with_the_vectors_and_depend_on_nothing_else(telling: TokenizedEncoder) -> None:
    together = telling.encode_prepared(telling.prepare_documents(TEXTS))
    alone = [telling.encode_prepared(telling.prepare_documents([text])).codes[0] for text in TEXTS]
    np.testing.assert_allclose(together.vectors, telling.encode_documents(TEXTS), atol=1e-6)
    for one, other in zip(together.codes, alone, strict=True):
        assert len(one) == len(other)
        assert len(one) % TOKEN_BYTES == 0
        # A sign may turn where a value is next to 0.
        turned = np.unpackbits(np.frombuffer(one, np.uint8) ^ np.frombuffer(other, np.uint8)).sum()
        assert turned <= len(one) * 8 * 0.005


@TELLING
def test_common_words_and_marks_have_no_code_unless_there_is_nothing_else(telling: TokenizedEncoder) -> None:
    codes = telling.encode_prepared(
        telling.prepare_documents(["The ferry leaves at noon.", "Is it you?", "", "Ana!"])
    ).codes
    assert [len(code) // TOKEN_BYTES for code in codes] == [3, 4, 0, 1]


@TELLING
def test_a_query_tells_each_of_its_tokens_and_where_it_stands(telling: TokenizedEncoder) -> None:
    (query,) = telling.embed_queries(["Where is Ana?"])
    assert query.tokens is not None
    assert query.spans is not None
    assert ["Where is Ana?"[start:stop] for start, stop in query.spans.tolist()] == ["Where", "is", "Ana", "?"]
    np.testing.assert_allclose(np.linalg.norm(query.tokens, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(query.vector, telling.encode_queries(["Where is Ana?"])[0], atol=1e-5)


@TELLING
def test_a_query_over_the_limit_has_a_vector_alone(telling: TokenizedEncoder) -> None:
    long = "bees and honey " * 300
    short, over = telling.embed_queries(["bees", long])
    assert short.tokens is not None
    assert over.tokens is None
    np.testing.assert_allclose(over.vector, telling.encode_queries([long])[0], atol=1e-5)


@TELLING
def test_a_word_finds_its_like_among_the_codes(telling: TokenizedEncoder) -> None:
    table = TokenTable.of(telling.encode_prepared(telling.prepare_documents(TEXTS)).codes)
    (query,) = telling.embed_queries(["honey"])
    assert query.tokens is not None
    best = table.best(query.tokens)[:, 0]
    assert np.nanargmax(best) == 1
    assert best[1] > 0.5

"""The remote encoder against an endpoint that misbehaves."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import numpy as np
import pytest
from embeddings_server import Answer, EmbeddingsServer, serve_embeddings

from memsvc.config import Settings
from memsvc.errors import ConfigurationError, EncoderUnavailableError
from memsvc.inference import remote
from memsvc.inference.fake import FakeEncoder
from memsvc.inference.remote import RemoteEncoder, open_remote


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_FIRST_WAIT_S", 0.001)


@pytest.fixture
def server() -> Iterator[EmbeddingsServer]:
    with serve_embeddings() as running:
        yield running


@pytest.fixture
def encoder(server: EmbeddingsServer) -> Iterator[RemoteEncoder]:
    opened = RemoteEncoder("m", server.url, api_key="secret")
    server.requests.clear()
    yield opened
    opened.close()


def test_the_request_is_what_openai_compatible_servers_expect(encoder: RemoteEncoder, server: EmbeddingsServer) -> None:
    encoder.encode_documents(["a", "b"])
    assert server.requests == [{"model": "m", "input": ["a", "b"], "encoding_format": "float"}]
    assert set(server.authorizations) == {"Bearer secret"}


def test_a_registered_models_prefixes_are_sent(server: EmbeddingsServer) -> None:
    encoder = RemoteEncoder("intfloat/e5-small-v2", server.url)
    encoder.encode_documents(["bees"])
    encoder.encode_queries(["bees"])
    encoder.close()
    assert [request["input"] for request in server.requests[1:]] == [["passage: bees"], ["query: bees"]]


def test_vectors_follow_the_index_and_not_the_order_of_the_answer(encoder: RemoteEncoder) -> None:
    np.testing.assert_allclose(
        encoder.encode_documents(["bees", "ferry"]), FakeEncoder().encode_documents(["bees", "ferry"]), atol=1e-6
    )


def test_many_texts_go_in_several_requests(encoder: RemoteEncoder, server: EmbeddingsServer) -> None:
    texts = [f"number {number}" for number in range(300)]
    vectors = encoder.encode_documents(texts)
    assert [len(request["input"]) for request in server.requests] == [128, 128, 44]
    np.testing.assert_allclose(vectors, FakeEncoder().encode_documents(texts), atol=1e-6)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(encoder: RemoteEncoder, server: EmbeddingsServer, status: int) -> None:
    server.script.append(Answer(status, {"Retry-After": "0"}))
    assert encoder.encode_documents(["bees"]).shape == (1, 64)
    assert len(server.requests) == 2


def test_it_gives_up_after_three_attempts(encoder: RemoteEncoder, server: EmbeddingsServer) -> None:
    server.script.extend([Answer(503)] * 5)
    with pytest.raises(EncoderUnavailableError, match="status 503"):
        encoder.encode_documents(["bees"])
    assert len(server.requests) == 3


def test_a_long_retry_after_is_passed_on_at_once(encoder: RemoteEncoder, server: EmbeddingsServer) -> None:
    server.script.append(Answer(429, {"Retry-After": "40"}))
    with pytest.raises(EncoderUnavailableError) as caught:
        encoder.encode_documents(["bees"])
    assert caught.value.retry_after_s == 40
    assert len(server.requests) == 1


def test_retry_after_may_be_a_date(encoder: RemoteEncoder, server: EmbeddingsServer) -> None:
    moment = datetime.now(UTC) + timedelta(hours=1)
    server.script.append(Answer(503, {"Retry-After": format_datetime(moment, usegmt=True)}))
    with pytest.raises(EncoderUnavailableError) as caught:
        encoder.encode_documents(["bees"])
    assert 3000 < (caught.value.retry_after_s or 0) <= 3600


def test_a_refusal_is_not_repeated_and_quotes_nothing(encoder: RemoteEncoder, server: EmbeddingsServer) -> None:
    server.script.append(Answer(400, body="cannot embed: my secret"))
    with pytest.raises(EncoderUnavailableError) as caught:
        encoder.encode_documents(["my secret"])
    assert "secret" not in caught.value.detail
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "body",
    [
        "not json",
        {},
        {"data": [{"index": 0}]},
        {"data": [{"index": 0, "embedding": "AAAA"}]},
        {"data": [{"index": 1, "embedding": [1.0] * 64}]},
        {"data": []},
        {"data": [{"index": 0, "embedding": [1.0] * 32}]},
        {"data": [{"index": 0, "embedding": [float("nan")] * 64}]},
    ],
)
def test_an_answer_of_another_form_is_never_stored(
    encoder: RemoteEncoder, server: EmbeddingsServer, body: object
) -> None:
    server.script.append(Answer(200, body=body))
    with pytest.raises(EncoderUnavailableError):
        encoder.encode_documents(["bees"])


def test_no_server_is_unavailable() -> None:
    with serve_embeddings() as gone:
        url = gone.url
    with pytest.raises(EncoderUnavailableError):
        RemoteEncoder("m", url)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_wrong_key_or_model_is_a_mistake_in_the_settings(server: EmbeddingsServer, status: int) -> None:
    server.script.append(Answer(status))
    with pytest.raises(ConfigurationError, match=str(status)):
        RemoteEncoder("m", server.url)


def test_a_remote_encoder_needs_a_url() -> None:
    with pytest.raises(ConfigurationError, match="MEMSVC_ENCODER_URL"):
        open_remote("m", Settings(encoder="remote:m"))


@pytest.mark.parametrize("url", ["ftp://host/v1", "host", "http://"])
def test_a_url_that_cannot_be_used_names_the_setting(url: str) -> None:
    with pytest.raises(ConfigurationError, match="MEMSVC_ENCODER_URL"):
        RemoteEncoder("m", url)


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("http://h", "http://h/v1/embeddings"),
        ("http://h/v1/", "http://h/v1/embeddings"),
        ("http://h/openai/v1", "http://h/openai/v1/embeddings"),
        ("http://h/v1/embeddings", "http://h/v1/embeddings"),
    ],
)
def test_the_base_url_may_be_written_in_any_usual_way(url: str, endpoint: str) -> None:
    assert str(remote._endpoint(url)) == endpoint

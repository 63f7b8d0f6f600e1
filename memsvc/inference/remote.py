"""An encoder behind an OpenAI-compatible embeddings endpoint."""

import math
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import httpx
import numpy as np

from memsvc.config import Settings
from memsvc.errors import ConfigurationError, EncoderUnavailableError
from memsvc.inference.registry import find_known
from memsvc.inference.retry_after import retry_after_s
from memsvc.inference.types import EncoderSpec, Vectors
from memsvc.inference.vectors import encode_queries_in_pieces, require_within, unit

MAX_TEXTS = 128
ATTEMPTS = 3
# A wait between attempts holds up everything behind it; an endpoint that asks for more is reported, not waited for.
LONGEST_WAIT_S = 2.0
_FIRST_WAIT_S = 0.25
_TIMEOUT = httpx.Timeout(30.0, connect=5.0)
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})

_SPECIAL_TOKENS = 2
_BYTES_A_TOKEN = 3
_DEFAULT_LIMIT = 512
_OPENAI_LIMITS = {"text-embedding-3-small": 8191, "text-embedding-3-large": 8191, "text-embedding-ada-002": 8191}


def open_remote(model: str, settings: Settings, dimension: int | None = None) -> "RemoteEncoder":
    """The encoder `remote:<model>` of the settings; asks the endpoint for its dimension, unless it is known."""
    if settings.encoder_url is None:
        raise ConfigurationError(
            f"MEMSVC_ENCODER=remote:{model} needs MEMSVC_ENCODER_URL",
            remedy="Set it to the endpoint's base URL, such as http://127.0.0.1:8080/v1.",
        )
    key = settings.encoder_api_key
    return RemoteEncoder(
        model,
        settings.encoder_url,
        api_key=None if key is None else key.get_secret_value(),
        revision=settings.encoder_revision,
        batch_tokens=settings.encoder_batch_tokens,
        dimension=dimension,
    )


class RemoteEncoder:
    """Sends texts in batches, retries what may pass, and normalises what comes back.

    The tokenizer is not known here, so tokens are estimated as one for three bytes of UTF-8 and half of the model's
    limit is used: a text has to average under one and a half bytes a token to get past the limit unnoticed.
    """

    def __init__(
        self,
        model: str,
        url: str,
        *,
        api_key: str | None = None,
        revision: str | None = None,
        batch_tokens: int = 8192,
        dimension: int | None = None,
    ) -> None:
        self._model = model
        self._batch_tokens = batch_tokens
        self._stop = threading.Event()
        headers = {} if api_key is None else {"Authorization": f"Bearer {api_key}"}
        try:
            self._url = _endpoint(url)
            self._client = httpx.Client(headers=headers, timeout=_TIMEOUT)
        except (httpx.InvalidURL, ValueError) as error:
            raise ConfigurationError(f"MEMSVC_ENCODER_URL or its key cannot be used: {error}") from error
        known = find_known(model)
        limit = (known.max_tokens if known else None) or _OPENAI_LIMITS.get(model, _DEFAULT_LIMIT)
        self.spec = EncoderSpec(
            name=f"remote:{model}",
            revision=revision or "",
            dimension=dimension or self._probe(),
            pooling="remote",
            max_tokens=limit // 2,
            query_prefix=known.query_prefix if known else "",
            document_prefix=known.document_prefix if known else "",
            file_hash="",
        )

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """An estimate, see the class."""
        return [math.ceil(len(_utf8(text)) / _BYTES_A_TOKEN) + _SPECIAL_TOKENS for text in texts]

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """`ValueError` for a text over `spec.max_tokens`; `EncoderUnavailableError` when the endpoint fails."""
        require_within(self.count_tokens(texts), self.spec.max_tokens)
        return self._encode([self.spec.document_prefix + text for text in texts])

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """A query over the limit is encoded in pieces, and their mean taken."""
        prefix = self.spec.query_prefix
        return encode_queries_in_pieces(
            texts,
            lambda pieces: self._encode([prefix + piece for piece in pieces]),
            self.count_tokens,
            self.spec.max_tokens,
        )

    def close(self) -> None:
        """End the connections, and a wait between two attempts."""
        self._stop.set()
        self._client.close()

    def _encode(self, texts: Sequence[str]) -> Vectors:
        rows = [self._read(self._post(batch), len(batch), self.spec.dimension) for batch in self._batches(texts)]
        return unit(np.concatenate(rows)) if rows else np.empty((0, self.spec.dimension), np.float32)

    def _batches(self, texts: Sequence[str]) -> Iterator[list[str]]:
        batch: list[str] = []
        tokens = 0
        for text, count in zip(texts, self.count_tokens(texts), strict=True):
            if batch and (len(batch) == MAX_TEXTS or tokens + count > self._batch_tokens):
                yield batch
                batch, tokens = [], 0
            batch.append(text)
            tokens += count
        if batch:
            yield batch

    def _probe(self) -> int:
        response = self._post(["What is the dimension?"])
        return int(self._read(response, 1, None).shape[1])

    def _post(self, texts: Sequence[str]) -> httpx.Response:
        """The answer to one request; at most `ATTEMPTS` attempts, with a growing wait or the one that is asked for."""
        body = {"model": self._model, "input": list(texts), "encoding_format": "float"}
        wait_s = _FIRST_WAIT_S
        for attempt in range(1, ATTEMPTS + 1):
            asked_s = None
            try:
                response = self._client.post(self._url, json=body)
            except httpx.TransportError as error:
                problem = type(error).__name__
            else:
                if response.is_success:
                    return response
                problem = f"status {response.status_code}"
                asked_s = retry_after_s(response.headers)
                if response.status_code not in _AGAIN:
                    raise self._refusal(response.status_code)
            pause_s = max(wait_s, asked_s or 0.0)
            if attempt == ATTEMPTS or pause_s > LONGEST_WAIT_S or self._stop.wait(pause_s):
                break
            wait_s *= 2
        # Never the answer's body: endpoints quote the text that they were sent.
        raise EncoderUnavailableError(
            f"the embeddings endpoint does not answer ({problem})", retry_after_s=asked_s or LONGEST_WAIT_S
        )

    def _refusal(self, status: int) -> ConfigurationError | EncoderUnavailableError:
        if hasattr(self, "spec"):
            return EncoderUnavailableError(f"the embeddings endpoint refuses (status {status})")
        return ConfigurationError(
            f"the embeddings endpoint {self._url} refuses model {self._model} (status {status})",
            remedy="Check MEMSVC_ENCODER_URL, MEMSVC_ENCODER_API_KEY and the model's name in MEMSVC_ENCODER.",
        )

    def _read(self, response: httpx.Response, texts: int, dimension: int | None) -> np.ndarray[Any, Any]:
        """Vectors in the order of the texts: an endpoint may answer in any, and says so by `index`."""
        try:
            data = sorted(response.json()["data"], key=lambda row: row["index"])
            indexes = [row["index"] for row in data]
            rows = np.array([row["embedding"] for row in data], np.float64)
        except (ValueError, KeyError, TypeError) as error:
            raise EncoderUnavailableError("the embeddings endpoint's answer has another form") from error
        if indexes != list(range(texts)) or rows.ndim != 2 or not rows.shape[1]:
            raise EncoderUnavailableError(f"the embeddings endpoint did not answer with one vector for each of {texts}")
        if dimension is not None and rows.shape[1] != dimension:
            raise EncoderUnavailableError(
                f"the embeddings endpoint answers with {rows.shape[1]} dimensions, at first it had {dimension}"
            )
        return rows


def _endpoint(url: str) -> httpx.URL:
    parsed = httpx.URL(url.rstrip("/"))
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise ValueError("it must look like https://host/v1")
    path = parsed.path.rstrip("/")
    if not path.endswith("/embeddings"):
        path = f"{path}/embeddings" if path.endswith("/v1") else f"{path}/v1/embeddings"
    return parsed.copy_with(path=path)


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")

"""An OpenAI-compatible embeddings endpoint on this machine, that answers as its script says."""

import json
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from memsvc.inference.fake import FakeEncoder


@dataclass(frozen=True)
class Answer:
    """Given once instead of vectors. A `body` that is not text is sent as JSON."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: object = ""


@dataclass
class EmbeddingsServer:
    """`script` holds the next answers; with none left it answers with a fake encoder's vectors, doubled, last first."""

    url: str = ""
    script: deque[Answer] = field(default_factory=deque)
    requests: list[dict[str, Any]] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)
    encoder: FakeEncoder = field(default_factory=lambda: FakeEncoder(max_tokens=100_000))

    def answer(self, request: dict[str, Any]) -> Answer:
        self.requests.append(request)
        if self.script:
            return self.script.popleft()
        vectors = self.encoder.encode_documents(request["input"])
        rows = [{"index": index, "embedding": (2 * vector).tolist()} for index, vector in enumerate(vectors)]
        return Answer(200, body={"data": rows[::-1]})


@contextmanager
def serve_embeddings() -> Iterator[EmbeddingsServer]:
    state = EmbeddingsServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            state.authorizations.append(self.headers["Authorization"])
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = state.answer(request) if self.path == "/v1/embeddings" else Answer(404)
            body = (answer.body if isinstance(answer.body, str) else json.dumps(answer.body)).encode()
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state.url = f"http://127.0.0.1:{server.server_port}/v1"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()

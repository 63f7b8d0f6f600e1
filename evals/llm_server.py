"""An OpenAI-compatible chat endpoint on this machine that answers, or misbehaves, as its script says."""

import json
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "scripted"
_BLOCK = b" " * 65_536


@dataclass(frozen=True, slots=True)
class Question:
    """A request as the server read it. `purpose` is the schema's name, "" where the client sent none; `data` is what
    the prompt was asked about, and `tries` counts the answers that it holds already."""

    purpose: str
    data: Mapping[str, Any]
    tries: int
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. `text` is what the model says, in a completion of the right form; a `body` is sent as it is instead.

    `usage` None: none is reported. It begins after `wait_s`, comes with `drip_s` seconds between its bytes, is followed
    by `flood_bytes` of white space, or the connection is reset after half of it.
    """

    text: str = ""
    body: bytes | None = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    usage: object = None
    wait_s: float = 0.0
    drip_s: float = 0.0
    flood_bytes: int = 0
    reset: bool = False


def say(answer: object, **more: Any) -> Reply:
    """The reply of a model that answers with this JSON."""
    return Reply(json.dumps(answer), **more)


@dataclass
class ScriptedModel:
    """`script` holds the next replies; with none left, `answer` makes one. A parameter in `rejects` is refused: 400."""

    url: str = ""
    script: deque[Reply] = field(default_factory=deque)
    answer: Callable[[Question], Reply] = lambda _: Reply("I have nothing to say.")
    rejects: frozenset[str] = frozenset()
    questions: list[Question] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    sent_bytes: int = 0
    stopping: threading.Event = field(default_factory=threading.Event)

    def reply(self, body: Mapping[str, Any]) -> Reply:
        """The next reply, and a record of the question."""
        question = _read(body)
        self.questions.append(question)
        if refused := sorted(self.rejects & body.keys()):
            return Reply(body=f"unknown parameter {refused[0]}".encode(), status=400)
        return self.script.popleft() if self.script else self.answer(question)


@contextmanager
def serving() -> Iterator[ScriptedModel]:
    """The server, for as long as the block."""
    state = ScriptedModel()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            state.headers.append({name.lower(): value for name, value in self.headers.items()})
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            reply = state.reply(body) if self.path == "/v1/chat/completions" else Reply(status=404)
            with suppress(ConnectionError):  # a client that has heard enough
                _send(self, reply, state)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state.url = f"http://127.0.0.1:{server.server_port}/v1"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield state
        finally:
            state.stopping.set()
            server.shutdown()
            thread.join()


def _send(handler: BaseHTTPRequestHandler, reply: Reply, state: ScriptedModel) -> None:
    if reply.wait_s and state.stopping.wait(reply.wait_s):
        return
    content = _completion(reply) if reply.body is None else reply.body
    handler.send_response(reply.status)
    for name, value in {"Content-Type": "application/json", **reply.headers}.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(content) + reply.flood_bytes))
    handler.end_headers()
    if reply.reset:
        handler.wfile.write(content[: len(content) // 2])
        # With a linger of no seconds, closing sends a reset and not an end.
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.connection.close()
        return
    for part in [content[at : at + 1] for at in range(len(content))] if reply.drip_s else [content]:
        handler.wfile.write(part)
        state.sent_bytes += len(part)
        if reply.drip_s and state.stopping.wait(reply.drip_s):
            return
    left = reply.flood_bytes
    while left > 0:
        handler.wfile.write(_BLOCK[:left])
        state.sent_bytes += min(left, len(_BLOCK))
        left -= len(_BLOCK)


def _completion(reply: Reply) -> bytes:
    completion: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": MODEL,
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": reply.text}, "finish_reason": "stop"},
        ],
    }
    if reply.usage is not None:
        completion["usage"] = reply.usage
    return json.dumps(completion).encode()


def _read(body: Mapping[str, Any]) -> Question:
    """The data of a prompt is the line between the two that are alike."""
    schema = body.get("response_format", {}).get("json_schema", {})
    told = next((message["content"] for message in body["messages"] if message["role"] == "user"), "")
    lines = told.split("\n")
    data = json.loads(lines[-2]) if len(lines) > 2 and lines[-1] == lines[-3] else {}
    tries = sum(message["role"] == "assistant" for message in body["messages"])
    return Question(schema.get("name", ""), data, tries, body)

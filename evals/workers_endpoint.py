"""A chat endpoint that counts: it answers each request of the service in the form asked for, with words of its data.

It stands in for a diligent model, so that all calls that follow from an answer are made too. Tokens are about four
characters each, as the service estimates them.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

from memsvc.text.chunking import sentences
from memsvc.text.tokens import estimate_tokens

MODEL = "counting"
_MARKED = re.compile(r"^([0-9a-f]{16})\n(.*)\n\1\Z", re.DOTALL | re.MULTILINE)
_LEAST_WORTH = 40
_MOST_SENTENCES = 4


class Meter:
    """Calls and tokens so far, by purpose."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.calls: Counter[str] = Counter()
        self.input_tokens = 0
        self.output_tokens = 0

    def note(self, purpose: str, *, given: int, told: int) -> None:
        """One call more."""
        with self._lock:
            self.calls[purpose] += 1
            self.input_tokens += given
            self.output_tokens += told


@contextmanager
def counting() -> Iterator[tuple[str, Meter]]:
    """The endpoint's base URL, and its meter, for as long as the block."""
    meter = Meter()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            content = json.dumps(answer(body, meter)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
            """Nothing: what it was sent is somebody's conversation."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", meter
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def answer(body: Mapping[str, Any], meter: Meter) -> dict[str, Any]:
    """A chat completion for a request in the OpenAI form, counted."""
    purpose = str(body.get("response_format", {}).get("json_schema", {}).get("name", ""))
    asked = "\n".join(str(message["content"]) for message in body["messages"])
    found = _MARKED.search(asked)
    text = json.dumps(reply(purpose, json.loads(found[2]) if found else {}), ensure_ascii=False)
    usage = {"prompt_tokens": estimate_tokens(asked), "completion_tokens": estimate_tokens(text)}
    meter.note(purpose, given=usage["prompt_tokens"], told=usage["completion_tokens"])
    message = {"role": "assistant", "content": text}
    return {
        "id": "chatcmpl-counted",
        "object": "chat.completion",
        "created": 0,
        "model": MODEL,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": usage,
    }


def reply(purpose: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """What is answered: facts that quote, sentences that copy, every sentence borne out, no two statements related."""
    if purpose == "extract_facts":
        return {"facts": list(_facts(data))}
    if purpose == "summarize":
        copied = [_first(source["text"]) for source in data["sources"][:_MOST_SENTENCES]]
        return {"sentences": [{"text": text, "sources": [number]} for number, text in enumerate(copied, start=1)]}
    if purpose == "verify":
        return {"verdicts": [{"sentence": item["sentence"], "supported": True} for item in data["sentences"]]}
    if purpose == "judge":
        return {"relation": "unrelated", "more_specific": "neither", "confidence": "high"}
    return {}


def _facts(data: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    worth = [turn for turn in data["turns"] if len(turn["text"]) >= _LEAST_WORTH]
    for turn in worth[: data["most"]]:
        quote = _first(turn["text"])
        yield {
            "turn": turn["turn"],
            "quote": quote,
            "kind": "fact",
            "text": quote,
            "subject": turn["speaker"],
            "attribute": "",
            "value": "",
            "negated": False,
            "when": None,
            "entities": [],
        }


def _first(text: str) -> str:
    found = sentences(text)
    return str(found[0]).strip() if found else text.strip()

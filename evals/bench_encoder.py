"""The encoder alone, in a process of its own with the service's settings, so that both have the same machine.

Run as a module it reads one request per line (`{"documents": [...]}` or `{"query": "..."}`) and answers each with one
line of JSON. Only the encoding is timed, inside that process.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from types import TracebackType
from typing import Any, Self

from memsvc.config import load_settings

_WARM_UP = ["A few words.", "Some more words, so that both a short and a longer text have been encoded once."]


class EncoderStoppedError(Exception):
    """The encoder's process ended; its own message stands above on standard error."""


@dataclass(frozen=True, slots=True)
class EncodedQuery:
    """One query's unit vector and the milliseconds it took."""

    vector: tuple[float, ...]
    milliseconds: float


class EncoderProcess:
    """The process, as a context; the encoder is loaded and warm when it is entered."""

    def __init__(self, command: Sequence[str] = (sys.executable, "-m", "evals.bench_encoder")) -> None:
        self._command = list(command)
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            self.encode_documents(_WARM_UP)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def encode_documents(self, texts: Sequence[str]) -> float:
        """Seconds to encode all of them."""
        return float(self._ask({"documents": list(texts)})["seconds"])

    def encode_query(self, text: str) -> EncodedQuery:
        """Encode one query by itself."""
        answer = self._ask({"query": text})
        return EncodedQuery(tuple(answer["vector"]), float(answer["seconds"]) * 1000)

    def close(self) -> None:
        """End the process: it stops at the end of its input."""
        process, self._process = self._process, None
        if process is None or process.stdin is None or process.stdout is None:
            return
        process.stdin.close()
        process.stdout.close()
        process.wait(60)

    def _ask(self, request: dict[str, object]) -> dict[str, Any]:
        if self._process is None or self._process.stdin is None or self._process.stdout is None:
            raise EncoderStoppedError("The encoder's process is not running.")
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise EncoderStoppedError(f"The encoder's process ended with status {self._process.wait()}.")
        answer: dict[str, Any] = json.loads(line)
        return answer


def main() -> None:
    """Answer requests until the input ends."""
    from memsvc.inference.loading import load_encoder  # it loads torch, which the bench itself does not need

    answers, sys.stdout = sys.stdout, sys.stderr  # what a library prints must not mix with the answers
    encoder = load_encoder(load_settings())
    for line in sys.stdin:
        request = json.loads(line)
        started = perf_counter()
        if "query" in request:
            vector = encoder.encode_queries([request["query"]])[0]
            answer = {"seconds": perf_counter() - started, "vector": vector.tolist()}
        else:
            encoder.encode_documents(request["documents"])
            answer = {"seconds": perf_counter() - started}
        print(json.dumps(answer), file=answers, flush=True)
    encoder.close()


if __name__ == "__main__":
    main()

"""Worker processes that start in milliseconds: forked from one that has imported everything, with a fake encoder.

    python worker_nursery.py <application URL>     reads a line for each worker, answers with its process id

A worker is `memsvc worker` but for its encoder, which has the identity of the one that the store holds, takes some
time for each text, and for the size of its slices, so that work comes in many jobs.
"""

import asyncio
import gc
import os
import signal
import sys
import time
from collections.abc import Sequence

import psycopg
from sqlalchemy.engine import make_url

from memsvc import queue, runtime, worker
from memsvc.config import load_settings
from memsvc.consolidation import jobs, tend
from memsvc.inference.fake import FakeEncoder
from memsvc.inference.types import EncoderSpec, Vectors
from memsvc.observability import configure_logs
from memsvc.queue import libpq_url

CHUNKS, MEMORIES = 12, 4
TEXT_S = 0.001


class SlowEncoder(FakeEncoder):
    """Under the name of the store's own encoder."""

    def __init__(self, spec: EncoderSpec) -> None:
        super().__init__(dimension=spec.dimension, max_tokens=spec.max_tokens)
        self.spec = spec

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        time.sleep(TEXT_S * len(texts))
        return super().encode_documents(texts)


def active_spec(url: str) -> EncoderSpec:
    """The identity of the encoder whose vectors the store holds."""
    columns = "name, revision, dimension, pooling, query_prefix, document_prefix, file_hash"
    with psycopg.connect(url) as connection:
        row = connection.execute(f"SELECT {columns} FROM encoders WHERE active").fetchone()
    assert row is not None
    name, revision, dimension, pooling, query_prefix, document_prefix, file_hash = row
    return EncoderSpec(name, revision, dimension, pooling, 256, query_prefix, document_prefix, file_hash)


def tell(line: str) -> None:
    """Answer who started this process."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(url: str) -> None:
    """Fork a worker for each line that is read."""
    encoder = SlowEncoder(active_spec(libpq_url(make_url(url))))
    settings = load_settings()
    configure_logs(settings)
    runtime.load_encoder = lambda *_: encoder
    jobs.EMBED_CHUNKS, tend.SLICE = CHUNKS, MEMORIES
    queue.MOST_DEATHS = sys.maxsize  # that they die so often is nobody's fault here
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # who is killed is gone at once
    gc.collect()
    gc.freeze()
    tell("ready")
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            asyncio.run(worker._run(settings, url))
            os._exit(0)
        tell(str(child))


if __name__ == "__main__":
    main(sys.argv[1])

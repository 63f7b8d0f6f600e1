"""The API process: database, encoder, worker and HTTP server, started and stopped in order."""

import asyncio
import gc
import ipaddress
import json
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import structlog
import uvicorn
from uvicorn.loops.auto import auto_loop_factory

from memsvc.api.app import create_app
from memsvc.api.auth import Authenticator
from memsvc.api.services import Services
from memsvc.config import Settings
from memsvc.deployment import Deployment, deploy, ensure_local_key, require_keys
from memsvc.errors import ConfigurationError
from memsvc.observability import configure_logs, configure_traces
from memsvc.retrieval.accesses import AccessLog
from memsvc.retrieval.recall import Recaller
from memsvc.runtime import open_runtime
from memsvc.worker import working

log = structlog.get_logger(__name__)


def serve(settings: Settings, ready_file: Path | None = None) -> None:
    """Serve until SIGTERM or Ctrl-C; requests in flight are finished first."""
    configure_logs(settings)
    with deploy(settings) as deployment:
        if is_loopback(settings.host):
            if deployment.embedded:
                ensure_local_key(deployment, settings.local_key_file)
        else:
            require_keys(deployment, settings.host)
        with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
            runner.run(_serve(settings, deployment, ready_file))


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach that address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


async def _serve(settings: Settings, deployment: Deployment, ready_file: Path | None) -> None:
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(_listen(settings.host, settings.port))
        runtime = await stack.enter_async_context(open_runtime(settings, deployment.app_url))
        accesses = AccessLog(runtime.database)
        await stack.enter_async_context(accesses.flushing())
        if settings.worker_in_serve:
            await stack.enter_async_context(working(runtime, settings))
        app = create_app(
            Services(
                settings=settings,
                clock=lambda: datetime.now(UTC),
                database=runtime.database,
                authenticator=Authenticator(runtime.database),
                ingest=runtime.ingest,
                upkeep=runtime.upkeep,
                recaller=Recaller(runtime.database, runtime.ingest.batcher, accesses),
                signer=runtime.signer,
            )
        )
        configure_traces(settings, app)
        config = uvicorn.Config(
            app,
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=int(settings.shutdown_grace_s),
        )
        server = _Server(config, url=_url(settings.host, listener), ready_file=ready_file)
        # What the start has made stays to the end: no collection need walk over it, which takes tenths of a second.
        gc.collect()
        gc.freeze()
        await server.serve(sockets=[listener])


class _Server(uvicorn.Server):
    """Says where it listens once it does."""

    def __init__(self, config: uvicorn.Config, *, url: str, ready_file: Path | None) -> None:
        super().__init__(config)
        self._url = url
        self._ready_file = ready_file

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop in order on SIGTERM and Ctrl-C.

        uvicorn raises the signal again once it has stopped, which would end the process before the worker, the encoder
        and the embedded database have.
        """
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        log.info("serving", url=self._url, pid=os.getpid())
        if self._ready_file is not None:
            await asyncio.to_thread(_write_ready, self._ready_file, self._url)


def _write_ready(path: Path, url: str) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps({"url": url, "pid": os.getpid()}))
    partial.replace(path)


def _listen(host: str, port: int) -> socket.socket:
    """Bind before the slow part of the start, so that a taken port is said at once."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named, because asyncio turns Nagle's delay (40 ms an answer) off only where it reads TCP.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host.strip("[]"), port))
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"cannot listen on {host}:{port}: {error.strerror}",
            remedy="Stop what listens there, or choose another MEMSVC_PORT (0 takes a free one).",
        ) from error
    return listener


def _url(host: str, listener: socket.socket) -> str:
    shown = f"[{host.strip('[]')}]" if ":" in host else host
    return f"http://{shown}:{listener.getsockname()[1]}"

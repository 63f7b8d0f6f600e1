"""The demonstration: a service of its own, a sample conversation, questions."""

import signal
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from memsvc.commands.output import visible
from memsvc.errors import MemsvcError

if TYPE_CHECKING:
    from rich.console import Console


def demo(
    url: Annotated[
        str | None, typer.Option(help="Use this service instead of starting one; it keeps the sample.")
    ] = None,
    k: Annotated[int, typer.Option("--k", "-k", min=1, help="Memories per question.")] = 5,
) -> None:
    """Store a sample conversation and ask about it, on a service that leaves nothing behind."""
    from rich.console import Console

    from memsvc.commands.output import connect
    from memsvc.demo.run import run_demo

    console = Console()
    if url is None:
        _run_on_own_service(console, k)
        return
    with connect(url) as client:
        run_demo(client, console=console, k=k)


def _run_on_own_service(console: "Console", k: int) -> None:
    from memsvc.demo.run import run_demo
    from memsvc.demo.service import ServiceProcess
    from memsvc.sdk import MemoryClient, MemsvcClientError

    # By default these end Python at once, and the service would live on.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _exit)
    with TemporaryDirectory(prefix="memsvc-demo-") as folder:
        service = ServiceProcess(Path(folder))
        with console.status("Starting a service of its own: database, schema, encoder…"):
            service.start()
        try:
            with MemoryClient(service.url, service.api_key) as client:
                run_demo(client, console=console, k=k)
        except (MemsvcError, MemsvcClientError):
            typer.echo(f"The end of the service's log:\n{visible(service.log_tail())}\n", err=True)
            raise
        finally:
            with console.status("Stopping the service…"):
                service.stop()


def _exit(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)

"""Commands that run or check the service itself."""

from pathlib import Path
from typing import Annotated

import typer

from memsvc.commands.output import console, visible


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on, instead of MEMSVC_HOST.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port, instead of MEMSVC_PORT; 0 takes a free one.")
    ] = None,
    ready_file: Annotated[
        Path | None, typer.Option(help="Write the URL and process id here, as JSON, once requests are served.")
    ] = None,
    no_worker: Annotated[
        bool, typer.Option("--no-worker", help="Leave the background work to `memsvc worker`.")
    ] = False,
) -> None:
    """Run the service until SIGTERM or Ctrl-C."""
    from memsvc import main
    from memsvc.config import load_settings

    chosen: dict[str, object] = {"host": host, "port": port, "worker_in_serve": False if no_worker else None}
    settings = load_settings(**{name: value for name, value in chosen.items() if value is not None})
    main.serve(settings, ready_file)


def worker() -> None:
    """Run the background worker alone."""
    from memsvc import worker as worker_process
    from memsvc.config import load_settings

    worker_process.run(load_settings())


def migrate() -> None:
    """Bring the database to this version's schema; safe to run again."""
    from memsvc import deployment
    from memsvc.config import load_settings

    deployment.migrate(load_settings())
    typer.echo("The database has this version's schema.")


def doctor() -> None:
    """Check the settings, database, encoder and worker; exit status 1 when something is wrong."""
    from rich.table import Table
    from rich.text import Text

    from memsvc.config import load_settings
    from memsvc.doctor import diagnose

    checks = diagnose(load_settings())
    table = Table("", "check", "found", "what to do")
    for check in checks:
        mark = Text("ok", "green") if check.ok else Text("FAILED", "bold red")
        remedy = "" if check.ok else visible(check.remedy or "")
        table.add_row(mark, Text(check.name), Text(visible(check.detail)), Text(remedy))
    console().print(table)
    if not all(check.ok for check in checks):
        raise typer.Exit(1)


def scrub() -> None:
    """Write the tables anew, so that what was erased is in none of their files. Each is locked while it is copied."""
    from memsvc.config import load_settings
    from memsvc.deployment import scrub as scrub_database

    scrub_database(load_settings())
    typer.echo("The tables hold what they say, and nothing else.")

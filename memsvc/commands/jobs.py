"""Commands on background jobs. They go to the database, not through the service: they show every tenant's, and its own.

A key with the scope `admin` sees its tenant's at `GET /v1/jobs`.
"""

from typing import TYPE_CHECKING, Annotated, cast

import typer

from memsvc.commands.output import console, moment, visible

if TYPE_CHECKING:
    from memsvc.store.jobs import JobState

app = typer.Typer(no_args_is_help=True, help="Background jobs: what waits, runs, failed.")
STATES = ("waiting", "running", "retrying", "dead")


@app.command("list")
def list_jobs(
    state: Annotated[str | None, typer.Option(help="Only these: waiting, running, retrying or dead.")] = None,
    job: Annotated[str | None, typer.Option(help="Only jobs of this name, such as embed.")] = None,
    space: Annotated[str | None, typer.Option("--space", "-s", help="Only jobs of spaces of this name.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Most jobs to show.")] = 100,
) -> None:
    """List the jobs that are not done, oldest first."""
    from rich.table import Table
    from rich.text import Text

    from memsvc.config import load_settings
    from memsvc.deployment import deploy
    from memsvc.store.jobs import JobFilter, list_all_jobs

    if state not in {None, *STATES}:
        raise typer.BadParameter(f"choose one of {', '.join(STATES)}", param_hint="--state")
    wanted = JobFilter(state=cast("JobState | None", state), name=job, space=space)
    with deploy(load_settings()) as deployment:
        found = list_all_jobs(deployment.owner_url, wanted, limit=limit + 1)
    table = Table("id", "job", "tenant", "space", "state", "attempts", "since (UTC)", "not before (UTC)", "error")
    for one in found[:limit]:
        cells = (str(one.id), one.name, one.tenant or "", one.space or "", one.state, str(one.attempts))
        table.add_row(
            *(Text(visible(cell)) for cell in cells), moment(one.enqueued_at), moment(one.runs_at), one.error or ""
        )
    console().print(table)
    if len(found) > limit:
        typer.echo("There are more: repeat with a larger --limit.")


@app.command()
def requeue(job_id: Annotated[int, typer.Argument(metavar="ID", min=1, help="The dead job's id.")]) -> None:
    """Let a dead job run again, as if it were new."""
    from memsvc.config import load_settings
    from memsvc.deployment import deploy
    from memsvc.errors import ConflictError
    from memsvc.store.jobs import requeue_any_job

    with deploy(load_settings()) as deployment:
        waiting = requeue_any_job(deployment.owner_url, job_id)
    if waiting is None:
        raise ConflictError(
            f"job {job_id} is not dead", remedy="`memsvc jobs list --state dead` lists those that can be requeued."
        )
    typer.echo(f"Job {waiting} waits for a worker.")

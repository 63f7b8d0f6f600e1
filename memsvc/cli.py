"""The command line. Commands import what they need when they run, so that `memsvc --help` is quick."""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import memsvc
from memsvc.commands import (
    core,
    demo,
    importing,
    jobs,
    keys,
    lifecycle,
    memories,
    moving,
    processes,
    recall,
    recipes,
    sharing,
    spaces,
    tensors,
    upkeep,
)
from memsvc.errors import MemsvcError


class ReportingGroup(TyperGroup):
    """Turns the project's own errors into text on stderr and exit status 1; anything else is a defect and traced."""

    def invoke(self, ctx: Any) -> Any:  # typer's context class has no public name that every release shares
        """Run the command."""
        try:
            return super().invoke(ctx)
        except _reported() as error:
            from memsvc.commands.output import report

            report(error)
            raise typer.Exit(1) from None


def _reported() -> tuple[type[Exception], ...]:
    """The errors to report: evaluated only when one was raised, because the client's module is slow to import."""
    from memsvc.sdk.errors import MemsvcClientError

    return (MemsvcError, MemsvcClientError)


app = typer.Typer(
    name="memsvc",
    cls=ReportingGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="A self-hosted long-term memory service for AI agents.",
    epilog="MEMSVC_URL and MEMSVC_API_KEY choose the service; docs/configuration.md lists every setting.",
)
for run in (processes.serve, processes.worker, processes.migrate, processes.doctor):
    app.command(rich_help_panel="Service")(run)
app.command(rich_help_panel="Service")(processes.scrub)
app.add_typer(keys.app, name="keys", rich_help_panel="Service")
app.add_typer(jobs.app, name="jobs", rich_help_panel="Service")
for use in (memories.add, recall.recall, recall.context):
    app.command(rich_help_panel="Memories")(use)
app.command("list", rich_help_panel="Memories")(memories.list_memories)
app.command("get", rich_help_panel="Memories")(memories.get)
app.command(rich_help_panel="Memories")(memories.update)
app.command("delete", rich_help_panel="Memories")(memories.delete)
app.add_typer(spaces.app, name="spaces", rich_help_panel="Memories")
app.add_typer(recipes.app, name="recipes", rich_help_panel="Memories")
app.command("import", rich_help_panel="Memories")(importing.import_export)
app.add_typer(core.app, name="core", rich_help_panel="Memories")
app.add_typer(tensors.app, name="tensors", rich_help_panel="Memories")
for change in (lifecycle.state, lifecycle.supersede, lifecycle.hold):
    app.command(rich_help_panel="Lifecycle")(change)
for look in (lifecycle.history, lifecycle.lineage):
    app.command(rich_help_panel="Lifecycle")(look)
app.command(rich_help_panel="Lifecycle")(lifecycle.operations)
app.command(rich_help_panel="Lifecycle")(lifecycle.undo)
app.command(rich_help_panel="Lifecycle")(lifecycle.erase)
app.command(rich_help_panel="Lifecycle")(lifecycle.verify_receipt)
for keep in (upkeep.consolidate, upkeep.forget, upkeep.compress, upkeep.feedback, upkeep.retention):
    app.command(rich_help_panel="Upkeep")(keep)
app.add_typer(upkeep.conflicts, name="conflicts", rich_help_panel="Upkeep")
app.add_typer(upkeep.scratch, name="scratch", rich_help_panel="Upkeep")
app.command(rich_help_panel="Sharing")(sharing.changes)
for name, group in (
    ("grants", sharing.grants),
    ("groups", sharing.groups),
    ("subscriptions", sharing.subscriptions),
    ("webhooks", sharing.webhooks),
):
    app.add_typer(group, name=name, rich_help_panel="Sharing")
app.add_typer(moving.bundle, name="bundle", rich_help_panel="Moving")
app.add_typer(moving.snapshot, name="snapshot", rich_help_panel="Moving")
app.command(rich_help_panel="Moving")(moving.rollback)
app.command(rich_help_panel="Moving")(moving.fork)
app.command(rich_help_panel="Moving")(moving.fuse)
app.command(rich_help_panel="Try it")(demo.demo)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"memsvc {memsvc.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass

"""Commands that govern memories: states, history, undo, erase."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast
from uuid import UUID

import typer

from memsvc.commands.output import JsonOption, SpaceOption, connect, console, moment, one_line, print_json, visible

if TYPE_CHECKING:
    from memsvc.wire import State

IdArgument = Annotated[UUID, typer.Argument(metavar="ID", help="The memory's id.")]
ReasonOption = Annotated[str | None, typer.Option(help="Why, for the history.")]
VersionOption = Annotated[int | None, typer.Option(help="Only if it still is in this version.")]
ROW_CHARACTERS = 100


def state(
    memory_id: IdArgument,
    target: Annotated[
        str, typer.Argument(metavar="STATE", help="activated, merged, archived, expired, frozen or quarantined.")
    ],
    reason: ReasonOption = None,
    version: VersionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Move a memory to another state."""
    with connect() as client:
        # Not checked here: the service knows which states there are, and says so.
        memory = client.lifecycle.set_state(memory_id, cast("State", target), reason=reason, version=version)
    if as_json:
        print_json(memory)
        return
    typer.echo(f"{memory.id} is {memory.state}, version {memory.version}.")


def supersede(
    memory_id: IdArgument,
    by: Annotated[UUID, typer.Argument(metavar="BY", help="The memory that takes its place.")],
    at: Annotated[str | None, typer.Option(help="Since when: a year, month, day or moment.")] = None,
    reason: ReasonOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a later memory take the place of an earlier one."""
    with connect() as client:
        memory = client.lifecycle.supersede(memory_id, by, at=at, reason=reason)
    if as_json:
        print_json(memory)
        return
    typer.echo(f"{memory.id} was true until {moment(memory.valid_to)}.")


def hold(
    memory_id: IdArgument,
    lift: Annotated[bool, typer.Option("--lift", help="Lift the hold.")] = False,
    reason: ReasonOption = None,
    as_json: JsonOption = False,
) -> None:
    """Place a legal hold, which nothing erases, or lift it."""
    with connect() as client:
        memory = client.lifecycle.set_hold(memory_id, on=not lift, reason=reason)
    if as_json:
        print_json(memory)
        return
    typer.echo(f"{memory.id} is {'under' if memory.legal_hold else 'not under'} legal hold.")


def history(memory_id: IdArgument, as_json: JsonOption = False) -> None:
    """Show every version of a memory: who made it, when, why, and what it changed."""
    from rich.table import Table
    from rich.text import Text

    with connect() as client:
        found = client.lifecycle.history(memory_id)
    if as_json:
        print_json(found)
        return
    table = Table()
    for title in ("version", "known since (UTC)", "operation", "by", "changed", "reason"):
        table.add_column(title)
    for version in found.versions:
        changed = "; ".join(
            f"{name}: {one_line(str(change.before), ROW_CHARACTERS)} → {one_line(str(change.after), ROW_CHARACTERS)}"
            for name, change in version.changed.items()
        )
        cells = (moment(version.known_from), version.operation or "", version.actor or "", changed)
        table.add_row(
            str(version.version), *(Text(visible(cell)) for cell in cells), Text(visible(version.reason or ""))
        )
    console().print(table)


def lineage(
    memory_id: IdArgument,
    depth: Annotated[int, typer.Option(min=1, max=100, help="How far to follow.")] = 10,
    as_json: JsonOption = False,
) -> None:
    """Show what a memory was derived from, and what was derived from it."""
    with connect() as client:
        found = client.lifecycle.lineage(memory_id, depth=depth)
    if as_json:
        print_json(found)
        return
    for edge in found.up:
        typer.echo(f"{'  ' * edge.depth}from {edge.source_id} (version {edge.source_version})")
    for edge in found.down:
        typer.echo(f"{'  ' * edge.depth}gave {edge.derived_id}")
    for name, ids in (("superseded by", found.superseded_by), ("supersedes", found.supersedes)):
        for one in ids:
            typer.echo(f"  {name} {one}")
    if not (found.up or found.down or found.superseded_by or found.supersedes):
        typer.echo("It stands alone.")


def operations(
    space: SpaceOption = "default",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most operations to show.")] = 20,
    cursor: Annotated[str | None, typer.Option(help="Where the listing before ended.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List what was done in a space, newest first."""
    from rich.table import Table
    from rich.text import Text

    with connect() as client:
        page = client.lifecycle.operations(space=space, limit=limit, cursor=cursor)
    if as_json:
        print_json(page)
        return
    table = Table()
    for title in ("id", "when (UTC)", "what", "by", "reason", "undone"):
        table.add_column(title, no_wrap=title == "id")
    for one in page.items:
        cells = (moment(one.recorded_at), one.kind, one.actor, one.reason or "", "yes" if one.undone_by else "")
        table.add_row(str(one.id), *(Text(visible(cell)) for cell in cells))
    console().print(table)
    if page.next_cursor:
        typer.echo(f"There are more: repeat with --cursor {page.next_cursor}")


def undo(
    operation_id: Annotated[UUID, typer.Argument(metavar="OPERATION", help="The operation's id.")],
    reason: ReasonOption = None,
    as_json: JsonOption = False,
) -> None:
    """Undo an operation."""
    with connect() as client:
        done = client.lifecycle.undo(operation_id, reason=reason)
    if as_json:
        print_json(done)
        return
    typer.echo(
        f"Undone: {len(done.restored)} restored, {len(done.archived)} archived. Undo {done.operation_id} to redo."
    )


def erase(
    memory: Annotated[list[UUID] | None, typer.Argument(metavar="[ID]...", help="The memories' ids.")] = None,
    space: Annotated[str | None, typer.Option("--space", "-s", help="In this space; alone: the whole space.")] = None,
    session: Annotated[str | None, typer.Option(help="This session of the space.")] = None,
    subject: Annotated[str | None, typer.Option(help="From or about this name.")] = None,
    actor: Annotated[str | None, typer.Option(help="Written by this principal.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and erase nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    receipt: Annotated[Path | None, typer.Option(help="Write the signed receipt to this file.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Erase memories and all that was made of them, for good."""
    given = {"space": space, "session": session, "subject": subject, "actor": actor}
    conditions: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if bool(memory) == bool(conditions):
        raise typer.BadParameter("give either ids or conditions", param_hint="ID")
    with connect(timeout=600) as client:
        plan = client.lifecycle.erase(memory or None, dry_run=True, **conditions)
        if dry_run:
            _show(plan, as_json=as_json)
            return
        if not yes:
            typer.confirm(
                f"Erase {plan.plan.named} memories and {plan.plan.derived} derived ones for good?", abort=True
            )
        done = client.lifecycle.erase(memory or None, **conditions)
    if receipt is not None:
        receipt.write_text(json.dumps(done.receipt, indent=2) + "\n")
    _show(done, as_json=as_json)


def verify_receipt(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The receipt, JSON.")],
    key: Annotated[str | None, typer.Option(help="The public key that is trusted (GET /v1/signing-key).")] = None,
    memory: Annotated[list[UUID] | None, typer.Option(help="Check that this memory is among the erased.")] = None,
) -> None:
    """Check the signature of an erase receipt, without the service."""
    from memsvc.errors import ConfigurationError
    from memsvc.ids import MemoryId
    from memsvc.lifecycle.receipts import hash_id
    from memsvc.lifecycle.signing import verify

    try:
        document = json.loads(file.read_text())
    except ValueError:
        raise ConfigurationError(
            f"{file} is not JSON", remedy="Give the receipt as POST /v1/erase answered it."
        ) from None
    if not isinstance(document, dict):
        raise ConfigurationError(f"{file} is no receipt", remedy="Give the receipt as POST /v1/erase answered it.")
    problem = verify(document, key)
    if problem is not None:
        raise ConfigurationError(f"{file} cannot be believed: {problem}", remedy="Ask the service for it again.")
    missing = [one for one in memory or () if hash_id(MemoryId(one)) not in document.get("erased_sha256", ())]
    if missing:
        raise ConfigurationError(f"memory {missing[0]} is not among the erased", remedy="Look for its own receipt.")
    typer.echo(f"Valid: {len(document.get('erased_sha256', ()))} memories erased at {document.get('erased_at')}.")
    if key is None:
        typer.echo("Signed by the key it names itself; give --key to check whose it is.")


def _show(done: Any, *, as_json: bool) -> None:
    if as_json:
        print_json(done)
        return
    plan = done.plan
    verb = "Erased" if done.done else "Would erase"
    typer.echo(f"{verb} {plan.named} memories and {plan.derived} derived ones; {plan.rebuilt} made again.")
    if plan.held:
        typer.echo(f"{len(plan.held)} are under legal hold, which forbids it: {', '.join(map(str, plan.held[:10]))}")
    if done.receipt:
        typer.echo(f"Receipt {done.receipt['id']}")

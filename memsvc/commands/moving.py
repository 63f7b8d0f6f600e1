"""Commands on whole spaces: bundles, snapshots, rollback, fork, and fusing."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast
from uuid import UUID

import typer

from memsvc.commands.output import JsonOption, SpaceOption, connect, moment, print_json, visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memsvc.wire import TextKind
    from memsvc.wire.moving import ConflictOut

bundle = typer.Typer(no_args_is_help=True, help="Spaces as files.")
snapshot = typer.Typer(no_args_is_help=True, help="Names for a space's states.")

TIMEOUT_S = 3600.0  # a large bundle is checked and stored before it is answered
MOST_SHOWN = 20
ReasonOption = Annotated[str | None, typer.Option(help="Why, for the history.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
FileArgument = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A bundle.")]


@bundle.command("export")
def export_bundle(
    file: Annotated[Path, typer.Argument(dir_okay=False, help="Where to write it.")],
    space: SpaceOption = "default",
    embeddings: Annotated[bool, typer.Option(help="With the vectors, which spares the importer from encoding.")] = True,
) -> None:
    """Write a space into a bundle."""
    with connect(timeout=TIMEOUT_S) as client:
        client.moving.export_bundle(space, file, embeddings=embeddings)
    typer.echo(f"Wrote {file}, {file.stat().st_size} bytes.")


@bundle.command("import")
def import_bundle(
    file: FileArgument, space: SpaceOption = "default", reason: ReasonOption = None, as_json: JsonOption = False
) -> None:
    """Bring a bundle's memories into a space. Needs a key with the scope admin."""
    with connect(timeout=TIMEOUT_S) as client:
        done = client.moving.import_bundle(space, file, reason=reason)
    if as_json:
        print_json(done)
        return
    typer.echo(f"{done.memories} memories imported into {space}, {done.duplicates} were there.")
    if done.pending:
        typer.echo(f"{done.pending} are still to be embedded.")
    for refused in done.conflicts[:MOST_SHOWN]:
        typer.echo(f"{refused.id}: not imported, {visible(refused.reason)}")
    if len(done.conflicts) > MOST_SHOWN:
        typer.echo(f"... {len(done.conflicts)} were not imported; --json lists them all.")


@bundle.command()
def verify(file: FileArgument, as_json: JsonOption = False) -> None:
    """Check a bundle's sizes, hashes and every row, without a service."""
    from memsvc.lifecycle.bundle.archive import ArchiveReader
    from memsvc.lifecycle.bundle.related import read_related
    from memsvc.lifecycle.bundle.rows import DraftReader

    with ArchiveReader(file) as archive:
        archive.verify()
        reader = DraftReader(archive, read_related(archive), max_content_bytes=1 << 30, with_vectors=True)
        while reader.read():
            pass
        manifest = archive.manifest
    if as_json:
        print_json(manifest)
        return
    with_vectors = f", vectors of {manifest.encoder.name}" if manifest.embeddings else ", no vectors"
    typer.echo(f"{file} is whole: {manifest.counts.memories} memories{visible(with_vectors)}.")


@snapshot.command("take")
def take_snapshot(
    name: Annotated[str, typer.Argument(help="Its name.")], space: SpaceOption = "default", as_json: JsonOption = False
) -> None:
    """Name the present state of a space."""
    with connect() as client:
        made = client.moving.snapshot(space, name)
    if as_json:
        print_json(made)
        return
    typer.echo(f"{made.name} is operation {made.position} of {space}.")


@snapshot.command("list")
def list_snapshots(space: SpaceOption = "default", as_json: JsonOption = False) -> None:
    """List a space's snapshots."""
    with connect() as client:
        found = client.moving.snapshots(space)
    if as_json:
        print_json(found)
        return
    for one in found.items:
        typer.echo(f"{one.position}  {moment(one.recorded_at)}  {visible(one.name)}  by {visible(one.actor)}")


@snapshot.command("delete")
def delete_snapshot(name: Annotated[str, typer.Argument(help="Its name.")], space: SpaceOption = "default") -> None:
    """Forget a snapshot; the versions stay."""
    with connect() as client:
        client.moving.delete_snapshot(space, name)
    typer.echo(f"Forgot {name}.")


def rollback(
    space: SpaceOption = "default",
    snapshot_name: Annotated[str | None, typer.Option("--snapshot", help="Go back to this snapshot.")] = None,
    position: Annotated[int | None, typer.Option(min=0, help="Go back to this operation's number.")] = None,
    dry_run: DryRunOption = False,
    reason: ReasonOption = None,
    as_json: JsonOption = False,
) -> None:
    """Roll a space back to a snapshot or a position."""
    if (snapshot_name is None) == (position is None):
        raise typer.BadParameter("give one of --snapshot and --position", param_hint="--snapshot")
    with connect(timeout=TIMEOUT_S) as client:
        done = client.moving.rollback(space, snapshot=snapshot_name, position=position, dry_run=dry_run, reason=reason)
    if as_json:
        print_json(done)
        return
    would = "would be " if dry_run else ""
    typer.echo(f"{len(done.restored)} memories {would}restored, {len(done.archived)} {would}archived.")
    for kept in done.kept[:MOST_SHOWN]:
        typer.echo(f"{kept.id}: left as it is ({kept.reason})")
    if done.erased:
        typer.echo(f"{len(done.erased)} were erased since and stay erased.")
    if done.operation_id:
        typer.echo(f"Operation {done.operation_id}; `memsvc undo {done.operation_id}` takes it back.")


def fork(
    to: Annotated[str, typer.Argument(help="Name of the new space.")],
    space: SpaceOption = "default",
    snapshot_name: Annotated[str | None, typer.Option("--snapshot", help="As of this snapshot.")] = None,
    reason: ReasonOption = None,
    as_json: JsonOption = False,
) -> None:
    """Copy a space into a new one."""
    with connect(timeout=TIMEOUT_S) as client:
        made = client.moving.fork(space, to, snapshot=snapshot_name, reason=reason)
    if as_json:
        print_json(made)
        return
    typer.echo(f"{made.space} has {made.memories} memories, as of operation {made.position} of {space}.")


def fuse(
    memories: Annotated[list[UUID] | None, typer.Argument(metavar="ID...", help="Memories of one space.")] = None,
    source: Annotated[str | None, typer.Option("--from", help="Instead: a space to fuse into --space.")] = None,
    space: SpaceOption = "default",
    kind: Annotated[str | None, typer.Option(help="Kind of the new memory.")] = None,
    dry_run: DryRunOption = False,
    reason: ReasonOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fuse memories into one, or another space into --space."""
    if bool(memories) == (source is not None):
        raise typer.BadParameter("give either memories or --from", param_hint="ID")
    if source is not None:
        with connect(timeout=TIMEOUT_S) as client:
            spaces = client.moving.fuse_spaces(space, source, dry_run=dry_run, reason=reason)
        if as_json:
            print_json(spaces)
            return
        would = "would be " if dry_run else ""
        typer.echo(f"{len(spaces.copied)} memories {would}copied into {space}; {spaces.duplicates} were there.")
        _show(spaces.conflicts)
        return
    with connect() as client:
        # Not checked here: the service knows which kinds there are, and says so.
        one = client.moving.fuse(memories or [], kind=cast("TextKind | None", kind), dry_run=dry_run, reason=reason)
    if as_json:
        print_json(one)
        return
    typer.echo(visible(one.content))
    typer.echo(f"{one.id or 'Not stored'}: a {one.kind} in the place of {len(one.archived)} memories.")
    for memory in one.frozen:
        typer.echo(f"{memory}: frozen, stays")
    _show(one.conflicts)


def _show(conflicts: "Sequence[ConflictOut]") -> None:
    for conflict in conflicts[:MOST_SHOWN]:
        typer.echo(f"contradiction: {visible(conflict.first)} | {visible(conflict.second)}")

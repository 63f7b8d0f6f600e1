"""Commands on upkeep: what the service does with memories by itself, done now; feedback, conflicts, working memory."""

from typing import TYPE_CHECKING, Annotated, Any, cast
from uuid import UUID

import typer

from memsvc.commands.output import JsonOption, SpaceOption, connect, console, moment, one_line, print_json, visible

if TYPE_CHECKING:
    from memsvc.wire.conflicts import Resolution
    from memsvc.wire.forgetting import RetentionOut, Verdict
    from memsvc.wire.upkeep import UpkeepResponse

conflicts = typer.Typer(no_args_is_help=True, help="Memories that contradict each other, and which of them holds.")
scratch = typer.Typer(no_args_is_help=True, help="The working memory of a session.")

TIMEOUT_S = 600.0  # a run may ask a language model many times
ROW_CHARACTERS = 80
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
LimitOption = Annotated[int, typer.Option(min=1, max=10_000, help="Most memories that this run reads.")]
ReasonOption = Annotated[str | None, typer.Option(help="Why, for the history.")]


def consolidate(
    space: SpaceOption = "default",
    dry_run: DryRunOption = False,
    limit: LimitOption = 1000,
    reason: ReasonOption = None,
    as_json: JsonOption = False,
) -> None:
    """Learn from what was written to a space, now."""
    with connect(timeout=TIMEOUT_S) as client:
        done = client.upkeep.consolidate(space=space, dry_run=dry_run, limit=limit, reason=reason)
    _show_run(done, as_json=as_json)


def forget(
    space: SpaceOption = "default",
    share: Annotated[float | None, typer.Option(help="Instead of the policy: this share of the turns, 0 to 1.")] = None,
    dry_run: DryRunOption = False,
    limit: LimitOption = 1000,
    reason: ReasonOption = None,
    as_json: JsonOption = False,
) -> None:
    """Archive what a space's policy lets go, now."""
    with connect(timeout=TIMEOUT_S) as client:
        done = client.upkeep.forget(space=space, share=share, dry_run=dry_run, limit=limit, reason=reason)
    _show_run(done, as_json=as_json)


def compress(
    space: SpaceOption = "default",
    archived_days: Annotated[float | None, typer.Option(min=0, help="What was archived so many days ago.")] = None,
    superseded: Annotated[bool, typer.Option("--superseded", help="Also what has a successor.")] = False,
    dry_run: DryRunOption = False,
    limit: LimitOption = 1000,
    reason: ReasonOption = None,
    as_json: JsonOption = False,
) -> None:
    """Pack away what is out of recall, restorable byte for byte, now."""
    with connect(timeout=TIMEOUT_S) as client:
        done = client.upkeep.compress(
            space=space,
            archived_days=archived_days,
            superseded=superseded,
            dry_run=dry_run,
            limit=limit,
            reason=reason,
        )
    _show_run(done, as_json=as_json)


def feedback(
    memory: Annotated[list[UUID], typer.Argument(metavar="ID...", help="The memories' ids.")],
    verdict: Annotated[str, typer.Option(help="used, helpful, wrong, success or failure.")],
    episode: Annotated[str | None, typer.Option(help="Your name for the task; success and failure need one.")] = None,
    note: Annotated[str | None, typer.Option(help="What to add.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what became of memories that were recalled."""
    with connect() as client:
        # Not checked here: the service's models know which verdicts there are, and say so.
        done = client.upkeep.feedback(memory, cast("Verdict", verdict), episode=episode, note=note)
    if as_json:
        print_json(done)
        return
    rows = [
        (one.id, one.status, one.state + (" again" if one.revived else ""), f"{one.trust:.2f}", f"{one.strength:.2f}")
        for one in done.items
    ]
    _table(("id", "status", "state", "trust", "strength"), rows)
    for operation in done.operations:
        typer.echo(f"Undo operation {operation} to take it back.")


def retention(
    memory_id: Annotated[UUID, typer.Argument(metavar="ID", help="The memory's id.")], as_json: JsonOption = False
) -> None:
    """Show the forgetting curve of a memory, and what the space's policy makes of it."""
    with connect() as client:
        found = client.upkeep.retention(memory_id)
    if as_json:
        print_json(found)
        return
    _show_retention(found)


@conflicts.command("list")
def list_conflicts(
    space: SpaceOption = "default",
    everything: Annotated[bool, typer.Option("--all", help="Those that are settled, too.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most conflicts to show.")] = 20,
    cursor: Annotated[str | None, typer.Option(help="Where the listing before ended.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the conflicts of a space, oldest first."""
    with connect() as client:
        page = client.upkeep.conflicts(space=space, state=None if everything else "open", limit=limit, cursor=cursor)
    if as_json:
        print_json(page)
        return
    rows = [
        (
            one.id,
            moment(one.found_at),
            one.first.content,
            one.second.content,
            one.reason,
            f"settled: {one.resolution}" if one.state == "settled" else "open",
        )
        for one in page.items
    ]
    _table(("id", "found (UTC)", "first", "second", "reason", "state"), rows)
    if page.next_cursor:
        typer.echo(f"There are more: repeat with --cursor {page.next_cursor}")


@conflicts.command()
def settle(
    conflict_id: Annotated[UUID, typer.Argument(metavar="ID", help="As `list` shows it.")],
    keep: Annotated[str, typer.Option(help="first, second or both.")],
    reason: ReasonOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say which of two memories holds; it supersedes the other."""
    with connect() as client:
        # Not checked here: the service's models know what can be kept, and say so.
        done = client.upkeep.settle(conflict_id, cast("Resolution", keep), reason=reason)
    if as_json:
        print_json(done)
        return
    typer.echo(f"{done.id} is {done.state}: {done.resolution}. Undo operation {done.settled_by} to open it again.")


@scratch.command()
def show(
    session: Annotated[str, typer.Argument(help="The session.")],
    space: SpaceOption = "default",
    revision: Annotated[int | None, typer.Option(min=0, help="As of this revision.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show the scratch of a session."""
    with connect() as client:
        state = client.scratch.get(session, space=space, revision=revision)
    if as_json:
        print_json(state)
        return
    for entry in state.entries:
        notes = [f"{entry.tokens} tokens", *(["pinned"] if entry.pinned else [])]
        if entry.pruned:
            notes.append(f"in the place of {', '.join(entry.pruned)}")
        typer.echo(visible(f"## {entry.id} ({', '.join(notes)})"))
        typer.echo(visible(entry.content) + "\n")
    typer.echo(f"{state.tokens} of {state.token_limit} tokens, revision {state.revision}")


def _show_run(run: "UpkeepResponse", *, as_json: bool) -> None:
    if as_json:
        print_json(run)
        return
    if run.changes:
        rows = [(one.memory_id, one.action, len(one.sources), one.content or "", one.reason) for one in run.changes]
        _table(("memory", "action", "sources", "content", "reason"), rows)
    operations = [str(one) for one in (run.operation_id, *run.further) if one]
    if run.dry_run:
        typer.echo(visible(f"Would make {len(run.changes)} changes in {run.space}."))
    elif not operations:
        typer.echo(visible(f"There was nothing to do in {run.space}."))
    else:
        last = " (the last first)" if run.further else ""
        typer.echo(visible(f"{len(run.changes)} changes in {run.space}. Undo {', '.join(operations)}{last} to revert."))
    if run.more:
        typer.echo("There is more: run it again.")


def _show_retention(found: "RetentionOut") -> None:
    typer.echo(
        f"{found.id} is {found.state}: retention {found.retention:.3f}, stability {found.stability_days:.1f} days "
        f"since {moment(found.since)}."
    )
    if found.history.reinforcements:
        past = [
            (moment(one.at), one.cause, f"{one.retention:.3f}", f"{one.strength:.2f}", f"{one.stability_days:.1f}")
            for one in found.history.reinforcements
        ]
        _table(("when (UTC)", "cause", "retention before", "strength after", "stability after, days"), past)
    ahead = [(one.days, moment(one.at), f"{one.retention:.3f}") for one in found.forecast]
    _table(("in days", "at (UTC)", "retention"), ahead)
    for name, bound in (("archive", found.archive), ("forget", found.forget)):
        typer.echo(f"Below {bound.below:g} ({name}) from {moment(bound.at)}.")
    policy = found.policy
    kept = f", kept by {policy.kept_by}" if policy.kept_by else ""
    typer.echo(visible(f"The policy: {policy.action} at {moment(policy.at)}{kept} ({policy.reason})"))


def _table(titles: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table()
    table.add_column(titles[0], no_wrap=True)
    for title in titles[1:]:
        table.add_column(title)
    for row in rows:
        table.add_row(*(Text(one_line(str(each), ROW_CHARACTERS)) for each in row))
    console().print(table if rows else "There are none.")

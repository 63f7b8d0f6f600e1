"""Commands that share: grants, groups, subscriptions, webhooks, and following a space."""

from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from memsvc.commands.output import JsonOption, SpaceOption, connect, console, moment, print_json, visible

if TYPE_CHECKING:
    from memsvc.sdk.requests_sharing import GrantTarget, SubscribeOptions
    from memsvc.wire.sharing import ChangeOut

grants = typer.Typer(no_args_is_help=True, help="Who may do what in a space, or with a memory.")
groups = typer.Typer(no_args_is_help=True, help="Named sets of principals (scope admin).")
subscriptions = typer.Typer(no_args_is_help=True, help="Spaces that receive copies of what other spaces hold.")
webhooks = typer.Typer(no_args_is_help=True, help="URLs that are told of a space's changes (scope admin).")

IdArgument = Annotated[UUID, typer.Argument(metavar="ID", help="As `list` shows it.")]
FROM_START = "Also what is there already."


@grants.command("add")
def add_grant(
    rights: Annotated[list[str], typer.Argument(metavar="RIGHT...", help="read, write, share, erase.")],
    space: Annotated[str | None, typer.Option("--space", "-s", help="On this space.")] = None,
    memory: Annotated[UUID | None, typer.Option("--memory", "-m", help="On this memory alone.")] = None,
    principal: Annotated[str | None, typer.Option("--principal", "-p", help="To this principal.")] = None,
    group: Annotated[str | None, typer.Option("--group", "-g", help="To this group.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Let a principal or a group have exactly these rights."""
    target: GrantTarget = {}
    if space is not None:
        target["space"] = space
    if memory is not None:
        target["memory"] = memory
    if principal is not None:
        target["principal"] = principal
    if group is not None:
        target["group"] = group
    with connect() as client:
        made = client.sharing.grant(rights, **target)  # type: ignore[arg-type]  # the service names what is no right
    if as_json:
        print_json(made)
        return
    on = f"memory {made.memory}" if made.memory else f"space {made.space}"
    typer.echo(visible(f"{made.id}  {made.group or made.principal} may {', '.join(made.rights)} {on}."))


@grants.command("list")
def list_grants(
    space: Annotated[str | None, typer.Option("--space", "-s", help="Of this space alone.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most grants to show.")] = 100,
    as_json: JsonOption = False,
) -> None:
    """List the grants that you gave, have, or may take back."""
    with connect() as client:
        page = client.sharing.grants(space, limit=limit)
    if as_json:
        print_json(page)
        return
    rows = [
        (each.id, each.space, each.memory or "all", each.group or each.principal, ", ".join(each.rights))
        for each in page.items
    ]
    _table(("id", "space", "memory", "to", "rights"), rows, "There are none.")


@grants.command("remove")
def remove_grant(grant_id: IdArgument) -> None:
    """Take a grant back."""
    with connect() as client:
        client.sharing.revoke(grant_id)
    typer.echo(f"{grant_id} holds no longer.")


@groups.command("list")
def list_groups(as_json: JsonOption = False) -> None:
    """List the groups and their members."""
    with connect() as client:
        found = client.sharing.groups()
    if as_json:
        print_json(found)
        return
    _table(("group", "members"), [(each.name, ", ".join(each.members)) for each in found.items], "There are none.")


@groups.command("make")
def make_group(name: str) -> None:
    """Make a group."""
    with connect() as client:
        typer.echo(visible(f"Made {client.sharing.make_group(name).name}."))


@groups.command("remove")
def remove_group(name: str) -> None:
    """Remove a group and what was granted to it."""
    with connect() as client:
        client.sharing.remove_group(name)
    typer.echo(visible(f"Removed {name}."))


@groups.command("add")
def add_to_group(group: str, principal: str) -> None:
    """Put a principal into a group."""
    with connect() as client:
        found = client.sharing.add_to_group(group, principal)
    typer.echo(visible(f"{found.name}: {', '.join(found.members)}"))


@groups.command("drop")
def remove_from_group(group: str, principal: str) -> None:
    """Take a principal out of a group."""
    with connect() as client:
        found = client.sharing.remove_from_group(group, principal)
    typer.echo(visible(f"{found.name}: {', '.join(found.members) or 'nobody'}"))


@subscriptions.command("add")
def subscribe(
    source: Annotated[str, typer.Argument(help="The space to follow.")],
    space: Annotated[str, typer.Option("--space", "-s", help="The space that receives the copies.")],
    filters: Annotated[str | None, typer.Option(help="Conditions as JSON, as in recall.")] = None,
    from_start: Annotated[bool, typer.Option("--from-start", help=FROM_START)] = False,
    include_copies: Annotated[bool, typer.Option("--include-copies", help="Also what the source has copied.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Let a space receive copies of what another one holds."""
    import json

    options: SubscribeOptions = {"from_start": from_start, "include_copies": include_copies}
    if filters is not None:
        try:
            options["filters"] = json.loads(filters)
        except json.JSONDecodeError as error:
            raise typer.BadParameter(f"not JSON: {error}", param_hint="--filters") from None
    with connect() as client:
        made = client.sharing.subscribe(source, space=space, **options)
    if as_json:
        print_json(made)
        return
    typer.echo(visible(f"{made.id}  {made.space} follows {made.source}."))


@subscriptions.command("list")
def list_subscriptions(as_json: JsonOption = False) -> None:
    """List the subscriptions, and how far they have come."""
    with connect() as client:
        found = client.sharing.subscriptions()
    if as_json:
        print_json(found)
        return
    rows = [
        (each.id, each.space, each.source, each.reason or each.state, each.behind, each.subscriber)
        for each in found.items
    ]
    _table(("id", "space", "source", "state", "behind", "as"), rows, "There are none.")


@subscriptions.command("remove")
def unsubscribe(subscription_id: IdArgument) -> None:
    """End a subscription; the copies stay."""
    with connect() as client:
        client.sharing.unsubscribe(subscription_id)
    typer.echo(f"{subscription_id} has ended.")


@subscriptions.command("resume")
def resume_subscription(subscription_id: IdArgument) -> None:
    """Deliver again where it was suspended, with your rights."""
    with connect() as client:
        found = client.sharing.resume_subscription(subscription_id)
    typer.echo(f"{found.id} is {found.state}, {found.behind} operations behind.")


@webhooks.command("add")
def make_webhook(url: str, space: SpaceOption = "default", as_json: JsonOption = False) -> None:
    """Let a URL be told of a space's changes. The secret is shown this once."""
    with connect() as client:
        made = client.sharing.make_webhook(url, space=space)
    if as_json:
        print_json(made)
        return
    typer.echo(visible(f"{made.id}  {made.url}\nsecret: {made.secret}\nKeep it now; it is not shown again."))


@webhooks.command("list")
def list_webhooks(as_json: JsonOption = False) -> None:
    """List the webhooks, and how their deliveries go."""
    with connect() as client:
        found = client.sharing.webhooks()
    if as_json:
        print_json(found)
        return
    rows = [
        (each.id, each.space, each.url, each.state, each.failures, each.last_error or "–", moment(each.next_try_at))
        for each in found.items
    ]
    _table(("id", "space", "url", "state", "failures", "last error", "next try"), rows, "There are none.")


@webhooks.command("remove")
def remove_webhook(webhook_id: IdArgument) -> None:
    """Remove a webhook."""
    with connect() as client:
        client.sharing.remove_webhook(webhook_id)
    typer.echo(f"{webhook_id} is removed.")


@webhooks.command("resume")
def resume_webhook(webhook_id: IdArgument) -> None:
    """Send again, from where it stopped."""
    with connect() as client:
        found = client.sharing.resume_webhook(webhook_id)
    typer.echo(f"{found.id} is {found.state}.")


def changes(
    space: SpaceOption = "default",
    since: Annotated[str, typer.Option(help="The cursor after which to begin.")] = "0",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most changes to show.")] = 100,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what was changed in a space, in the order of commits; with --json, one change a line."""
    with connect() as client:
        if not follow:
            page = client.sharing.changes(space, since, limit=limit)
            for change in page.items:
                _print_change(change, as_json=as_json)
            if not as_json:
                typer.echo(f"cursor: {page.cursor}")
            return
        for change in client.sharing.follow(space, since):
            _print_change(change, as_json=as_json)


def _print_change(change: "ChangeOut", *, as_json: bool) -> None:
    if as_json:
        typer.echo(change.model_dump_json())
        return
    version = "" if change.version is None else f" version {change.version}, {change.state}"
    line = f"{change.number:>6}  {moment(change.recorded_at)}  {change.change:<7}  {change.memory_id}{version}"
    typer.echo(visible(f"{line}  ({change.operation} by {change.actor})"))


def _table(titles: tuple[str, ...], rows: list[tuple[Any, ...]], nothing: str) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table()
    table.add_column(titles[0], no_wrap=True)
    for title in titles[1:]:
        table.add_column(title)
    for row in rows:
        table.add_row(*(Text(visible(str(each))) for each in row))
    console().print(table if rows else nothing)

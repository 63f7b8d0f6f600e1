"""Commands on API keys. They go to the database, not through the service: the first key has to come from somewhere."""

from typing import Annotated

import typer

from memsvc.commands.output import console, moment

app = typer.Typer(no_args_is_help=True, help="Make, list and revoke API keys.")


@app.command()
def create(
    tenant: Annotated[str, typer.Option(help="Whose data the key opens; made when it is new.")] = "default",
    principal: Annotated[str, typer.Option(help="Who acts with the key; made when it is new.")] = "default",
    scopes: Annotated[
        str, typer.Option(help="What it allows: read, write, admin, separated by commas.")
    ] = "read,write",
) -> None:
    """Make a key. It goes to stdout, once; only a hash of it is stored."""
    from memsvc.config import load_settings
    from memsvc.deployment import create_key

    wanted = [scope.strip() for scope in scopes.split(",") if scope.strip()]
    created = create_key(load_settings(), tenant=tenant, principal=principal, scopes=wanted)
    typer.echo(
        f"Key {created.prefix} of {created.principal} in {created.tenant}, for {', '.join(created.scopes)}. "
        "Keep it now; it cannot be shown again:",
        err=True,
    )
    typer.echo(created.key)


@app.command("list")
def list_all() -> None:
    """List the keys by their prefixes."""
    from rich.table import Table
    from rich.text import Text

    from memsvc.config import load_settings
    from memsvc.deployment import list_keys

    table = Table("prefix", "tenant", "principal", "scopes", "made (UTC)", "revoked (UTC)")
    for key in list_keys(load_settings()):
        columns = (key.prefix, key.tenant, key.principal, ", ".join(key.scopes), moment(key.created_at))
        table.add_row(*map(Text, columns), moment(key.revoked_at))
    console().print(table)


@app.command()
def revoke(prefix: Annotated[str, typer.Argument(help="The key's prefix, as `memsvc keys list` shows it.")]) -> None:
    """Revoke a key for good."""
    from memsvc.config import load_settings
    from memsvc.deployment import revoke_key

    revoked = revoke_key(load_settings(), prefix)
    typer.echo(f"Key {revoked.prefix} of {revoked.principal} in {revoked.tenant} is revoked.")

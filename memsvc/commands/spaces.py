"""`memsvc spaces`: what there is, whose it is, and what holds for it."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from memsvc.commands.output import JsonOption, connect, console, print_json, visible

app = typer.Typer(no_args_is_help=True, help="Spaces and their policies.")


@app.command("list")
def list_spaces(as_json: JsonOption = False) -> None:
    """List the spaces that this key may read."""
    from rich.table import Table
    from rich.text import Text

    with connect() as client:
        found = client.spaces()
    if as_json:
        print_json(found)
        return
    table = Table()
    for title in ("space", "memories", "owner", "for", "policies"):
        table.add_column(title, justify="right" if title == "memories" else "left")
    for space in found.items:
        policies = space.policies.model_dump(mode="json", exclude_unset=True, exclude_none=True)
        cells = (space.name, str(space.memories), space.owner or "", "all" if space.open else "those granted")
        table.add_row(*(Text(visible(cell)) for cell in cells), Text(visible(str(policies or ""))))
    console().print(table)


@app.command("set")
def set_space(
    name: Annotated[str, typer.Argument(help="The space; made when it is new.")],
    restricted: Annotated[
        bool, typer.Option("--restricted", help="Only for its owner and those it is granted to.")
    ] = False,
    ttl_days: Annotated[float | None, typer.Option(help="How long memories are kept.")] = None,
    kind_ttl: Annotated[
        list[str] | None, typer.Option(help="The same for a kind, as turn=90; may be repeated.")
    ] = None,
    erase_expired_after_days: Annotated[
        float | None, typer.Option(help="Erase for good what expired so long ago.")
    ] = None,
    demote_activations_after_days: Annotated[float | None, typer.Option(help="Archive unused activations.")] = None,
    core_tokens: Annotated[int | None, typer.Option(help="Most tokens of the core memory.")] = None,
    policy: Annotated[
        str | None,
        typer.Option(
            help="The policies as JSON, or a file that holds it, as GET /v1/spaces/{name} shows them; for what has no "
            "option of its own. The options above go before it."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Set a space's policies, all of them: what is not given is unset."""
    given = read_object(policy, "--policy") if policy is not None else {}
    options: dict[str, Any] = {
        "ttl_days": ttl_days,
        "kinds": dict(_kind(pair) for pair in kind_ttl or ()),
        "erase_expired_after_days": erase_expired_after_days,
        "demote_activations_after_days": demote_activations_after_days,
        "core_tokens": core_tokens,
    }
    with connect() as client:
        space = client.set_space(
            name,
            restricted=restricted,
            policies={**given, **{name: value for name, value in options.items() if value not in (None, {})}},
        )
    if as_json:
        print_json(space)
        return
    typer.echo(f"{space.name} is {'open' if space.open else 'restricted'}.")


def read_object(given: str, hint: str) -> dict[str, Any]:
    """A JSON object, written out or in a file; `hint` names the parameter in what is said of one that is none."""
    try:
        text = given if given.lstrip().startswith("{") else Path(given).read_text(encoding="utf-8")
        found = json.loads(text)
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"is neither JSON nor a file that holds it: {error}", param_hint=hint) from None
    if not isinstance(found, dict):
        raise typer.BadParameter("has to be a JSON object", param_hint=hint)
    return found


def _kind(pair: str) -> tuple[str, dict[str, str]]:
    kind, separator, days = pair.partition("=")
    if not separator:
        raise typer.BadParameter("write it as turn=90", param_hint="--kind-ttl")
    return kind, {"ttl_days": days}

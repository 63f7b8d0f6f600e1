"""`memsvc recipes`: named plans for recall, the built-in ones and a space's own."""

from typing import TYPE_CHECKING, Annotated

import typer

from memsvc.commands.output import JsonOption, SpaceOption, connect, console, print_json, visible
from memsvc.commands.spaces import read_object

if TYPE_CHECKING:
    from memsvc.wire.recipes import RecipeOut

app = typer.Typer(no_args_is_help=True, help="Named plans for recall.")

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The recipe.")]


@app.command("list")
def list_recipes(space: SpaceOption = "default", as_json: JsonOption = False) -> None:
    """List the built-in recipes and the space's own."""
    from rich.table import Table
    from rich.text import Text

    with connect() as client:
        found = client.list_recipes(space)
    if as_json:
        print_json(found)
        return
    table = Table()
    for title in ("recipe", "version", "base", "what it sets", "description"):
        table.add_column(title)
    for recipe in found.items:
        version = "built in" if recipe.version is None else str(recipe.version)
        cells = (recipe.name, version, recipe.base or "", str(recipe.changes or ""), recipe.description)
        table.add_row(*(Text(visible(cell)) for cell in cells))
    console().print(table)


@app.command("show")
def show_recipe(
    name: NameArgument,
    space: SpaceOption = "default",
    version: Annotated[int | None, typer.Option(min=1, help="An earlier version.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show all settings of a recipe."""
    with connect() as client:
        found = client.get_recipe(space, name, version=version)
    if as_json:
        print_json(found)
        return
    typer.echo(_title(found))
    for setting, value in found.settings.model_dump(mode="json").items():
        typer.echo(f"{setting:<15} {value}")


@app.command("set")
def set_recipe(
    name: NameArgument,
    recipe: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE",
            help='What it sets otherwise than its base, as JSON or a file that holds it: {"weights": {"dense": 0}}.',
        ),
    ],
    space: SpaceOption = "default",
    as_json: JsonOption = False,
) -> None:
    """Make the next version of a recipe of the space's own; the same again makes none."""
    body = read_object(recipe, "RECIPE")
    with connect() as client:
        made = client.set_recipe(space, name, body)
    if as_json:
        print_json(made)
        return
    typer.echo(_title(made))


@app.command("delete")
def delete_recipe(name: NameArgument, space: SpaceOption = "default") -> None:
    """Remove a recipe of the space's own with all its versions."""
    with connect() as client:
        client.delete_recipe(space, name)
    typer.echo(visible(f"The recipe {name} is gone."))


def _title(recipe: "RecipeOut") -> str:
    kind = "built in" if recipe.version is None else f"version {recipe.version}, from {recipe.base}"
    return visible(f"{recipe.name} ({kind})" + (f": {recipe.description}" if recipe.description else ""))

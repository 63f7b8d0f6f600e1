"""`memsvc core`: the small block of a space that every context begins with."""

from typing import Annotated

import typer

from memsvc.commands.output import JsonOption, SpaceOption, connect, print_json, visible

app = typer.Typer(no_args_is_help=True, help="The core memory of a space: labelled sections, always in a context.")

LabelArgument = Annotated[str, typer.Argument(help="The section.")]
TextArgument = Annotated[str, typer.Argument(help="The text.")]
ReasonOption = Annotated[str | None, typer.Option(help="Why, for the history.")]


@app.command()
def show(space: SpaceOption = "default", as_json: JsonOption = False) -> None:
    """Show the core memory."""
    with connect() as client:
        core = client.core.get(space=space)
    if as_json:
        print_json(core)
        return
    for section in core.sections:
        typer.echo(f"## {visible(section.label)} (version {section.version}, {section.tokens} tokens)")
        typer.echo(visible(section.content) + "\n")
    typer.echo(f"{core.tokens} of {core.limit} tokens")


@app.command()
def append(
    label: LabelArgument, text: TextArgument, space: SpaceOption = "default", reason: ReasonOption = None
) -> None:
    """Add a line to a section, made when it is new."""
    with connect() as client:
        section = client.core.append(label, text, space=space, reason=reason)
    typer.echo(f"{section.label} is at version {section.version}, {section.tokens} tokens.")


@app.command()
def replace(
    label: LabelArgument,
    old: Annotated[str, typer.Argument(help="What to replace; it must occur once.")],
    text: TextArgument,
    space: SpaceOption = "default",
    reason: ReasonOption = None,
) -> None:
    """Replace a part of a section."""
    with connect() as client:
        section = client.core.replace(label, old, text, space=space, reason=reason)
    typer.echo(f"{section.label} is at version {section.version}, {section.tokens} tokens.")


@app.command()
def rewrite(
    label: LabelArgument, text: TextArgument, space: SpaceOption = "default", reason: ReasonOption = None
) -> None:
    """Set a section whole."""
    with connect() as client:
        section = client.core.rewrite(label, text, space=space, reason=reason)
    typer.echo(f"{section.label} is at version {section.version}, {section.tokens} tokens.")


@app.command()
def remove(label: LabelArgument, space: SpaceOption = "default") -> None:
    """Archive a section; undoing the operation brings it back."""
    with connect() as client:
        client.core.remove(label, space=space)
    typer.echo(f"Archived {label}.")

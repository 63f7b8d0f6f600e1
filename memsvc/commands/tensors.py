"""Commands on tensors: blobs up and down, cached prefixes, what to cache and what to put away."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memsvc.commands.output import JsonOption, connect, console, one_line, print_json, visible

if TYPE_CHECKING:
    from memsvc.sdk.requests_tensors import CandidateOptions, ChangeOptions, MatchOptions
    from memsvc.wire.tensors import TensorChanges

app = typer.Typer(no_args_is_help=True, help="KV caches, soft prompts and adapters.")

TIMEOUT_S = 300.0  # for one read or write of a large blob's connection
ROW_CHARACTERS = 80
ModelOption = Annotated[str, typer.Option("--model", "-m", help="Model id.")]
SpacesOption = Annotated[list[str] | None, typer.Option("--space", "-s", help="Space; may be repeated.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only say what would be changed.")]


@app.command()
def upload(file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A safetensors file.")]) -> None:
    """Store a safetensors file and print its SHA-256."""
    with connect(timeout=TIMEOUT_S) as client:
        typer.echo(client.tensors.upload(file))


@app.command()
def download(
    sha256: Annotated[str, typer.Argument(help="SHA-256 of the blob.")],
    file: Annotated[Path, typer.Argument(dir_okay=False, help="Where to write it.")],
) -> None:
    """Fetch a blob; the file is written only when all its bytes have the right hash."""
    with connect(timeout=TIMEOUT_S) as client:
        try:
            client.tensors.download(sha256, file)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="SHA256") from None
    typer.echo(f"Wrote {file}.")


@app.command()
def match(
    model: ModelOption,
    revision: Annotated[str, typer.Option("--revision", help="The model's revision.")],
    tokenizer: Annotated[str, typer.Option("--tokenizer", help="Hash of the tokenizer.")],
    tokens: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="A file with a JSON array of token ids.")],
    position_scheme: Annotated[str | None, typer.Option(help="As the record states it.")] = None,
    space: SpacesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find the activation with the longest prefix in common with these tokens."""
    from pydantic import TypeAdapter, ValidationError

    try:
        token_ids = TypeAdapter(list[int]).validate_json(tokens.read_bytes())
    except ValidationError:
        raise typer.BadParameter(f"{tokens} does not hold a JSON array of numbers", param_hint="--tokens") from None
    options: MatchOptions = {
        "model": model,
        "model_revision": revision,
        "tokenizer_hash": tokenizer,
        "position_scheme": position_scheme,
        "token_ids": token_ids,
        "spaces": space or ["default"],
    }
    with connect() as client:
        found = client.tensors.match(**options)
    if found is None:
        typer.echo("null" if as_json else f"No activation shares the first 16 of {len(token_ids)} tokens.")
    elif as_json:
        print_json(found)
    else:
        typer.echo(f"{found.id}  {found.matched_tokens} of {len(token_ids)} tokens  blob {found.record.tensor.blob}")


@app.command()
def candidates(
    model: ModelOption,
    space: SpacesOption = None,
    accesses: Annotated[int | None, typer.Option(min=0, help="Least accesses.")] = None,
    stable_days: Annotated[float | None, typer.Option(min=0, help="Least days since the last change.")] = None,
    tokens: Annotated[int | None, typer.Option(min=1, help="Least tokens.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most memories to show.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List the plaintext memories that are worth an activation of the model."""
    from rich.table import Table
    from rich.text import Text

    options: CandidateOptions = {"spaces": space or ["default"], "limit": limit}
    if accesses is not None:
        options["accesses"] = accesses
    if stable_days is not None:
        options["stable_days"] = stable_days
    if tokens is not None:
        options["tokens"] = tokens
    with connect() as client:
        found = client.tensors.candidates(model, **options)
    if as_json:
        print_json(found)
        return
    table = Table()
    table.add_column("id", no_wrap=True)
    for title in ("accesses", "tokens", "content"):
        table.add_column(title)
    for item in found.items:
        content = Text(one_line(item.memory.content, ROW_CHARACTERS))
        table.add_row(str(item.memory.id), str(item.memory.access_count), str(item.tokens), content)
    console().print(table if found.items else "Nothing is worth an activation yet.")


@app.command()
def demote(
    idle_days: Annotated[float, typer.Option(min=0, help="Days without use.")] = 30,
    space: SpacesOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Archive activations that were not used for a while; the texts they came from stay."""
    options: ChangeOptions = {"spaces": space or ["default"], "dry_run": dry_run}
    with connect() as client:
        changed = client.tensors.demote(idle_days=idle_days, **options)
    _report(changed, "archived", as_json=as_json)


@app.command()
def invalidate(
    model: ModelOption,
    keep_revision: Annotated[str | None, typer.Option(help="The revision in use.")] = None,
    space: SpacesOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Expire the tensor records of a model that has changed."""
    options: ChangeOptions = {"spaces": space or ["default"], "dry_run": dry_run}
    with connect() as client:
        changed = client.tensors.invalidate(model, keep_revision=keep_revision, **options)
    _report(changed, "expired", as_json=as_json)


def _report(changed: "TensorChanges", verb: str, *, as_json: bool) -> None:
    if as_json:
        print_json(changed)
        return
    for change in changed.changes:
        if changed.dry_run:
            typer.echo(f"{visible(change.space)}: {len(change.ids)} would be {verb}")
        else:
            by = f" by operation {change.operation_id}" if change.operation_id else ""
            typer.echo(f"{visible(change.space)}: {len(change.ids)} {verb}{by}")

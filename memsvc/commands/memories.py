"""Commands that store, list, show and delete memories."""

from typing import TYPE_CHECKING, Annotated, Literal, cast
from uuid import UUID

import typer

from memsvc.commands.output import (
    AsOfKnownOption,
    AsOfValidOption,
    JsonOption,
    SpaceOption,
    connect,
    console,
    moment,
    one_line,
    print_json,
    visible,
)

if TYPE_CHECKING:
    from memsvc.commands.item_file import Defaults
    from memsvc.sdk.requests import ListOptions, PatchFields, WriteOptions

WRITE_TIMEOUT_S = 300.0  # a batch of long texts on a small machine embeds slowly
ROW_CHARACTERS = 120
DONE = {"archive": "Archived", "expire": "Expired", "erase": "Erased"}


def add(
    text: Annotated[list[str] | None, typer.Argument(help="One or more texts.")] = None,
    file: Annotated[
        str | None,
        typer.Option(
            "--file",
            "-f",
            help="A .jsonl file of messages and texts, a text file with one text a line, or - for stdin.",
        ),
    ] = None,
    kind: Annotated[
        str | None, typer.Option(help="fact (default), summary, preference, procedure, concept, core or document.")
    ] = None,
    role: Annotated[
        str | None, typer.Option(help="Store messages of this role: user, assistant, system, tool.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Who spoke, or who or what it is about.")] = None,
    session: Annotated[str | None, typer.Option(help="The conversation.")] = None,
    space: SpaceOption = "default",
    timestamp: Annotated[str | None, typer.Option(help="When it was said or true (ISO 8601).")] = None,
    timezone: Annotated[str, typer.Option(help="IANA zone of timestamps without an offset.")] = "UTC",
    valid_from: Annotated[str | None, typer.Option(help="Since when it is true: a year, month, day or moment.")] = None,
    valid_to: Annotated[str | None, typer.Option(help="Until when it was true.")] = None,
    expires_at: Annotated[str | None, typer.Option(help="When it expires (ISO 8601).")] = None,
    visibility: Annotated[str | None, typer.Option(help="private, space (default) or tenant.")] = None,
    derived_from: Annotated[list[UUID] | None, typer.Option(help="A memory it was made from; may be repeated.")] = None,
    supersedes: Annotated[list[UUID] | None, typer.Option(help="A memory it replaces; may be repeated.")] = None,
    idempotency_key: Annotated[str | None, typer.Option(help="Go on with a write that failed half-way.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Store texts, messages or a file of them. A file is checked whole before anything is sent."""
    from memsvc.commands.item_file import Defaults

    if bool(text) == (file is not None):
        raise typer.BadParameter("give either texts or --file", param_hint="TEXT")
    if kind is not None and role is not None:
        raise typer.BadParameter("a message has a role and no kind", param_hint="--kind")
    defaults = Defaults(
        kind=kind,
        role=role,
        name=name,
        session=session,
        timestamp=timestamp,
        valid_from=valid_from,
        valid_to=valid_to,
        expires_at=expires_at,
        visibility=visibility,
        derived_from=tuple(map(str, derived_from or ())),
        supersedes=tuple(map(str, supersedes or ())),
    )
    options: WriteOptions = {"space": space, "timezone": timezone}
    if file is not None:
        _add_file(file, defaults, options, idempotency_key, as_json=as_json)
        return
    items = [defaults.complete({"content": each}) for each in text or ()]
    with connect(timeout=WRITE_TIMEOUT_S) as client:
        if role is not None:
            answer = client.add(messages=items, idempotency_key=idempotency_key, **options)
        else:
            answer = client.add(texts=items, idempotency_key=idempotency_key, **options)
    if as_json:
        print_json(answer)
        return
    for item in answer.items:
        typer.echo(f"{item.id}  {item.status}")
    _say_stored(answer.receipt.stored, answer.receipt.duplicates, answer.receipt.pending, space)


def list_memories(
    space: SpaceOption = "default",
    kind: Annotated[str | None, typer.Option(help="Only this kind.")] = None,
    role: Annotated[str | None, typer.Option(help="Only messages of this role.")] = None,
    session: Annotated[str | None, typer.Option(help="Only this conversation.")] = None,
    state: Annotated[str | None, typer.Option(help="Only this lifecycle state.")] = None,
    name: Annotated[str | None, typer.Option(help="Only from or about this name.")] = None,
    as_of_valid: AsOfValidOption = None,
    as_of_known: AsOfKnownOption = None,
    limit: Annotated[int, typer.Option(min=1, help="Most memories to show.")] = 20,
    cursor: Annotated[str | None, typer.Option(help="Where the listing before ended.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List memories."""
    from rich.table import Table
    from rich.text import Text

    filters = {"kind": kind, "role": role, "session": session, "state": state, "name": name}
    filters |= {"as_of_valid": as_of_valid, "as_of_known": as_of_known}
    # Not checked here: the service knows which kinds, roles and states there are, and says so.
    options = cast("ListOptions", {"space": space, "limit": limit, "cursor": cursor, **filters})
    with connect() as client:
        page = client.list(**options)
    if as_json:
        print_json(page)
        return
    table = Table()
    table.add_column("id", no_wrap=True)
    for title in ("kind", "when (UTC)", "who", "state", "content"):
        table.add_column(title)
    for memory in page.items:
        who = memory.name or memory.role or ""
        cells = (str(memory.id), memory.kind, moment(memory.occurred_at), visible(who), memory.state)
        table.add_row(*map(Text, cells), Text(one_line(memory.content, ROW_CHARACTERS)))
    console().print(table)
    if page.next_cursor:
        typer.echo(f"There are more: repeat with --cursor {page.next_cursor}")


def get(
    memory_id: Annotated[UUID, typer.Argument(metavar="ID", help="The memory's id.")],
    as_of_valid: AsOfValidOption = None,
    as_of_known: AsOfKnownOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one memory, as it is or was."""
    from rich.table import Table
    from rich.text import Text

    with connect() as client:
        memory = client.get(memory_id, as_of_valid=as_of_valid, as_of_known=as_of_known)
    if as_json:
        print_json(memory)
        return
    table = Table.grid(padding=(0, 2))
    for field, value in memory.model_dump(mode="json", exclude={"content"}, exclude_none=True).items():
        table.add_row(Text(field, "dim"), Text(visible(str(value))))
    output = console()
    output.print(table)
    output.print()
    output.print(Text(visible(memory.content)))


def update(
    memory_id: Annotated[UUID, typer.Argument(metavar="ID", help="The memory's id.")],
    content: Annotated[str | None, typer.Option(help="New content.")] = None,
    importance: Annotated[float | None, typer.Option(min=0, max=1, help="How much it matters.")] = None,
    visibility: Annotated[str | None, typer.Option(help="private, space or tenant.")] = None,
    valid_from: Annotated[str | None, typer.Option(help="Since when it is true.")] = None,
    valid_to: Annotated[str | None, typer.Option(help="Until when it was true.")] = None,
    expires_at: Annotated[str | None, typer.Option(help="When it expires (ISO 8601).")] = None,
    reason: Annotated[str | None, typer.Option(help="Why, for the history.")] = None,
    version: Annotated[int | None, typer.Option(help="Only if it still is in this version.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Change one memory; the version before stays in its history."""
    given = {
        "content": content,
        "importance": importance,
        "visibility": visibility,
        "valid_from": valid_from,
        "valid_to": valid_to,
        "expires_at": expires_at,
        "reason": reason,
    }
    fields = cast("PatchFields", {name: value for name, value in given.items() if value is not None})
    with connect(timeout=WRITE_TIMEOUT_S) as client:
        memory = client.update(memory_id, version=version, **fields)
    if as_json:
        print_json(memory)
        return
    typer.echo(f"{memory.id} is at version {memory.version}.")


def delete(
    memory_id: Annotated[UUID, typer.Argument(metavar="ID", help="The memory's id.")],
    mode: Annotated[
        Literal["archive", "expire", "erase"],
        typer.Option(help="archive: reversible; expire: now or --at; erase: for good."),
    ] = "erase",
    at: Annotated[str | None, typer.Option(help="With --mode expire: when (ISO 8601).")] = None,
    as_json: JsonOption = False,
) -> None:
    """Archive, expire or erase one memory."""
    with connect() as client:
        client.delete(memory_id, mode=mode, at=at)
    typer.echo(f'{{"deleted": "{memory_id}", "mode": "{mode}"}}' if as_json else f"{DONE[mode]} {memory_id}.")


def _add_file(file: str, defaults: "Defaults", options: "WriteOptions", key: str | None, *, as_json: bool) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from memsvc.commands.item_file import is_json_lines, parse_items, read_text

    text = read_text(file)
    items = parse_items(text, json_lines=is_json_lines(file, text), defaults=defaults)
    terminal = Console(stderr=True)
    columns = (TextColumn("storing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        connect(timeout=WRITE_TIMEOUT_S) as client,
        Progress(*columns, console=terminal, transient=True, disable=not terminal.is_terminal) as progress,
    ):
        task = progress.add_task("", total=len(items))
        result = client.add_many(
            items, on_progress=lambda stored: progress.update(task, completed=stored), idempotency_key=key, **options
        )
    if as_json:
        from pydantic import TypeAdapter

        from memsvc.sdk import BulkResult

        typer.echo(TypeAdapter(BulkResult).dump_json(result, indent=2).decode())
        return
    _say_stored(result.stored, result.duplicates, result.pending, options["space"])


def _say_stored(stored: int, duplicates: int, pending: int, space: str) -> None:
    notes = [f"{duplicates} of them before"] if duplicates else []
    notes += [f"{pending} still to be embedded"] if pending else []
    items = "1 item is" if stored == 1 else f"{stored} items are"
    typer.echo(f"{items} stored in {space}" + (f" ({', '.join(notes)})" if notes else "") + ".")

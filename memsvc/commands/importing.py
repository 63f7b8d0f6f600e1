"""The command that imports exports of other memory services and chat applications."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memsvc.commands.memories import WRITE_TIMEOUT_S
from memsvc.commands.output import JsonOption, SpaceOption, connect, visible

if TYPE_CHECKING:
    from memsvc.importers import ImportedItem, Plan, Survey
    from memsvc.sdk import BulkResult
    from memsvc.sdk.bulk import Item

AHEAD = timedelta(hours=23)  # the service refuses messages of more than a day ahead (MEMSVC_MAX_FUTURE_S)


class Source(StrEnum):
    """What `--from` takes."""

    AUTO = "auto"
    MEM0 = "mem0"
    GRAPHITI = "graphiti"
    LETTA = "letta"
    LANGGRAPH = "langgraph"
    CHATGPT = "chatgpt"
    CLAUDE = "claude"


def import_export(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="An export: .json, .jsonl, .af or .zip."),
    ],
    source: Annotated[Source, typer.Option("--from", help="What wrote it; auto tells it by its shape.")] = Source.AUTO,
    space: SpaceOption = "default",
    timezone: Annotated[str, typer.Option(help="IANA zone of times without an offset.")] = "UTC",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be stored and skipped.")] = False,
    idempotency_key: Annotated[str | None, typer.Option(help="Go on with an import that failed half-way.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Import what mem0, Graphiti, Letta, LangGraph, ChatGPT or Claude remember. Importing a file again doubles nothing.

    The file is checked whole before anything is sent.
    """
    from memsvc.importers import IMPORTERS, Plan, survey

    chosen = next((name for name in IMPORTERS if name == source.value), None)
    plan = Plan(path=file, space=space, format=chosen, latest=datetime.now(UTC) + AHEAD)
    found = survey(plan, check=_valid)
    result = None
    if not dry_run and found.report.items:
        result = _send(replace(plan, format=found.format), found.report.items, timezone, idempotency_key)
    if as_json:
        _print_json(found, result, space)
    else:
        _print(found, result, space, dry_run=dry_run)


def _valid(item: "ImportedItem") -> "Item":
    """The item as the client sends it; `InvalidRequest` when the service would refuse its form."""
    from memsvc.sdk.bulk import as_item

    metadata = item.fields["metadata"]
    source_id = metadata.get("source_id") if isinstance(metadata, dict) else None
    return as_item(item.fields, within=f"{source_id or 'item'}")


def _send(plan: "Plan", total: int, timezone: str, key: str | None) -> "BulkResult":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from memsvc.importers import items

    terminal = Console(stderr=True)
    columns = (TextColumn("importing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        connect(timeout=WRITE_TIMEOUT_S) as client,
        Progress(*columns, console=terminal, transient=True, disable=not terminal.is_terminal) as progress,
    ):
        task = progress.add_task("", total=total)
        return client.add_many(
            (_valid(item) for item in items(plan)),
            on_progress=lambda stored: progress.update(task, completed=stored),
            idempotency_key=key,
            space=plan.space,
            timezone=timezone,
        )


def _print(found: "Survey", result: "BulkResult | None", space: str, *, dry_run: bool) -> None:
    report = found.report
    items = "1 item" if report.items == 1 else f"{report.items} items"
    are = "is" if report.items == 1 else "are"
    if result is not None:
        notes = [f"{result.duplicates} of them before"] if result.duplicates else []
        notes += [f"{result.pending} still to be embedded"] if result.pending else []
        said = f"{items} of {found.format} {are} stored in {space}"
        typer.echo(visible(said + (f" ({', '.join(notes)})" if notes else "") + "."))
    elif dry_run:
        typer.echo(visible(f"{items} of {found.format} would be stored in {space}; nothing was sent."))
    else:
        typer.echo(f"The {found.format} export holds nothing to store.")
    if report.repaired:
        typer.echo(f"Characters that cannot be stored were replaced in {report.repaired} of them (metadata.repaired).")
    if report.skipped:
        typer.echo(f"Skipped {sum(report.skipped.values())}:")
        for reason, count in report.skipped.items():
            typer.echo(f"  {count}  {reason}")


def _print_json(found: "Survey", result: "BulkResult | None", space: str) -> None:
    import orjson

    report: Mapping[str, object] = {
        "format": found.format,
        "space": space,
        "items": found.report.items,
        "stored": 0 if result is None else result.stored,
        "created": 0 if result is None else result.created,
        "duplicates": 0 if result is None else result.duplicates,
        "pending": 0 if result is None else result.pending,
        "repaired": found.report.repaired,
        "skipped": dict(found.report.skipped),
        "sent": result is not None,
    }
    typer.echo(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode())

"""Commands that ask."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from memsvc.commands.output import (
    AsOfKnownOption,
    AsOfValidOption,
    JsonOption,
    connect,
    console,
    marked,
    moment,
    one_line,
    print_json,
    visible,
)

if TYPE_CHECKING:
    from rich.text import Text

    from memsvc.sdk.requests import RecallOptions
    from memsvc.wire import RecallResult

SNIPPET_CHARACTERS = 280

QueryArgument = Annotated[str, typer.Argument(help="What to look for, in plain words.")]
SpacesOption = Annotated[list[str] | None, typer.Option("--space", "-s", help="Space to search; may be repeated.")]


def recall(
    query: QueryArgument,
    space: SpacesOption = None,
    k: Annotated[int, typer.Option("--k", "-k", min=1, help="Most memories to show.")] = 10,
    explain: Annotated[bool, typer.Option("--explain", help="Show each stage's part in the score.")] = False,
    recipe: Annotated[
        Literal["balanced", "fast", "deep", "temporal"], typer.Option(help="The plan of the search.")
    ] = "balanced",
    as_of_valid: AsOfValidOption = None,
    as_of_known: AsOfKnownOption = None,
    superseded: Annotated[bool, typer.Option("--superseded", help="Also what was superseded.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Find the memories that bear on a question, best first."""
    from rich.table import Table
    from rich.text import Text

    options = _options(space, as_of_valid, as_of_known)
    options |= {"k": k, "explain": explain, "recipe": recipe}
    if superseded:
        options["include_superseded"] = True
    with connect() as client:
        answer = client.recall(query, **options)
    if as_json:
        print_json(answer)
        return
    output = console()
    table = Table()
    for title in ("#", "score", "when (UTC)", "who", "memory"):
        table.add_column(title, justify="right" if title in {"#", "score"} else "left")
    for result in answer.results:
        who = result.memory.name or result.memory.role or result.memory.kind
        when = moment(result.memory.occurred_at)
        table.add_row(str(result.rank), f"{result.score:.3f}", when, Text(visible(who)), _cell(result, explain=explain))
    output.print(table if answer.results else "Nothing was found.")
    if answer.degraded:
        output.print(Text("Incomplete: " + visible("; ".join(answer.notes)), "yellow"))


def context(
    query: QueryArgument,
    space: SpacesOption = None,
    budget: Annotated[int | None, typer.Option(min=1, help="Most tokens of the block.")] = None,
    as_of_valid: AsOfValidOption = None,
    as_of_known: AsOfKnownOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the core memory and a cited block of memories for a prompt."""
    options = _options(space, as_of_valid, as_of_known)
    if budget is not None:
        options["token_budget"] = budget
    with connect() as client:
        answer = client.context(query, **options)
    if as_json:
        print_json(answer)
    else:
        typer.echo(answer.text)


def _options(space: list[str] | None, as_of_valid: str | None, as_of_known: str | None) -> "RecallOptions":
    options: RecallOptions = {"spaces": space or ["default"]}
    if as_of_valid is not None:
        options["as_of_valid"] = as_of_valid
    if as_of_known is not None:
        options["as_of_known"] = as_of_known
    return options


def _cell(result: "RecallResult", *, explain: bool) -> "Text":
    """The best part of the memory, then, when asked, why it is here."""
    content = result.memory.content[result.snippet_start : result.snippet_end] or result.memory.content
    cell = marked(one_line(content, SNIPPET_CHARACTERS), result.matched_terms)
    if explain:
        for reason in result.reasons:
            cell.append(f"\n{reason.contribution:+.3f}  {reason.stage} (raw {reason.raw:.3f})", "dim")
        cell.append(f"\n{result.memory.id}", "dim")
    return cell

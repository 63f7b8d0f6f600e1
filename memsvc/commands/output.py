"""What the commands share: the client they use and how they print."""

import re
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from memsvc.errors import ConfigurationError, MemsvcError

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.console import Console
    from rich.text import Text

    from memsvc.sdk import MemoryClient

JsonOption = Annotated[bool, typer.Option("--json", help="Print the response as JSON.")]
AsOfValidOption = Annotated[str | None, typer.Option(help="What was true then (ISO 8601).")]
AsOfKnownOption = Annotated[str | None, typer.Option(help="What was known then (ISO 8601).")]
SpaceOption = Annotated[str, typer.Option("--space", "-s", help="Space of the memories.")]

PIPE_WIDTH = 160  # a table that goes to a file or pipe is not cut to 80 columns
# C0 and C1 control characters: stored text must not steer the terminal it is shown on.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def connect(url: str | None = None, *, timeout: float = 30.0) -> "MemoryClient":
    """A client of `url`, else as the environment says; an unusable URL is `ConfigurationError`."""
    from memsvc.sdk import MemoryClient

    try:
        return MemoryClient(url, timeout=timeout)
    except ValueError as error:
        source = "--url" if url else "MEMSVC_URL"
        raise ConfigurationError(f"{source}: {error}", remedy="Correct it and run the command again.") from None


def console() -> "Console":
    """Standard output for people."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else PIPE_WIDTH, highlight=False)


def print_json(model: "BaseModel") -> None:
    """A response on stdout, for programs."""
    typer.echo(model.model_dump_json(indent=2))


def report(error: Exception) -> None:
    """An error on stderr: what is wrong, each field at fault, what to do."""
    if isinstance(error, MemsvcError):
        fields = [
            f"- {field.field}: {field.problem}" + (f" ({field.remedy})" * bool(field.remedy)) for field in error.fields
        ]
        lines = [error.detail, *fields, error.hint]
    else:
        lines = [str(error), *getattr(error, "__notes__", ())]
    typer.secho("Error: " + visible("\n".join(line for line in lines if line)), fg=typer.colors.RED, err=True)


def visible(text: str) -> str:
    """`text` with control characters, all but tab and newline, shown as the replacement character."""
    return _CONTROL.sub("�", text)


def one_line(text: str, limit: int) -> str:
    """`text` on one line, visible, of at most `limit` characters."""
    line = visible(" ".join(text.split()))
    return line if len(line) <= limit else line[: limit - 1] + "…"


def moment(value: datetime | None) -> str:
    """A time to the minute, or a dash."""
    return f"{value:%Y-%m-%d %H:%M}" if value else "–"


def marked(text: str, terms: Sequence[str]) -> "Text":
    """`text` with the words that begin with one of `terms` (words or stems) in bold."""
    from rich.text import Text

    result = Text(text)
    if terms:
        words = "|".join(re.escape(term) for term in terms)
        result.highlight_regex(rf"(?i)\b(?:{words})\w*", "bold yellow")
    return result

"""The demo: store the sample conversation, ask what only it can answer, and show the evidence found."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from memsvc.demo.sample import Question, Sample, Score, Session, load_sample, score, turn_id
from memsvc.wire import MessageIn, RecallResponse, RecallResult, WriteResponse

LINES_OF_EVIDENCE: Final = 3
LINES_OF_OTHERS: Final = 2
REASONS_SHOWN: Final = 2
ALWAYS_SHOWN: Final = 3
"""Ranks shown for every question; below them only expected evidence is."""


class DemoClient(Protocol):
    """The two calls that the demo makes; `memsvc.sdk.MemoryClient` has them."""

    def add(self, *, messages: Sequence[MessageIn], space: str, session: str, timezone: str) -> WriteResponse: ...

    def recall(
        self, query: str, /, *, space: str, k: int, explain: bool, now: datetime, timezone: str
    ) -> RecallResponse: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """One question, the ids that recall ranked (best first) and what they are worth."""

    question: Question
    ranked: tuple[UUID, ...]
    score: Score


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What was stored and found. `hit_rate` and `evidence_rate` are means over the questions, 0 to 1."""

    space: str
    created: int
    duplicates: int
    k: int
    outcomes: tuple[Outcome, ...]

    @property
    def hit_rate(self) -> float:
        """Share of questions with any expected evidence in the top k."""
        return sum(outcome.score.hit for outcome in self.outcomes) / len(self.outcomes)

    @property
    def evidence_rate(self) -> float:
        """Mean share of the expected evidence in the top k."""
        return sum(outcome.score.fraction for outcome in self.outcomes) / len(self.outcomes)


@dataclass(frozen=True, slots=True)
class _Stored:
    ids: Mapping[str, UUID]
    created: int
    duplicates: int


def run_demo(client: DemoClient, *, console: Console, k: int = 5) -> DemoResult:
    """Store the sample in its space, ask its questions at the top `k` and print the evidence and a summary.

    A second run stores nothing twice and says so. The client's errors pass through.
    """
    sample = load_sample()
    first, last = sample.turns[0].timestamp, sample.turns[-1].timestamp
    console.print()
    console.rule(f"[bold]{sample.title}[/]  [dim]{first:%b %Y} to {last:%b %Y}[/]", style="cyan")
    stored = _store(client, sample, console)
    _print_stored(console, sample, stored)
    outcomes = tuple(
        _ask(client, sample, number, ids=stored.ids, k=k, console=console)
        for number in range(1, len(sample.questions) + 1)
    )
    result = DemoResult(sample.space, stored.created, stored.duplicates, k, outcomes)
    console.print(_summary(result))
    console.print(_next_steps(sample))
    return result


def excerpt(content: str, terms: Sequence[str], width: int) -> str:
    """At most `width` characters of `content` on one line, cut at sentences and rich in `terms`.

    Starts at the first sentence from which the window holds most distinct terms; `…` marks what is left out.
    """
    text = " ".join(content.split())
    if len(text) <= width:
        return text
    starts = [0, *(match.end() for match in re.finditer(r"[.!?:;] ", text))]
    wanted = {term.lower() for term in terms}

    def room_from(start: int) -> int:
        return width - 2 * (start > 0)

    def terms_from(start: int) -> int:
        window = text[start : start + room_from(start)].lower()
        return sum(term in window for term in wanted)

    start = max(starts, key=lambda start: (terms_from(start), -start))
    head = "… " if start else ""
    room = room_from(start)
    if len(text) - start <= room:
        return head + text[start:]
    body = text[start : start + room - 2]
    return head + (body.rsplit(" ", 1)[0] if " " in body else body).rstrip(",;: ") + " …"


def _store(client: DemoClient, sample: Sample, console: Console) -> _Stored:
    ids: dict[str, UUID] = {}
    created = duplicates = 0
    columns = (
        TextColumn("  [cyan]storing[/]"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn("turns  [dim]{task.description}[/]"),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=len(sample.turns))
        for session in sample.sessions:
            progress.update(task, description=session.name)
            response = client.add(
                messages=_messages(sample.space, session),
                space=sample.space,
                session=session.name,
                timezone=session.timezone,
            )
            for turn, item in zip(session.turns, response.items, strict=True):
                ids[turn.key] = item.id
            created += response.receipt.created
            duplicates += response.receipt.duplicates
            progress.advance(task, len(session.turns))
        progress.update(task, description=f"in {len(sample.sessions)} sessions")
    return _Stored(ids, created, duplicates)


def _messages(space: str, session: Session) -> list[MessageIn]:
    return [
        MessageIn(
            id=turn_id(space, turn),
            role=turn.role,
            name=turn.name,
            timestamp=turn.timestamp,
            content=turn.content,
            metadata={"demo_key": turn.key},
        )
        for turn in session.turns
    ]


def _ask(
    client: DemoClient, sample: Sample, number: int, *, ids: Mapping[str, UUID], k: int, console: Console
) -> Outcome:
    question = sample.questions[number - 1]
    response = client.recall(
        question.question,
        space=sample.space,
        k=k,
        explain=True,
        now=sample.ends_at,
        timezone=sample.sessions[-1].timezone,
    )
    expected = {ids[key] for key in question.evidence}
    ranked = tuple(result.memory.id for result in response.results)
    outcome = Outcome(question, ranked, score(expected, ranked, k))
    _print_question(console, number, outcome)
    shown = [result for result in response.results[:k] if result.rank <= ALWAYS_SHOWN or result.memory.id in expected]
    if shown:
        console.print(Padding(_evidence(shown, expected, console), (0, 0, 0, 4)))
    if response.degraded:
        console.print(Padding(_text(console, f"degraded: {'; '.join(response.notes)}", "yellow"), (0, 0, 0, 6)))
    return outcome


def _print_stored(console: Console, sample: Sample, stored: _Stored) -> None:
    turns = len(sample.turns)
    if not stored.duplicates:
        line = f"{turns} turns are stored in the space {sample.space}."
    elif not stored.created:
        line = f"All {turns} turns were in the space {sample.space} already: recognised, nothing is doubled."
    else:
        line = f"New turns: {stored.created}; stored already: {stored.duplicates}; nothing is doubled."
    console.print(Padding(_text(console, line, "green"), (0, 0, 0, 2)))


def _print_question(console: Console, number: int, outcome: Outcome) -> None:
    evidence = outcome.question.evidence
    found = round(outcome.score.fraction * len(evidence))
    style = "green" if found == len(evidence) else "yellow" if found else "red"
    heading = Table.grid(expand=True, padding=(0, 1))
    heading.add_column(width=3, justify="right", style="bold cyan")
    heading.add_column(ratio=1)
    heading.add_column(justify="right", no_wrap=True)
    heading.add_row(
        str(number),
        _text(console, outcome.question.question, "bold"),
        Text.assemble((f"{outcome.question.kind}  ", "dim"), (f"{found} of {len(evidence)} found", style)),
    )
    heading.add_row("", _text(console, outcome.question.answer, "dim italic"), "")
    console.print()
    console.print(heading)


def _evidence(shown: Sequence[RecallResult], expected: set[UUID], console: Console) -> Table:
    """Mark, rank, date, speaker, snippet, reasons; the snippet takes the width that the others leave."""
    table = Table.grid(expand=True, padding=(0, 1))
    table.add_column(width=1, style="bold green")
    table.add_column(width=2, justify="right", style="dim")
    table.add_column(width=10, no_wrap=True, style="dim")
    table.add_column(width=6, no_wrap=True, overflow="crop")
    table.add_column(ratio=1)
    table.add_column(width=20, overflow="fold", style="dim")
    width = max(20, console.width - 4 - sum((1, 2, 10, 6, 20)) - 6)
    for result in shown:
        memory = result.memory
        is_expected = memory.id in expected
        # Words that wrap early cost some cells at the end of a line; a tenth of the room covers them.
        room = width * (LINES_OF_EVIDENCE if is_expected else LINES_OF_OTHERS) * 9 // 10
        snippet = memory.content[result.snippet_start : result.snippet_end] or memory.content
        table.add_row(
            _text(console, "✓" if is_expected else " "),
            str(result.rank),
            f"{memory.occurred_at:%Y-%m-%d}" if memory.occurred_at else "",
            _text(console, memory.name or memory.role or memory.kind),
            _text(console, excerpt(snippet, result.matched_terms, room), "" if is_expected else "dim"),
            _text(console, _why(result)),
        )
    return table


def _why(result: RecallResult) -> str:
    """The stages that added most, one a line."""
    top = sorted(result.reasons, key=lambda reason: (-reason.contribution, reason.stage))[:REASONS_SHOWN]
    return "\n".join(f"{reason.stage} {reason.contribution:+.2f}" for reason in top) or f"score {result.score:.2f}"


def _summary(result: DemoResult) -> Padding:
    table = Table(box=SIMPLE_HEAD, title=f"Evidence in the top {result.k}", title_style="bold", title_justify="left")
    table.add_column("kind")
    table.add_column("questions", justify="right")
    table.add_column("any found", justify="right")
    table.add_column("share found", justify="right")
    for kind in dict.fromkeys(outcome.question.kind for outcome in result.outcomes):
        of_kind = [outcome.score for outcome in result.outcomes if outcome.question.kind == kind]
        fraction = sum(one.fraction for one in of_kind) / len(of_kind)
        table.add_row(kind, str(len(of_kind)), f"{sum(one.hit for one in of_kind)}", f"{fraction:.0%}")
    table.add_section()
    hits = sum(outcome.score.hit for outcome in result.outcomes)
    table.add_row(
        Text("together", style="bold"),
        str(len(result.outcomes)),
        Text(f"{hits} ({result.hit_rate:.0%})", style="bold green"),
        Text(f"{result.evidence_rate:.0%}", style="bold green"),
    )
    return Padding(table, (1, 0, 0, 2))


def _next_steps(sample: Sample) -> Panel:
    question = sample.questions[0].question
    shell = f"""\
memsvc serve                               # a service that stays, on http://127.0.0.1:8377
memsvc demo --url http://127.0.0.1:8377    # this sample, stored in it
curl http://127.0.0.1:8377/v1/recall \\
  -H "Authorization: Bearer $MEMSVC_API_KEY" -H "Content-Type: application/json" \\
  -d '{{"query": "{question}", "spaces": ["{sample.space}"], "k": 3}}'
python -m evals run                        # the same measure on long public conversations"""
    python = f"""\
from memsvc.sdk import MemoryClient

with MemoryClient() as memory:
    for found in memory.recall("{question}", space="{sample.space}", k=3).results:
        print(found.rank, found.memory.content)"""
    layout = Table.grid(expand=True)
    layout.add_column()
    for heading, code, language in (("In a shell", shell, "bash"), ("In Python", python, "python")):
        layout.add_row(Text(heading, style="bold"))
        layout.add_row(
            Padding(Syntax(code, language, theme="ansi_dark", background_color="default", word_wrap=True), (0, 0, 1, 2))
        )
    layout.add_row(
        Text(f"The sample takes the space {sample.space}; without --url the demo leaves nothing behind.", style="dim")
    )
    return Panel(layout, title="What to do next", title_align="left", border_style="cyan", padding=(1, 2))


def _text(console: Console, plain: str, style: str = "") -> Text:
    """Text that the console's encoding can hold: a log in ASCII must not end the demo at the first accent."""
    if plain == "✓" and console.options.ascii_only:
        plain = "*"
    return Text(plain.encode(console.encoding, "replace").decode(console.encoding), style=style)

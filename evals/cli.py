"""`python -m evals`: run a suite, or measure ratios of speed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, NoReturn

import httpx
import psycopg
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from evals import suites
from evals.bench_encoder import EncoderStoppedError
from evals.bench_sql import SpaceNotSeenError
from evals.corpus import DatasetError, SuiteName, count
from evals.records import Log
from evals.runner import Plan, Recipe, Watcher
from memsvc.errors import MemsvcError
from memsvc.sdk import MemsvcClientError

app = typer.Typer(
    help="Evaluate a memsvc service over HTTP.", no_args_is_help=True, pretty_exceptions_show_locals=False
)
console = Console()
FAILURES = (
    DatasetError,
    EncoderStoppedError,
    SpaceNotSeenError,
    MemsvcError,
    MemsvcClientError,
    httpx.HTTPError,
    psycopg.Error,
)

Url = Annotated[str | None, typer.Option(help="A running service; without it, one is started and removed at the end.")]
Key = Annotated[str | None, typer.Option(help="API key for --url.", envvar="MEMSVC_API_KEY")]
DataSets = Annotated[Path, typer.Option(help="Folder with the data sets: locomo, beam_100K, longmemeval.")]
Suites = Annotated[list[str] | None, typer.Option(help="Only these sets; may be given several times.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Only the first questions of each set.")]
Seed = Annotated[int, typer.Option(help="Seed of every random choice.")]


@app.command()
def run(
    *,
    suite: Annotated[SuiteName, typer.Option(help="Schema of the data, and how it is scored.")],
    data: Annotated[Path, typer.Option(help="File or folder in the suite's schema.")],
    url: Url = None,
    key: Key = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the results; results/<suite> by default.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Ask only the first questions, in file order.")] = None,
    k: Annotated[int | None, typer.Option(min=1, max=500, help="Results per recall; by default the suite's.")] = None,
    seed: Seed = 0,
    recipe: Annotated[Recipe, typer.Option(help="Recipe of the recalls.")] = "balanced",
    contexts: Annotated[int, typer.Option(min=0, help="Questions whose context is measured.")] = 50,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a run with these settings stopped.")] = False,
) -> None:
    """Ingest a suite, ask its questions, and report."""
    from evals import report, runner, service, summary

    folder = out or Path("results") / suite
    try:
        loaded = suites.load(suite, data)
        plan = Plan(loaded, k or loaded.default_k, recipe, limit, seed, contexts)
        totals = count(plan.conversations())
        console.print(
            f"{loaded.label}: {totals.conversations} conversations, {totals.turns} turns, {totals.questions} questions "
            f"({totals.asked} asked), {totals.malformed} malformed labels"
        )
        log = Log(folder, plan.settings_hash)
        with service.serving(url, key) as target, target.client() as client, _progress() as progress:
            task = progress.add_task("starting", total=totals.questions)
            watcher = Watcher(
                say=lambda text: progress.update(task, description=text),
                advance=lambda number: progress.advance(task, number),
            )
            questions, conversations = runner.run(plan, client, log, resume=resume, watcher=watcher)
            stored = service.footprint(target)
    except FAILURES as error:
        _fail(error)
    figures = summary.summarize(plan, questions, conversations, stored)
    report.write(folder, figures, loaded.notes)
    console.print(f"{summary.HEADLINE}: {report.figure(figures.get(summary.HEADLINE))}; see {folder / 'report.md'}")


@app.command()
def bench(
    *,
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("results/bench"),
    data: Annotated[Path | None, typer.Option(help="LoCoMo data for the texts; the demo's sample by default.")] = None,
    url: Url = None,
    key: Key = None,
    database_url: Annotated[
        str | None, typer.Option(help="Postgres URL with which the service's tables can be read; needed with --url.")
    ] = None,
    items: Annotated[int, typer.Option(min=10, help="Turns per round of ingest.")] = 1500,
    memories: Annotated[int, typer.Option(min=100, help="Memories in the space that is searched.")] = 2000,
    queries: Annotated[int, typer.Option(min=20, help="Queries per measurement of recall.")] = 200,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of each measurement; their median counts.")] = 3,
    seed: Seed = 0,
) -> None:
    """Measure the service against its own parts, side by side on this machine."""
    from evals import bench_run, service

    size = bench_run.Size(items=items, memories=memories, queries=queries, rounds=rounds, seed=seed)
    try:
        texts = bench_run.load_texts(data)
        with service.serving(url, key) as target:
            measured = bench_run.measure(target, texts, size, database_url=database_url, say=console.print)
    except FAILURES as error:
        _fail(error)
    _write(out, "Ratios of speed", bench_run.EXPLANATION, measured, size.settings())


@app.command()
def lifecycle(
    *,
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("results/lifecycle"),
    memories: Annotated[int, typer.Option(min=20_000, help="Memories in the space.")] = 100_000,
    edited: Annotated[int, typer.Option(min=1, help="Memories of it with an earlier version.")] = 20_000,
    subject: Annotated[int, typer.Option(min=1, help="Memories of the subject that is erased.")] = 10_000,
    derived: Annotated[int, typer.Option(min=1, help="Memories that derive from those.")] = 3_000,
    queries: Annotated[int, typer.Option(min=20, help="Queries per measurement of recall.")] = 150,
    imported: Annotated[int, typer.Option(min=100, help="Memories of the bundle whose import is timed.")] = 20_000,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of the import; their median counts.")] = 3,
) -> None:
    """Measure what governing memory costs: as-of, import, erase. A service is started for it."""
    from evals import lifecycle_run, service

    size = lifecycle_run.Size(memories, edited, subject, derived, queries, imported, rounds)
    try:
        with service.serving(None, None) as target:
            measured = lifecycle_run.measure(target, size, say=console.print)
    except FAILURES as error:
        _fail(error)
    _write(out, "Lifecycle", lifecycle_run.EXPLANATION, measured, size.settings())


@app.command()
def abstain(
    *,
    data: Annotated[Path, typer.Option(help="Folder with the data sets: locomo, beam_100K, longmemeval.")],
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("results/abstain"),
    suite: Annotated[list[str] | None, typer.Option(help="Only these sets; may be given several times.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first conversations: a quick look.")] = None,
    foreign: Annotated[int, typer.Option(min=0, help="Questions of other conversations, in each set.")] = 150,
    consolidated: Annotated[bool, typer.Option(help="Draw facts from the turns first.")] = True,
    fit: Annotated[Path | None, typer.Option(help="Write a calibration on these answers here.")] = None,
    seed: Seed = 0,
) -> None:
    """Measure how well confidence tells what has evidence from what has none. A service is started for it."""
    from evals import abstain as abstention
    from evals import report, workers_run

    try:
        names = workers_run.read_sets(suite)
        order = abstention.Order(data, out, names, limit, foreign, consolidated, seed)
        answers, figures = abstention.run(order, say=console.print)
    except FAILURES as error:
        _fail(error)
    if fit is not None:
        abstention.write_calibration(fit, answers)
    for key in (key for key in figures if key.endswith((".auroc", ".flagged.answerable"))):
        console.print(f"{key}: {report.figure(figures[key])}")


@app.command()
def workers(
    *,
    data: Annotated[Path, typer.Option(help="Folder with the data sets: locomo, beam_100K, longmemeval.")],
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("results/workers"),
    part: Annotated[list[str] | None, typer.Option(help="Only these parts; may be given several times.")] = None,
    suite: Annotated[list[str] | None, typer.Option(help="Only these sets for recall and forget.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many cases and questions: a quick look.")] = None,
    year_scale: Annotated[float, typer.Option(min=0.01, max=1.0, help="1 is a year of 73,000 turns.")] = 0.1,
    turns: Annotated[int, typer.Option(min=50, help="Turns per round of the throughput.")] = 1000,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of the throughput; their median counts.")] = 3,
    llm_turns: Annotated[int, typer.Option(min=50, help="Turns for which calls to a model are counted.")] = 1000,
    seed: Seed = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Leave out parts that are there with these settings.")
    ] = False,
) -> None:
    """Measure consolidation, forgetting and compression. Services are started for it."""
    from evals import report, workers_run

    try:
        parts, sets = workers_run.read_parts(part), workers_run.read_sets(suite)
    except DatasetError as error:
        _fail(error)
    order = workers_run.Order(
        data=data,
        out=out,
        parts=parts,
        sets=sets,
        limit=limit,
        year_scale=year_scale,
        turns=turns,
        rounds=rounds,
        llm_turns=llm_turns,
        seed=seed,
        resume=resume,
    )
    try:
        figures = workers_run.run(order, say=console.print)
    except FAILURES as error:
        _fail(error)
    for target in workers_run.TARGETS:
        if target.key in figures:
            console.print(f"{target.what}: {report.figure(figures[target.key])}")


@app.command()
def ablate(
    *,
    data: DataSets,
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("results/ablation"),
    suite: Suites = None,
    limit: Limit = None,
    weights: Annotated[Path | None, typer.Option(help="A file that `learn` wrote: one variant more.")] = None,
    seed: Seed = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Leave out sets that are there with these settings.")
    ] = False,
) -> None:
    """Remove every stage of recall, and run each alone. Services are started for it."""
    from evals import ablate_report, ablate_run, learn_file, workers_run
    from evals.ablate_model import ALL
    from evals.ablate_variants import BASE

    try:
        order = ablate_run.Order(
            data=data,
            out=out,
            sets=workers_run.read_sets(suite),
            limit=limit,
            seed=seed,
            weights=None if weights is None else learn_file.read_weights(weights),
            resume=resume,
        )
        done = ablate_run.run(order, say=console.print)
    except FAILURES as error:
        _fail(error)
    for figures in done:
        value = figures.values[ALL][BASE].get(ablate_report.LEAD)
        console.print(f"{figures.label}: {ablate_report.LEAD} of {BASE} {ablate_report.share(value)}")
    console.print(f"see {out / 'ablation.md'}")


@app.command()
def learn(
    *,
    data: DataSets,
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("results/weights"),
    suite: Suites = None,
    limit: Limit = None,
    l2: Annotated[
        float, typer.Option(min=0.0, help="How much large weights cost, in units of a stage's spread.")
    ] = 1e-3,
    seed: Seed = 0,
) -> None:
    """Learn the weights of fusion from labelled questions, cross-validated. It changes nothing by itself."""
    from evals import learn_run, report, workers_run

    try:
        order = learn_run.Order(data, out, workers_run.read_sets(suite), limit, l2, seed)
        learned = learn_run.run(order, say=console.print)
    except FAILURES as error:
        _fail(error)
    for name, weight in learned.weights.items():
        console.print(f"{name}: {report.figure(weight)}")
    console.print(f"see {out / 'report.md'}")


def _write(out: Path, title: str, explanation: str, measured: Mapping[str, float], settings: Mapping[str, int]) -> None:
    """`summary.json` and `report.md`, and the figures on the terminal."""
    from evals import report, summary

    figures: summary.Summary = {**measured, **settings, **summary.environment()}
    out.mkdir(parents=True, exist_ok=True)
    report.write_json(out, figures)
    rows = [(f"`{name}`", report.figure(value)) for name, value in figures.items()]
    text = f"# {title}\n\n{explanation}\n\n{report.table(('key', 'value'), rows)}\n"
    (out / "report.md").write_text(text, encoding="utf-8")
    for name, value in measured.items():
        console.print(f"{name}: {report.figure(value)}")


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )


def _fail(error: Exception) -> NoReturn:
    typer.echo(str(error), err=True)
    if isinstance(error, MemsvcError):
        typer.echo(error.hint, err=True)
    raise typer.Exit(1) from error

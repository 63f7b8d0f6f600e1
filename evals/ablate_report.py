"""The report of an ablation: `ablation.json`, `ablation.md`, its plots. It holds figures alone, no word of the data."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from evals import ablate_plots
from evals.ablate_failures import GALLERY, REASONS
from evals.ablate_figures import ORACLE_K
from evals.ablate_model import ALL, Interval, SetFigures
from evals.ablate_variants import BASE, KINDS
from evals.report import table

LEAD = "turn.recall@10"
_SHORT = {
    "turn.recall@5": "recall@5",
    "turn.recall@10": "recall@10",
    "turn.recall_any@10": "any@10",
    "turn.mrr": "MRR",
    "turn.ndcg@10": "nDCG@10",
    "session.recall@5": "session recall@5",
    "session.recall@10": "session recall@10",
}

INTRODUCTION = f"""\
What each arm and stage of recall is worth: all are removed, and run alone, on the same stored conversations.
`python -m evals ablate` made this page; [evaluation](evaluation.md#ablation) says how to make it again, and
[recipes](recipes.md#settings) what the stages are.

Each set is stored and consolidated once. Every variant is then a recipe over the same memories, so that two rows differ
by the recipe alone. Nothing is tuned on a set, and all sets are asked by the same recipe.

- **without** a stage: its weight is 0, all else is as in `{BASE}`. What the others can make up for does not show here.
- **alone**: all other weights are 0. A stage that finds nothing by itself (a cue) stands **beside the arms** instead:
  compare it with `the arms alone`.
- **setting**: one setting otherwise. `before consolidation` is `{BASE}` on turns alone, with no facts and no keys.
- A turn counts as found when it, or a fact drawn from it alone, is among the results. Sessions rank by their first
  turn.
- **Differences** are to `{BASE}`, over the same questions, with 95 % bootstrap intervals (10,000 resamples of the
  questions). Bold: the interval leaves out 0. With so many rows, one in twenty does so by chance.
- **Milliseconds** are over HTTP with one client, for `k` results. The query's vector is known already, which spares all
  variants the same; in the row `{BASE}, query not encoded before` it is not. Variants take turns, question by
  question.
- **recall@{ORACLE_K}** is how much of the evidence stands anywhere among {ORACLE_K} results of `{BASE}`: what
  ranking could still bring to the top. What is missing there, no ranking finds."""

_MISSES = """\
Questions of which some evidence is not among the first ten, by rules on the question, what it misses and what came
first. Each question counts once as the first rule that holds, and again under `holds` for all that do. Every figure is
a number of questions."""


def write(folder: Path, sets: Sequence[SetFigures], environment: Mapping[str, str | int | None]) -> None:
    """Write all three; `folder` is made when it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    plots = ablate_plots.draw(folder / "img", sets)
    kept = {"settings": dict(environment), "sets": [figures.to_json() for figures in sets]}
    text = json.dumps(kept, indent=1, ensure_ascii=False)
    (folder / "ablation.json").write_text(text + "\n", encoding="utf-8")
    (folder / "ablation.md").write_text(render(sets, environment, plots), encoding="utf-8")


def render(sets: Sequence[SetFigures], environment: Mapping[str, str | int | None], plots: Sequence[Path]) -> str:
    """The page, as Markdown; plots are looked for in `img/` beside it."""
    parts = ["# Ablation", INTRODUCTION, "## All sets", _overview(sets)]
    shared = [path for path in plots if path.stem == ablate_plots.ORACLE]
    parts += [f"![Evidence among the first 10 and the first {ORACLE_K}](img/{path.name})" for path in shared]
    for figures in sets:
        parts += _set(figures, [path for path in plots if path.stem.endswith(f"-{figures.name}")])
    return "\n\n".join([*parts, "## Settings", _settings(sets, environment)]) + "\n"


def share(value: float | None) -> str:
    """A figure between 0 and 1: `.797`."""
    return "-" if value is None else f"{value:.3f}".replace("0.", ".", 1)


def difference(found: Interval | None, *, ends: bool = True) -> str:
    """A difference with its interval: `-.012 (-.020 to -.004)`, bold when that leaves out 0."""
    if found is None:
        return "-"
    mean, low, high = found
    text = _signed(mean)
    if low > 0 or high < 0:
        text = f"**{text}**"
    return f"{text} ({_signed(low)} to {_signed(high)})" if ends else text


def ordered(figures: SetFigures) -> list[str]:
    """The variants by kind, in the order in which they were made."""
    return sorted(figures.kinds, key=lambda name: KINDS.index(figures.kinds[name]))


def _overview(sets: Sequence[SetFigures]) -> str:
    """recall@10 of the base, then how every variant differs, by set."""
    names = list(dict.fromkeys(name for figures in sets for name in ordered(figures)))
    kinds = {name: kind for figures in sets for name, kind in figures.kinds.items()}
    rows = [[BASE, "base", *(share(figures.values[ALL][BASE].get(LEAD)) for figures in sets)]]
    for name in (name for name in names if name != BASE):
        found = [figures.differences[ALL].get(name, {}).get(LEAD) for figures in sets]
        rows.append([name, kinds[name], *(difference(each) for each in found)])
    return table(("recall@10", "what", *(figures.label for figures in sets)), rows)


def _set(figures: SetFigures, plots: Sequence[Path]) -> list[str]:
    stored = figures.storage
    asked = sum(count for group, count in figures.questions.items() if group == ALL)
    parts = [
        f"## {figures.label}",
        f"{asked} questions, k = {figures.settings['k']}"
        + (f", the first {figures.settings['limit']} that are asked" if figures.settings["limit"] else "")
        + f"; {stored.turns:,} turns, {stored.memories:,} memories after consolidation; {figures.degraded} recalls "
        "left a stage out.",
        f"### `{BASE}` by question type",
        _by_group(figures),
        "### Variants",
        _variants(figures),
    ]
    parts += [f"![Differences of recall@10, {figures.label}](img/{path.name})" for path in plots]
    parts += ["### Differences of recall@10 by question type", _by_group_and_variant(figures)]
    parts += ["### Bytes", _storage(figures), "### Why evidence is missed", _MISSES, _reasons(figures)]
    return parts


def _by_group(figures: SetFigures) -> str:
    rows = []
    for group, count in figures.questions.items():
        found, deep = figures.values[group][BASE], figures.oracle[group]
        cells = [share(found.get(metric)) for metric in figures.metrics]
        oracles = [share(deep.get(f"{name}@{ORACLE_K}")) for name in ("turn.recall", "turn.recall_any")]
        rows.append([group, str(count), *cells, *oracles])
    header = [_SHORT[metric] for metric in figures.metrics]
    return table(("type", "questions", *header, f"recall@{ORACLE_K}", f"any@{ORACLE_K}"), rows)


def _variants(figures: SetFigures) -> str:
    """All metrics over all questions, the differences of the first ones, and milliseconds."""
    compared = [metric for metric in (LEAD, "session.recall@5") if metric in figures.metrics]
    rows = []
    for name in ordered(figures):
        found, changed = figures.values[ALL][name], figures.differences[ALL].get(name, {})
        rows.append(
            [
                name,
                *(share(found.get(metric)) for metric in figures.metrics),
                *(difference(changed.get(metric)) for metric in compared),
                *_milliseconds(figures, name),
            ]
        )
    others = [name for name in figures.latency if name not in figures.kinds]
    blank = ["" for _ in (*figures.metrics, *compared)]
    rows += [[name, *blank, *_milliseconds(figures, name)] for name in others]
    metrics = [_SHORT[metric] for metric in figures.metrics]
    changes = [f"difference of {_SHORT[metric]}" for metric in compared]
    return table(("variant", *metrics, *changes, "p50 ms", "p95 ms"), rows)


def _by_group_and_variant(figures: SetFigures) -> str:
    groups = [group for group in figures.questions if group != ALL]
    rows = [
        [name, *(difference(figures.differences[group][name].get(LEAD), ends=False) for group in groups)]
        for name in ordered(figures)
        if name != BASE
    ]
    return table(("variant", *groups), rows)


def _storage(figures: SetFigures) -> str:
    stored = figures.storage
    rows = [
        ["memory tables and their indexes", _number(stored.bytes, stored.memories), _number(stored.bytes, stored.turns)]
    ]
    rows += [
        [f"`{name}`", _number(size, stored.memories), _number(size, stored.turns)]
        for name, size in stored.tables.items()
    ]
    # Facts have chunks too: those of turns alone say what a turn costs by itself.
    rows += [[f"`chunks.{name}`, of turns", "", _number(size, stored.turns)] for name, size in stored.columns.items()]
    return table(("table or column", "bytes per memory", "bytes per turn"), rows)


def _reasons(figures: SetFigures) -> str:
    """Counts alone: the questions themselves stand in the gallery, which is not published."""
    meanings = {reason.name: reason.meaning for reason in REASONS}
    rows = [
        [name, meanings.get(name, ""), str(count), str(figures.applies.get(name, 0)), str(figures.gallery.get(name, 0))]
        for name, count in figures.missed.items()
    ]
    totals = ["", "", str(sum(figures.missed.values())), "", str(sum(figures.gallery.values()))]
    header = ("reason", "rule", "first that holds", "holds", f"first, of the {GALLERY} worst")
    return table(header, [*rows, totals])


def _settings(sets: Sequence[SetFigures], environment: Mapping[str, str | int | None]) -> str:
    """What the figures depend on."""
    rows = [["encoder", ", ".join(dict.fromkeys(figures.encoder for figures in sets))]]
    rows += [["seed", ", ".join(dict.fromkeys(str(figures.settings["seed"]) for figures in sets))]]
    rows += [[f"{figures.label}, SHA-256", f"`{figures.settings['data_sha256']}`"] for figures in sets]
    rows += [[key.removeprefix("settings."), str(value)] for key, value in environment.items()]
    return table(("setting", "value"), rows)


def _milliseconds(figures: SetFigures, name: str) -> list[str]:
    found = figures.latency.get(name)
    return ["-", "-"] if found is None else [f"{found.p50:.1f}", f"{found.p95:.1f}"]


def _number(size: int, count: int) -> str:
    return f"{size / count:,.0f}" if count else "-"


def _signed(value: float) -> str:
    text = f"{value:+.3f}"
    return "0" if float(text) == 0 else text.replace("0.", ".", 1)

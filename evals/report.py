"""What people read of a run: `summary.json`, `report.md` and the plots."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from evals.metrics import KS
from evals.summary import HEADLINE, Summary

_WIDTH, _HEIGHT, _DPI = 7.0, 4.2, 120
_MEASURES = ("recall", "recall_any", "recall_all")


def write(folder: Path, summary: Summary, notes: Sequence[str]) -> None:
    """Write the three; `summary.json` holds null where a figure is not a number."""
    write_json(folder, summary)
    plots = draw(folder / "plots", summary)
    (folder / "report.md").write_text(render(summary, notes, plots), encoding="utf-8")


def write_json(folder: Path, summary: Mapping[str, float | int | str | None]) -> None:
    """`summary.json`: flat, one key per figure."""
    clean = {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in summary.items()}
    text = json.dumps(clean, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / "summary.json").write_text(text + "\n", encoding="utf-8")


def render(summary: Summary, notes: Sequence[str], plots: Sequence[Path]) -> str:
    """The report, as Markdown."""
    headline = f"**{HEADLINE}: {figure(summary.get(HEADLINE))}**"
    if f"{HEADLINE}.ci95_low" in summary:
        low, high = summary[f"{HEADLINE}.ci95_low"], summary[f"{HEADLINE}.ci95_high"]
        headline += f" (95% bootstrap interval {figure(low)} to {figure(high)}, {summary['turn.n']} questions)"
    parts = [f"# {summary['settings.label']}", headline, *notes]
    for level in ("turn", "session"):
        parts += [f"## By {level}", _by_k(summary, level)]
    parts += ["## By question type", _by_type(summary)]
    if "official.run.n" in summary:
        parts += ["## Scored as published", _official(summary)]
    for title, prefixes in (
        ("Cost", ("ingest.", "recall.", "context.", "bytes_per_memory")),
        ("Counts", ("n.",)),
        ("Settings", ("settings.",)),
    ):
        chosen = {
            key: value for key, value in summary.items() if key.startswith(prefixes) and "n.questions/" not in key
        }
        parts += [f"## {title}", table(("key", "value"), [(f"`{key}`", figure(chosen[key])) for key in chosen])]
    parts += [f"![{path.stem}](plots/{path.name})" for path in plots]
    return "\n\n".join(parts) + "\n"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; a bar inside a cell is escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def figure(value: float | str | None) -> str:
    """A value as it is printed: four decimals below one, fewer above."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4f}" if abs(value) <= 1 else f"{value:,.1f}"
    return str(value)


def types_of(summary: Summary) -> list[str]:
    """Question types that were asked."""
    return [key.partition("/")[2] for key, value in summary.items() if key.startswith("n.questions/") and value]


def draw(folder: Path, summary: Summary) -> list[Path]:
    """`recall_curve.png` and `recall_by_type.png`; those without data are left out."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    if HEADLINE in summary:
        drawn.append(_curve(folder / "recall_curve.png", summary))
    if types_of(summary):
        drawn.append(_bars(folder / "recall_by_type.png", summary))
    return drawn


def _curve(path: Path, summary: Summary) -> Path:
    canvas = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
    axes = canvas.subplots()
    for measure in _MEASURES:
        axes.plot(KS, [_number(summary, f"turn.{measure}@{k}") for k in KS], marker="o", label=measure)
    axes.set(xscale="log", xlabel="k", ylabel="mean over questions", ylim=(0, 1.02), title="Evidence turns found")
    axes.set_xticks(KS, [str(k) for k in KS])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend()
    canvas.savefig(path, dpi=_DPI)
    return path


def _bars(path: Path, summary: Summary) -> Path:
    kinds = types_of(summary)
    values = [_number(summary, f"{HEADLINE}/{kind}") for kind in kinds]
    canvas = Figure(figsize=(_WIDTH, max(2.0, 0.45 * len(kinds) + 1)), layout="constrained")
    axes = canvas.subplots()
    bars = axes.barh(kinds, values)
    axes.bar_label(bars, fmt="%.3f", padding=3)
    axes.set(xlim=(0, 1.1), xlabel=HEADLINE, title="By question type")
    axes.invert_yaxis()
    canvas.savefig(path, dpi=_DPI)
    return path


def _number(summary: Summary, key: str) -> float:
    value = summary.get(key)
    return float(value) if isinstance(value, int | float) else math.nan


def _by_k(summary: Summary, level: str) -> str:
    measures = [*_MEASURES, "ndcg"]
    rows = [[str(k), *(figure(summary.get(f"{level}.{measure}@{k}")) for measure in measures)] for k in KS]
    return table(("k", *measures), rows)


def _by_type(summary: Summary) -> str:
    keys = [HEADLINE, "turn.recall_any@10", "turn.recall_all@10", "turn.ndcg@10", "session.recall@10"]
    rows = [
        [kind, str(summary[f"n.questions/{kind}"]), *(figure(summary.get(f"{key}/{kind}")) for key in keys)]
        for kind in types_of(summary)
    ]
    return table(("type", "questions", *keys), rows)


def _official(summary: Summary) -> str:
    rows = []
    for variant in ("official.run", "official.print"):
        for level in ("turn", "session"):
            for k in KS:
                cells = [figure(summary.get(f"{variant}.{level}.{name}@{k}")) for name in ("recall_any", "recall_all")]
                cells += [figure(summary.get(f"{variant}.{name}@{k}")) for name in (f"{level}.ndcg_any", "short")]
                rows.append([f"{variant}.{level}", str(summary[f"{variant}.n"]), str(k), *cells])
    return table(("figures", "questions", "k", "recall_any", "recall_all", "ndcg_any", "cut short"), rows)

"""The plots of an ablation."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from evals.ablate_figures import ORACLE_K
from evals.ablate_model import ALL, SetFigures
from evals.ablate_variants import BASE, KINDS

ORACLE = "ablation-oracle"
_LEAD = "turn.recall@10"
_WIDTH, _DPI = 8.0, 110
_ROW = 0.24
_COLOURS = {
    "built in": "tab:blue",
    "without": "tab:red",
    "alone": "tab:gray",
    "beside the arms": "tab:green",
    "setting": "tab:purple",
}


def draw(folder: Path, sets: Sequence[SetFigures]) -> list[Path]:
    """`ablation-<set>.png`: every variant's difference; `ablation-oracle.png`: what is found and what is there."""
    folder.mkdir(parents=True, exist_ok=True)
    return [*(_differences(folder / f"ablation-{each.name}.png", each) for each in sets), _oracle(folder, sets)]


def _differences(path: Path, figures: SetFigures) -> Path:
    """Mean differences of recall@10 with their intervals, a row per variant, coloured by what it does."""
    changed = figures.differences[ALL]
    names = [name for kind in KINDS for name in figures.kinds if figures.kinds[name] == kind and name != BASE]
    names = [name for name in names if _LEAD in changed[name]]
    canvas = Figure(figsize=(_WIDTH, _ROW * len(names) + 1.2), layout="constrained")
    axes = canvas.subplots()
    for kind, colour in _COLOURS.items():
        rows = [row for row, name in enumerate(names) if figures.kinds[name] == kind]
        found = [changed[names[row]][_LEAD] for row in rows]
        means = [mean for mean, _, _ in found]
        around = [[max(0.0, mean - low) for mean, low, _ in found], [max(0.0, high - mean) for mean, _, high in found]]
        axes.errorbar(means, rows, xerr=around, fmt="o", markersize=4, color=colour, label=kind, linewidth=1)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set(xlabel=f"recall@10, difference to {BASE} (95% interval)", title=figures.label)
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    axes.legend(fontsize=8, loc="lower left")
    canvas.savefig(path, dpi=_DPI)
    return path


def _oracle(folder: Path, sets: Sequence[SetFigures]) -> Path:
    """By set and question type: how much of the evidence is among the first 10, and anywhere among the oracle's."""
    labels, found, there = [], [], []
    for figures in sets:
        for group, deep in figures.oracle.items():
            labels.append(f"{figures.label}: {group}")
            found.append(figures.values[group][BASE].get(_LEAD, 0.0))
            there.append(deep[f"turn.recall@{ORACLE_K}"])
    rows = list(range(len(labels)))
    canvas = Figure(figsize=(_WIDTH, _ROW * len(labels) + 1.2), layout="constrained")
    axes = canvas.subplots()
    axes.barh(rows, there, color="tab:gray", alpha=0.4, label=f"among {ORACLE_K} results")
    axes.barh(rows, found, color="tab:blue", height=0.5, label="among the first 10")
    axes.set_yticks(rows, labels, fontsize=8)
    axes.set(xlim=(0, 1), xlabel=f"share of the evidence, {BASE}")
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    axes.legend(fontsize=8, loc="lower left")
    path = folder / f"{ORACLE}.png"
    canvas.savefig(path, dpi=_DPI)
    return path

"""The file of learned weights: small, versioned, with the report of its training."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from evals.corpus import DatasetError, load_json
from evals.report import figure, table

FORMAT = "memsvc fusion weights"
VERSION = 1
_EXPLANATION = """\
The candidates of each question, as the service found and weighed them, in the order that other weights give them.
Near-duplicates and what is outdated do not step back here, and other weights would bring other candidates: what a
recipe makes of the weights, `python -m evals ablate --weights` says."""

Compared = Mapping[str, tuple[float, float, float, float]]


@dataclass(frozen=True, slots=True)
class Training:
    """How the weights came about, by data set.

    `base` holds means of the base's weights. The others hold of each metric the mean, the difference to the base, and
    that one's 95% interval: on what was trained on, on the set that was left out, on the conversations that were.
    """

    settings: Mapping[str, float | int | str | None]
    questions: Mapping[str, int]
    data_sha256: Mapping[str, str]
    base: Mapping[str, Mapping[str, float]]
    trained_on: Mapping[str, Compared]
    other_sets: Mapping[str, Compared]
    other_conversations: Mapping[str, Compared]
    weights_without: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Learned:
    """Weights for a recipe over `base`, whose own weights are `base_weights`."""

    base: str
    base_weights: Mapping[str, float]
    weights: Mapping[str, float]
    training: Training


def write(folder: Path, learned: Learned) -> None:
    """`weights.json` and `report.md`."""
    folder.mkdir(parents=True, exist_ok=True)
    kept: dict[str, Any] = {"format": FORMAT, "version": VERSION, **asdict(learned)}
    text = json.dumps(kept, indent=1, ensure_ascii=False)
    (folder / "weights.json").write_text(text + "\n", encoding="utf-8")
    (folder / "report.md").write_text(render(learned), encoding="utf-8")


def read_weights(path: Path) -> dict[str, float]:
    """The weights of a file; `DatasetError` when it is none of this version."""
    kept = load_json(path)
    if not isinstance(kept, dict) or kept.get("format") != FORMAT or kept.get("version") != VERSION:
        raise DatasetError(f"{path}: no weights of version {VERSION}; `python -m evals learn` writes them")
    return {str(stage): float(weight) for stage, weight in kept["weights"].items()}


def render(learned: Learned) -> str:
    """The report, as Markdown."""
    training = learned.training
    others = {stage: [found[stage] for found in training.weights_without.values()] for stage in learned.weights}
    rows = [
        [f"`{stage}`", *map(figure, (learned.base_weights[stage], weight, *others.get(stage, ())))]
        for stage, weight in learned.weights.items()
    ]
    header = ("stage", learned.base, "learned", *(f"without {name}" for name in training.weights_without))
    parts = [
        "# Learned weights",
        _EXPLANATION,
        table(header, rows),
        _compared("Other sets", "learned on all sets but the one that is measured", training, training.other_sets),
        _compared(
            "Other conversations",
            "learned without the conversations that are measured",
            training,
            training.other_conversations,
        ),
        _compared("Trained on", "learned on what is measured: an upper bound", training, training.trained_on),
        table(("setting", "value"), [(name, figure(value)) for name, value in training.settings.items()]),
    ]
    return "\n\n".join(parts) + "\n"


def _compared(title: str, what: str, training: Training, found: Mapping[str, Compared]) -> str:
    rows = [
        [
            name,
            str(training.questions[name]),
            metric,
            figure(training.base[name][metric]),
            figure(mean),
            f"{change:+.4f} ({low:+.4f} to {high:+.4f})",
        ]
        for name, of_set in found.items()
        for metric, (mean, change, low, high) in of_set.items()
    ]
    header = ("set", "questions", "metric", "base", "learned", "difference, 95% interval")
    return f"## {title}\n\n{what[0].upper()}{what[1:]}.\n\n{table(header, rows) if rows else 'Not measured.'}"

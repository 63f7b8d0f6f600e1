"""The suites by name."""

from collections.abc import Callable, Mapping
from pathlib import Path

from evals import beam, locomo, longmemeval
from evals.corpus import DatasetError, Suite, SuiteName

LOADERS: Mapping[SuiteName, Callable[[Path], Suite]] = {
    "locomo": locomo.load,
    "beam": beam.load,
    "longmemeval": longmemeval.load,
}


def load(name: SuiteName, data: Path) -> Suite:
    """Read `data`, a file or folder in the suite's schema; `DatasetError` when it is not there or not in it."""
    if not data.exists():
        raise DatasetError(f"{data}: no such file or folder")
    return LOADERS[name](data)

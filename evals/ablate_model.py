"""What an ablation keeps: of each question, and of each data set."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

ALL = "all"
Interval = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Asked:
    """One question under all variants: metrics by variant, and the milliseconds of its recall.

    `groups` are those of the report that it stands in. `oracle` holds the metrics of the base at the oracle's depth.
    """

    id: str
    type: str
    groups: tuple[str, ...]
    scores: Mapping[str, Mapping[str, float]]
    latency_ms: Mapping[str, float]
    oracle: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds over HTTP, one client."""

    p50: float
    p95: float


@dataclass(frozen=True, slots=True)
class Storage:
    """Bytes after consolidation. `memories` counts facts too.

    `tables` are with their indexes, `columns` those of the chunks of turns alone, without; of both the larger ones.
    """

    bytes: int
    memories: int
    turns: int
    tables: Mapping[str, int]
    columns: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class SetFigures:
    """All figures of a data set, by group of questions, then variant, then metric.

    `differences` to the base: mean, and the ends of its interval. `kinds` is what each variant does. `missed` and
    `gallery` count the reasons of questions that miss evidence, and of those in the gallery; `applies` all that hold.
    """

    name: str
    label: str
    encoder: str
    settings: Mapping[str, str | int | None]
    stages: tuple[str, ...]
    arms: tuple[str, ...]
    kinds: Mapping[str, str]
    metrics: tuple[str, ...]
    questions: Mapping[str, int]
    values: Mapping[str, Mapping[str, Mapping[str, float]]]
    differences: Mapping[str, Mapping[str, Mapping[str, Interval]]]
    oracle: Mapping[str, Mapping[str, float]]
    latency: Mapping[str, Latency]
    storage: Storage
    missed: Mapping[str, int]
    applies: Mapping[str, int]
    gallery: Mapping[str, int]
    degraded: int

    def to_json(self) -> dict[str, Any]:
        """As it is kept."""
        return asdict(self)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        return cls(
            **{
                **raw,
                "stages": tuple(raw["stages"]),
                "arms": tuple(raw["arms"]),
                "metrics": tuple(raw["metrics"]),
                "latency": {name: Latency(**value) for name, value in raw["latency"].items()},
                "storage": Storage(**raw["storage"]),
            }
        )

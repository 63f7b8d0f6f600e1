"""The variants of recall that an ablation compares, made of what the service lists: a new stage needs no edit here."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from memsvc.sdk import InvalidRequest, MemoryClient
from memsvc.wire.recipes import RecipeOut

BASE = "balanced"
# Windows are stages of their own, named after what they average.
_WINDOW = "_window"
_TEXTBOOK_BM25 = {"k1": 1.2, "b": 0.75}

Kind = Literal["base", "built in", "without", "alone", "beside the arms", "setting"]
KINDS: tuple[Kind, ...] = ("base", "built in", "without", "alone", "beside the arms", "setting")


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to recall. `settings` are those of a recipe of the space's own; None: `name` is a built-in recipe."""

    name: str
    kind: Kind
    settings: Mapping[str, Any] | None = None

    @property
    def recipe(self) -> str:
        """The name of its recipe in a space."""
        return self.name if self.settings is None else f"ablate: {self.name}"


def find_arms(client: MemoryClient, space: str, weights: Mapping[str, float]) -> tuple[str, ...]:
    """The stages that find memories by themselves: a recipe of one of the others alone is refused."""
    arms = []
    for stage in weights:
        try:
            client.set_recipe(space, "ablate: arm", alone(weights, (stage,)))
        except InvalidRequest:
            continue
        arms.append(stage)
    return tuple(arms)


def alone(weights: Mapping[str, float], kept: Sequence[str]) -> dict[str, Any]:
    """The settings in which only `kept` weigh: as they do in `weights`, or 1 where that is 0."""
    return {"weights": {stage: (weight or 1.0) if stage in kept else 0.0 for stage, weight in weights.items()}}


def derive(recipes: Sequence[RecipeOut], arms: Sequence[str]) -> list[Variant]:
    """Every variant of the base recipe: stages removed, alone, beside the arms, and other settings."""
    built_in = [recipe for recipe in recipes if recipe.version is None]
    base = next(recipe for recipe in built_in if recipe.name == BASE)
    weights = base.settings.weights or {}
    found = [Variant(BASE, "base")]
    found += [Variant(recipe.name, "built in") for recipe in built_in if recipe.name != BASE]
    found += _without(weights, arms)
    found += _alone(weights, arms)
    found += _settings(base.settings.model_dump(exclude={"weights"}))
    found += _with(weights, built_in)
    return found


def group_stages(stages: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Stages that read the same values, by name: one and its window. A stage without a window is no group."""
    stages = tuple(stages)
    windowed = [stage.removesuffix(_WINDOW) for stage in stages if stage.endswith(_WINDOW)]
    return {f"{stage} + {stage}{_WINDOW}": (stage, stage + _WINDOW) for stage in windowed if stage in stages}


def apply(client: MemoryClient, space: str, variants: Iterable[Variant]) -> None:
    """Set the recipes of the variants in a space."""
    for variant in variants:
        if variant.settings is not None:
            client.set_recipe(space, variant.recipe, {"base": BASE, **variant.settings})


def learned(weights: Mapping[str, float]) -> Variant:
    """The base recipe with weights that `python -m evals learn` wrote."""
    return Variant("learned weights", "setting", {"weights": dict(weights)})


def _without(weights: Mapping[str, float], arms: Sequence[str]) -> list[Variant]:
    """Each stage that weighs anything; then those that read the same, and all windows."""
    on = [stage for stage, weight in weights.items() if weight]
    groups: dict[str, tuple[str, ...]] = {stage: (stage,) for stage in on}
    groups |= {name: stages for name, stages in group_stages(on).items() if set(arms) - set(stages)}
    windows = tuple(stage for stage in on if stage.endswith(_WINDOW))
    groups |= {"any window": windows} if len(windows) > 1 else {}
    return [
        Variant(f"without {name}", "without", {"weights": dict.fromkeys(stages, 0.0)})
        for name, stages in groups.items()
        if any(weights[arm] for arm in arms if arm not in stages)
    ]


def _with(weights: Mapping[str, float], built_in: Sequence[RecipeOut]) -> list[Variant]:
    """Stages that are off in the base, with the most that another built-in recipe gives them."""
    found = []
    for stage in (stage for stage, weight in weights.items() if not weight):
        most = max((recipe.settings.weights or {}).get(stage, 0.0) for recipe in built_in)
        if most:
            found.append(Variant(f"with {stage}", "setting", {"weights": {stage: most}}))
    return found


def _alone(weights: Mapping[str, float], arms: Sequence[str]) -> list[Variant]:
    """Each arm, and each with its window, by itself; each cue beside all arms, since it finds nothing by itself."""
    kept = {arm: (arm,) for arm in arms} | group_stages(arms)
    found = [Variant(f"{name} alone", "alone", alone(weights, stages)) for name, stages in kept.items()]
    cues = [stage for stage in weights if stage not in arms]
    beside = [stage for stage in arms if weights.get(stage)]
    if cues:
        found.append(Variant("the arms alone", "alone", alone(weights, beside)))
    return found + [
        Variant(f"{cue} beside the arms", "beside the arms", alone(weights, [*beside, cue])) for cue in cues
    ]


def _settings(settings: Mapping[str, Any]) -> list[Variant]:
    """Every switch the other way, and what numbers there are turned off, halved or doubled."""
    found = [
        Variant(f"{name} {'off' if value else 'on'}", "setting", {name: not value})
        for name, value in settings.items()
        if isinstance(value, bool)
    ]
    window = settings.get("window")
    if window and len(window) > 1:
        found.append(Variant("window off", "setting", {"window": window[:1]}))
        found.append(Variant("window shorter by one", "setting", {"window": window[:-1]}))
    if (diversity := settings.get("diversity")) is not None:
        costs = [part for part, value in diversity.items() if part != "threshold" and value]
        off = {f"diversity without {part}": (part,) for part in costs} | {"diversity off": tuple(costs)}
        found += [
            Variant(name, "setting", {"diversity": {**diversity, **dict.fromkeys(parts, 0.0)}})
            for name, parts in off.items()
            if len(costs) > 1 or name == "diversity off"
        ]
    if settings.get("bm25") is not None:
        found.append(Variant("bm25 k1 1.2, b 0.75", "setting", {"bm25": _TEXTBOOK_BM25}))
    if depth := settings.get("candidates"):
        found += [
            Variant(f"candidates {number}", "setting", {"candidates": number}) for number in (depth // 2, 2 * depth)
        ]
    return found

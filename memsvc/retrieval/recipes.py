"""Recipes: named plans for recall. One setting serves all data; nothing here was tuned to one set alone."""

from dataclasses import dataclass
from types import MappingProxyType

from memsvc.retrieval.bm25 import Bm25
from memsvc.retrieval.diversify import Diversity

_BM25 = Bm25(k1=0.9, b=0.4)
_DIVERSITY = Diversity(threshold=0.95, penalty=2.0)


@dataclass(frozen=True, slots=True)
class Weights:
    """What one unit of each stage's value adds to the score.

    `dense` and `dense_window` weigh z-scores, `lexical` and `lexical_window` shares of the query (0 to 1),
    the others cues between 0 and 1.
    """

    dense: float = 1.5
    dense_window: float = 0.5
    lexical: float = 8.0
    lexical_window: float = 16.0
    speaker: float = 4.0
    author: float = 2.5
    statement: float = 1.0
    standing: float = 4.0
    date: float = 5.0
    time: float = 1.0
    latest: float = 1.0
    order: float = 1.0
    side: float = 1.0
    event: float = 4.0
    spread: float = 5.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """`candidates` memories leave the first stage. `window[d]` weighs a neighbour at distance d, 0 the turn itself.

    `timely` more leave it that are of the time asked for, of `timely_chunks` that are looked at. `archived`: it reaches
    what was archived too.
    """

    name: str
    second_stage: bool
    candidates: int
    weights: Weights = Weights()
    window: tuple[float, ...] = (1.0, 1.0, 0.5)
    bm25: Bm25 = _BM25
    diversity: Diversity = _DIVERSITY
    archived: bool = False
    nearest_chunks: int = 400
    lexical_chunks: int = 400
    timely: int = 20
    timely_chunks: int = 400


FAST = Recipe(name="fast", second_stage=False, candidates=0)
BALANCED = Recipe(name="balanced", second_stage=True, candidates=100)
DEEP = Recipe(name="deep", second_stage=True, candidates=200, archived=True)
# For an asker who knows when: what fits the time asked for weighs more than what only resembles the words.
TEMPORAL = Recipe(
    name="temporal",
    second_stage=True,
    candidates=200,
    weights=Weights(date=8.0, latest=2.0, side=2.0, event=6.0, spread=10.0),
)
RECIPES = MappingProxyType({recipe.name: recipe for recipe in (FAST, BALANCED, DEEP, TEMPORAL)})

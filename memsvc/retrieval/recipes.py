"""Recipes: named plans for recall. One setting serves all data; nothing here was tuned to one set alone."""

from dataclasses import dataclass
from types import MappingProxyType

from memsvc.retrieval.bm25 import Bm25
from memsvc.retrieval.diversify import Diversity

_BM25 = Bm25(k1=0.9, b=0.4)
_DIVERSITY = Diversity(threshold=0.95, penalty=2.0, spread=1.4)


@dataclass(frozen=True, slots=True)
class Weights:
    """What one unit of each stage's value adds to the score.

    `dense` and `dense_window` weigh z-scores, `lexical`, `lexical_window` and `late` shares of the query (0 to 1),
    the others cues between 0 and 1.
    """

    dense: float = 1.5
    dense_window: float = 0.7
    lexical: float = 3.0
    lexical_window: float = 11.0
    late: float = 28.0
    speaker: float = 4.0
    author: float = 5.0
    statement: float = 1.5
    standing: float = 5.5
    date: float = 5.0
    time: float = 3.0
    latest: float = 1.5
    order: float = 1.0
    side: float = 1.0
    event: float = 4.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """`candidates` memories leave the first stage. `window[d]` weighs a neighbour at distance d, 0 the turn itself.

    `timely` more leave it that are of the time asked for, of `timely_chunks` that are looked at. `archived`: it reaches
    what was archived too. `deadline_ms`: how long it may take; None: as long as it takes. All but the name may be set
    in a recipe of one's own (`own_recipes`).
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
    deadline_ms: int | None = None
    description: str = ""


FAST = Recipe("fast", second_stage=False, candidates=0, description="The first stage alone.")
BALANCED = Recipe("balanced", second_stage=True, candidates=100, description="Both stages; the default.")
DEEP = Recipe(
    "deep", second_stage=True, candidates=200, archived=True, description="More candidates, and what was archived too."
)
TEMPORAL = Recipe(
    "temporal",
    second_stage=True,
    candidates=200,
    weights=Weights(date=8.0, latest=2.0, side=2.0, event=6.0),
    description="For an asker who knows when: the time asked for weighs more beside the words.",
)
RECIPES = MappingProxyType({recipe.name: recipe for recipe in (FAST, BALANCED, DEEP, TEMPORAL)})

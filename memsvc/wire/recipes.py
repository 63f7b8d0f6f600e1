"""Recipes of recall: what the built-in ones are, and those of a space's own (docs/recipes.md)."""

from datetime import datetime
from typing import Annotated

from pydantic import Field, StringConstraints

from memsvc.wire import Metadata, Model, Name

Weight = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]


class Bm25(Model):
    """How the words of a chunk count."""

    k1: float = Field(ge=0, le=10, description="How soon repeats of a word stop counting.")
    b: float = Field(ge=0, le=1, description="How much long chunks pay.")


class Diversity(Model):
    """How near-duplicates step back."""

    threshold: float = Field(ge=0, lt=1, description="Cosine above which a memory repeats a better one.")
    penalty: float = Field(ge=0, le=100, description="What one that is equal to it loses; 0: nothing ever steps back.")
    spread: float = Field(
        0, ge=0, le=100, description="What each of its session that was chosen costs it, asked for a development."
    )


class RecipeSettings(Model):
    """What a recipe sets; of one's own, what is unset is its base's."""

    weights: dict[str, Weight] | None = Field(None, description="Of stages, by name; 0 turns a stage off.")
    second_stage: bool | None = Field(None, description="Exact cosines and cues for the candidates.")
    candidates: int | None = Field(None, ge=0, le=1000, description="How many the second stage sees; never below `k`.")
    window: list[Weight] | None = Field(
        None, min_length=1, max_length=6, description="Weights of a turn, its neighbours, theirs..."
    )
    bm25: Bm25 | None = None
    diversity: Diversity | None = None
    archived: bool | None = Field(None, description="It reaches what was archived too.")
    nearest_chunks: int | None = Field(None, ge=1, le=5000, description="Chunks by vector, in a large space.")
    lexical_chunks: int | None = Field(None, ge=0, le=5000, description="Chunks by words, in a large space.")
    timely: int | None = Field(None, ge=0, le=1000, description="How many more it sees that are of the time asked for.")
    timely_chunks: int | None = Field(None, ge=1, le=5000, description="Memories of that time that are looked at.")
    deadline_ms: int | None = Field(
        None, ge=1, le=60_000, description="How long a recall may take; what does not fit is cut. Unset: any time."
    )


class RecipeIn(RecipeSettings):
    """A recipe of a space's own: a built-in one, and what to set otherwise."""

    base: Name = Field("balanced", description="The built-in recipe that it starts from.")
    description: Annotated[str, StringConstraints(max_length=1000, pattern=r"^[^\x00]*$")] = ""


class RecipeOut(Model):
    """A recipe, whole."""

    name: str
    version: int | None = Field(description="Of a space's own; a built-in one has none.")
    base: str | None = Field(description="The built-in recipe that it started from; null for one of those.")
    description: str
    settings: RecipeSettings = Field(description="All that it does.")
    changes: Metadata = Field(description="What of it is set otherwise than in its base.")
    created_by: str | None
    created_at: datetime | None


class RecipeList(Model):
    """The built-in recipes, then the space's own by name, in the version in force."""

    items: list[RecipeOut]

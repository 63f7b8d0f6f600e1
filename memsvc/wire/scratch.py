"""Working memory: a session's scratch state, and the operations that edit it."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from memsvc.wire import Model

EntryId = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f]+$")]
Overflow = Literal["refuse", "evict"]
ON_OVERFLOW = "What does not fit is refused, or (evict) the oldest entries that are not pinned make room."


class ScratchDraft(Model):
    """An entry to write."""

    id: EntryId | None = Field(None, description="Unique in the scratch. Unset: one is given.")
    content: str = Field(max_length=2_000_000)
    pinned: bool | None = Field(None, description="A pinned entry never makes room for others.")


class ScratchWrite(Model):
    """Append entries."""

    entries: list[ScratchDraft] = Field(min_length=1, max_length=1000)
    on_overflow: Overflow = Field("refuse", description=ON_OVERFLOW)


class ScratchRewrite(Model):
    """Replace the whole state (`scope` all), or the contents of the entries that are named."""

    entries: list[ScratchDraft] = Field(max_length=1000)
    scope: Literal["all", "named"] = "all"
    on_overflow: Overflow = Field("refuse", description=ON_OVERFLOW)


class ScratchPrune(Model):
    """Put one summary in the place of entries."""

    ids: list[EntryId] = Field(min_length=1, max_length=1000)
    summary: str = Field(max_length=2_000_000)
    id: EntryId | None = Field(None, description="Of the summary. Unset: one is given.")


class ScratchLimit(Model):
    """Bound a scratch; it is made when it is new."""

    token_limit: int = Field(ge=16, le=1_000_000, description="Most tokens of all entries together.")
    on_overflow: Overflow = Field("refuse", description=ON_OVERFLOW)


class ScratchEntry(Model):
    """A part of the state."""

    id: str
    content: str
    tokens: int
    pinned: bool
    pruned: list[str] = Field(description="The entries whose place it took; earlier revisions hold them.")
    revision: int = Field(description="The one in which it came, or got its content.")


class ScratchState(Model):
    """A scratch at one revision, which is its ETag."""

    space: str
    session: str
    revision: int = Field(description="0: nothing was written yet.")
    parent: int | None = Field(description="The revision before it.")
    tokens: int
    token_limit: int
    entries: list[ScratchEntry]
    evicted: list[str] = Field(description="What made room in this revision.")
    recorded_at: datetime | None


class ScratchRevision(Model):
    """What one operation did to the state before it."""

    revision: int
    parent: int
    operation: Literal["write", "rewrite", "prune"]
    actor: str
    recorded_at: datetime
    tokens: int
    pruned: list[str]
    evicted: list[str]
    added: list[ScratchEntry]
    changed: list[ScratchEntry]
    removed: list[str]


class ScratchRevisions(Model):
    """Revisions, newest first; pass `next_before` as `before` for the next page."""

    items: list[ScratchRevision]
    next_before: int | None

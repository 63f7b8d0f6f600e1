"""Core memory: a small block of a space, always part of a context."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from memsvc.wire import Model, Name, Reason


class CoreEdit(Model):
    """Edit one section. `append` adds a line, `replace` puts `text` in the place of `old`, `rewrite` sets it whole."""

    mode: Literal["append", "replace", "rewrite"] = "append"
    text: str = Field(max_length=200_000)
    old: str | None = Field(None, min_length=1, description="With `replace`: what to replace; it must occur once.")
    reason: Reason | None = None


class CoreSection(Model):
    """A labelled section; its versions are those of the memory `id`."""

    label: Name
    id: UUID
    content: str
    tokens: int
    version: int
    updated_at: datetime


class CoreMemory(Model):
    """The core memory of a space, by label."""

    space: str
    sections: list[CoreSection]
    tokens: int = Field(description="Of all sections; a token is about four characters.")
    limit: int = Field(description="Most tokens: the policy `core_tokens` of the space.")

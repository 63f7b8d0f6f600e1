"""Erasing for good, and the receipt that proves it."""

from typing import Any
from uuid import UUID

from pydantic import Field

from memsvc.wire import Filters, Model, Name


class EraseRequest(Model):
    """What to erase: `memories` alone, or conditions that must all hold. A `space` by itself goes whole, with its name.

    What derives from it goes too, in other spaces as well, unless it can be made again from sources that remain.
    """

    memories: list[UUID] | None = Field(None, min_length=1, max_length=10_000)
    space: Name | None = None
    session: Name | None = Field(None, description="A session of `space`.")
    subject: Name | None = Field(None, description="Everything whose `name` is this: who spoke, or whom it is about.")
    actor: Name | None = Field(None, description="Everything that this principal wrote.")
    filters: Filters = Field(default_factory=Filters, description="As in recall.")
    dry_run: bool = Field(False, description="Say what would go, and erase nothing.")


class ErasePlan(Model):
    """What an erasure comes to; ids up to 1,000 each."""

    named: int = Field(description="Memories that the request names.")
    derived: int = Field(description="Memories that derive from those and go with them.")
    rebuilt: int = Field(description="Memories that are made again from the sources that remain.")
    scratches: int = Field(0, description="Scratch states of sessions that go along.")
    held: list[UUID] = Field(description="Under legal hold: while there are any, nothing can be erased.")
    named_ids: list[UUID]
    derived_ids: list[UUID]
    rebuilt_ids: list[UUID]


class EraseResponse(Model):
    """A plan, and once it is done the signed receipt; `memsvc verify-receipt` checks it."""

    done: bool
    plan: ErasePlan
    receipt: dict[str, Any] | None = None


class SigningKey(Model):
    """The key whose signatures are this service's."""

    algorithm: str
    public_key: str = Field(description="32 bytes in base64.")

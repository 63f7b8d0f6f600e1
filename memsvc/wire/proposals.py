"""What might be added to the core memory of a space."""

from uuid import UUID

from pydantic import Field

from memsvc.wire import Model, Name


class CoreProposal(Model):
    """Lines for one section. To take them over: `POST /v1/core/{label}` with `text`."""

    label: Name = Field(description="The section; it may not exist yet.")
    text: str
    sources: list[UUID] = Field(description="The facts that say it, a line each.")
    reason: str


class CoreProposals(Model):
    """What is proposed now. Nothing is applied, and nothing is kept of it."""

    space: str
    proposals: list[CoreProposal]

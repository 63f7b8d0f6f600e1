"""What a tenant's calls of the language model took."""

from datetime import date

from pydantic import Field

from memsvc.wire import Model


class UsageDay(Model):
    """The calls of one UTC day, purpose and model."""

    day: date
    purpose: str = Field(description="What was asked: the name of the prompt.")
    model: str
    calls: int = Field(description="Calls that were made, second attempts included.")
    failures: int = Field(description="Of these, calls without an answer; they may have taken tokens all the same.")
    input_tokens: int
    output_tokens: int


class UsageResponse(Model):
    """A tenant's use and what is left of it."""

    model: str | None = Field(description="The language model that is configured; None: there is none.")
    tokens_a_day: int | None = Field(description="Most tokens of the tenant in a UTC day; None: no bound.")
    tokens_today: int = Field(description="Of the present UTC day, those set aside for calls on their way included.")
    days: list[UsageDay] = Field(description="The latest day first.")

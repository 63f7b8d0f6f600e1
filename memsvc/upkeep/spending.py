"""A tenant's tokens: counted in the database, bounded by day."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from memsvc.ids import TenantId
from memsvc.inference.llm import BudgetSpentError, Tokens
from memsvc.inference.llm_calls import Reservation
from memsvc.store import llm_usage
from memsvc.store.database import Database


@dataclass(frozen=True, slots=True)
class TenantPayer:
    """Pays for one tenant's calls, each step in a transaction of its own. `tokens_a_day` 0: no bound."""

    database: Database
    tenant_id: TenantId
    tokens_a_day: int
    clock: Callable[[], datetime]

    async def reserve(self, purpose: str, model: str, tokens: Tokens) -> Reservation:
        """See `Payer`."""
        reservation = Reservation(self.clock().date(), purpose, model, tokens)
        async with self.database.write(self.tenant_id) as session:
            is_admitted = await llm_usage.reserve(
                session,
                day=reservation.day,
                purpose=purpose,
                model=model,
                input_tokens=tokens.input,
                output_tokens=tokens.output,
                tokens_a_day=self.tokens_a_day,
            )
        if not is_admitted:
            raise BudgetSpentError
        return reservation

    async def settle(self, reservation: Reservation, spent: Tokens, *, failed: bool) -> None:
        """See `Payer`."""
        async with self.database.write(self.tenant_id) as session:
            await llm_usage.settle(
                session,
                day=reservation.day,
                purpose=reservation.purpose,
                model=reservation.model,
                input_tokens=spent.input - reservation.tokens.input,
                output_tokens=spent.output - reservation.tokens.output,
                failed=failed,
            )

"""What a tenant's calls of a language model took, by UTC day, purpose and model; and whether there is enough left."""

from dataclasses import dataclass
from datetime import date

from psycopg.rows import class_row, scalar_row

from memsvc.store.database import ReadSession, WriteSession


@dataclass(frozen=True, slots=True)
class Usage:
    """The calls of one day, purpose and model. `failures` are those without an answer; they may have taken tokens."""

    day: date
    purpose: str
    model: str
    calls: int
    failures: int
    input_tokens: int
    output_tokens: int


async def reserve(
    session: WriteSession,
    *,
    day: date,
    purpose: str,
    model: str,
    input_tokens: int,
    output_tokens: int,
    tokens_a_day: int,
) -> bool:
    """Count a call with the tokens it may take; False, and nothing counted, when the day's are not as many.

    `tokens_a_day` 0: no bound. One call of the tenant at a time decides, so that two never share what is left for one.
    """
    if tokens_a_day:
        await session.run(
            "SELECT pg_advisory_xact_lock(hashtextextended('memsvc llm ' || %(tenant)s::text, 0))",
            {"tenant": session.tenant_id},
        )
        if await spent_tokens(session, day) + input_tokens + output_tokens > tokens_a_day:
            return False
    await session.run(
        "INSERT INTO llm_usage AS u (tenant_id, day, purpose, model, calls, input_tokens, output_tokens) "
        "VALUES (%(tenant)s, %(day)s, %(purpose)s, %(model)s, 1, %(input)s, %(output)s) "
        "ON CONFLICT (tenant_id, day, purpose, model) DO UPDATE SET calls = u.calls + 1, "
        "input_tokens = u.input_tokens + EXCLUDED.input_tokens, "
        "output_tokens = u.output_tokens + EXCLUDED.output_tokens",
        {
            "tenant": session.tenant_id,
            "day": day,
            "purpose": purpose,
            "model": model,
            "input": input_tokens,
            "output": output_tokens,
        },
    )
    return True


async def settle(
    session: WriteSession,
    *,
    day: date,
    purpose: str,
    model: str,
    input_tokens: int,
    output_tokens: int,
    failed: bool,
) -> None:
    """Add to a counted call what it took beyond what was set aside; negative when it took less."""
    await session.run(
        "UPDATE llm_usage SET failures = failures + %(failed)s, input_tokens = input_tokens + %(input)s, "
        "output_tokens = output_tokens + %(output)s "
        "WHERE tenant_id = %(tenant)s AND day = %(day)s AND purpose = %(purpose)s AND model = %(model)s",
        {
            "tenant": session.tenant_id,
            "day": day,
            "purpose": purpose,
            "model": model,
            "input": input_tokens,
            "output": output_tokens,
            "failed": int(failed),
        },
    )


async def spent_tokens(session: ReadSession, day: date) -> int:
    """Tokens of the day, in and out, those set aside included."""
    rows = await session.fetch(
        "SELECT coalesce(sum(input_tokens + output_tokens), 0)::bigint FROM llm_usage "
        "WHERE tenant_id = %(tenant)s AND day = %(day)s",
        {"tenant": session.tenant_id, "day": day},
        scalar_row,
    )
    return int(rows[0])


async def list_usage(session: ReadSession, *, since: date) -> list[Usage]:
    """Since that day, the latest day first."""
    return await session.fetch(
        "SELECT day, purpose, model, calls, failures, input_tokens, output_tokens FROM llm_usage "
        "WHERE tenant_id = %(tenant)s AND day >= %(since)s ORDER BY day DESC, purpose, model",
        {"tenant": session.tenant_id, "since": since},
        class_row(Usage),
    )

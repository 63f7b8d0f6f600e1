"""Reading the core memory of a space."""

from psycopg.rows import namedtuple_row, tuple_row

from memsvc.store import access
from memsvc.store.access import When
from memsvc.store.database import ReadSession
from memsvc.store.keys import Caller
from memsvc.store.memories import RECORD_COLUMNS, RECORD_JOINS, Record, as_known, read_records

_IS_CORE = "x.kind = 'core'"
_SPACE = "(SELECT id FROM spaces WHERE tenant_id = %(tenant)s AND name = %(space)s)"


async def list_sections(session: ReadSession, space: str, *, caller: Caller, when: When) -> list[Record]:
    """The sections that held at that time and that the caller may read, in the order in which they were made."""
    rows = await session.fetch(
        f"SELECT {RECORD_COLUMNS} FROM {as_known(when, f'x.space_id = {_SPACE} AND {_IS_CORE}')} m {RECORD_JOINS} "
        "WHERE m.state NOT IN ('archived', 'expired', 'quarantined') "
        f"AND {access.visible()} AND {access.HOLDS} ORDER BY m.number",
        {**access.parameters(session, caller, when), "space": space},
        namedtuple_row,
    )
    return await read_records(session, rows)


async def token_limit(session: ReadSession, space: str) -> int | None:
    """The space's own bound of its core memory, in tokens; None when it has set none."""
    rows = await session.fetch(
        "SELECT (policies ->> 'core_tokens')::int FROM spaces WHERE tenant_id = %(tenant)s AND name = %(space)s",
        {"tenant": session.tenant_id, "space": space},
        tuple_row,
    )
    return rows[0][0] if rows else None

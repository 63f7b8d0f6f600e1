"""Principals that come without a key: the service itself, and whom imported memories name."""

from collections.abc import Collection

from psycopg.rows import tuple_row

from memsvc.ids import KeyId, PrincipalId, TenantId, new_uuid
from memsvc.store.database import ReadSession, WriteSession
from memsvc.store.keys import Caller

# Who sweeps, delivers and rebuilds. A principal without a key can do nothing by itself.
SERVICE = "memsvc"


async def ensure_principals(session: WriteSession, names: Collection[str]) -> dict[str, PrincipalId]:
    """The principals of these names; those that are new are made."""
    wanted = list(dict.fromkeys(names))
    keys = {"tenant": session.tenant_id, "names": wanted}
    await session.run(
        "INSERT INTO principals (tenant_id, id, name) SELECT %(tenant)s, new.id, new.name "
        "FROM unnest(%(ids)s::uuid[], %(names)s::text[]) AS new(id, name) WHERE NOT EXISTS "
        "(SELECT 1 FROM principals p WHERE p.tenant_id = %(tenant)s AND p.name = new.name) ON CONFLICT DO NOTHING",
        {**keys, "ids": [new_uuid() for _ in wanted]},
    )
    rows = await session.fetch(
        "SELECT name, id FROM principals WHERE tenant_id = %(tenant)s AND name = ANY (%(names)s)", keys, tuple_row
    )
    return dict(rows)


async def service_caller(session: WriteSession) -> Caller:
    """The service itself, acting in the tenant of this session."""
    found = await ensure_principals(session, [SERVICE])
    return Caller(
        tenant_id=session.tenant_id,
        tenant=await tenant_name(session, session.tenant_id),
        principal_id=found[SERVICE],
        principal=SERVICE,
        key_id=KeyId(found[SERVICE]),
        scopes=frozenset({"admin"}),
    )


async def tenant_name(session: ReadSession, tenant_id: TenantId) -> str:
    """The name of the session's tenant."""
    rows = await session.fetch(
        "SELECT name FROM tenants WHERE tenant_id = %(tenant)s", {"tenant": tenant_id}, tuple_row
    )
    return str(rows[0][0])

"""What the tests of packing share: acting over the API, and looking at the tables."""

from collections.abc import Callable

from psycopg.rows import tuple_row
from sqlalchemy import Connection, text

from memsvc.consolidation.jobs import embed_pending
from memsvc.store.schema import TENANT_TABLES
from memsvc.text.packing import Pack, unpack
from tests.integration.conftest import Service

# What must not be changed on its way: combined and lone marks, line ends, white space, astral planes.
ODD = ["cafe\u0301 or café?", "two\r\nlines\n\n", "  ends with spaces  ", "\ufeff😀 \u202e reversed", "zwei ½ ﬁn"]
# Of a space: memories, chunks, terms. Of the tenant: chunks, lexical entries, contents in their rows, packs.
HOT = "SELECT memories, chunks, terms FROM spaces WHERE tenant_id = :tenant"
TIERS = (
    "SELECT (SELECT count(*) FROM chunks WHERE tenant_id = :tenant), "
    "(SELECT coalesce(sum(octet_length(entries)) / 8, 0)::int FROM postings WHERE tenant_id = :tenant), "
    "(SELECT count(*) FROM contents WHERE tenant_id = :tenant AND content <> ''), "
    "(SELECT count(*) FROM packs WHERE tenant_id = :tenant)"
)


def reader(owner: Connection, service: Service) -> Callable[[str], list[tuple]]:
    """Rows of the test's tenant, by a statement with `:tenant`."""

    def read(sql: str) -> list[tuple]:
        owner.rollback()
        return [tuple(row) for row in owner.execute(text(sql), {"tenant": service.caller.tenant_id})]

    return read


async def call(
    service: Service, method: str, path: str, body: object = None, status: int = 200, **query: object
) -> dict:
    response = await service.client.request(method, path, json=body, params=query)
    assert response.status_code == status, response.text
    return response.json() if response.content else {}


async def say(service: Service, *contents: str, session: str = "monday", space: str = "default") -> list[str]:
    messages = [{"role": "user", "name": "Ana", "content": content} for content in contents]
    added = await service.add(space=space, session=session, messages=messages)
    return [item["id"] for item in added["items"]]


async def archive(service: Service, *ids: str) -> None:
    for memory in ids:
        await call(service, "DELETE", f"/v1/memories/{memory}", mode="archive", status=204)


async def compress(service: Service, status: int = 200, **request: object) -> dict:
    return await call(service, "POST", "/v1/compress", request, status)


async def get(service: Service, memory: str) -> dict:
    return await call(service, "GET", f"/v1/memories/{memory}")


async def versions(service: Service, memory: str) -> list[str]:
    """What each version says, oldest first."""
    found = (await call(service, "GET", f"/v1/memories/{memory}/history"))["versions"]
    return [one["memory"]["content"] for one in found]


async def undo(service: Service, operation: str, status: int = 200) -> dict:
    return await call(service, "POST", f"/v1/operations/{operation}/undo", status=status)


async def found(service: Service, query: str, **request: object) -> list[tuple[str, float, int, int]]:
    results = (await service.recall(query, k=50, **request))["results"]
    return [(one["memory"]["content"], one["score"], one["snippet_start"], one["snippet_end"]) for one in results]


def packed(changes: dict) -> list[str]:
    return [change["memory_id"] for change in changes["changes"] if change["action"] == "pack"]


async def embed(service: Service) -> None:
    async with service.services.database.read(service.caller.tenant_id) as session:
        spaces = await session.fetch("SELECT id FROM spaces", {}, tuple_row)
    for (space,) in spaces:
        await embed_pending(service.services.ingest, service.caller.tenant_id, space)


def unpacked(rows: Callable) -> str:
    """All that any pack of the tenant holds."""
    held = rows("SELECT codec, data, raw_bytes, raw_hash FROM packs WHERE tenant_id = :tenant")
    found = [unpack(Pack(codec, bytes(data), size, bytes(digest))) for codec, data, size, digest in held]
    return "\n".join(content for each in found for content in each.values())


def holding(owner: Connection, service: Service, word: str) -> list[str]:
    """The tables of which some row of the test's tenant holds the word."""
    owner.rollback()
    keys = {"tenant": service.caller.tenant_id, "word": f"%{word}%"}
    held = "SELECT count(*) FROM {table} x WHERE tenant_id = :tenant AND x::text ILIKE :word"
    return [table for table in TENANT_TABLES if owner.execute(text(held.format(table=table)), keys).scalar_one()]

"""API keys. A key is `msk_<prefix>_<secret>`; only the prefix and a slow hash (argon2id) of the secret are stored."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from sqlalchemy import Connection, Row, text

from memsvc.errors import ConfigurationError, NotFoundError
from memsvc.ids import KeyId, PrincipalId, TenantId, new_uuid
from memsvc.store.database import Database
from memsvc.store.migrate import owner_engine

SCOPES = ("read", "write", "admin")
PREFIX_BYTES = 6
SECRET_BYTES = 24
_hasher = PasswordHasher()


@dataclass(frozen=True, slots=True)
class Caller:
    """Who acts: always taken from the key, never from a request body."""

    tenant_id: TenantId
    tenant: str
    principal_id: PrincipalId
    principal: str
    key_id: KeyId
    scopes: frozenset[str]

    @property
    def admin(self) -> bool:
        """Whether restrictions of spaces do not bind this caller."""
        return "admin" in self.scopes


@dataclass(frozen=True, slots=True)
class CreatedKey:
    """A new key; `key` is shown once and stored nowhere."""

    key: str
    prefix: str
    tenant: str
    principal: str
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """What is known of a key."""

    prefix: str
    tenant: str
    principal: str
    scopes: tuple[str, ...]
    created_at: datetime
    revoked_at: datetime | None


def split_key(key: str) -> tuple[str, str] | None:
    """Prefix and secret, or None when it is no key."""
    parts = key.split("_")
    return (parts[1], parts[2]) if len(parts) == 3 and parts[0] == "msk" and parts[1] and parts[2] else None


async def find_caller(database: Database, key: str) -> Caller | None:
    """The caller a key stands for; None when it is unknown, revoked or wrong. Takes tens of milliseconds."""
    split = split_key(key)
    if split is None:
        return None
    prefix, secret = split
    async with database.untenanted() as connection:
        row = (
            await connection.execute(text("SELECT * FROM memsvc_find_key(:prefix)"), {"prefix": prefix})
        ).one_or_none()
    if row is None or not _matches(row.secret_hash, secret):
        return None
    return Caller(
        TenantId(row.tenant_id),
        row.tenant,
        PrincipalId(row.principal_id),
        row.principal,
        KeyId(row.key_id),
        frozenset(row.scopes),
    )


def _matches(secret_hash: str, secret: str) -> bool:
    try:
        return _hasher.verify(secret_hash, secret)
    except (VerifyMismatchError, InvalidHashError):
        return False


def create_key(owner_url: str, *, tenant: str, principal: str, scopes: Sequence[str]) -> CreatedKey:
    """Make a key, and its tenant and principal when they are new."""
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        raise ConfigurationError(
            f"unknown scope: {', '.join(unknown) or '(none given)'}", remedy="Use read, write and admin."
        )
    prefix = secrets.token_hex(PREFIX_BYTES)
    secret = secrets.token_hex(SECRET_BYTES)
    with owner_engine(owner_url).begin() as connection:
        tenant_id = _ensure_tenant(connection, tenant)
        principal_id = _ensure_principal(connection, tenant_id, principal)
        connection.execute(
            text(
                "INSERT INTO api_keys (tenant_id, id, principal_id, prefix, secret_hash, scopes) "
                "VALUES (:tenant, :id, :principal, :prefix, :hash, :scopes)"
            ),
            {
                "tenant": tenant_id,
                "id": new_uuid(),
                "principal": principal_id,
                "prefix": prefix,
                "hash": _hasher.hash(secret),
                "scopes": list(scopes),
            },
        )
    return CreatedKey(f"msk_{prefix}_{secret}", prefix, tenant, principal, tuple(scopes))


def _ensure_tenant(connection: Connection, name: str) -> object:
    connection.execute(
        text("INSERT INTO tenants (tenant_id, name) VALUES (:id, :name) ON CONFLICT (name) DO NOTHING"),
        {"id": new_uuid(), "name": name},
    )
    return connection.execute(text("SELECT tenant_id FROM tenants WHERE name = :name"), {"name": name}).scalar_one()


def _ensure_principal(connection: Connection, tenant_id: object, name: str) -> object:
    connection.execute(
        text(
            "INSERT INTO principals (tenant_id, id, name) VALUES (:tenant, :id, :name) "
            "ON CONFLICT (tenant_id, name) DO NOTHING"
        ),
        {"tenant": tenant_id, "id": new_uuid(), "name": name},
    )
    return connection.execute(
        text("SELECT id FROM principals WHERE tenant_id = :tenant AND name = :name"),
        {"tenant": tenant_id, "name": name},
    ).scalar_one()


_LIST = """
SELECT k.prefix, t.name AS tenant, p.name AS principal, k.scopes, k.created_at, k.revoked_at
FROM api_keys k
JOIN tenants t ON t.tenant_id = k.tenant_id
JOIN principals p ON p.tenant_id = k.tenant_id AND p.id = k.principal_id
"""


def list_keys(owner_url: str) -> list[KeyInfo]:
    """Every key of the database, oldest first."""
    with owner_engine(owner_url).connect() as connection:
        return [_info(row) for row in connection.execute(text(_LIST + "ORDER BY k.created_at, k.prefix"))]


def revoke_key(owner_url: str, prefix: str) -> KeyInfo:
    """Revoke the key with this prefix. Running services notice within `memsvc.api.auth.CACHE_S` seconds."""
    with owner_engine(owner_url).begin() as connection:
        changed = connection.execute(
            text("UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE prefix = :prefix"),
            {"prefix": prefix},
        )
        if changed.rowcount == 0:
            raise NotFoundError(f"no key has the prefix {prefix}", remedy="`memsvc keys list` shows the prefixes.")
        return _info(connection.execute(text(_LIST + "WHERE k.prefix = :prefix"), {"prefix": prefix}).one())


def _info(row: Row[tuple[object, ...]]) -> KeyInfo:
    return KeyInfo(row.prefix, row.tenant, row.principal, tuple(row.scopes), row.created_at, row.revoked_at)

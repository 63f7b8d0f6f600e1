"""The schema in the package is the schema in the database."""

import pytest
from sqlalchemy import Connection, text

from memsvc.deployment import Deployment
from memsvc.errors import ConfigurationError
from memsvc.store.database import Database
from memsvc.store.migrate import check_schema, migrate, require_current


def test_tables_and_migrations_agree(deployment: Deployment) -> None:
    check_schema(deployment.owner_url)


def test_migrating_again_changes_nothing(deployment: Deployment, owner: Connection) -> None:
    before = require_current(owner)
    migrate(deployment.owner_url, application_role=deployment.app_role)
    assert require_current(owner) == before


async def test_a_role_that_escapes_row_level_security_is_refused(deployment: Deployment) -> None:
    database = Database(deployment.owner_url, pool_size=1)
    try:
        with pytest.raises(ConfigurationError, match="row-level security does not bind"):
            await database.check_role()
    finally:
        await database.close()


def test_the_application_cannot_change_the_schema_or_make_keys(deployment: Deployment, owner: Connection) -> None:
    rights = owner.execute(
        text(
            "SELECT has_schema_privilege(:role, 'public', 'CREATE'), has_table_privilege(:role, 'api_keys', 'INSERT'), "
            "has_table_privilege(:role, 'tenants', 'UPDATE'), has_table_privilege(:role, 'memories', 'TRUNCATE')"
        ),
        {"role": deployment.app_role},
    ).one()
    assert tuple(rights) == (False, False, False, False)


def test_a_foreign_keys_check_has_one_index_to_choose(deployment: Deployment, owner: Connection) -> None:
    """See `memsvc.store.tables`: with a second one on the tenant, an insert read every row of the tenant."""
    found = owner.execute(
        text(
            "SELECT i.indexrelid::regclass::text FROM pg_index i "
            "JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] "
            "WHERE a.attname = 'tenant_id' AND NOT i.indisprimary "
            "AND i.indrelid IN (SELECT confrelid FROM pg_constraint WHERE contype = 'f')"
        )
    )
    assert found.scalars().all() == []

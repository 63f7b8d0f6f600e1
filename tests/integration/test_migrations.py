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

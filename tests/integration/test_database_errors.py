"""What the database's errors say: which statement failed, and never with which values, for those are content."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from tests.integration.conftest import Service


async def test_an_error_of_the_database_holds_no_content(service: Service) -> None:
    database = service.services.database
    with pytest.raises(DBAPIError, match="nowhere") as caught:
        async with database.write(service.caller.tenant_id) as session:
            await session.connection.execute(text("SELECT :content FROM nowhere"), {"content": "plugh"})
    assert "plugh" not in str(caught.value)
    assert "plugh" not in repr(caught.value)

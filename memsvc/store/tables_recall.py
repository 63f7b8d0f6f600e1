"""The tables of recall: the recipes of spaces."""

from sqlalchemy import Column, ForeignKeyConstraint, Integer, PrimaryKeyConstraint, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from memsvc.store.tables import metadata, moment, uuid_column

recipes = Table(
    "recipes",
    metadata,
    uuid_column("tenant_id"),
    uuid_column("space_id"),
    Column("name", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("base", Text, nullable=False),
    Column("settings", JSONB, nullable=False, comment="what it sets otherwise than its base"),
    Column("description", Text, nullable=False),
    uuid_column("created_by"),
    moment("created_at", nullable=False),
    PrimaryKeyConstraint("tenant_id", "space_id", "name", "version"),
    ForeignKeyConstraint(["tenant_id", "space_id"], ["spaces.tenant_id", "spaces.id"], ondelete="CASCADE"),
)

"""The schema. `tenant_id` leads every primary and foreign key, so that it can be distributed by tenant later.

The MemCube header (after MemOS) stands as columns of `memories`; content lives in `memory_versions`, the units of
search in `chunks`, and the lexical index in `postings`.
"""

from collections.abc import Mapping, Sequence

from pgvector.sqlalchemy import VECTOR
from sqlalchemy import (
    ARRAY,
    REAL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

NAMING: Mapping[str, str] = {
    "pk": "pk_%(table_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
}
metadata = MetaData(naming_convention=dict(NAMING))

# pgvector's HNSW indexes need a fixed dimension. One partial index for each common one (`ix_chunks_ann_<dimension>`)
# stands from the first migration; it is empty, and costs an insert nothing, until a space is large enough to be
# marked `ann`.
ANN_DIMENSIONS: Sequence[int] = (256, 384, 512, 768, 1024, 1536, 2048, 3072)

# Only primary and foreign keys are led by the tenant. A foreign key's check is planned once for a connection, often
# while its table is almost empty and every index seems equally cheap; with a second index on the tenant Postgres took
# that one, and each insert then read all rows of the tenant.
STATES = ("generated", "activated", "merged", "archived", "expired", "frozen", "quarantined")


def _uuid(name: str, *, nullable: bool = False) -> Column[object]:
    return Column(name, Uuid, nullable=nullable)


def _moment(name: str, *, nullable: bool = True, now: bool = False) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable, server_default=func.now() if now else None)


def _one_of(column: str, values: Sequence[str]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


tenants = Table(
    "tenants",
    metadata,
    _uuid("tenant_id"),
    Column("name", Text, nullable=False, unique=True),
    _moment("created_at", nullable=False, now=True),
    PrimaryKeyConstraint("tenant_id"),
)

principals = Table(
    "principals",
    metadata,
    _uuid("tenant_id"),
    _uuid("id"),
    Column("name", Text, nullable=False),
    _moment("created_at", nullable=False, now=True),
    PrimaryKeyConstraint("tenant_id", "id"),
    ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], ondelete="CASCADE"),
    UniqueConstraint("name", "tenant_id"),
)

api_keys = Table(
    "api_keys",
    metadata,
    _uuid("tenant_id"),
    _uuid("id"),
    _uuid("principal_id"),
    Column("prefix", Text, nullable=False, unique=True),
    Column("secret_hash", Text, nullable=False),
    Column("scopes", ARRAY(Text), nullable=False),
    _moment("created_at", nullable=False, now=True),
    _moment("revoked_at"),
    PrimaryKeyConstraint("tenant_id", "id"),
    ForeignKeyConstraint(["tenant_id", "principal_id"], ["principals.tenant_id", "principals.id"], ondelete="CASCADE"),
)

encoders = Table(
    "encoders",
    metadata,
    Column("id", SmallInteger, Identity(), primary_key=True),
    Column("key", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("revision", Text, nullable=False),
    Column("dimension", SmallInteger, nullable=False),
    Column("pooling", Text, nullable=False),
    Column("query_prefix", Text, nullable=False),
    Column("document_prefix", Text, nullable=False),
    Column("file_hash", Text, nullable=False),
    Column("active", Boolean, nullable=False),
    _moment("created_at", nullable=False, now=True),
    Index("uq_encoders_active", "active", unique=True, postgresql_where=text("active")),
)

spaces = Table(
    "spaces",
    metadata,
    _uuid("tenant_id"),
    _uuid("id"),
    Column("name", Text, nullable=False),
    Column("next_memory", BigInteger, nullable=False, server_default="1"),
    Column("next_chunk", BigInteger, nullable=False, server_default="1"),
    Column("next_session", Integer, nullable=False, server_default="1"),
    Column("memories", BigInteger, nullable=False, server_default="0"),
    Column("chunks", BigInteger, nullable=False, server_default="0"),
    Column("terms", BigInteger, nullable=False, server_default="0", comment="sum of chunk lengths, for BM25"),
    Column("ann", Boolean, nullable=False, server_default="false", comment="searched through HNSW"),
    Column("policies", JSONB, nullable=False, server_default="{}"),
    _moment("created_at", nullable=False, now=True),
    PrimaryKeyConstraint("tenant_id", "id"),
    ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], ondelete="CASCADE"),
    UniqueConstraint("name", "tenant_id"),
)

sessions = Table(
    "sessions",
    metadata,
    _uuid("tenant_id"),
    _uuid("id"),
    _uuid("space_id"),
    Column("number", Integer, nullable=False),
    Column("name", Text, nullable=False),
    Column("next_position", Integer, nullable=False, server_default="0"),
    _moment("created_at", nullable=False, now=True),
    PrimaryKeyConstraint("tenant_id", "id"),
    ForeignKeyConstraint(["tenant_id", "space_id"], ["spaces.tenant_id", "spaces.id"], ondelete="CASCADE"),
    UniqueConstraint("space_id", "name", "tenant_id"),
)

memories = Table(
    "memories",
    metadata,
    _uuid("tenant_id"),
    _uuid("id"),
    _uuid("space_id"),
    Column("number", BigInteger, nullable=False, comment="order of recording inside the space"),
    Column("kind", Text, nullable=False),
    Column("payload_type", Text, nullable=False, server_default="plaintext"),
    Column("role", Text),
    Column("name", Text, comment="who spoke, or whom it is about"),
    _uuid("session_id", nullable=True),
    Column("session_number", Integer),
    Column("position", Integer),
    Column("origin", Text, nullable=False, server_default="user_input"),
    _uuid("principal_id"),
    _moment("occurred_at"),
    Column("occurred_zone", Text),
    _moment("valid_from"),
    _moment("valid_to"),
    _moment("recorded_at", nullable=False),
    _moment("updated_at", nullable=False),
    _moment("superseded_at"),
    Column("state", Text, nullable=False, server_default="generated"),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("importance", REAL, nullable=False, server_default="0.5"),
    Column("strength", REAL, nullable=False, server_default="1"),
    Column("access_count", Integer, nullable=False, server_default="0"),
    _moment("last_accessed_at"),
    Column("trust", REAL, nullable=False, server_default="0.5"),
    Column("sensitivity", Text, nullable=False, server_default="normal"),
    Column("visibility", Text, nullable=False, server_default="space"),
    _moment("expires_at"),
    Column("legal_hold", Boolean, nullable=False, server_default="false"),
    Column("content_hash", LargeBinary, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False, comment="what makes an exact duplicate"),
    Column("searchable", Boolean, nullable=False, comment="all its chunks are embedded"),
    Column("metadata", JSONB, nullable=False, server_default="{}"),
    PrimaryKeyConstraint("tenant_id", "id"),
    ForeignKeyConstraint(["tenant_id", "space_id"], ["spaces.tenant_id", "spaces.id"], ondelete="CASCADE"),
    ForeignKeyConstraint(["tenant_id", "session_id"], ["sessions.tenant_id", "sessions.id"]),
    _one_of("kind", ("turn", "fact", "summary", "preference", "procedure", "concept", "core", "document")),
    _one_of("payload_type", ("plaintext", "activation", "parametric")),
    _one_of("state", STATES),
    _one_of("visibility", ("private", "space", "tenant")),
    UniqueConstraint("space_id", "number", "tenant_id"),
    Index("ix_memories_fingerprint", "space_id", "fingerprint"),
    Index(
        "uq_memories_position",
        "session_id",
        "position",
        "tenant_id",
        unique=True,
        postgresql_where=text("session_id IS NOT NULL"),
    ),
    Index("ix_memories_pending", "space_id", "number", postgresql_where=text("NOT searchable")),
)

memory_versions = Table(
    "memory_versions",
    metadata,
    _uuid("tenant_id"),
    _uuid("memory_id"),
    Column("version", Integer, nullable=False),
    Column("content", Text, nullable=False),
    Column("content_hash", LargeBinary, nullable=False),
    _uuid("principal_id"),
    _moment("recorded_at", nullable=False),
    PrimaryKeyConstraint("tenant_id", "memory_id", "version"),
    ForeignKeyConstraint(["tenant_id", "memory_id"], ["memories.tenant_id", "memories.id"], ondelete="CASCADE"),
)

chunks = Table(
    "chunks",
    metadata,
    _uuid("tenant_id"),
    _uuid("space_id"),
    Column("number", BigInteger, nullable=False),
    _uuid("memory_id"),
    Column("memory_number", BigInteger, nullable=False, comment="its memory's number, so that scoring needs no join"),
    Column("ordinal", Integer, nullable=False),
    Column("start_char", Integer, nullable=False),
    Column("end_char", Integer, nullable=False),
    Column("length", SmallInteger, nullable=False, comment="terms, for BM25"),
    Column("encoder_id", SmallInteger),
    Column("dimension", SmallInteger),
    Column("ann", Boolean, nullable=False),
    Column("vec", VECTOR(), nullable=True),
    PrimaryKeyConstraint("tenant_id", "space_id", "number"),
    ForeignKeyConstraint(["tenant_id", "memory_id"], ["memories.tenant_id", "memories.id"], ondelete="CASCADE"),
    ForeignKeyConstraint(["encoder_id"], ["encoders.id"]),
    Index("ix_chunks_memory", "memory_id"),
)

postings = Table(
    "postings",
    metadata,
    _uuid("tenant_id"),
    _uuid("space_id"),
    Column("term", Text, nullable=False),
    Column("block", BigInteger, nullable=False, comment="first chunk of the write that made it"),
    Column("entries", LargeBinary, nullable=False, comment="(chunk u32, tf u16, length u16)*, little-endian"),
    PrimaryKeyConstraint("tenant_id", "space_id", "term", "block"),
    ForeignKeyConstraint(["tenant_id", "space_id"], ["spaces.tenant_id", "spaces.id"], ondelete="CASCADE"),
)

operations = Table(
    "operations",
    metadata,
    _uuid("tenant_id"),
    _uuid("id"),
    _uuid("space_id"),
    Column("kind", Text, nullable=False),
    _uuid("principal_id"),
    Column("reason", Text),
    _moment("recorded_at", nullable=False),
    _uuid("undone_by", nullable=True),
    PrimaryKeyConstraint("tenant_id", "id"),
    ForeignKeyConstraint(["tenant_id", "space_id"], ["spaces.tenant_id", "spaces.id"], ondelete="CASCADE"),
)

operation_changes = Table(
    "operation_changes",
    metadata,
    _uuid("tenant_id"),
    _uuid("operation_id"),
    _uuid("memory_id"),
    Column("before", JSONB, comment="header fields and version, never content"),
    Column("after", JSONB),
    PrimaryKeyConstraint("tenant_id", "operation_id", "memory_id"),
    ForeignKeyConstraint(["tenant_id", "operation_id"], ["operations.tenant_id", "operations.id"], ondelete="CASCADE"),
    Index("ix_operation_changes_memory", "memory_id"),
)

lineage = Table(
    "lineage",
    metadata,
    _uuid("tenant_id"),
    _uuid("derived_id"),
    _uuid("source_id"),
    _uuid("operation_id"),
    _moment("recorded_at", nullable=False, now=True),
    PrimaryKeyConstraint("tenant_id", "derived_id", "source_id"),
    ForeignKeyConstraint(["tenant_id", "derived_id"], ["memories.tenant_id", "memories.id"], ondelete="CASCADE"),
    ForeignKeyConstraint(["tenant_id", "source_id"], ["memories.tenant_id", "memories.id"], ondelete="CASCADE"),
    ForeignKeyConstraint(["tenant_id", "operation_id"], ["operations.tenant_id", "operations.id"]),
    Index("ix_lineage_source", "source_id"),
    CheckConstraint("derived_id <> source_id", name="acyclic"),
)

receipts = Table(
    "receipts",
    metadata,
    _uuid("tenant_id"),
    _uuid("id"),
    _uuid("space_id"),
    _uuid("principal_id"),
    Column("idempotency_key", Text),
    Column("request_hash", LargeBinary, nullable=False),
    Column("items", JSONB, nullable=False, comment="[id, created, version, chunks] in the order sent"),
    _moment("recorded_at", nullable=False),
    PrimaryKeyConstraint("tenant_id", "id"),
    ForeignKeyConstraint(["tenant_id", "space_id"], ["spaces.tenant_id", "spaces.id"], ondelete="CASCADE"),
    Index(
        "uq_receipts_idempotency",
        "tenant_id",
        "principal_id",
        "idempotency_key",
        unique=True,
        postgresql_where=text("idempotency_key IS NOT NULL"),
    ),
)

TENANT_TABLES: Sequence[str] = tuple(table.name for table in metadata.sorted_tables if "tenant_id" in table.c)

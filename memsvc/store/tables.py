"""The schema. `tenant_id` leads every primary and foreign key, so that it can be distributed by tenant later.

The MemCube header (after MemOS) stands as columns of `memories`, one row a memory in its current version; the versions
before it stand in `memory_history`, with the same columns and the time until which they were known (ADR 7). Content
lives in `contents`, the units of search in `chunks`, and the lexical index in `postings`.
"""

from collections.abc import Mapping, Sequence

from pgvector.sqlalchemy import VECTOR
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
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


def uuid_column(name: str, *, nullable: bool = False) -> Column[object]:
    return Column(name, Uuid, nullable=nullable)


def moment(name: str, *, nullable: bool = True, now: bool = False) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable, server_default=func.now() if now else None)


def one_of(column: str, values: Sequence[str]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


tenants = Table(
    "tenants",
    metadata,
    uuid_column("tenant_id"),
    Column("name", Text, nullable=False, unique=True),
    moment("created_at", nullable=False, now=True),
    PrimaryKeyConstraint("tenant_id"),
)

principals = Table(
    "principals",
    metadata,
    uuid_column("tenant_id"),
    uuid_column("id"),
    Column("name", Text, nullable=False),
    moment("created_at", nullable=False, now=True),
    PrimaryKeyConstraint("tenant_id", "id"),
    ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], ondelete="CASCADE"),
    UniqueConstraint("name", "tenant_id"),
)

api_keys = Table(
    "api_keys",
    metadata,
    uuid_column("tenant_id"),
    uuid_column("id"),
    uuid_column("principal_id"),
    Column("prefix", Text, nullable=False, unique=True),
    Column("secret_hash", Text, nullable=False),
    Column("scopes", ARRAY(Text), nullable=False),
    moment("created_at", nullable=False, now=True),
    moment("revoked_at"),
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
    moment("created_at", nullable=False, now=True),
    Index("uq_encoders_active", "active", unique=True, postgresql_where=text("active")),
)

spaces = Table(
    "spaces",
    metadata,
    uuid_column("tenant_id"),
    uuid_column("id"),
    Column("name", Text, nullable=False),
    Column("next_memory", BigInteger, nullable=False, server_default="1"),
    Column("next_chunk", BigInteger, nullable=False, server_default="1"),
    Column("next_session", Integer, nullable=False, server_default="1"),
    Column("next_operation", BigInteger, nullable=False, server_default="1", comment="the change feed's next place"),
    uuid_column("owner_id", nullable=True),
    Column("open", Boolean, nullable=False, server_default="true", comment="every principal of the tenant may use it"),
    Column(
        "followers", Integer, nullable=False, server_default="0", comment="its webhooks, and spaces subscribed to it"
    ),
    Column("memories", BigInteger, nullable=False, server_default="0"),
    Column("chunks", BigInteger, nullable=False, server_default="0"),
    Column("terms", BigInteger, nullable=False, server_default="0", comment="sum of chunk lengths, for BM25"),
    Column("ann", Boolean, nullable=False, server_default="false", comment="searched through HNSW"),
    Column("policies", JSONB, nullable=False, server_default="{}"),
    Column("tended_operation", BigInteger, nullable=False, server_default="0", comment="consolidated up to here"),
    Column(
        "tended_memory", BigInteger, nullable=False, server_default="0", comment="and in the next operation to here"
    ),
    moment("created_at", nullable=False, now=True),
    PrimaryKeyConstraint("tenant_id", "id"),
    ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], ondelete="CASCADE"),
    UniqueConstraint("name", "tenant_id"),
)

sessions = Table(
    "sessions",
    metadata,
    uuid_column("tenant_id"),
    uuid_column("id"),
    uuid_column("space_id"),
    Column("number", Integer, nullable=False),
    Column("name", Text, nullable=False),
    Column("next_position", Integer, nullable=False, server_default="0"),
    moment("created_at", nullable=False, now=True),
    PrimaryKeyConstraint("tenant_id", "id"),
    ForeignKeyConstraint(["tenant_id", "space_id"], ["spaces.tenant_id", "spaces.id"], ondelete="CASCADE"),
    UniqueConstraint("space_id", "name", "tenant_id"),
)


def _record_columns() -> list[Column[object]]:
    """A memory's header in one version: the columns of `memories` and of `memory_history`."""
    return [
        uuid_column("tenant_id"),
        uuid_column("id"),
        uuid_column("space_id"),
        Column("number", BigInteger, nullable=False, comment="order of recording inside the space"),
        Column("kind", Text, nullable=False),
        Column("payload_type", Text, nullable=False, server_default="plaintext"),
        Column("role", Text),
        Column("name", Text, comment="who spoke, or whom it is about"),
        uuid_column("session_id", nullable=True),
        Column("session_number", Integer),
        Column("position", Integer),
        Column("origin", Text, nullable=False, server_default="user_input"),
        uuid_column("principal_id"),
        moment("occurred_at"),
        Column("occurred_zone", Text),
        moment("valid_from"),
        Column("valid_from_precision", Text),
        moment("valid_to"),
        Column("valid_to_precision", Text),
        uuid_column("superseded_by", nullable=True),
        moment("recorded_at", nullable=False),
        moment("updated_at", nullable=False),
        uuid_column("operation_id"),
        Column("state", Text, nullable=False, server_default="generated"),
        Column("version", Integer, nullable=False, server_default="1"),
        Column("importance", Double, nullable=False, server_default="0.5"),
        Column("strength", Double, nullable=False, server_default="1"),
        Column("access_count", Integer, nullable=False, server_default="0"),
        moment("last_accessed_at"),
        Column("trust", Double, nullable=False, server_default="0.5"),
        Column("sensitivity", Text, nullable=False, server_default="normal"),
        Column("visibility", Text, nullable=False, server_default="space"),
        moment("expires_at"),
        moment("retained_until"),
        Column("legal_hold", Boolean, nullable=False, server_default="false"),
        Column("content_number", BigInteger, nullable=False, comment="which of its contents"),
        Column("key_of", BigInteger, comment="the content of another memory that it is a further key of"),
        Column("key_share", Double, comment="how far it may lift that one: 1 when it says all that that one says"),
        Column("content_hash", LargeBinary, nullable=False),
        Column("fingerprint", LargeBinary, nullable=False, comment="what makes an exact duplicate"),
        Column("searchable", Boolean, nullable=False, comment="all its chunks are embedded"),
        Column("metadata", JSONB, nullable=False, server_default="{}"),
    ]


memories = Table(
    "memories",
    metadata,
    *_record_columns(),
    PrimaryKeyConstraint("tenant_id", "id"),
    ForeignKeyConstraint(["tenant_id", "space_id"], ["spaces.tenant_id", "spaces.id"], ondelete="CASCADE"),
    ForeignKeyConstraint(["tenant_id", "session_id"], ["sessions.tenant_id", "sessions.id"]),
    one_of("kind", ("turn", "fact", "summary", "preference", "procedure", "concept", "core", "document")),
    one_of("payload_type", ("plaintext", "activation", "parametric")),
    one_of("state", STATES),
    one_of("visibility", ("private", "space", "tenant")),
    UniqueConstraint("space_id", "number", "tenant_id"),
    Index("ix_memories_fingerprint", "space_id", "fingerprint"),
    Index("ix_memories_operation", "operation_id", "tenant_id"),
    Index("ix_memories_core", "space_id", "name", postgresql_where=text("kind = 'core'")),
    Index("ix_memories_superseded", "superseded_by", postgresql_where=text("superseded_by IS NOT NULL")),
    Index("ix_memories_expiry", "space_id", "expires_at", postgresql_where=text("expires_at IS NOT NULL")),
    Index("ix_memories_occurred", "space_id", "occurred_at", postgresql_where=text("occurred_at IS NOT NULL")),
    Index("ix_memories_retention", "space_id", "retained_until", postgresql_where=text("retained_until IS NOT NULL")),
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

memory_history = Table(
    "memory_history",
    metadata,
    *_record_columns(),
    moment("known_to", nullable=False),
    PrimaryKeyConstraint("tenant_id", "id", "version"),
    ForeignKeyConstraint(["tenant_id", "id"], ["memories.tenant_id", "memories.id"], ondelete="CASCADE"),
    Index("ix_memory_history_known", "space_id", "known_to"),
    Index("ix_memory_history_operation", "operation_id", "tenant_id"),
)

contents = Table(
    "contents",
    metadata,
    uuid_column("tenant_id"),
    uuid_column("memory_id"),
    Column("number", BigInteger, nullable=False, comment="drawn from the same counter as a memory's number"),
    Column("content", Text, nullable=False, comment="empty when it is in a pack"),
    uuid_column("pack_id", nullable=True),
    PrimaryKeyConstraint("tenant_id", "memory_id", "number"),
    ForeignKeyConstraint(["tenant_id", "memory_id"], ["memories.tenant_id", "memories.id"], ondelete="CASCADE"),
    Index("ix_contents_pack", "pack_id", postgresql_where=text("pack_id IS NOT NULL")),
)

chunks = Table(
    "chunks",
    metadata,
    uuid_column("tenant_id"),
    uuid_column("space_id"),
    Column("number", BigInteger, nullable=False),
    uuid_column("memory_id"),
    Column(
        "content_number", BigInteger, nullable=False, comment="of the content it is cut from; scoring needs no join"
    ),
    Column("ordinal", Integer, nullable=False),
    Column("start_char", Integer, nullable=False),
    Column("end_char", Integer, nullable=False),
    Column("length", SmallInteger, nullable=False, comment="terms, for BM25"),
    Column("encoder_id", SmallInteger),
    Column("dimension", SmallInteger),
    Column("ann", Boolean, nullable=False),
    Column("vec", VECTOR(), nullable=True),
    Column("codes", LargeBinary, nullable=True, comment="of its tokens, for late interaction"),
    PrimaryKeyConstraint("tenant_id", "space_id", "number"),
    ForeignKeyConstraint(["tenant_id", "memory_id"], ["memories.tenant_id", "memories.id"], ondelete="CASCADE"),
    ForeignKeyConstraint(["encoder_id"], ["encoders.id"]),
    Index("ix_chunks_memory", "memory_id", "tenant_id"),
)

postings = Table(
    "postings",
    metadata,
    uuid_column("tenant_id"),
    uuid_column("space_id"),
    Column("term", Text, nullable=False),
    Column("block", BigInteger, nullable=False, comment="first chunk of the write that made it"),
    Column("entries", LargeBinary, nullable=False, comment="(chunk u32, tf u16, length u16)*, little-endian"),
    PrimaryKeyConstraint("tenant_id", "space_id", "term", "block"),
    ForeignKeyConstraint(["tenant_id", "space_id"], ["spaces.tenant_id", "spaces.id"], ondelete="CASCADE"),
)

operations = Table(
    "operations",
    metadata,
    uuid_column("tenant_id"),
    uuid_column("id"),
    uuid_column("space_id"),
    Column("number", BigInteger, nullable=False, comment="place in the space's change feed, in the order of commits"),
    Column("kind", Text, nullable=False),
    uuid_column("principal_id"),
    Column("reason", Text),
    Column("details", JSONB, nullable=False, server_default="{}", comment="counts and ids, never content"),
    moment("recorded_at", nullable=False),
    uuid_column("undoes", nullable=True),
    uuid_column("undone_by", nullable=True),
    PrimaryKeyConstraint("tenant_id", "id"),
    ForeignKeyConstraint(["tenant_id", "space_id"], ["spaces.tenant_id", "spaces.id"], ondelete="CASCADE"),
    UniqueConstraint("space_id", "number", "tenant_id"),
)

tombstones = Table(
    "tombstones",
    metadata,
    uuid_column("tenant_id"),
    uuid_column("operation_id"),
    uuid_column("memory_id"),
    Column("named", Boolean, nullable=False, comment="the erase named it; else it went with what it came from"),
    Column("readers", ARRAY(Uuid), comment="who alone could read it; NULL: everyone who may read the space"),
    PrimaryKeyConstraint("tenant_id", "operation_id", "memory_id"),
    ForeignKeyConstraint(["tenant_id", "operation_id"], ["operations.tenant_id", "operations.id"], ondelete="CASCADE"),
    Index("ix_tombstones_memory", "memory_id"),
)

lineage = Table(
    "lineage",
    metadata,
    uuid_column("tenant_id"),
    uuid_column("derived_id"),
    uuid_column("source_id"),
    Column("source_version", Integer, nullable=False),
    uuid_column("operation_id"),
    moment("recorded_at", nullable=False),
    PrimaryKeyConstraint("tenant_id", "derived_id", "source_id"),
    ForeignKeyConstraint(["tenant_id", "derived_id"], ["memories.tenant_id", "memories.id"], ondelete="CASCADE"),
    ForeignKeyConstraint(["tenant_id", "source_id"], ["memories.tenant_id", "memories.id"], ondelete="CASCADE"),
    Index("ix_lineage_source", "source_id"),
    Index("ix_lineage_operation", "operation_id"),
    CheckConstraint("derived_id <> source_id", name="acyclic"),
)

receipts = Table(
    "receipts",
    metadata,
    uuid_column("tenant_id"),
    uuid_column("id"),
    uuid_column("space_id"),
    uuid_column("principal_id"),
    Column("idempotency_key", Text),
    Column("request_hash", LargeBinary, nullable=False),
    Column("items", JSONB, nullable=False, comment="[id, created] in the order sent"),
    moment("recorded_at", nullable=False),
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

erasures = Table(
    "erasures",
    metadata,
    uuid_column("tenant_id"),
    uuid_column("id"),
    uuid_column("principal_id"),
    moment("recorded_at", nullable=False),
    Column("receipt", JSONB, nullable=False, comment="the signed document: counts and hashes of ids, never content"),
    PrimaryKeyConstraint("tenant_id", "id"),
    ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], ondelete="CASCADE"),
)

groups = Table(
    "groups",
    metadata,
    uuid_column("tenant_id"),
    uuid_column("id"),
    Column("name", Text, nullable=False),
    moment("created_at", nullable=False, now=True),
    PrimaryKeyConstraint("tenant_id", "id"),
    ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], ondelete="CASCADE"),
    UniqueConstraint("name", "tenant_id"),
)

group_members = Table(
    "group_members",
    metadata,
    uuid_column("tenant_id"),
    uuid_column("group_id"),
    uuid_column("principal_id"),
    PrimaryKeyConstraint("tenant_id", "group_id", "principal_id"),
    ForeignKeyConstraint(["tenant_id", "group_id"], ["groups.tenant_id", "groups.id"], ondelete="CASCADE"),
    ForeignKeyConstraint(["tenant_id", "principal_id"], ["principals.tenant_id", "principals.id"], ondelete="CASCADE"),
    Index("ix_group_members_principal", "principal_id"),
)

grants = Table(
    "grants",
    metadata,
    uuid_column("tenant_id"),
    uuid_column("id"),
    uuid_column("space_id"),
    uuid_column("memory_id", nullable=True),
    uuid_column("principal_id", nullable=True),
    uuid_column("group_id", nullable=True),
    Column("rights", ARRAY(Text), nullable=False),
    uuid_column("granted_by"),
    moment("created_at", nullable=False),
    PrimaryKeyConstraint("tenant_id", "id"),
    ForeignKeyConstraint(["tenant_id", "space_id"], ["spaces.tenant_id", "spaces.id"], ondelete="CASCADE"),
    ForeignKeyConstraint(["tenant_id", "memory_id"], ["memories.tenant_id", "memories.id"], ondelete="CASCADE"),
    ForeignKeyConstraint(["tenant_id", "principal_id"], ["principals.tenant_id", "principals.id"], ondelete="CASCADE"),
    ForeignKeyConstraint(["tenant_id", "group_id"], ["groups.tenant_id", "groups.id"], ondelete="CASCADE"),
    CheckConstraint("(principal_id IS NULL) <> (group_id IS NULL)", name="grantee"),
    CheckConstraint("rights <@ ARRAY['read', 'write', 'share', 'erase']", name="rights"),
    Index("ix_grants_space", "space_id"),
)

subscriptions = Table(
    "subscriptions",
    metadata,
    uuid_column("tenant_id"),
    uuid_column("id"),
    uuid_column("space_id"),
    uuid_column("source_id"),
    uuid_column("principal_id"),
    Column("filter", JSONB, nullable=False, comment="conditions as in recall's `filters`"),
    Column("include_copies", Boolean, nullable=False, comment="also what the source has from its own subscriptions"),
    Column("position", BigInteger, nullable=False, comment="the last operation of the source that was delivered"),
    Column("state", Text, nullable=False, server_default="active"),
    Column("reason", Text, comment="why it is suspended"),
    moment("created_at", nullable=False),
    PrimaryKeyConstraint("tenant_id", "id"),
    ForeignKeyConstraint(["tenant_id", "space_id"], ["spaces.tenant_id", "spaces.id"], ondelete="CASCADE"),
    ForeignKeyConstraint(["tenant_id", "source_id"], ["spaces.tenant_id", "spaces.id"], ondelete="CASCADE"),
    one_of("state", ("active", "suspended")),
    UniqueConstraint("space_id", "source_id", "tenant_id"),
    Index("ix_subscriptions_source", "source_id"),
)

webhooks = Table(
    "webhooks",
    metadata,
    uuid_column("tenant_id"),
    uuid_column("id"),
    uuid_column("space_id"),
    uuid_column("principal_id"),
    Column("url", Text, nullable=False),
    Column("secret", LargeBinary, nullable=False),
    Column("cursor", Text, nullable=False, comment="of the change feed: what lies before it was delivered"),
    Column("sending", Text, comment="where the message on its way ends, so that each try sends the same"),
    Column("state", Text, nullable=False, server_default="active"),
    Column("failures", Integer, nullable=False, server_default="0", comment="tries since the last success"),
    moment("failing_since"),
    moment("next_try_at"),
    Column("last_error", Text),
    moment("created_at", nullable=False),
    PrimaryKeyConstraint("tenant_id", "id"),
    ForeignKeyConstraint(["tenant_id", "space_id"], ["spaces.tenant_id", "spaces.id"], ondelete="CASCADE"),
    one_of("state", ("active", "paused")),
    Index("ix_webhooks_space", "space_id"),
)

snapshots = Table(
    "snapshots",
    metadata,
    uuid_column("tenant_id"),
    uuid_column("id"),
    uuid_column("space_id"),
    Column("name", Text, nullable=False),
    Column("position", BigInteger, nullable=False, comment="the last operation it holds"),
    uuid_column("principal_id"),
    moment("recorded_at", nullable=False),
    PrimaryKeyConstraint("tenant_id", "id"),
    ForeignKeyConstraint(["tenant_id", "space_id"], ["spaces.tenant_id", "spaces.id"], ondelete="CASCADE"),
    UniqueConstraint("space_id", "name", "tenant_id"),
)

blobs = Table(
    "blobs",
    metadata,
    uuid_column("tenant_id"),
    Column("hash", LargeBinary, nullable=False, comment="SHA-256 of the bytes"),
    Column("bytes", BigInteger, nullable=False),
    uuid_column("principal_id"),
    moment("created_at", nullable=False),
    PrimaryKeyConstraint("tenant_id", "hash"),
    ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], ondelete="CASCADE"),
)

tensors = Table(
    "tensors",
    metadata,
    uuid_column("tenant_id"),
    uuid_column("memory_id"),
    Column("blob_hash", LargeBinary, nullable=False),
    uuid_column("source_id", nullable=True),
    Column("source_version", Integer),
    Column("model", Text, nullable=False),
    Column("model_revision", Text, nullable=False),
    Column("tokenizer_hash", Text, nullable=False),
    Column("layers", Integer),
    Column("heads", Integer),
    Column("dtype", Text, nullable=False),
    Column("shape", ARRAY(Integer), nullable=False),
    Column("position_scheme", Text),
    Column("token_ids", ARRAY(Integer), comment="what an activation is the cache of, in order"),
    Column("tokens", Integer, nullable=False, server_default="0"),
    PrimaryKeyConstraint("tenant_id", "memory_id"),
    ForeignKeyConstraint(["tenant_id", "memory_id"], ["memories.tenant_id", "memories.id"], ondelete="CASCADE"),
    ForeignKeyConstraint(["tenant_id", "blob_hash"], ["blobs.tenant_id", "blobs.hash"]),
    Index("ix_tensors_blob", "blob_hash"),
    Index("ix_tensors_source", "source_id"),
)

tensor_prefixes = Table(
    "tensor_prefixes",
    metadata,
    uuid_column("tenant_id"),
    Column("hash", LargeBinary, nullable=False, comment="of the model and the first `tokens` token ids"),
    uuid_column("memory_id"),
    Column("tokens", Integer, nullable=False),
    PrimaryKeyConstraint("tenant_id", "hash", "memory_id"),
    ForeignKeyConstraint(["tenant_id", "memory_id"], ["memories.tenant_id", "memories.id"], ondelete="CASCADE"),
    Index("ix_tensor_prefixes_memory", "memory_id"),
)

"""The first schema: tenants, records, search, jobs; row-level security on every tenant table."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from pgvector.sqlalchemy import VECTOR
from procrastinate.schema import SchemaManager
from sqlalchemy.dialects.postgresql import JSONB

revision: str = "0001"
down_revision: str | None = None
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

TENANT_TABLES = (
    "tenants",
    "blobs",
    "erasures",
    "groups",
    "llm_usage",
    "principals",
    "spaces",
    "api_keys",
    "group_members",
    "operations",
    "packs",
    "postings",
    "receipts",
    "recipes",
    "scratches",
    "sessions",
    "snapshots",
    "subscriptions",
    "webhooks",
    "memories",
    "scratch_revisions",
    "tombstones",
    "chunks",
    "conflicts",
    "contents",
    "facts",
    "feedback",
    "grants",
    "lineage",
    "memory_history",
    "reinforcements",
    "tensor_prefixes",
    "tensors",
)
ANN_DIMENSIONS = (256, 384, 512, 768, 1024, 1536, 2048, 3072)

# An unset tenant reads as NULL and matches nothing. The sub-select is evaluated once a statement, not once a row.
CURRENT_TENANT = "(SELECT NULLIF(current_setting('memsvc.tenant_id', true), '')::uuid)"

# A request's tenant is not known before its key is found: the one look-up that crosses tenants runs with the owner's
# rights, takes the exact prefix and returns that one row.
FIND_KEY = """
CREATE FUNCTION memsvc_find_key(wanted text)
RETURNS TABLE (tenant_id uuid, tenant text, principal_id uuid, principal text, key_id uuid, secret_hash text,
               scopes text[])
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public
AS $$
    SELECT k.tenant_id, t.name, k.principal_id, p.name, k.id, k.secret_hash, k.scopes
    FROM api_keys k
    JOIN tenants t ON t.tenant_id = k.tenant_id
    JOIN principals p ON p.tenant_id = k.tenant_id AND p.id = k.principal_id
    WHERE k.prefix = wanted AND k.revoked_at IS NULL
$$
"""

# A sweep looks after every tenant; the function tells it where there is something to do, and nothing else.
DUE_SPACES = """
CREATE FUNCTION memsvc_due_spaces(moment timestamptz)
RETURNS TABLE (tenant_id uuid, space_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public
AS $$
    SELECT s.tenant_id, s.id FROM spaces s
    WHERE EXISTS (SELECT 1 FROM memories m WHERE m.space_id = s.id AND m.tenant_id = s.tenant_id
            AND m.expires_at IS NOT NULL AND m.expires_at <= moment
            AND (m.state <> 'expired' OR s.policies ? 'erase_expired_after_days'))
        OR EXISTS (SELECT 1 FROM memories m WHERE m.space_id = s.id AND m.tenant_id = s.tenant_id
            AND m.retained_until IS NOT NULL AND m.retained_until <= moment
            AND (m.state <> 'expired' OR s.policies ? 'erase_expired_after_days'))
        OR s.policies ? 'demote_activations_after_days'
    ORDER BY s.tenant_id, s.id
$$
"""

# Where something was written that consolidation has not read, and where a policy says what to forget.
UNTENDED_SPACES = """
CREATE FUNCTION memsvc_untended_spaces()
RETURNS TABLE (tenant_id uuid, space_id uuid, untended boolean, forgets boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public
AS $$
    SELECT s.tenant_id, s.id, s.tended_operation < s.next_operation - 1, s.policies ? 'forget' FROM spaces s
    WHERE s.tended_operation < s.next_operation - 1 OR s.policies ? 'forget'
    ORDER BY s.tenant_id, s.id
$$
"""


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS vector")
    create_tables()
    for dimension in ANN_DIMENSIONS:
        op.execute(
            f"CREATE INDEX ix_chunks_ann_{dimension} ON chunks USING hnsw ((vec::halfvec({dimension})) halfvec_ip_ops) "
            f"WHERE ann AND dimension = {dimension}"
        )
    # An exact scan reads whole rows: a vector stays in its row as long as it fits a page. Token codes do while they
    # are those of a turn; those of a longer text are kept aside, so that a scan does not read past them.
    op.execute("ALTER TABLE chunks ALTER COLUMN vec SET STORAGE MAIN, ALTER COLUMN codes SET STORAGE EXTERNAL")
    op.execute("ALTER TABLE chunks SET (toast_tuple_target = 3072)")
    for table in TENANT_TABLES:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        same_tenant = f"(tenant_id = {CURRENT_TENANT})"
        op.execute(f"CREATE POLICY tenant ON {table} USING {same_tenant} WITH CHECK {same_tenant}")
    op.execute(FIND_KEY)
    op.execute(DUE_SPACES)
    op.execute(UNTENDED_SPACES)
    op.get_bind().exec_driver_sql(SchemaManager.get_schema().replace("%", "%%"))


def downgrade() -> None:
    raise NotImplementedError("0001 is the first schema; drop the database instead")


def create_tables() -> None:
    op.create_table(
        "encoders",
        sa.Column("id", sa.SmallInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("revision", sa.Text(), nullable=False),
        sa.Column("dimension", sa.SmallInteger(), nullable=False),
        sa.Column("pooling", sa.Text(), nullable=False),
        sa.Column("query_prefix", sa.Text(), nullable=False),
        sa.Column("document_prefix", sa.Text(), nullable=False),
        sa.Column("file_hash", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_encoders")),
        sa.UniqueConstraint("key", name=op.f("uq_encoders_key")),
    )
    op.create_index("uq_encoders_active", "encoders", ["active"], unique=True, postgresql_where=sa.text("active"))
    op.create_table(
        "tenants",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_tenants")),
        sa.UniqueConstraint("name", name=op.f("uq_tenants_name")),
    )
    op.create_table(
        "blobs",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False, comment="SHA-256 of the bytes"),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("principal_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.tenant_id"], name=op.f("fk_blobs_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tenant_id", "hash", name=op.f("pk_blobs")),
    )
    op.create_table(
        "erasures",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("principal_id", sa.Uuid(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "receipt", JSONB(), nullable=False, comment="the signed document: counts and hashes of ids, never content"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.tenant_id"], name=op.f("fk_erasures_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_erasures")),
    )
    op.create_table(
        "groups",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.tenant_id"], name=op.f("fk_groups_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_groups")),
        sa.UniqueConstraint("name", "tenant_id", name=op.f("uq_groups_name_tenant_id")),
    )
    op.create_table(
        "llm_usage",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("calls", sa.Integer(), server_default="0", nullable=False),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.tenant_id"], name=op.f("fk_llm_usage_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tenant_id", "day", "purpose", "model", name=op.f("pk_llm_usage")),
    )
    op.create_table(
        "principals",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.tenant_id"], name=op.f("fk_principals_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_principals")),
        sa.UniqueConstraint("name", "tenant_id", name=op.f("uq_principals_name_tenant_id")),
    )
    op.create_table(
        "spaces",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("next_memory", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("next_chunk", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("next_session", sa.Integer(), server_default="1", nullable=False),
        sa.Column(
            "next_operation",
            sa.BigInteger(),
            server_default="1",
            nullable=False,
            comment="the change feed's next place",
        ),
        sa.Column("owner_id", sa.Uuid(), nullable=True),
        sa.Column(
            "open",
            sa.Boolean(),
            server_default="true",
            nullable=False,
            comment="every principal of the tenant may use it",
        ),
        sa.Column(
            "followers",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="its webhooks, and spaces subscribed to it",
        ),
        sa.Column("memories", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("chunks", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column(
            "terms", sa.BigInteger(), server_default="0", nullable=False, comment="sum of chunk lengths, for BM25"
        ),
        sa.Column("ann", sa.Boolean(), server_default="false", nullable=False, comment="searched through HNSW"),
        sa.Column("policies", JSONB(), server_default="{}", nullable=False),
        sa.Column(
            "tended_operation", sa.BigInteger(), server_default="0", nullable=False, comment="consolidated up to here"
        ),
        sa.Column(
            "tended_memory",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="and in the next operation to here",
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.tenant_id"], name=op.f("fk_spaces_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_spaces")),
        sa.UniqueConstraint("name", "tenant_id", name=op.f("uq_spaces_name_tenant_id")),
    )
    op.create_table(
        "api_keys",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("principal_id", sa.Uuid(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.Text(), nullable=False),
        sa.Column("scopes", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant_id", "principal_id"],
            ["principals.tenant_id", "principals.id"],
            name=op.f("fk_api_keys_tenant_id_principal_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("prefix", name=op.f("uq_api_keys_prefix")),
    )
    op.create_table(
        "group_members",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("group_id", sa.Uuid(), nullable=False),
        sa.Column("principal_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "group_id"],
            ["groups.tenant_id", "groups.id"],
            name=op.f("fk_group_members_tenant_id_group_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "principal_id"],
            ["principals.tenant_id", "principals.id"],
            name=op.f("fk_group_members_tenant_id_principal_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "group_id", "principal_id", name=op.f("pk_group_members")),
    )
    op.create_index("ix_group_members_principal", "group_members", ["principal_id"], unique=False)
    op.create_table(
        "operations",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("space_id", sa.Uuid(), nullable=False),
        sa.Column(
            "number",
            sa.BigInteger(),
            nullable=False,
            comment="place in the space's change feed, in the order of commits",
        ),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("principal_id", sa.Uuid(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("details", JSONB(), server_default="{}", nullable=False, comment="counts and ids, never content"),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("undoes", sa.Uuid(), nullable=True),
        sa.Column("undone_by", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant_id", "space_id"],
            ["spaces.tenant_id", "spaces.id"],
            name=op.f("fk_operations_tenant_id_space_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_operations")),
        sa.UniqueConstraint("space_id", "number", "tenant_id", name=op.f("uq_operations_space_id_number_tenant_id")),
    )
    op.create_table(
        "packs",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("space_id", sa.Uuid(), nullable=False),
        sa.Column("codec", sa.Text(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("raw_bytes", sa.BigInteger(), nullable=False),
        sa.Column("raw_hash", sa.LargeBinary(), nullable=False, comment="SHA-256 of what it unpacks to"),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "space_id"],
            ["spaces.tenant_id", "spaces.id"],
            name=op.f("fk_packs_tenant_id_space_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_packs")),
    )
    op.create_index("ix_packs_space", "packs", ["space_id"], unique=False)
    op.create_table(
        "postings",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("space_id", sa.Uuid(), nullable=False),
        sa.Column("term", sa.Text(), nullable=False),
        sa.Column("block", sa.BigInteger(), nullable=False, comment="first chunk of the write that made it"),
        sa.Column(
            "entries", sa.LargeBinary(), nullable=False, comment="(chunk u32, tf u16, length u16)*, little-endian"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "space_id"],
            ["spaces.tenant_id", "spaces.id"],
            name=op.f("fk_postings_tenant_id_space_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "space_id", "term", "block", name=op.f("pk_postings")),
    )
    op.create_table(
        "receipts",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("space_id", sa.Uuid(), nullable=False),
        sa.Column("principal_id", sa.Uuid(), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("items", JSONB(), nullable=False, comment="[id, created] in the order sent"),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "space_id"],
            ["spaces.tenant_id", "spaces.id"],
            name=op.f("fk_receipts_tenant_id_space_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_receipts")),
    )
    op.create_index(
        "uq_receipts_idempotency",
        "receipts",
        ["tenant_id", "principal_id", "idempotency_key"],
        unique=True,
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )
    op.create_table(
        "recipes",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("space_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("base", sa.Text(), nullable=False),
        sa.Column("settings", JSONB(), nullable=False, comment="what it sets otherwise than its base"),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "space_id"],
            ["spaces.tenant_id", "spaces.id"],
            name=op.f("fk_recipes_tenant_id_space_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "space_id", "name", "version", name=op.f("pk_recipes")),
    )
    op.create_table(
        "scratches",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("space_id", sa.Uuid(), nullable=False),
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("principal_id", sa.Uuid(), nullable=False),
        sa.Column("token_limit", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "space_id"],
            ["spaces.tenant_id", "spaces.id"],
            name=op.f("fk_scratches_tenant_id_space_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_scratches")),
        sa.UniqueConstraint("space_id", "session", "tenant_id", name=op.f("uq_scratches_space_id_session_tenant_id")),
    )
    op.create_table(
        "sessions",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("space_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("next_position", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "space_id"],
            ["spaces.tenant_id", "spaces.id"],
            name=op.f("fk_sessions_tenant_id_space_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_sessions")),
        sa.UniqueConstraint("space_id", "name", "tenant_id", name=op.f("uq_sessions_space_id_name_tenant_id")),
    )
    op.create_table(
        "snapshots",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("space_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False, comment="the last operation it holds"),
        sa.Column("principal_id", sa.Uuid(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "space_id"],
            ["spaces.tenant_id", "spaces.id"],
            name=op.f("fk_snapshots_tenant_id_space_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_snapshots")),
        sa.UniqueConstraint("space_id", "name", "tenant_id", name=op.f("uq_snapshots_space_id_name_tenant_id")),
    )
    op.create_table(
        "subscriptions",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("space_id", sa.Uuid(), nullable=False),
        sa.Column("source_id", sa.Uuid(), nullable=False),
        sa.Column("principal_id", sa.Uuid(), nullable=False),
        sa.Column("filter", JSONB(), nullable=False, comment="conditions as in recall's `filters`"),
        sa.Column(
            "include_copies",
            sa.Boolean(),
            nullable=False,
            comment="also what the source has from its own subscriptions",
        ),
        sa.Column(
            "position", sa.BigInteger(), nullable=False, comment="the last operation of the source that was delivered"
        ),
        sa.Column("state", sa.Text(), server_default="active", nullable=False),
        sa.Column("reason", sa.Text(), nullable=True, comment="why it is suspended"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("state IN ('active', 'suspended')", name=op.f("ck_subscriptions_state")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "source_id"],
            ["spaces.tenant_id", "spaces.id"],
            name=op.f("fk_subscriptions_tenant_id_source_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "space_id"],
            ["spaces.tenant_id", "spaces.id"],
            name=op.f("fk_subscriptions_tenant_id_space_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_subscriptions")),
        sa.UniqueConstraint(
            "space_id", "source_id", "tenant_id", name=op.f("uq_subscriptions_space_id_source_id_tenant_id")
        ),
    )
    op.create_index("ix_subscriptions_source", "subscriptions", ["source_id"], unique=False)
    op.create_table(
        "webhooks",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("space_id", sa.Uuid(), nullable=False),
        sa.Column("principal_id", sa.Uuid(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("cursor", sa.Text(), nullable=False, comment="of the change feed: what lies before it was delivered"),
        sa.Column(
            "sending",
            sa.Text(),
            nullable=True,
            comment="where the message on its way ends, so that each try sends the same",
        ),
        sa.Column("state", sa.Text(), server_default="active", nullable=False),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False, comment="tries since the last success"),
        sa.Column("failing_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_try_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("state IN ('active', 'paused')", name=op.f("ck_webhooks_state")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "space_id"],
            ["spaces.tenant_id", "spaces.id"],
            name=op.f("fk_webhooks_tenant_id_space_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_webhooks")),
    )
    op.create_index("ix_webhooks_space", "webhooks", ["space_id"], unique=False)
    op.create_table(
        "memories",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("space_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False, comment="order of recording inside the space"),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("payload_type", sa.Text(), server_default="plaintext", nullable=False),
        sa.Column("role", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True, comment="who spoke, or whom it is about"),
        sa.Column("session_id", sa.Uuid(), nullable=True),
        sa.Column("session_number", sa.Integer(), nullable=True),
        sa.Column("position", sa.Integer(), nullable=True),
        sa.Column("origin", sa.Text(), server_default="user_input", nullable=False),
        sa.Column("principal_id", sa.Uuid(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("occurred_zone", sa.Text(), nullable=True),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=True),
        sa.Column("valid_from_precision", sa.Text(), nullable=True),
        sa.Column("valid_to", sa.DateTime(timezone=True), nullable=True),
        sa.Column("valid_to_precision", sa.Text(), nullable=True),
        sa.Column("superseded_by", sa.Uuid(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("operation_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), server_default="generated", nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("importance", sa.Double(), server_default="0.5", nullable=False),
        sa.Column("strength", sa.Double(), server_default="1", nullable=False),
        sa.Column("access_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("last_accessed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("trust", sa.Double(), server_default="0.5", nullable=False),
        sa.Column("sensitivity", sa.Text(), server_default="normal", nullable=False),
        sa.Column("visibility", sa.Text(), server_default="space", nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("retained_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("legal_hold", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("content_number", sa.BigInteger(), nullable=False, comment="which of its contents"),
        sa.Column(
            "key_of",
            sa.BigInteger(),
            nullable=True,
            comment="the content of another memory that it is a further key of",
        ),
        sa.Column(
            "key_share",
            sa.Double(),
            nullable=True,
            comment="how far it may lift that one: 1 when it says all that that one says",
        ),
        sa.Column("content_hash", sa.LargeBinary(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False, comment="what makes an exact duplicate"),
        sa.Column("searchable", sa.Boolean(), nullable=False, comment="all its chunks are embedded"),
        sa.Column("metadata", JSONB(), server_default="{}", nullable=False),
        sa.CheckConstraint(
            "kind IN ('turn', 'fact', 'summary', 'preference', 'procedure', 'concept', 'core', 'document')",
            name=op.f("ck_memories_kind"),
        ),
        sa.CheckConstraint(
            "payload_type IN ('plaintext', 'activation', 'parametric')", name=op.f("ck_memories_payload_type")
        ),
        sa.CheckConstraint(
            "state IN ('generated', 'activated', 'merged', 'archived', 'expired', 'frozen', 'quarantined')",
            name=op.f("ck_memories_state"),
        ),
        sa.CheckConstraint("visibility IN ('private', 'space', 'tenant')", name=op.f("ck_memories_visibility")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "session_id"],
            ["sessions.tenant_id", "sessions.id"],
            name=op.f("fk_memories_tenant_id_session_id"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "space_id"],
            ["spaces.tenant_id", "spaces.id"],
            name=op.f("fk_memories_tenant_id_space_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_memories")),
        sa.UniqueConstraint("space_id", "number", "tenant_id", name=op.f("uq_memories_space_id_number_tenant_id")),
    )
    op.create_index(
        "ix_memories_core", "memories", ["space_id", "name"], unique=False, postgresql_where=sa.text("kind = 'core'")
    )
    op.create_index(
        "ix_memories_expiry",
        "memories",
        ["space_id", "expires_at"],
        unique=False,
        postgresql_where=sa.text("expires_at IS NOT NULL"),
    )
    op.create_index("ix_memories_fingerprint", "memories", ["space_id", "fingerprint"], unique=False)
    op.create_index(
        "ix_memories_occurred",
        "memories",
        ["space_id", "occurred_at"],
        unique=False,
        postgresql_where=sa.text("occurred_at IS NOT NULL"),
    )
    op.create_index("ix_memories_operation", "memories", ["operation_id", "tenant_id"], unique=False)
    op.create_index(
        "ix_memories_pending",
        "memories",
        ["space_id", "number"],
        unique=False,
        postgresql_where=sa.text("NOT searchable"),
    )
    op.create_index(
        "ix_memories_retention",
        "memories",
        ["space_id", "retained_until"],
        unique=False,
        postgresql_where=sa.text("retained_until IS NOT NULL"),
    )
    op.create_index(
        "ix_memories_superseded",
        "memories",
        ["superseded_by"],
        unique=False,
        postgresql_where=sa.text("superseded_by IS NOT NULL"),
    )
    op.create_index(
        "uq_memories_position",
        "memories",
        ["session_id", "position", "tenant_id"],
        unique=True,
        postgresql_where=sa.text("session_id IS NOT NULL"),
    )
    op.create_table(
        "scratch_revisions",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("scratch_id", sa.Uuid(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("details", JSONB(), server_default="{}", nullable=False),
        sa.Column("entries", JSONB(), nullable=False, comment="the whole state after it: its size is bounded"),
        sa.Column("tokens", sa.Integer(), nullable=False),
        sa.Column("principal_id", sa.Uuid(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("operation IN ('write', 'rewrite', 'prune')", name=op.f("ck_scratch_revisions_operation")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "scratch_id"],
            ["scratches.tenant_id", "scratches.id"],
            name=op.f("fk_scratch_revisions_tenant_id_scratch_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "scratch_id", "revision", name=op.f("pk_scratch_revisions")),
    )
    op.create_table(
        "tombstones",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("operation_id", sa.Uuid(), nullable=False),
        sa.Column("memory_id", sa.Uuid(), nullable=False),
        sa.Column(
            "named", sa.Boolean(), nullable=False, comment="the erase named it; else it went with what it came from"
        ),
        sa.Column(
            "readers",
            sa.ARRAY(sa.Uuid()),
            nullable=True,
            comment="who alone could read it; NULL: everyone who may read the space",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "operation_id"],
            ["operations.tenant_id", "operations.id"],
            name=op.f("fk_tombstones_tenant_id_operation_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "operation_id", "memory_id", name=op.f("pk_tombstones")),
    )
    op.create_index("ix_tombstones_memory", "tombstones", ["memory_id"], unique=False)
    op.create_table(
        "chunks",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("space_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("memory_id", sa.Uuid(), nullable=False),
        sa.Column(
            "content_number",
            sa.BigInteger(),
            nullable=False,
            comment="of the content it is cut from; scoring needs no join",
        ),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("start_char", sa.Integer(), nullable=False),
        sa.Column("end_char", sa.Integer(), nullable=False),
        sa.Column("length", sa.SmallInteger(), nullable=False, comment="terms, for BM25"),
        sa.Column("encoder_id", sa.SmallInteger(), nullable=True),
        sa.Column("dimension", sa.SmallInteger(), nullable=True),
        sa.Column("ann", sa.Boolean(), nullable=False),
        sa.Column("vec", VECTOR(), nullable=True),
        sa.Column("codes", sa.LargeBinary(), nullable=True, comment="of its tokens, for late interaction"),
        sa.ForeignKeyConstraint(["encoder_id"], ["encoders.id"], name=op.f("fk_chunks_encoder_id")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "memory_id"],
            ["memories.tenant_id", "memories.id"],
            name=op.f("fk_chunks_tenant_id_memory_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "space_id", "number", name=op.f("pk_chunks")),
    )
    op.create_index("ix_chunks_memory", "chunks", ["memory_id", "tenant_id"], unique=False)
    op.create_table(
        "conflicts",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("space_id", sa.Uuid(), nullable=False),
        sa.Column("first_id", sa.Uuid(), nullable=False),
        sa.Column("second_id", sa.Uuid(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False, comment="why it is not certain which holds; never content"),
        sa.Column("operation_id", sa.Uuid(), nullable=False),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column("resolution", sa.Text(), nullable=True),
        sa.Column("settled_by", sa.Uuid(), nullable=True),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('open', 'settled')", name=op.f("ck_conflicts_state")),
        sa.CheckConstraint("first_id <> second_id", name=op.f("ck_conflicts_two")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "first_id"],
            ["memories.tenant_id", "memories.id"],
            name=op.f("fk_conflicts_tenant_id_first_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "second_id"],
            ["memories.tenant_id", "memories.id"],
            name=op.f("fk_conflicts_tenant_id_second_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_conflicts")),
        sa.UniqueConstraint(
            "first_id", "second_id", "tenant_id", name=op.f("uq_conflicts_first_id_second_id_tenant_id")
        ),
    )
    op.create_index("ix_conflicts_second", "conflicts", ["second_id"], unique=False)
    op.create_index("ix_conflicts_space", "conflicts", ["space_id", "state"], unique=False)
    op.create_table(
        "contents",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("memory_id", sa.Uuid(), nullable=False),
        sa.Column(
            "number", sa.BigInteger(), nullable=False, comment="drawn from the same counter as a memory's number"
        ),
        sa.Column("content", sa.Text(), nullable=False, comment="empty when it is in a pack"),
        sa.Column("pack_id", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant_id", "memory_id"],
            ["memories.tenant_id", "memories.id"],
            name=op.f("fk_contents_tenant_id_memory_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "memory_id", "number", name=op.f("pk_contents")),
    )
    op.create_index(
        "ix_contents_pack", "contents", ["pack_id"], unique=False, postgresql_where=sa.text("pack_id IS NOT NULL")
    )
    op.create_table(
        "facts",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("memory_id", sa.Uuid(), nullable=False),
        sa.Column("space_id", sa.Uuid(), nullable=False),
        sa.Column("source_id", sa.Uuid(), nullable=False),
        sa.Column("start_char", sa.Integer(), nullable=False, comment="where in the source's content it was said"),
        sa.Column("end_char", sa.Integer(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False, comment="whom or what it is about, folded"),
        sa.Column(
            "attribute", sa.Text(), nullable=False, comment="what of the subject it tells, folded; empty: not known"
        ),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("negated", sa.Boolean(), nullable=False),
        sa.Column("confidence", sa.Double(), nullable=False),
        sa.Column("extractor", sa.Text(), nullable=False, comment="what made it, with its version"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "memory_id"],
            ["memories.tenant_id", "memories.id"],
            name=op.f("fk_facts_tenant_id_memory_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "source_id"],
            ["memories.tenant_id", "memories.id"],
            name=op.f("fk_facts_tenant_id_source_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "memory_id", name=op.f("pk_facts")),
    )
    op.create_index("ix_facts_attribute", "facts", ["space_id", "subject", "attribute"], unique=False)
    op.create_index("ix_facts_source", "facts", ["source_id"], unique=False)
    op.create_table(
        "feedback",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("space_id", sa.Uuid(), nullable=False),
        sa.Column("memory_id", sa.Uuid(), nullable=False),
        sa.Column("principal_id", sa.Uuid(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("episode", sa.Text(), nullable=True, comment="the caller's name for the task that was tried"),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "verdict IN ('used', 'helpful', 'wrong', 'success', 'failure')", name=op.f("ck_feedback_verdict")
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "memory_id"],
            ["memories.tenant_id", "memories.id"],
            name=op.f("fk_feedback_tenant_id_memory_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_feedback")),
    )
    op.create_index("ix_feedback_memory", "feedback", ["memory_id"], unique=False)
    op.create_index("ix_feedback_space", "feedback", ["space_id", "recorded_at"], unique=False)
    op.create_table(
        "grants",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("space_id", sa.Uuid(), nullable=False),
        sa.Column("memory_id", sa.Uuid(), nullable=True),
        sa.Column("principal_id", sa.Uuid(), nullable=True),
        sa.Column("group_id", sa.Uuid(), nullable=True),
        sa.Column("rights", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("granted_by", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("rights <@ ARRAY['read', 'write', 'share', 'erase']", name=op.f("ck_grants_rights")),
        sa.CheckConstraint("(principal_id IS NULL) <> (group_id IS NULL)", name=op.f("ck_grants_grantee")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "group_id"],
            ["groups.tenant_id", "groups.id"],
            name=op.f("fk_grants_tenant_id_group_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "memory_id"],
            ["memories.tenant_id", "memories.id"],
            name=op.f("fk_grants_tenant_id_memory_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "principal_id"],
            ["principals.tenant_id", "principals.id"],
            name=op.f("fk_grants_tenant_id_principal_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "space_id"],
            ["spaces.tenant_id", "spaces.id"],
            name=op.f("fk_grants_tenant_id_space_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_grants")),
    )
    op.create_index("ix_grants_space", "grants", ["space_id"], unique=False)
    op.create_table(
        "lineage",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("derived_id", sa.Uuid(), nullable=False),
        sa.Column("source_id", sa.Uuid(), nullable=False),
        sa.Column("source_version", sa.Integer(), nullable=False),
        sa.Column("operation_id", sa.Uuid(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("derived_id <> source_id", name=op.f("ck_lineage_acyclic")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "derived_id"],
            ["memories.tenant_id", "memories.id"],
            name=op.f("fk_lineage_tenant_id_derived_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "source_id"],
            ["memories.tenant_id", "memories.id"],
            name=op.f("fk_lineage_tenant_id_source_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "derived_id", "source_id", name=op.f("pk_lineage")),
    )
    op.create_index("ix_lineage_operation", "lineage", ["operation_id"], unique=False)
    op.create_index("ix_lineage_source", "lineage", ["source_id"], unique=False)
    op.create_table(
        "memory_history",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("space_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False, comment="order of recording inside the space"),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("payload_type", sa.Text(), server_default="plaintext", nullable=False),
        sa.Column("role", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True, comment="who spoke, or whom it is about"),
        sa.Column("session_id", sa.Uuid(), nullable=True),
        sa.Column("session_number", sa.Integer(), nullable=True),
        sa.Column("position", sa.Integer(), nullable=True),
        sa.Column("origin", sa.Text(), server_default="user_input", nullable=False),
        sa.Column("principal_id", sa.Uuid(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("occurred_zone", sa.Text(), nullable=True),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=True),
        sa.Column("valid_from_precision", sa.Text(), nullable=True),
        sa.Column("valid_to", sa.DateTime(timezone=True), nullable=True),
        sa.Column("valid_to_precision", sa.Text(), nullable=True),
        sa.Column("superseded_by", sa.Uuid(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("operation_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), server_default="generated", nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("importance", sa.Double(), server_default="0.5", nullable=False),
        sa.Column("strength", sa.Double(), server_default="1", nullable=False),
        sa.Column("access_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("last_accessed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("trust", sa.Double(), server_default="0.5", nullable=False),
        sa.Column("sensitivity", sa.Text(), server_default="normal", nullable=False),
        sa.Column("visibility", sa.Text(), server_default="space", nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("retained_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("legal_hold", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("content_number", sa.BigInteger(), nullable=False, comment="which of its contents"),
        sa.Column(
            "key_of",
            sa.BigInteger(),
            nullable=True,
            comment="the content of another memory that it is a further key of",
        ),
        sa.Column(
            "key_share",
            sa.Double(),
            nullable=True,
            comment="how far it may lift that one: 1 when it says all that that one says",
        ),
        sa.Column("content_hash", sa.LargeBinary(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False, comment="what makes an exact duplicate"),
        sa.Column("searchable", sa.Boolean(), nullable=False, comment="all its chunks are embedded"),
        sa.Column("metadata", JSONB(), server_default="{}", nullable=False),
        sa.Column("known_to", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "id"],
            ["memories.tenant_id", "memories.id"],
            name=op.f("fk_memory_history_tenant_id_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", "version", name=op.f("pk_memory_history")),
    )
    op.create_index("ix_memory_history_known", "memory_history", ["space_id", "known_to"], unique=False)
    op.create_index("ix_memory_history_operation", "memory_history", ["operation_id", "tenant_id"], unique=False)
    op.create_table(
        "reinforcements",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("memory_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("retention", sa.Double(), nullable=False, comment="R just before"),
        sa.Column("strength", sa.Double(), nullable=False, comment="just after"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "memory_id"],
            ["memories.tenant_id", "memories.id"],
            name=op.f("fk_reinforcements_tenant_id_memory_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "memory_id", "at", name=op.f("pk_reinforcements")),
    )
    op.create_table(
        "tensor_prefixes",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False, comment="of the model and the first `tokens` token ids"),
        sa.Column("memory_id", sa.Uuid(), nullable=False),
        sa.Column("tokens", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "memory_id"],
            ["memories.tenant_id", "memories.id"],
            name=op.f("fk_tensor_prefixes_tenant_id_memory_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "hash", "memory_id", name=op.f("pk_tensor_prefixes")),
    )
    op.create_index("ix_tensor_prefixes_memory", "tensor_prefixes", ["memory_id"], unique=False)
    op.create_table(
        "tensors",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("memory_id", sa.Uuid(), nullable=False),
        sa.Column("blob_hash", sa.LargeBinary(), nullable=False),
        sa.Column("source_id", sa.Uuid(), nullable=True),
        sa.Column("source_version", sa.Integer(), nullable=True),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("model_revision", sa.Text(), nullable=False),
        sa.Column("tokenizer_hash", sa.Text(), nullable=False),
        sa.Column("layers", sa.Integer(), nullable=True),
        sa.Column("heads", sa.Integer(), nullable=True),
        sa.Column("dtype", sa.Text(), nullable=False),
        sa.Column("shape", sa.ARRAY(sa.Integer()), nullable=False),
        sa.Column("position_scheme", sa.Text(), nullable=True),
        sa.Column(
            "token_ids", sa.ARRAY(sa.Integer()), nullable=True, comment="what an activation is the cache of, in order"
        ),
        sa.Column("tokens", sa.Integer(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "blob_hash"], ["blobs.tenant_id", "blobs.hash"], name=op.f("fk_tensors_tenant_id_blob_hash")
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "memory_id"],
            ["memories.tenant_id", "memories.id"],
            name=op.f("fk_tensors_tenant_id_memory_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "memory_id", name=op.f("pk_tensors")),
    )
    op.create_index("ix_tensors_blob", "tensors", ["blob_hash"], unique=False)
    op.create_index("ix_tensors_source", "tensors", ["source_id"], unique=False)

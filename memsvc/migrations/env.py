"""Alembic's environment: runs on the connection that `memsvc.store.migrate` hands over."""

from alembic import context

from memsvc.store.schema import metadata


def is_ours(name: str | None, _kind: str, _parents: object) -> bool:
    """procrastinate owns its tables; the HNSW expression indexes cannot be compared."""
    return not (name or "").startswith(("procrastinate_", "idx_procrastinate_", "ix_chunks_ann_", "alembic_"))


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    include_name=is_ours,
    compare_type=True,
    compare_server_default=False,
)
with context.begin_transaction():
    context.run_migrations()

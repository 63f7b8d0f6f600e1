"""The whole schema: every table, and which of them hold a tenant's rows."""

from collections.abc import Sequence

from memsvc.store import tables, tables_recall, tables_upkeep

# Each module of tables defines them in the one metadata when it is imported.
metadata = tables.metadata
MODULES = (tables, tables_upkeep, tables_recall)

TENANT_TABLES: Sequence[str] = tuple(table.name for table in metadata.sorted_tables if "tenant_id" in table.c)

"""How Alembic reaches the database: over the connection that its caller made and locked."""

from __future__ import annotations

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table_schema=context.config.attributes["schema"],
    target_metadata=None,
)
with context.begin_transaction():
    context.run_migrations()

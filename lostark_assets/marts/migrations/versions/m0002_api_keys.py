"""API keys, as hashes.

Revision ID: m0002

The table used to have a migration tree of its own: an older database already has it, and that tree's version
table, which is no longer read.
"""

from __future__ import annotations

from alembic import op

revision = "m0002"
down_revision = "m0001"

_DDL = """
CREATE SCHEMA IF NOT EXISTS access;
CREATE TABLE IF NOT EXISTS access.keys (
    name text PRIMARY KEY,
    key_sha256 bytea NOT NULL UNIQUE,
    scopes text[] NOT NULL,
    requests_per_minute integer NOT NULL CHECK (requests_per_minute > 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz,
    revoked_at timestamptz
);
DROP TABLE IF EXISTS access.alembic_version;
"""


def upgrade() -> None:
    """Create the table unless it exists."""
    op.execute(_DDL)


def downgrade() -> None:
    """Drop the schema."""
    op.execute("DROP SCHEMA access CASCADE")

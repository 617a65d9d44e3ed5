"""API keys.

Revision ID: a0001
"""

from __future__ import annotations

from alembic import op

revision = "a0001"
down_revision = None

_DDL = """
CREATE TABLE access.keys (
    name text PRIMARY KEY,
    key_sha256 bytea NOT NULL UNIQUE,
    scopes text[] NOT NULL,
    requests_per_minute integer NOT NULL CHECK (requests_per_minute > 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz,
    revoked_at timestamptz
);
"""


def upgrade() -> None:
    """Make the table."""
    op.execute(_DDL)


def downgrade() -> None:
    """Remove it."""
    op.execute("DROP TABLE access.keys")

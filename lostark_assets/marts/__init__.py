"""Publication of the lake to PostgreSQL, where API and pages read it."""

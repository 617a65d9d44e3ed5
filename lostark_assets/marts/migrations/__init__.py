"""Alembic's migrations of the marts. What they hold: ``lostark_assets.marts.tables``."""

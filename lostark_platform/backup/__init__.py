"""Backups: everything that can't be computed again, and what would take long to."""

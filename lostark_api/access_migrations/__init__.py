"""Migrations of the schema ``access``: keys of the API, as hashes."""

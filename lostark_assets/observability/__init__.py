"""Structured event logs: one JSON line per event, without secrets."""

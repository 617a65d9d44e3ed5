"""Queries of the marts, for routes and pages alike. Each takes a snapshot and returns plain rows."""

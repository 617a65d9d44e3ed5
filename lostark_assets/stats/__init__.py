"""From cleaned tables to DPS statistics."""

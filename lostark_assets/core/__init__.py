"""From raw logs to cleaned tables."""

"""What the platform does automatically: the decisions behind sensors and schedules."""

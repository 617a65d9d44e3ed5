"""What the platform does by itself: decisions (pure), sensors and schedules (wiring)."""

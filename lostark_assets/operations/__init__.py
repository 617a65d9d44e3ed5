"""What the platform remembers about its own work: collections, cursors, small facts."""

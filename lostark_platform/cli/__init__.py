"""The `lostark` command: `app` declares the commands, one module each does the work."""

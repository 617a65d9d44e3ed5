"""Mock HTTP server of the real sources: a growing season of synthetic fights, with injected faults."""

"""An HTTP server in place of the real sources: a growing season of made-up fights, with known faults."""

"""How the platform tells what it does: one JSON line a fact, without secrets."""

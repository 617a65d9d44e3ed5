"""The way out: every request to a service goes through here, within its budget, retried, and counted."""

"""HTTP client for all services: every request is rate limited, retried and counted."""

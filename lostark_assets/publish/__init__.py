"""Publishing what the lake knows to PostgreSQL, where the API and its pages read it."""

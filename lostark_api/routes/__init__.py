"""The routes under /v1, one module per subject."""

PREFIX = "/v1"

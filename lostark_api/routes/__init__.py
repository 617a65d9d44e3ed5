"""The routes under /v1, one module a subject. They translate HTTP to questions, nothing else."""

PREFIX = "/v1"

"""Prometheus metrics of every layer, read from the platform's stored state by a process of its own."""

"""The data lake: Delta tables, one per contract."""

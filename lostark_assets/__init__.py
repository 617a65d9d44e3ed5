"""Phase 1, DataOps: from battle logs to DPS statistics."""

"""Made-up battle logs with known truth: what is generated here is never read as real data."""

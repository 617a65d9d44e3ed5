"""Versions of the code that makes rows. Increasing one makes stored rows due again."""

from __future__ import annotations

CLEAN_VERSION = "3"
"""Increase it when cleaning gives different rows: materialising a day then cleans its logs again."""
STATS_VERSION = "1"
"""Increase it when a figure of one log changes: materialising a day then computes its logs again."""
MARTS_VERSION = "1"
"""Increase it when the same lake gives different rows: every day is then published again."""

COMPUTING, PUBLISHING = "statistics", "marts"
LATER_STEPS = {COMPUTING: STATS_VERSION, PUBLISHING: MARTS_VERSION}
"""Steps after cleaning that may refuse a log, and the version by which they do."""

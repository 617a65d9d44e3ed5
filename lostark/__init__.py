"""Reads the lake, and runs the platform's own cleaning and statistics on a data frame.

>>> import lostark
>>> lostark.read("stats_player_dps", days=("2026-11-01", "2026-11-30"))  # doctest: +SKIP
"""

from lostark.analysis import (
    Standardized,
    distribution,
    player_statistics,
    progression,
    standardize,
)
from lostark.reader import describe, read, scan, tables

__all__ = [
    "Standardized",
    "describe",
    "distribution",
    "player_statistics",
    "progression",
    "read",
    "scan",
    "standardize",
    "tables",
]

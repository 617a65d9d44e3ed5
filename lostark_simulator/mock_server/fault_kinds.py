"""The closed list of faults, and on which requests each can happen."""

from __future__ import annotations

from typing import Literal

FaultKind = Literal[
    "429",
    "500",
    "502",
    "503_html",
    "slow_body",
    "cut_body",
    "wrong_type",
    "malformed_json",
    "duplicated_page",
    "reordered_page",
    "clock_skew",
]
PAGE_KINDS: frozenset[FaultKind] = frozenset({"duplicated_page", "reordered_page"})

"""``lostark quarantine``: what cleaning refused, why, and what to do about it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pyarrow.compute as pc

from lostark_assets.contracts.reasons import REASONS
from lostark_assets.errors import WrongUsage
from lostark_assets.lake.tables import Lake
from lostark_platform.terminal import print_table

_SHOWN = (
    "log_id", "scope", "reason_code", "detail", "locator", "source", "source_log_id", "fight_date",
    "quarantined_at", "clean_version",
)  # fmt: skip


@dataclass
class Quarantine:
    """Number of entries by reason, and the newest entries."""

    by_reason: Counter[str] = field(default_factory=Counter)
    entries: list[dict[str, Any]] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """``--json``."""
        return {
            "total": self.by_reason.total(),
            "by_reason": dict(sorted(self.by_reason.items())),
            "entries": [entry | {"what_to_do": REASONS.get(entry["reason_code"])} for entry in self.entries],
        }


def check_reason(reason: str | None) -> None:
    """Raise :class:`WrongUsage` if ``reason`` is not in the closed list."""
    if reason is not None and reason not in REASONS:
        raise WrongUsage(f"{reason}: expected a reason code, one of {', '.join(REASONS)}.")


def read_quarantine(lake: Lake, reason: str | None = None, limit: int = 20) -> Quarantine:
    """Count the quarantine, optionally of one reason, and read its ``limit`` newest entries.

    Raises:
        WrongUsage: there is no such reason.
    """
    check_reason(reason)
    where = None if reason is None else pc.field("reason_code") == reason
    rows = lake.read("core_quarantine", columns=list(_SHOWN), where=where)
    newest = rows.sort_by([("quarantined_at", "descending"), ("log_id", "ascending")]).slice(0, limit)
    return Quarantine(Counter(rows["reason_code"].to_pylist()), newest.to_pylist())


def show_quarantine(quarantine: Quarantine) -> None:
    """Print counts, then the newest entries."""
    counts = [(reason, n, REASONS.get(reason)) for reason, n in quarantine.by_reason.most_common()]
    print_table(("reason", "entries", "what to do"), counts)
    columns = (
        "log_id",
        "scope",
        "reason_code",
        "detail",
        "locator",
        "source",
        "source_log_id",
        "quarantined_at",
    )
    if quarantine.entries:
        print_table(
            columns, [[entry[c] for c in columns] for entry in quarantine.entries], title="newest entries"
        )

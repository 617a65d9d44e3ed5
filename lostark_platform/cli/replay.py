"""``lostark replay``: clean quarantined logs again, after a fix of the code or of a limit.

Raw rows are unchanged; the rows of a replayed log replace its earlier ones, so nothing is duplicated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow.compute as pc

from lostark_assets.core.clean_meter import build_rules
from lostark_assets.core.pipeline import clean_days
from lostark_assets.errors import NotFound
from lostark_assets.lake.tables import Lake, open_lake
from lostark_assets.settings import Settings
from lostark_platform.cli.ingest import RunDone, command_run_id, run_days
from lostark_platform.cli.quarantine import check_reason
from lostark_platform.terminal import Say, print_table, progress


@dataclass
class Replay:
    """The result of a replay: released and still quarantined logs."""

    requested: set[str] = field(default_factory=set)
    released: Counter[str] = field(default_factory=Counter)
    still: Counter[str] = field(default_factory=Counter)
    logs_released: int = 0
    run: RunDone | None = None

    @property
    def is_done(self) -> bool:
        """Whether no log remains in quarantine, in whole or in part."""
        return not self.still and (self.run is None or self.run.success)

    def document(self) -> dict[str, Any]:
        """``--json``."""
        return {
            "logs": len(self.requested),
            "logs_released": self.logs_released,
            "released": dict(sorted(self.released.items())),
            "still_quarantined": dict(sorted(self.still.items())),
            "run": None if self.run is None else self.run.document(),
        }


def replay(settings: Settings, log_ids: Sequence[str], say: Say, *, reason: str | None = None) -> Replay:
    """Clean quarantined logs again: the given ones (an id prefix is enough), all, or all of one reason.

    Raises:
        NotFound: an id is not in quarantine, or the reason is unknown.
    """
    lake = open_lake(settings)
    before = _entries(lake)
    requested = _select_logs(before, log_ids, reason)
    result = Replay(requested)
    if not requested:
        say("nothing in quarantine to replay")
        return result
    at = datetime.now(UTC)
    with progress("cleaning again", len(requested)) as step:
        clean_days(
            lake,
            None,
            build_rules(settings),
            run_id=command_run_id("replay", at),
            batch_bytes=int(settings.batch_bytes),
            only=requested,
            force=True,
            progress=step,
        )
    in_core = lake.read(
        "core_encounters", columns=["fight_date"], where=pc.field("log_id").isin(sorted(requested))
    )
    if in_core.num_rows:
        result.run = RunDone()
        # It may refuse logs too.
        run_days(settings, set(in_core["fight_date"].to_pylist()), say, result.run)
    after = _entries(lake)
    gone = {log_id: before[log_id] for log_id in requested if log_id not in after}
    result.logs_released = len(gone)
    result.released = sum(gone.values(), Counter())
    result.still = sum((after[log_id] for log_id in requested if log_id in after), Counter())
    return result


def _entries(lake: Lake) -> dict[str, Counter[str]]:
    rows = lake.read("core_quarantine", columns=["log_id", "reason_code"])
    entries: dict[str, Counter[str]] = {}
    for log_id, code in zip(rows["log_id"].to_pylist(), rows["reason_code"].to_pylist(), strict=True):
        entries.setdefault(log_id, Counter())[code] += 1
    return entries


def _select_logs(entries: dict[str, Counter[str]], log_ids: Sequence[str], reason: str | None) -> set[str]:
    check_reason(reason)
    requested = {log_id for log_id, reasons in entries.items() if reason is None or reason in reasons}
    if not log_ids:
        return requested
    named = set()
    for wanted in log_ids:
        matches = [log_id for log_id in requested if wanted and log_id.startswith(wanted)]
        if len(matches) != 1:
            found = "none" if not matches else f"{len(matches)} of them"
            raise NotFound(
                f"{wanted}: expected the id of one quarantined log, found {found}. Nothing was replayed. "
                "See `lostark quarantine`."
            )
        named.update(matches)
    return named


def show_replay(result: Replay) -> None:
    """Print released and remaining entries by reason."""
    reasons = sorted(result.released.keys() | result.still.keys())
    rows = [(code, result.released[code], result.still[code]) for code in reasons]
    print_table(("reason", "released", "still quarantined"), rows)

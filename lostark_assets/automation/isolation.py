"""Computing and publishing fight days: a log that makes a step fail is refused alone.

It goes to quarantine with its error, and is due again when the version of cleaning or of the step changes.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from functools import partial

from lostark_assets.contracts.code_versions import COMPUTING, PUBLISHING
from lostark_assets.contracts.registry import CONTRACTS
from lostark_assets.core.pipeline import refuse_logs
from lostark_assets.lake.tables import Lake
from lostark_assets.marts.names import Names
from lostark_assets.marts.publish import Publication, RowsRefused, publish
from lostark_assets.marts.tables import DAY_TABLES
from lostark_assets.sources.protocol import compute_encounter_id
from lostark_assets.stats.engine import Engine
from lostark_assets.stats.pipeline import Progress, StatsRun, compute_days


def compute_or_refuse(
    lake: Lake, days: Iterable[date], engine: Engine, *, run_id: str, progress: Progress | None = None
) -> StatsRun:
    """Compute ``days``, as :func:`compute_days` does, without the logs that it fails for."""
    refuse = partial(refuse_logs, lake, step=COMPUTING, run_id=run_id)
    return compute_days(lake, days, engine, run_id=run_id, progress=progress, refuse=refuse)


def publish_or_refuse(
    lake: Lake, url: str, days: Iterable[date], names: Names, engine: Engine, *, run_id: str
) -> Publication | None:
    """Publish ``days`` without the logs that can't be; the statistics of their days are computed again."""
    days = set(days)
    while True:
        try:
            return publish(lake, url, days, names=names)
        except RowsRefused as error:
            _remove_scores(lake, days, set(map(compute_encounter_id, error.errors)))
            changed = refuse_logs(lake, error.errors, PUBLISHING, run_id=run_id)
            compute_or_refuse(lake, changed, engine, run_id=run_id)
            days |= changed


def _remove_scores(lake: Lake, days: set[date], encounter_ids: set[str]) -> None:
    """Remove the encounters' rows from the tables that are computed from the statistics by other jobs."""
    for contract in (CONTRACTS[name] for name in DAY_TABLES if CONTRACTS[name].layer == "ml"):
        where: dict[str, Iterable[object]] = {"fight_date": days, "encounter_id": encounter_ids}
        lake.replace_rows(contract, contract.empty(), where)

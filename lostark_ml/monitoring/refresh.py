"""Refresh of ``ml_dps_monitoring``: weekly metrics, checks of the champion, and its alerts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from lostark_assets.contracts.expectations import Finding, examine_or_raise
from lostark_assets.contracts.ml import ML_DPS_MONITORING, ML_EXPECTED_DPS
from lostark_assets.lake.tables import Lake
from lostark_assets.ledger import Ledger
from lostark_ml.model.training import WEEK
from lostark_ml.monitoring.weekly import (
    EvaluatedChampion,
    ModelProblem,
    build_findings,
    build_reports,
    find_problems,
    game_week,
    measure_weeks,
)
from lostark_ml.registry.model_registry import ModelRegistry

MEASURED_WEEKS = 4
"""Newest weeks that are recomputed; older ones no longer change."""
REFERENCE_WEEKS = 4


@dataclass(frozen=True)
class MonitoringRun:
    """Result of one monitoring run."""

    rows: pa.Table
    problems: list[ModelProblem]
    findings: list[Finding]


def refresh_monitoring(
    lake: Lake, registry: ModelRegistry, ledger: Ledger, now: datetime, *, newest_weeks: int = MEASURED_WEEKS
) -> MonitoringRun:
    """Recompute the newest weeks, check the champion on them, and report its problems as alerts.

    Older weeks keep their rows.
    """
    measured_from = _get_week(now) - (newest_weeks - 1) * WEEK
    read_from = measured_from - REFERENCE_WEEKS * WEEK - timedelta(days=1)
    before = lake.read(ML_DPS_MONITORING.name)
    is_first = before.num_rows == 0
    where = None if is_first else pc.field("fight_date") >= pa.scalar(read_from.date())
    expected = lake.read(ML_EXPECTED_DPS.name, where=where)
    weeks = sorted(game_week(expected["week_started_at"].to_pandas()).unique())
    due = [week for week in weeks if is_first or week >= measured_from]
    new = measure_weeks(expected, due)
    kept = before.filter(
        pc.less(before["week_started_at"], pa.scalar(measured_from, before["week_started_at"].type))
    )
    rows = new if is_first else pa.concat_tables([kept, new])
    findings = examine_or_raise(ML_DPS_MONITORING, rows)
    with lake.lock(ML_DPS_MONITORING.name):
        lake.replace_all(ML_DPS_MONITORING, rows)
    problems, of_champion = check_champion(registry, expected, due)
    for kind, reports in build_reports(problems).items():
        ledger.report(kind, reports)
    return MonitoringRun(rows, problems, [*findings, *build_findings(problems, of_champion)])


def check_champion(
    registry: ModelRegistry, expected: pa.Table, weeks: Sequence[datetime]
) -> tuple[list[ModelProblem], pa.Table]:
    """Problems of the active champion by its own predictions, and the metrics behind them."""
    champion = registry.champion()
    if champion is None:
        return [], ML_DPS_MONITORING.empty()
    table = measure_weeks(expected, weeks, model_version=champion.version)
    mape = registry.metrics(champion).get("mape")
    promised = None if mape is None else EvaluatedChampion(champion.version, mape)
    return find_problems(table, promised), table


def _get_week(moment: datetime) -> datetime:
    nearest = game_week(pd.Series([pd.Timestamp(moment).tz_convert("UTC")])).iloc[0].to_pydatetime()
    return nearest if nearest <= moment else nearest - WEEK

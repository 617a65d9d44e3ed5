"""Batch scoring of fight days into ``ml_expected_dps``, and its monitoring.

A day is scored with the champion that was active at its end, and not rescored when the champion changes;
days before the first champion are scored with the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from lostark_assets.contracts.expectations import Finding, examine_or_raise
from lostark_assets.contracts.ml import ML_DPS_MONITORING, ML_EXPECTED_DPS
from lostark_assets.contracts.stats import STATS_PLAYER_DPS
from lostark_assets.errors import PermanentError
from lostark_assets.lake.tables import Lake
from lostark_assets.ledger import Ledger
from lostark_ml.features.training_set import build_training_set
from lostark_ml.model.gap_parts import EXECUTION, KEY
from lostark_ml.model.training import WEEK, FittedModel
from lostark_ml.monitoring.weekly import (
    EvaluatedChampion,
    ModelProblem,
    build_findings,
    build_reports,
    find_problems,
    game_week,
    measure_weeks,
)
from lostark_ml.registry.aliases import AliasChange, find_champion, read_history
from lostark_ml.registry.model_registry import ModelRegistry
from lostark_ml.registry.names import CHAMPION
from lostark_ml.serving.score_rows import score_rows

EXPECTED, STATS = ML_EXPECTED_DPS.name, STATS_PLAYER_DPS.name
MEASURED_WEEKS = 4
"""Newest weeks that are recomputed; older ones no longer change."""
REFERENCE_WEEKS = 4


class NoChampion(PermanentError):
    """There is no active champion."""


@dataclass
class ScoringRun:
    """Result of one scoring run."""

    days: list[date]
    rows: int = 0
    refused: int = 0
    versions: dict[date, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


@dataclass(frozen=True)
class MonitoringRun:
    """Result of one monitoring run."""

    rows: pa.Table
    problems: list[ModelProblem]
    findings: list[Finding]


def find_champion_of_day(history: Sequence[AliasChange], day: date) -> int | None:
    """Version active at the end of that UTC day; before the first champion, the first."""
    end = datetime.combine(day, time.min, UTC) + timedelta(days=1)
    first = next((change for change in history if change.alias == CHAMPION), None)
    if first is not None and first.changed_at > end:
        return first.to_version
    return find_champion(history, end)


def score_days(lake: Lake, registry: ModelRegistry, days: Iterable[date], now: datetime) -> ScoringRun:
    """Expected DPS of all players of ``days``, in one batch for each champion.

    Raises:
        NoChampion: there is none yet; nothing was written.
        ContractViolated: a rule is broken; the days keep the rows that they had.
    """
    run = ScoringRun(sorted(set(days)))
    history = read_history(lake, registry.model_name)
    of_day = {day: find_champion_of_day(history, day) for day in run.days}
    if None in of_day.values() or not of_day:
        raise NoChampion(
            f"{registry.model_name}: expected a champion, found none. No fight was scored. Materialise "
            "ml_training_set to ml_dps_champion, or promote a version: `lostark model promote`."
        )
    versions = sorted({v for v in of_day.values() if v is not None})
    models: dict[int, FittedModel] = {version: registry.load(version) for version in versions}
    # Statistics that are committed while these are read would look older than the scores.
    with lake.lock("stats"):
        frame = build_training_set(lake, days=run.days).frame
        players = lake.read(STATS, columns=[*KEY, *EXECUTION], days=run.days).to_pandas()
        parts = []
        for version, model in models.items():
            mine = [day for day in run.days if of_day[day] == version]
            rows = frame[frame["fight_date"].isin(mine)]
            is_seen = (rows["fight_started_at"] < model.cutoff).to_numpy()
            parts.append(
                score_rows(
                    model, rows, players, model_version=version, is_seen_in_training=is_seen, scored_at=now
                )
            )
            run.versions |= dict.fromkeys(mine, version)
        table = pa.concat_tables(parts)
        run.findings = examine_or_raise(ML_EXPECTED_DPS, table)
        lake.replace_days(ML_EXPECTED_DPS, table, run.days)
    run.rows = table.num_rows
    run.refused = table.num_rows - table["refusal_reason"].null_count
    return run


def find_days_to_score(lake: Lake, days: Iterable[date] | None = None) -> dict[date, str]:
    """Fight days (of ``days``, where given) whose scores are older than their statistics.

    With each, what waits: the newest statistics' time, and how many players.
    """
    wanted = None if days is None else set(days)
    stats = lake.read(STATS, columns=["fight_date", "computed_at"], days=wanted)
    scored = lake.read(EXPECTED, columns=["fight_date", "scored_at"], days=wanted)
    newest = _by_day(stats, "computed_at", "max")
    oldest = _by_day(scored, "scored_at", "min")
    due = {}
    for day, (at, rows) in newest.items():
        before = oldest.get(day)
        if before is None or before[0] < at or before[1] != rows:
            due[day] = f"{rows} players, statistics of {at:%Y-%m-%d %H:%M:%S.%f}"
    return due


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
    expected = lake.read(EXPECTED, where=where)
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


def _by_day(table: pa.Table, column: str, how: str) -> dict[date, tuple[datetime, int]]:
    grouped = table.group_by("fight_date").aggregate([(column, how), (column, "count")])
    return dict(
        zip(
            grouped["fight_date"].to_pylist(),
            zip(grouped[f"{column}_{how}"].to_pylist(), grouped[f"{column}_count"].to_pylist(), strict=True),
            strict=True,
        )
    )

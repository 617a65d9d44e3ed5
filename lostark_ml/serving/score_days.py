"""Batch scoring of fight days into ``ml_expected_dps``.

A day is scored with the champion that was active at its end, and not rescored when the champion changes;
days before the first champion are scored with the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

import pyarrow as pa

from lostark_assets.contracts.expectations import Finding, examine_or_raise
from lostark_assets.contracts.ml import ML_EXPECTED_DPS
from lostark_assets.contracts.stats import STATS_PLAYER_DPS
from lostark_assets.errors import PermanentError
from lostark_assets.lake.tables import Lake
from lostark_ml.features.training_set import build_training_set
from lostark_ml.model.gap_parts import EXECUTION, KEY
from lostark_ml.model.training import FittedModel
from lostark_ml.registry.aliases import AliasChange, find_champion, read_history
from lostark_ml.registry.model_registry import ModelRegistry
from lostark_ml.registry.names import CHAMPION
from lostark_ml.serving.score_rows import score_rows

EXPECTED, STATS = ML_EXPECTED_DPS.name, STATS_PLAYER_DPS.name


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

    The values describe the pending statistics: number of players and time of the computation.
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


def _by_day(table: pa.Table, column: str, how: str) -> dict[date, tuple[datetime, int]]:
    grouped = table.group_by("fight_date").aggregate([(column, how), (column, "count")])
    return dict(
        zip(
            grouped["fight_date"].to_pylist(),
            zip(grouped[f"{column}_{how}"].to_pylist(), grouped[f"{column}_count"].to_pylist(), strict=True),
            strict=True,
        )
    )

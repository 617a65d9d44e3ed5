"""Inputs of the retraining decision, read from the lake and the registry."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import pyarrow.compute as pc

from lostark_assets.contracts.stats import STATS_PLAYER_DPS
from lostark_assets.lake.tables import Lake
from lostark_ml.features.training_set import find_exclusions
from lostark_ml.model.training import WEEK
from lostark_ml.monitoring.refresh import check_champion
from lostark_ml.monitoring.retraining import Attempt, Patch, RetrainingInputs
from lostark_ml.monitoring.weekly import ModelProblem, game_week
from lostark_ml.registry.lifecycle import FIGHTS_TAG, PROMOTE_TAG, UNTIL_TAG
from lostark_ml.registry.model_registry import ModelRegistry, ModelVersion
from lostark_ml.serving.score_days import EXPECTED

_EVENTS = "core_game_events"
_LOOKBACK = 6 * WEEK
_JUDGED = [
    "is_counted", "is_cleared", "raid_name", "gate_name", "difficulty", "class_name", "spec_name",
    "is_support", "is_dead", "dps",
]  # fmt: skip


def collect_retraining_inputs(
    lake: Lake,
    registry: ModelRegistry,
    now: datetime,
    *,
    input_digest: str,
    last: Attempt | None,
) -> RetrainingInputs:
    """The inputs of the decision; ``last`` is the newest attempt by Dagster's run records."""
    versions = registry.versions()
    newest = versions[0] if versions else None
    fights = read_population_fights(lake)
    trained = None if newest is None else int(newest.tags.get(FIGHTS_TAG, "0"))
    return RetrainingInputs(
        now=now,
        input=input_digest,
        fights=len(fights),
        new_fights=max(len(fights) - (trained or 0), 0),
        trained_fights=trained,
        problems=find_champion_problems(lake, registry, now),
        patches=find_patches_since(lake, newest, list(fights.values())),
        last=last,
    )


def read_population_fights(lake: Lake) -> dict[str, datetime]:
    """Fights that qualify for the training set, with their start times."""
    rows = lake.read(STATS_PLAYER_DPS.name, columns=["fight_id", "fight_started_at", *_JUDGED]).to_pandas()
    kept = rows[find_exclusions(rows).isna().to_numpy()]
    starts = kept.groupby("fight_id")["fight_started_at"].min()
    return dict(zip(starts.index, starts.dt.to_pydatetime(), strict=True))


def count_unpromoted(versions: Sequence[ModelVersion]) -> int:
    """How many of the newest versions in a row did not become champion."""
    count = 0
    for version in versions:
        if version.tags.get(PROMOTE_TAG) == "yes":
            break
        count += 1
    return count


def find_champion_problems(lake: Lake, registry: ModelRegistry, now: datetime) -> list[ModelProblem]:
    """Problems of the champion in the two newest weeks."""
    where = pc.field("fight_date") >= (now - _LOOKBACK).date()
    expected = lake.read(EXPECTED, where=where)
    if not expected.num_rows:
        return []
    weeks = sorted(game_week(expected["week_started_at"].to_pandas()).unique())[-2:]
    return check_champion(registry, expected, weeks)[0]


def find_patches_since(lake: Lake, newest: ModelVersion | None, starts: Sequence[datetime]) -> list[Patch]:
    """Named patches after the newest fight of the newest version, with the number of fights after each."""
    known_until = None if newest is None else newest.tags.get(UNTIL_TAG)
    if known_until is None:
        return []
    until = datetime.fromisoformat(known_until)
    rows = lake.read(
        _EVENTS,
        columns=["event_name", "title", "starts_at"],
        where=(pc.field("kind") == "patch") & (pc.field("starts_at") > until - timedelta(days=1)),
    ).to_pylist()
    return [
        Patch(row["event_name"] or row["title"], at, sum(start >= at for start in starts))
        for row in rows
        if (at := row["starts_at"]) is not None and at > until
    ]

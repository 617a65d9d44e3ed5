"""Dagster sensors of the ml layer: train, score new fight days, refresh play styles, record moved aliases.

A sensor collects the inputs, calls a pure decision function, and requests runs.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

import dagster as dg

from lostark_assets.automation.decisions import RequestMemory, plan_work
from lostark_assets.dagster.runs import days_in_progress, in_progress
from lostark_assets.dagster.ticks import (
    describe_plan,
    new_memory,
    read_cursor,
    request_days,
    tick_result,
    update_memory,
)
from lostark_assets.lake.tables import Lake
from lostark_assets.settings import Settings
from lostark_assets.sources.configured import open_landing
from lostark_ml.dagster.jobs import MONITOR_JOB, SCORE_JOB, STYLES_JOB, TRAIN_JOB
from lostark_ml.dagster.model_assets import HISTORY_ASSET, ML_VERSION
from lostark_ml.dagster.policies import build_retraining_policy
from lostark_ml.dagster.resources import ModelRegistries
from lostark_ml.monitoring.retraining import (
    Attempt,
    decide_retraining,
    find_pause_reason,
    find_retraining_reasons,
)
from lostark_ml.monitoring.retraining_inputs import collect_retraining_inputs, count_unpromoted
from lostark_ml.registry.aliases import find_champion, read_history, record_outside_changes
from lostark_ml.registry.lifecycle import PROMOTE_TAG
from lostark_ml.registry.model_registry import ModelRegistry
from lostark_ml.registry.names import DPS_MODEL, STYLE_MODEL
from lostark_ml.serving.score_days import EXPECTED, STATS, find_days_to_score
from lostark_ml.styles.refresh import are_styles_current

EVERY_S = 60
SCORE_EVERY_S = 5
SCORE_PAUSE_S = 60.0
"""Between two scorings, unless an upload was collected: loading the model costs more than scoring a fight."""
MONITOR_EVERY_S = 900.0
INPUTS_EVERY_S = 600.0
STYLES_EVERY_S = 86_400.0
INPUT_TAG = "lostark/input"
_SLACK = timedelta(minutes=15)
_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
Clock = Callable[[], float]


@dataclass(frozen=True)
class TrainCursor:
    """State of ``due_model``: version of the statistics, time of the last check and its message.

    ``has_model``: at that time some model had been trained.
    """

    version: int | None = None
    checked_at: float = 0.0
    message: str = ""
    requests: int = 0
    name: str = ""
    has_model: bool = False


@dataclass(frozen=True)
class ScoreCursor:
    """State of ``due_expected_dps`` between ticks. Times: epoch seconds."""

    memory: RequestMemory
    version: int | None = None
    checked_at: float = 0.0
    due: dict[str, str] = field(default_factory=dict)
    requested_at: float = 0.0


@dataclass(frozen=True)
class MonitorCursor:
    """Number of requests by ``due_monitoring``, the version of the scores and the time of the last one."""

    name: str
    requests: int = 0
    version: int | None = None
    requested_at: float = 0.0


@dataclass(frozen=True)
class StylesCursor:
    """Number of requests by ``due_player_clusters``, and the time of the last one (epoch seconds)."""

    name: str
    requests: int = 0
    requested_at: float = 0.0


@dataclass(frozen=True)
class AliasCursor:
    """The version of the history that was last reported to Dagster."""

    version: int | None = None


def build_ml_sensors(clock: Clock = time.time) -> list[dg.SensorDefinition]:
    """All sensors of phase 2, switched on by default; ``clock`` gives epoch seconds."""
    return [
        _due_model(clock),
        _due_expected_dps(clock),
        _due_monitoring(clock),
        _due_player_clusters(clock),
        _alias_moves(clock),
    ]


def _due_model(clock: Clock) -> dg.SensorDefinition:
    @dg.sensor(
        job_name=TRAIN_JOB,
        minimum_interval_seconds=EVERY_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Trains a model after enough new fights, a problem of the champion, or a patch.",
    )
    def due_model(
        context: dg.SensorEvaluationContext,
        lake: dg.ResourceParam[Lake],
        registries: dg.ResourceParam[ModelRegistries],
        settings: dg.ResourceParam[Settings],
    ) -> dg.SensorResult:
        now = clock()
        cursor = read_cursor(context.cursor, TrainCursor) or TrainCursor(name=new_memory().name)
        if in_progress(context.instance, TRAIN_JOB):
            return tick_result(context, replace(cursor, checked_at=0.0), "a model is being trained")
        is_recent = now - cursor.checked_at < INPUTS_EVERY_S
        # Only the first model is waited for: else every new fight would mean to read all statistics.
        if is_recent and (cursor.has_model or lake.is_at(STATS, cursor.version)):
            return tick_result(context, cursor, cursor.message)
        version = lake.version(STATS)
        if version is None:
            return tick_result(context, cursor, "no statistics yet")
        policy, at = build_retraining_policy(settings), datetime.fromtimestamp(now, UTC)
        with registries.open() as registry:
            inputs = collect_retraining_inputs(
                lake,
                registry,
                at,
                input_digest=f"statistics {version}, code {ML_VERSION}",
                last=_last_attempt(context.instance, registry),
            )
        has_model = inputs.trained_fights is not None
        cursor = replace(cursor, version=version, checked_at=now, has_model=has_model)
        trigger = decide_retraining(inputs, policy)
        if trigger is None:
            reasons = "; ".join(text for _, text in find_retraining_reasons(inputs, policy))
            why_not = find_pause_reason(inputs, policy)
            message = (
                f"{inputs.new_fights:,} new fights are no reason yet (expected {policy.new_fights:,})"
                if has_model
                else f"{inputs.fights:,} fights, the first model waits for {policy.first_fights:,}"
            )
            message = f"{why_not}; waiting: {reasons}" if reasons and why_not else why_not or message
            return tick_result(context, replace(cursor, message=message), message)
        request = dg.RunRequest(
            run_key=f"{cursor.name}-{cursor.requests}", tags={**trigger.tags(), INPUT_TAG: inputs.input}
        )
        requested = replace(cursor, message=trigger.why, requests=cursor.requests + 1)
        return tick_result(context, requested, trigger.why, [request])

    return due_model


def _last_attempt(instance: dg.DagsterInstance, registry: ModelRegistry) -> Attempt | None:
    """The newest finished training, started by the sensor or by hand."""
    records = instance.get_run_records(
        dg.RunsFilter(job_name=TRAIN_JOB, statuses=_ENDED), limit=10, order_by="update_timestamp"
    )
    if not records:
        return None
    newest, versions = records[0], registry.versions()
    tried = newest.dagster_run.tags.get(INPUT_TAG, "")
    has_failed = newest.dagster_run.status != dg.DagsterRunStatus.SUCCESS
    tries = 0
    for record in records:
        failed = record.dagster_run.status != dg.DagsterRunStatus.SUCCESS
        if record.dagster_run.tags.get(INPUT_TAG, "") != tried or not failed:
            break
        tries += 1
    promoted = bool(versions) and versions[0].tags.get(PROMOTE_TAG) == "yes"
    ended_at = newest.end_time or newest.update_timestamp.timestamp()
    return Attempt(
        ended_at=datetime.fromtimestamp(ended_at, UTC),
        input=tried,
        outcome="failed" if has_failed else "promoted" if promoted else "refused",
        # A run that failed may have registered its version before it did.
        unpromoted=max(count_unpromoted(versions), int(has_failed)),
        tries=max(tries, 1),
    )


def _due_expected_dps(clock: Clock) -> dg.SensorDefinition:
    @dg.sensor(
        job_name=SCORE_JOB,
        minimum_interval_seconds=SCORE_EVERY_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Scores exactly the fight days whose statistics are newer than their expectations: those "
        "of uploads at once, others at most once a minute.",
    )
    def due_expected_dps(
        context: dg.SensorEvaluationContext,
        lake: dg.ResourceParam[Lake],
        settings: dg.ResourceParam[Settings],
    ) -> dg.SensorResult:
        now = clock()
        before = read_cursor(context.cursor, ScoreCursor)
        cursor = before or ScoreCursor(new_memory())
        if find_champion(read_history(lake, DPS_MODEL)) is None:
            return tick_result(context, cursor, "no champion to score with yet")
        is_urgent = now - open_landing(settings).collected_at() < SCORE_PAUSE_S
        if now - cursor.requested_at < SCORE_PAUSE_S and not is_urgent:
            return tick_result(context, cursor, "fights were scored within the last minute")
        memory = cursor.memory
        moved = before is None or cursor.version is None or not lake.is_at(STATS, cursor.version)
        if not moved and not cursor.due and not memory.attempts:
            return tick_result(context, cursor, "no fight day is due for scoring")
        version = lake.version(STATS) if moved else cursor.version
        days = (
            _find_candidate_days(lake, cursor) if moved else {date.fromisoformat(day) for day in cursor.due}
        )
        days |= {date.fromisoformat(day) for day in memory.attempts}
        due = {day.isoformat(): waits for day, waits in find_days_to_score(lake, days).items()}
        memory = update_memory(context.instance, memory, due, now)
        choice = plan_work(memory, due, now, busy=days_in_progress(in_progress(context.instance, SCORE_JOB)))
        requests, memory = request_days(SCORE_JOB, choice, memory, due, now)
        checked_at, requested_at = (
            now if moved else cursor.checked_at,
            now if requests else cursor.requested_at,
        )
        cursor = ScoreCursor(memory, version, checked_at, due, requested_at)
        return tick_result(context, cursor, describe_plan(choice), requests)

    return due_expected_dps


def _find_candidate_days(lake: Lake, cursor: ScoreCursor) -> set[date]:
    """Days whose statistics were written since the last poll, and those still due; all days at first."""
    if cursor.version is None:
        return set(lake.days(STATS))
    since = datetime.fromtimestamp(cursor.checked_at, UTC) - _SLACK
    return lake.days_written(STATS, since) | {date.fromisoformat(day) for day in cursor.due}


def _due_monitoring(clock: Clock) -> dg.SensorDefinition:
    @dg.sensor(
        job_name=MONITOR_JOB,
        minimum_interval_seconds=EVERY_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Monitors the predictions after fights were scored, at most every 15 minutes.",
    )
    def due_monitoring(context: dg.SensorEvaluationContext, lake: dg.ResourceParam[Lake]) -> dg.SensorResult:
        now = clock()
        cursor = read_cursor(context.cursor, MonitorCursor) or MonitorCursor(new_memory().name)
        version = lake.version(EXPECTED)
        if version is None or version == cursor.version:
            return tick_result(context, cursor, "no fight was scored since the last monitoring")
        if now - cursor.requested_at < MONITOR_EVERY_S or in_progress(context.instance, MONITOR_JOB):
            return tick_result(context, cursor, "predictions were monitored within the last 15 minutes")
        request = dg.RunRequest(run_key=f"{cursor.name}-{cursor.requests}")
        requested = MonitorCursor(cursor.name, cursor.requests + 1, version, now)
        return tick_result(context, requested, "", [request])

    return due_monitoring


def _due_player_clusters(clock: Clock) -> dg.SensorDefinition:
    @dg.sensor(
        job_name=STYLES_JOB,
        minimum_interval_seconds=EVERY_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Refreshes play styles once a champion has scored, and at most once a day after that.",
    )
    def due_player_clusters(
        context: dg.SensorEvaluationContext, lake: dg.ResourceParam[Lake]
    ) -> dg.SensorResult:
        now = clock()
        cursor = read_cursor(context.cursor, StylesCursor) or StylesCursor(new_memory().name)
        if lake.version(EXPECTED) is None:
            return tick_result(context, cursor, "no fight is scored yet")
        if now - cursor.requested_at < STYLES_EVERY_S:
            return tick_result(context, cursor, "play styles were refreshed within the last day")
        if in_progress(context.instance, STYLES_JOB) or in_progress(context.instance, SCORE_JOB):
            return tick_result(context, cursor, "fights are being scored, or play styles refreshed")
        if are_styles_current(lake):
            return tick_result(context, cursor, "no fight was scored since play styles were refreshed")
        request = dg.RunRequest(run_key=f"{cursor.name}-{cursor.requests}")
        requested = replace(cursor, requests=cursor.requests + 1, requested_at=now)
        return tick_result(context, requested, "", [request])

    return due_player_clusters


def _alias_moves(clock: Clock) -> dg.SensorDefinition:
    @dg.sensor(
        minimum_interval_seconds=EVERY_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Records who moved an alias of a model, including moves made in the MLflow UI.",
        asset_selection=dg.AssetSelection.assets(HISTORY_ASSET),
    )
    def alias_moves(
        context: dg.SensorEvaluationContext,
        lake: dg.ResourceParam[Lake],
        registries: dg.ResourceParam[ModelRegistries],
    ) -> dg.SensorResult:
        now = datetime.fromtimestamp(clock(), UTC)
        cursor = read_cursor(context.cursor, AliasCursor) or AliasCursor()
        with registries.open() as registry:
            recorded = record_outside_changes(registry, lake, now)
            recorded += record_outside_changes(registry.for_model(STYLE_MODEL), lake, now)
        version = lake.version(HISTORY_ASSET)
        if version == cursor.version:
            return tick_result(context, cursor, "no alias has moved")
        rows = read_history(lake)
        newest = rows[-1]
        event = dg.AssetMaterialization(
            asset_key=HISTORY_ASSET,
            metadata={
                "dagster/row_count": len(rows),
                "newest": f"{newest.model_name}: {newest.alias} to version {newest.to_version} "
                f"({newest.action} by {newest.changed_by}): {newest.reason}",
                "newly recorded": len(recorded),
                "table version": -1 if version is None else version,
            },
        )
        result = tick_result(context, AliasCursor(version), newest.reason)
        return dg.SensorResult(skip_reason=result.skip_reason, cursor=result.cursor, asset_events=[event])

    return alias_moves

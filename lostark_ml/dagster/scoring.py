"""The job that scores fight days and publishes them, in one run.

Like the job ``ingest`` it takes any set of fight days and reports what the assets would have reported.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from typing import Any

import dagster as dg
from pydantic import Field

from lostark_assets.automation.requests import op_name
from lostark_assets.contracts.code_versions import MARTS_VERSION
from lostark_assets.dagster import pools
from lostark_assets.dagster.mart_assets import FIGHTS, publish_pending
from lostark_assets.dagster.results import asset_events, failed_checks
from lostark_assets.errors import ContractViolated
from lostark_assets.lake.tables import Lake
from lostark_assets.settings import Settings
from lostark_ml.dagster.checks import build_check_results, find_unscored_players
from lostark_ml.dagster.jobs import SCORE_JOB
from lostark_ml.dagster.model_assets import ML_VERSION, score_metadata
from lostark_ml.dagster.resources import ModelRegistries
from lostark_ml.serving.score_days import EXPECTED, score_days

_CODE_VERSIONS = {EXPECTED: ML_VERSION, FIGHTS: MARTS_VERSION}


class ScoreConfig(dg.Config):
    """The fight days to score, ISO dates."""

    days: list[str] = Field(min_length=1)


@dg.op(
    name=op_name(SCORE_JOB),
    description="Score the players of fight days with the champion, and publish them.",
    pool=pools.SCORES,
)
def score_op(
    context: dg.OpExecutionContext,
    config: ScoreConfig,
    lake: dg.ResourceParam[Lake],
    registries: dg.ResourceParam[ModelRegistries],
    settings: dg.ResourceParam[Settings],
) -> Iterator[Any]:
    """One run of the job."""
    days = sorted({date.fromisoformat(day) for day in config.days})

    def events(results: Iterable[Any], of_days: Iterable[date] = ()) -> Iterator[Any]:
        return asset_events(results, [day.isoformat() for day in of_days], _CODE_VERSIONS)

    try:
        with registries.open() as registry:
            run = score_days(lake, registry, days, datetime.now(UTC))
    except ContractViolated as error:
        yield from events(build_check_results(EXPECTED, error.findings[EXPECTED], lake, None))
        raise dg.Failure(str(error), allow_retries=False) from error
    yield from events(
        [dg.MaterializeResult(asset_key=EXPECTED, metadata=score_metadata(lake, run))], run.days
    )
    findings = [*run.findings, find_unscored_players(lake, days)]
    checked = list(events(build_check_results(EXPECTED, findings, lake, None)))
    yield from checked
    _raise_if_failed(checked)
    published, results = publish_pending(lake, settings, days, context.run_id)
    done = list(events(results, published))
    yield from done
    _raise_if_failed(done)
    yield dg.Output(None, metadata={"players scored": run.rows, "fight days published": len(published)})


def _raise_if_failed(checked: list[Any]) -> None:
    if failed := failed_checks(checked):
        raise dg.Failure("; ".join(failed), allow_retries=False)


@dg.job(name=SCORE_JOB, description="Score the players of fight days, and publish their expected DPS.")
def score_job() -> None:
    """The job ``score_days``."""
    score_op()

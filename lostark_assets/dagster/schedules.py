"""Scheduled jobs: profiles and news of the Open API, which can't be polled for changes, and the upkeep."""

import dagster as dg

from lostark_assets.dagster.jobs import GAME_NEWS_JOB, PROFILES_JOB, UPKEEP_JOB
from lostark_assets.dagster.runs import in_progress
from lostark_assets.settings import Settings

PROFILES_CRON = "*/10 * * * *"
GAME_NEWS_CRON = "*/15 * * * *"
UPKEEP_CRON = "20 4 * * *"


def automation_schedules(settings: Settings) -> list[dg.ScheduleDefinition]:
    """All schedules, switched on by default; those of the Open API only with a key."""
    upkeep = _unless_running(
        "upkeep_of_the_lake", UPKEEP_JOB, UPKEEP_CRON, "Compacts small files of the lake."
    )
    if not settings.open_api_keys:
        return [upkeep]
    return [
        upkeep,
        _unless_running(
            "profiles_of_players",
            PROFILES_JOB,
            PROFILES_CRON,
            "Fetches Open API profiles of players of recent fights.",
        ),
        _unless_running("news_of_the_game", GAME_NEWS_JOB, GAME_NEWS_CRON, "Fetches the news of the game."),
    ]


def _unless_running(name: str, job: str, cron: str, description: str) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=name,
        job_name=job,
        cron_schedule=cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=description,
    )
    def schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if in_progress(context.instance, job):
            return dg.SkipReason("the previous run has not ended yet")
        return dg.RunRequest()

    return schedule

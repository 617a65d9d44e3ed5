"""State of the platform: freshness, refused rows, the model and its accuracy."""

from __future__ import annotations

from typing import Any

from lostark_api.database import MartsSnapshot, Row
from lostark_ml.registry.names import DPS_MODEL

MAX_DAYS = 60


async def read_quality(snapshot: MartsSnapshot) -> dict[str, Any]:
    """Freshness, rows passed and refused in total and by day, and the reasons."""
    total = await snapshot.fetch_one(
        """
        SELECT coalesce(sum(logs_passed), 0)::bigint AS logs_passed,
               coalesce(sum(logs_refused), 0)::bigint AS logs_refused,
               coalesce(sum(player_rows_passed), 0)::bigint AS player_rows_passed,
               coalesce(sum(player_rows_refused), 0)::bigint AS player_rows_refused,
               sum(logs_passed)::float8 / nullif(sum(logs_passed + logs_refused), 0)::float8
                   AS logs_passed_share,
               max(newest_fight_at) AS newest_fight_at, max(newest_fetch_at) AS newest_fetch_at
        FROM marts.day_quality
        """
    )
    reasons = await snapshot.fetch_all(
        """
        SELECT scope, reason_code, sum(row_count)::bigint AS row_count, max(fight_date) AS newest_day
        FROM marts.day_quarantine GROUP BY scope, reason_code ORDER BY row_count DESC, reason_code, scope
        """
    )
    days = await snapshot.fetch_all(
        "SELECT * FROM marts.day_quality ORDER BY fight_date DESC LIMIT %(limit)s", {"limit": MAX_DAYS}
    )
    return {
        "publish_version": snapshot.version,
        "published_at": snapshot.published_at,
        **(total or {}),
        "reasons": reasons,
        "days": days,
    }


async def read_freshness(snapshot: MartsSnapshot) -> dict[str, Any]:
    """The publish that is served, and its newest fight."""
    newest = await snapshot.fetch_one("SELECT max(newest_fight_at) AS at FROM marts.day_quality")
    return {
        "publish_version": snapshot.version,
        "published_at": snapshot.published_at,
        "newest_fight_at": newest["at"] if newest else None,
    }


async def read_model(snapshot: MartsSnapshot) -> dict[str, Any]:
    """The champion, its history, the newest evaluation, and its weekly monitoring."""
    # The table holds the history of all registered models.
    changes = await snapshot.fetch_all(
        """
        SELECT * FROM marts.champion_history WHERE model_name = %(model)s
        ORDER BY changed_at DESC, alias LIMIT 500
        """,
        {"model": DPS_MODEL},
    )
    champion = next((row["to_version"] for row in changes if row["alias"] == "champion"), None)
    evaluation = await snapshot.fetch_all(
        """
        SELECT * FROM marts.model_evaluation
        WHERE run_id = (SELECT run_id FROM marts.model_evaluation ORDER BY evaluated_at DESC, run_id LIMIT 1)
        ORDER BY slice = 'overall' DESC, slice, value, predictor LIMIT 2000
        """
    )
    monitoring = await snapshot.fetch_all(
        """
        SELECT * FROM marts.model_monitoring
        ORDER BY week_started_at DESC, slice = 'overall' DESC, slice, value LIMIT 2000
        """
    )
    return {
        "champion_version": champion,
        "history": changes,
        "evaluation": evaluation,
        "monitoring": monitoring,
    }


async def list_publications(snapshot: MartsSnapshot, limit: int = 50) -> list[Row]:
    """The newest publishes."""
    return await snapshot.fetch_all(
        """
        SELECT version, published_at, cardinality(days) AS day_count, days[1] AS first_day,
               days[cardinality(days)] AS last_day, tables, row_counts
        FROM marts.publications ORDER BY version DESC LIMIT %(limit)s
        """,
        {"limit": limit},
    )

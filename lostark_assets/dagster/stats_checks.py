"""Asset checks of the statistics layer: their specs, and the contracts over stored rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from lostark_assets.contracts.expectations import Finding, examine
from lostark_assets.contracts.registry import CONTRACTS
from lostark_assets.dagster.specs import check_results, check_specs
from lostark_assets.lake.tables import Lake

EVERY_PLAYER_HAS_STATISTICS = "stats_player_rows_equal_core_player_rows"
CROSS_RULES = {EVERY_PLAYER_HAS_STATISTICS: ("stats_player_dps", "error")}


def daily_check_specs() -> list[dg.AssetCheckSpec]:
    """Checks of the tables by fight day."""
    return check_specs(("stats_player_dps", "stats_dps_timeline"), CROSS_RULES)


def examine_days(lake: Lake, days: Iterable[date]) -> dict[str, list[Finding]]:
    """Findings over the stored rows of ``days``."""
    days = list(days)
    found = {
        "stats_player_dps": examine(CONTRACTS["stats_player_dps"], lake.read("stats_player_dps", days=days))
    }
    found["stats_player_dps"].append(same_players(lake, days))
    found["stats_dps_timeline"] = examine(CONTRACTS["stats_dps_timeline"], _narrow_timeline(lake, days))
    return found


def same_players(
    lake: Lake,
    days: Sequence[date],
    tables: tuple[str, str] = ("core_players", "stats_player_dps"),
    rule: str = EVERY_PLAYER_HAS_STATISTICS,
) -> Finding:
    """Whether every player of the first table has a row in the second, and no other."""
    sides = []
    for name in tables:
        rows = lake.read(name, columns=["encounter_id", "player_name"], days=days)
        sides.append(set(zip(rows["encounter_id"].to_pylist(), rows["player_name"].to_pylist(), strict=True)))
    off = sorted(sides[0] ^ sides[1])
    worst = [{"encounter_id": e, "player_name": p} for e, p in off[:5]]
    return Finding(rule, "error", len(sides[0]), len(off), worst)


def _narrow_timeline(lake: Lake, days: Sequence[date]) -> pa.Table:
    """The timeline's figures: its rules are judged by extremes, its ids are not null by construction."""
    columns = ["fight_date", "second", "damage", "rolling_10s_dps", "cumulative_damage"]
    return lake.read("stats_dps_timeline", columns=columns, days=days)


def table_check_specs(name: str) -> list[dg.AssetCheckSpec]:
    """Checks of a table that is computed as a whole."""
    return check_specs((name,))


def stats_check_results(
    findings: Mapping[str, Sequence[Finding]], lake: Lake, wanted: set[Any] | None
) -> Iterator[dg.AssetCheckResult]:
    """Findings as Dagster shows them."""
    return check_results(findings, lake, CROSS_RULES, wanted)


def has_rows(table: pa.Table) -> bool:
    """Whether there is anything to draw."""
    return bool(table.num_rows) and pc.any(pc.is_valid(table.column(0))).as_py()

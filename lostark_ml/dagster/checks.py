"""Asset checks of the ml layer: their specs, and findings as check results."""

import math
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

import dagster as dg

from lostark_assets.contracts.expectations import Finding
from lostark_assets.dagster.specs import check_results, check_specs
from lostark_assets.dagster.stats_checks import same_players
from lostark_assets.lake.tables import Lake
from lostark_ml.model.leakage import MAX_ID_GAIN, MAX_SHUFFLED_R2
from lostark_ml.monitoring.weekly import RULES
from lostark_ml.registry.lifecycle import BASELINE_PREFIX
from lostark_ml.styles.refresh import STYLES_ARE_NOT_SPECS

EVERY_PLAYER_IS_SCORED = "ml_expected_dps_rows_equal_stats_player_rows"
NO_TARGET_LEAKAGE = "no_target_leakage"
BEATS_BASELINES = "beats_baselines"
CROSS_RULES = {
    NO_TARGET_LEAKAGE: ("ml_dps_challenger", "error"),
    BEATS_BASELINES: ("ml_dps_challenger", "warn"),
    EVERY_PLAYER_IS_SCORED: ("ml_expected_dps", "error"),
    STYLES_ARE_NOT_SPECS: ("ml_player_clusters", "warn"),
    **dict.fromkeys(RULES.values(), ("ml_dps_monitoring", "warn")),
}


def build_ml_check_specs(table: str) -> list[dg.AssetCheckSpec]:
    """The contract of the table, and the rules beyond it."""
    return check_specs((table,), {rule: of for rule, of in CROSS_RULES.items() if of[0] == table})


def build_challenger_check_specs() -> list[dg.AssetCheckSpec]:
    """Checks about the model. None blocks: the gate refuses what they find, and says why on the card."""
    rules = [rule for rule, (asset, _) in CROSS_RULES.items() if asset == "ml_dps_challenger"]
    return [
        dg.AssetCheckSpec(
            rule, asset="ml_dps_challenger", description=rule.replace("_", " ").capitalize() + "."
        )
        for rule in rules
    ]


def build_check_results(
    table: str, findings: Sequence[Finding], lake: Lake, wanted: set[Any] | None
) -> Iterator[dg.AssetCheckResult]:
    """Findings about one asset as Dagster shows them."""
    yield from check_results({table: findings}, lake, CROSS_RULES, wanted)


def build_challenger_findings(metrics: dict[str, float]) -> list[Finding]:
    """What a challenger's own figures say of leaks and baselines."""
    shuffled, gain = (metrics.get(name, math.nan) for name in ("leak_shuffled_r2", "leak_id_gain"))
    leaks: list[dict[str, Any]] = [
        {"test": "R² of shuffled DPS", "found": shuffled, "at most": MAX_SHUFFLED_R2},
        {"test": "MAPE gained by a random id", "found": gain, "at most": MAX_ID_GAIN},
    ]
    # What could not be measured is no pass.
    broken = [row for row in leaks if not row["found"] <= row["at most"]]
    own = metrics["mape"]
    others = {
        name.removeprefix(BASELINE_PREFIX).removesuffix(".mape"): value
        for name, value in metrics.items()
        if name.startswith(BASELINE_PREFIX) and name.endswith(".mape")
    }
    better = [
        {"baseline": name, "MAPE": value, "model": own} for name, value in others.items() if value <= own
    ]
    return [
        Finding(NO_TARGET_LEAKAGE, "error", len(leaks), len(broken), broken),
        Finding(BEATS_BASELINES, "warn", len(others), len(better), better),
    ]


def find_unscored_players(lake: Lake, days: Sequence[date]) -> Finding:
    """Whether every player of the statistics has a row of expectations, and no other."""
    return same_players(lake, days, ("stats_player_dps", "ml_expected_dps"), EVERY_PLAYER_IS_SCORED)

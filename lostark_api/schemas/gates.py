"""Gates, the distributions of their players, and the tier list."""

from __future__ import annotations

from pydantic import AwareDatetime, Field

from lostark_api.schemas.base import Body, with_columns


@with_columns("gate_id", "raid_name", "gate_name", "difficulty")
class GateSummary(Body):
    """One raid gate at one difficulty."""

    fight_count: int = Field(description="counted fights", examples=[412])
    clear_count: int = Field(description="clears among them", examples=[280])
    clear_rate: float | None = Field(description="clears / fights with a known outcome", examples=[0.68])
    median_clear_duration_s: float | None = Field(description="median length of a clear [s]", examples=[421])
    last_fought_at: AwareDatetime = Field(description="newest fight")


class GateList(Body):
    """All gates with published fights."""

    gates: list[GateSummary]


class Quantiles(Body):
    """Distribution of one figure over players, and how many of them there are."""

    mean: float | None = Field(description="mean")
    p5: float | None = Field(description="5th percentile")
    p10: float | None = Field(description="10th percentile")
    p25: float | None = Field(description="25th percentile")
    p50: float | None = Field(description="median")
    p75: float | None = Field(description="75th percentile")
    p90: float | None = Field(description="90th percentile")
    p95: float | None = Field(description="95th percentile")
    median_low: float | None = Field(description="lower end of the median's 95 % interval")
    median_high: float | None = Field(description="upper end of the median's 95 % interval")
    player_count: int = Field(description="players; below 5 the figures are null", examples=[96])
    fight_count: int = Field(description="fights of these players", examples=[88])
    measurement_rules: list[str] = Field(description="eras of measurement rules among the fights")
    is_mixed: bool = Field(description="whether figures by different measurement rules are mixed")


@with_columns("class_name", "spec_name")
class SpecDistribution(Quantiles):
    """One spec at one gate: DPS of dealers [damage/s], contribution of supports [fraction]."""


@with_columns("class_name", "spec_name")
class TierRow(Quantiles):
    """One spec over all gates: figures as multiples of the median of the player's gate and week."""


class PoolFilter(Body):
    """Which players were counted."""

    role: str = Field(examples=["dealer"])
    weeks: int = Field(description="weeks back from the newest fight", examples=[4])
    item_level_min: float | None = None
    item_level_max: float | None = None
    class_name: str | None = None
    region: str | None = None


class GateDistribution(Body):
    """Specs at one gate, best median first."""

    gate: GateSummary
    pool: PoolFilter
    specs: list[SpecDistribution]


class TierList(Body):
    """Specs over all gates, or at one, best median first."""

    pool: PoolFilter
    specs: list[TierRow]


@with_columns(
    "week_started_at", "class_name", "spec_name", "is_support", "item_level_bracket", "measurement_rules",
    "player_count", "encounter_count", "mean_dps", "p5", "p10", "p25", "p50", "p75", "p90", "p95",
    "median_low", "median_high", "trend",
)  # fmt: skip
class GateWeek(Body):
    """One spec, item-level bracket and week at one gate."""


class GateWeeks(Body):
    """Distributions week by week, newest first."""

    gate_id: str
    weeks: list[GateWeek]

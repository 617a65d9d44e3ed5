"""Explains actual minus expected DPS: parts that sum exactly. Pure.

Crit rate, positional hits, casts and time spent dead are compared with the usual values of the spec at the
gate; their effects on log DPS are regressed on forecast errors. Fight duration is never among them: it is
the boss's health divided by the team's DPS, so the target in disguise.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from scipy import sparse

from lostark_assets.contracts.ml import GAP_PARTS
from lostark_ml.model.decomposition import logarithmic_mean
from lostark_ml.model.robust_regression import huber_ridge, robust_sd

KEY = ["encounter_id", "player_name"]
EXECUTION = (
    "crit_rate",
    "back_attack_rate",
    "front_attack_rate",
    "casts_per_minute",
    "dead_s",
    "duration_s",
)
"""What is read of ``stats_player_dps``; duration only to make a share of ``dead_s``."""
MIN_FORECASTS = 100
"""Fewer errors say nothing of what a figure is worth."""
MIN_PER_CELL = 10
USUAL_ROWS = 50_000
"""The newest players, by whom the usual figures are known well enough."""
POSITIONAL_FROM = 0.25
"""A spec whose usual share of hits from one side is below fights from no side."""
MAX_DEAD = 0.99
TAIL = 0.005
"""Deviations beyond these quantiles of what was seen count as those: a line is not known to go on."""
UNEXPLAINED = GAP_PARTS[-1].name


@dataclass(frozen=True)
class Prior:
    """Slope without data (log DPS by unit of the figure), and its standard deviation."""

    slope: float
    sd: float


PRIORS = {
    "gap_crit_dps": Prior(0.0, 0.5),
    "gap_positional_dps": Prior(0.0, 0.3),
    "gap_activity_dps": Prior(0.0, 0.5),
    # Who is dead for a share of the fight deals (1 - share) of the damage: a slope of 1 on its logarithm.
    "gap_dead_dps": Prior(1.0, 0.1),
}
"""Of each figure; more of one never explains less DPS."""
UNLIMITED = "gap_dead_dps"
"""Known to go on: who is dead for long was dead in no fight of the population."""


@dataclass(frozen=True)
class GapModel:
    """What a usual player of a spec does, and what a departure from it is worth. Plain numbers: JSON.

    Slopes, limits (of departures) and usual figures are by the name of the part that they explain; usual ones
    also by gate and spec, or by spec where the gate has few. ``position`` is back, front or none, by spec.
    """

    forecasts: int = 0
    slopes: dict[str, float] = field(default_factory=dict)
    limits: dict[str, tuple[float, float]] = field(default_factory=dict)
    position: dict[str, str] = field(default_factory=dict)
    usual: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    usual_of_spec: dict[str, dict[str, float]] = field(default_factory=dict)

    def log_parts(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Log DPS by each cause; NaN where the log lacks the figure, or the model its slope.

        ``rows`` has gate_difficulty, spec_name and ``EXECUTION``.
        """
        departures = self.departures(rows)
        return pd.DataFrame(
            {
                name: departures[name].clip(*self.limits.get(name, (None, None)))
                * self.slopes.get(name, np.nan)
                for name in PRIORS
            },
            index=rows.index,
        )

    def departures(self, rows: pd.DataFrame) -> pd.DataFrame:
        """By how much each figure differs from the usual one of gate and spec."""
        figures = compute_figures(rows, self.position)
        by_cell = {(gate, spec): one for gate, specs in self.usual.items() for spec, one in specs.items()}
        cells = pd.Series(list(zip(rows["gate_difficulty"], rows["spec_name"], strict=True)), rows.index)
        usual = {}
        for name in PRIORS:
            own = cells.map({cell: one[name] for cell, one in by_cell.items() if name in one})
            of_spec = {spec: one[name] for spec, one in self.usual_of_spec.items() if name in one}
            usual[name] = own.astype(float).fillna(rows["spec_name"].map(of_spec).astype(float))
        # Of a spec too rare to know, this much is known: who lives is usually not dead.
        usual[UNLIMITED] = usual[UNLIMITED].fillna(0.0)
        return figures - pd.DataFrame(usual, index=rows.index)


def fit_gap(forecasts: pd.DataFrame, population: pd.DataFrame, execution: pd.DataFrame) -> GapModel:
    """Measure what is usual, and what departures from it are worth.

    Slopes compare players of one fight: across fights, short ones have more casts a minute and more DPS, and
    the length of the fight would come in by the back door.

    Args:
        forecasts: encounter_id, player_name, gate_difficulty, spec_name, and error: true minus expected log
            DPS of fights later than what the model knew.
        population: the first four of those of all training rows, the newest last: what is usual.
        execution: rows of ``stats_player_dps`` with ``EXECUTION``; rows of other players are ignored.
    """
    execution = execution[[*KEY, *EXECUTION]]
    recent = population.tail(USUAL_ROWS).merge(execution, on=KEY)
    rows = forecasts.merge(execution, on=KEY, how="left")
    position = _find_positions(recent)
    seen = compute_figures(recent, position)
    usual = GapModel(
        forecasts=len(rows),
        position=position,
        usual=_measure_usual_by_gate(seen, recent["gate_difficulty"], recent["spec_name"]),
        usual_of_spec=_measure_usual(seen, recent["spec_name"]),
    )
    departures = usual.departures(rows)
    known = [name for name in PRIORS if departures[name].notna().sum() >= MIN_FORECASTS]
    limits = {
        name: (float(departures[name].quantile(TAIL)), float(departures[name].quantile(1 - TAIL)))
        for name in known
        if name != UNLIMITED
    }
    clipped = pd.DataFrame({name: departures[name].clip(*limits.get(name, (None, None))) for name in known})
    slopes = _fit_slopes(
        _centre_within_fight(clipped, rows).fillna(0.0).to_numpy(),
        _centre_within_fight(rows[["error"]], rows)["error"].to_numpy(),
        [PRIORS[name] for name in known],
    )
    return replace(usual, slopes=dict(zip(known, slopes, strict=True)), limits=limits)


def _centre_within_fight(values: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """What is left of ``values`` within gate and spec, and then within the fight."""
    values = values - values.groupby([rows["gate_difficulty"], rows["spec_name"]]).transform("mean")
    return values - values.groupby(rows["encounter_id"]).transform("mean")


def compute_figures(rows: pd.DataFrame, position: dict[str, str]) -> pd.DataFrame:
    """What a player did, by the part that it explains; NaN where the log lacks it.

    Casts are counted by minute *alive*, as a logarithm: otherwise dying would count twice.
    """
    living = 1 - (rows["dead_s"].astype(float) / rows["duration_s"].astype(float)).clip(0, MAX_DEAD)
    casts = rows["casts_per_minute"].astype(float) / living.fillna(1.0)
    side = rows["spec_name"].map(position)
    back, front = rows["back_attack_rate"].astype(float), rows["front_attack_rate"].astype(float)
    return pd.DataFrame(
        {
            "gap_crit_dps": rows["crit_rate"].astype(float),
            "gap_positional_dps": back.where(side == "back", front.where(side == "front")),
            "gap_activity_dps": np.log(casts.where(casts > 0)),
            "gap_dead_dps": np.log(living),
        },
        index=rows.index,
    )


def explain_gap(model: GapModel, rows: pd.DataFrame, dps: np.ndarray, expected: np.ndarray) -> pd.DataFrame:
    """``GAP_PARTS`` in whole damage/s, that sum exactly to ``dps - expected`` (null counts as 0).

    A part is null where the log lacks its figure; what it would have explained is then in the rest. Parts of
    the logarithm become damage/s by the logarithmic mean of both, each is rounded, and the rest takes what
    rounding leaves: so one changed figure moves one part.

    Args:
        model: the slopes.
        rows: gate_difficulty, spec_name and ``EXECUTION``.
        dps: reached, whole damage/s, more than 0.
        expected: the same expected.
    """
    logs = model.log_parts(rows)
    scale = logarithmic_mean(dps, expected)
    parts = {name: np.rint(logs[name] * scale) for name in PRIORS}
    rest = dps - expected - sum(part.fillna(0.0) for part in parts.values())
    return pd.DataFrame({**parts, UNEXPLAINED: rest}, index=rows.index).astype("Int64")


def _find_positions(rows: pd.DataFrame) -> dict[str, str]:
    sides = rows.groupby("spec_name")[["back_attack_rate", "front_attack_rate"]].median().astype(float)
    back, front = sides["back_attack_rate"].fillna(0.0), sides["front_attack_rate"].fillna(0.0)
    side = np.where(back >= front, "back", "front")
    is_any = np.maximum(back, front) >= POSITIONAL_FROM
    return dict(zip(sides.index.astype(str), np.where(is_any, side, "none").tolist(), strict=True))


def _measure_usual_by_gate(
    figures: pd.DataFrame, gate: pd.Series, spec: pd.Series
) -> dict[str, dict[str, dict[str, float]]]:
    return {str(name): _measure_usual(part, spec[part.index]) for name, part in figures.groupby(gate)}


def _measure_usual(figures: pd.DataFrame, spec: pd.Series) -> dict[str, dict[str, float]]:
    """Medians by spec of the figures that enough of its rows have."""
    by_spec = figures.groupby(spec)
    medians, counts = by_spec.median().to_dict("index"), by_spec.count().to_dict("index")
    found = {
        str(name): {
            str(figure): float(median)
            for figure, median in of_spec.items()
            if counts[name][figure] >= MIN_PER_CELL
        }
        for name, of_spec in medians.items()
    }
    return {name: usual for name, usual in found.items() if usual}


def _fit_slopes(departures: np.ndarray, error: np.ndarray, priors: list[Prior]) -> list[float]:
    """Robust slopes, drawn to their priors as far as the errors leave them open; never below 0."""
    start = np.array([prior.slope for prior in priors])
    ridge = robust_sd(error) ** 2 / np.array([prior.sd for prior in priors]) ** 2
    slopes, used = np.zeros(len(priors)), np.arange(len(priors))
    while len(used):
        left = error - departures[:, used] @ start[used]
        found = start[used] + huber_ridge(sparse.csr_matrix(departures[:, used]), left, ridge[used])
        if (found >= 0).all():
            slopes[used] = found
            break
        used = used[found >= 0]
    return slopes.tolist()

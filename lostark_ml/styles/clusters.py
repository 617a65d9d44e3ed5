"""Play styles: groups of characters who play the same spec differently, if there are any.

Features are compared within spec and gate, so that neither class nor boss is a style. A Gaussian mixture is
accepted only if it is more stable *and* gains more likelihood than on null data of the same covariance
without groups. Otherwise there is a continuum, and characters get coordinates on two axes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy.optimize import linear_sum_assignment
from scipy.stats import yeojohnson
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score
from sklearn.preprocessing import PowerTransformer

from lostark_assets.contracts.core import UPTIMES
from lostark_assets.contracts.ml import ML_PLAYER_CLUSTERS, UNKNOWN
from lostark_ml.styles.mixture import Mixture, fit_mixture
from lostark_ml.styles.names import name_styles

KEY = ["player_name", "region", "spec_name"]
FEATURES = (
    "crit_rate",
    "back_attack_rate",
    "front_attack_rate",
    "casts_per_minute",
    "opener_share",
    "burst_share",
    "active_share",
    "dead_share",
    "support_use",
    "residual_spread",
)
_CELL = ["spec_name", "raid_name", "gate_name", "difficulty"]
_MIN_PER_CELL = 5
_MAX_DEVIATION = 4.0
"""Standard deviations; what lies beyond counts as that: one odd character is no style."""


@dataclass(frozen=True)
class StylePolicy:
    """Parameters of the clustering. The cost is about ``null_draws`` times (5 + ``resamples``) small fits."""

    min_fights: int = 5
    min_per_spec: int = 8
    min_characters: int = 100
    min_features: int = 3
    known_share: float = 0.8
    commonest_share: float = 0.5
    styles: tuple[int, ...] = (2, 3, 4, 5, 6)
    tries: int = 5
    null_draws: int = 19
    resamples: int = 4
    tested_characters: int = 1000
    level: float = 0.05
    max_match_distance: float = 1.5
    seed: int = 0


@dataclass(frozen=True)
class Evidence:
    """Why styles are believed, or not.

    ``gain`` is of BIC a character, ``stability`` the mean adjusted Rand index with resampled characters; the
    limits are what data without groups stays below.
    """

    characters: int
    features: tuple[str, ...]
    styles: int
    gain: float
    gain_limit: float
    stability: float
    stability_limit: float
    ami_spec: float
    reason: str

    @property
    def is_accepted(self) -> bool:
        """Whether both figures beat data without groups."""
        return self.gain > self.gain_limit and self.stability > self.stability_limit


@dataclass(frozen=True)
class Shape:
    """Yeo and Johnson's power of each feature, and the mean and deviation of what comes out."""

    powers: np.ndarray
    means: np.ndarray
    deviations: np.ndarray

    def apply(self, scores: np.ndarray) -> np.ndarray:
        """``scores`` as a bell, feature by feature."""
        return (_power_transform(scores, self.powers) - self.means) / self.deviations


@dataclass(frozen=True)
class Scale:
    """Middle of each feature within each spec and one over its spread, and the way to bell shape after that.

    Arrays are specs by features. A middle that is not known is NaN; a feature that does not vary in a spec
    weighs 0 there.
    """

    features: tuple[str, ...]
    specs: tuple[str, ...]
    middle: np.ndarray
    weight: np.ndarray
    shape: Shape

    def standardise(self, characters: pd.DataFrame) -> np.ndarray:
        """One row a character; a feature that is not known is that of the spec's middle."""
        place = pd.Index(self.specs).get_indexer(pd.Index(characters["spec_name"]))
        return np.clip(
            self.shape.apply(_centre_in_spec(characters, self.features, self.middle, self.weight, place)),
            -_MAX_DEVIATION,
            _MAX_DEVIATION,
        )

    def knows(self, characters: pd.DataFrame) -> np.ndarray:
        """Whether the character's spec has enough characters to be compared with."""
        return characters["spec_name"].isin(self.specs).to_numpy()

    def usual(self, specs: pd.Series) -> pd.DataFrame:
        """The middle of each feature in each of ``specs``."""
        table = pd.DataFrame(self.middle, index=list(self.specs), columns=list(self.features))
        return table.reindex(specs)


@dataclass(frozen=True)
class StyleModel:
    """Styles with their names in the order of the mixture's components; none of them: a continuum.

    Plain numbers and names: ``model_file`` keeps it as JSON.
    """

    evidence: Evidence
    scale: Scale | None = None
    axes: np.ndarray | None = None
    mixture: Mixture | None = None
    names: tuple[str, ...] = ()

    @property
    def is_continuum(self) -> bool:
        """There are no styles."""
        return self.mixture is None

    @property
    def centroids(self) -> pd.DataFrame:
        """Standardised features by style."""
        if self.mixture is None or self.scale is None:
            return pd.DataFrame()
        index = self.names or tuple(map(str, range(len(self.mixture.means))))
        return pd.DataFrame(self.mixture.means, index=index, columns=list(self.scale.features))

    def probabilities(self, characters: pd.DataFrame) -> pd.DataFrame:
        """How likely each character, known or new, is of each style; NaN where the spec is not known."""
        if self.mixture is None or self.scale is None:
            return pd.DataFrame(index=characters.index)
        known = self.scale.knows(characters)
        found = np.full((len(characters), len(self.mixture.means)), np.nan)
        if known.any():
            found[known] = self.mixture.probabilities(self.scale.standardise(characters[known]))
        return pd.DataFrame(found, index=characters.index, columns=self.centroids.index)

    def places(self, characters: pd.DataFrame) -> np.ndarray:
        """Where each character is on the two axes; NaN where the spec is not known."""
        found = np.full((len(characters), 2), np.nan)
        if self.scale is not None and self.axes is not None:
            known = self.scale.knows(characters)
            if known.any():
                found[known] = self.scale.standardise(characters[known]) @ self.axes.T
        return found

    def predict(self, characters: pd.DataFrame) -> np.ndarray:
        """Places on the axes, then probabilities of the styles, side by side.

        ``characters`` needs no more than :func:`model_input` has.
        """
        return np.hstack([self.places(characters), self.probabilities(characters).to_numpy(float)])


def model_input(characters: pd.DataFrame) -> pd.DataFrame:
    """What a model reads of rows of :func:`style_features`; nothing that names a player."""
    return characters[["spec_name", *FEATURES]]


def compute_style_features(
    stats: pd.DataFrame, expected: pd.DataFrame | None = None, policy: StylePolicy | None = None
) -> pd.DataFrame:
    """Features of each character and spec with enough counted clears, dealers only, in order of ``KEY``.

    Args:
        stats: rows of ``stats_player_dps``.
        expected: rows of ``ml_expected_dps``, for the variability of DPS against the expected.
        policy: ``min_fights`` is used.

    Returns:
        Columns of ``KEY``, class_name, fights, item_level, and ``FEATURES``: means over fights of what the
        fight shows above the median of its spec on its gate, plus the spec's median.
    """
    policy = policy or StylePolicy()
    rows = _select_counted(stats)
    rows = rows.assign(**_compute_fight_figures(rows), residual_spread=np.nan)
    if expected is not None:
        rows["residual_spread"] = _compute_residuals(rows, expected)
    named = [name for name in FEATURES if name != "residual_spread"]
    rows[named] = _centre_in_cell(rows, named)
    groups = rows.groupby(KEY, sort=True)
    found = groups[named].mean()
    spread = groups["residual_spread"].agg(["std", "count"])
    found["residual_spread"] = spread["std"].where(spread["count"] >= policy.min_fights)
    found.insert(0, "fights", groups.size())
    found.insert(0, "item_level", groups["item_level"].max())
    found.insert(0, "class_name", groups["class_name"].first())
    return found[found["fights"] >= policy.min_fights].reset_index()


def find_styles(
    characters: pd.DataFrame, policy: StylePolicy | None = None, before: StyleModel | None = None
) -> StyleModel:
    """Look for styles among rows of :func:`style_features`; a continuum is a result too.

    The same characters and seed give the same styles, whatever the order. A style that is near one of
    ``before`` keeps its name.
    """
    policy = policy or StylePolicy()
    characters = characters.sort_values(KEY, ignore_index=True)
    scale = _fit_scale(characters, policy)
    rows = characters[scale.knows(characters)] if scale else characters.iloc[:0]
    if scale is None or len(rows) < policy.min_characters:
        return StyleModel(_build_insufficient_evidence(len(rows), scale, policy))
    points = scale.standardise(rows)
    mixture = _fit_best_mixture(points, policy)
    evidence = _measure_evidence(points, mixture, rows["spec_name"], scale, policy)
    model = StyleModel(evidence, scale, _find_axes(points))
    if not evidence.is_accepted:
        return model
    model = replace(model, mixture=mixture)
    return replace(model, names=_choose_names(model, before, policy))


def build_player_clusters(
    model: StyleModel, characters: pd.DataFrame, *, model_version: int | None, computed_at: datetime
) -> pa.Table:
    """``characters`` with their styles by the contract of ``ml_player_clusters``.

    ``model_version`` is None of a model that is not registered.
    """
    frame = characters[["player_name", "region", "class_name", "spec_name", "fights"]].copy()
    likely = model.probabilities(characters)
    is_known = likely.notna().all(axis=1) if len(likely.columns) else pd.Series(data=False, index=frame.index)
    frame["style"] = None
    frame["style_probability"] = np.nan
    if is_known.any():
        frame.loc[is_known, "style"] = likely[is_known].idxmax(axis=1)
        frame.loc[is_known, "style_probability"] = likely[is_known].max(axis=1)
    places = model.places(characters)
    frame["axis_1"], frame["axis_2"] = places[:, 0], places[:, 1]
    frame["model_version"], frame["computed_at"] = model_version, pd.Timestamp(computed_at)
    table = pa.Table.from_pylist(
        frame.astype(object).where(frame.notna(), None).to_dict("records"), schema=ML_PLAYER_CLUSTERS.schema
    )
    return ML_PLAYER_CLUSTERS.conform(table)


def match_labels(new: pd.DataFrame, old: pd.DataFrame, furthest: float) -> dict[int, str]:
    """Names of the old styles by place of the new ones, so that the sum of distances is smallest.

    Compared are the features that both have; distances are root mean squares in standard deviations. A pair
    further apart than ``furthest`` is no pair.
    """
    shared = [name for name in new.columns if name in old.columns]
    if not shared:
        return {}
    apart = new[shared].to_numpy()[:, None, :] - old[shared].to_numpy()[None, :, :]
    distance = np.sqrt((apart**2).mean(axis=2))
    pairs = zip(*linear_sum_assignment(distance), strict=True)
    return {int(i): str(old.index[j]) for i, j in pairs if distance[i, j] <= furthest}


# Features ------------------------------------------------------------------------------------------


def _select_counted(stats: pd.DataFrame) -> pd.DataFrame:
    """Counted clears of dealers with a name and a spec."""
    holds = stats["spec_name"].notna() & stats["class_name"].notna()
    for column, wanted in (("is_counted", True), ("is_cleared", True), ("is_name_known", True)):
        holds &= stats[column].astype("boolean").fillna(value=False) == wanted
    holds &= ~stats["is_support"].astype("boolean").fillna(value=False)
    rows = stats[holds.astype(bool)]
    return rows.assign(region=rows["region"].fillna(UNKNOWN)).reset_index(drop=True)


def _compute_fight_figures(rows: pd.DataFrame) -> dict[str, np.ndarray]:
    """What each fight shows; NaN where its log lacks the figure."""

    def number(name: str) -> np.ndarray:
        return rows[name].to_numpy(float, na_value=np.nan)

    def ratio(over: np.ndarray, under: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(under > 0, over / under, np.nan)

    uptimes = pd.DataFrame({c.name: number(c.name) for c in UPTIMES})
    dps, duration = number("dps"), number("duration_s")
    return {
        "crit_rate": number("crit_rate"),
        "back_attack_rate": number("back_attack_rate"),
        "front_attack_rate": number("front_attack_rate"),
        "casts_per_minute": number("casts_per_minute"),
        "opener_share": ratio(number("opener_dps"), dps),
        "burst_share": ratio(number("peak_10s_dps"), dps),
        "active_share": ratio(number("active_s"), duration),
        "dead_share": ratio(number("dead_s"), duration),
        "support_use": uptimes.mean(axis=1).to_numpy(),
    }


def _compute_residuals(rows: pd.DataFrame, expected: pd.DataFrame) -> np.ndarray:
    """Log DPS above the expected one, where there is an expectation."""
    key = ["encounter_id", "player_name"]
    answered = expected[expected["refusal_reason"].isna() & expected["is_population"].astype(bool)]
    found = rows[key].merge(answered[[*key, "dps", "expected_dps"]], on=key, how="left")
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.log(found["dps"].to_numpy(float, na_value=np.nan)) - np.log(
            found["expected_dps"].to_numpy(float, na_value=np.nan)
        )


def _centre_in_cell(rows: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """``names`` without what the gate does to the spec; a gate seen too seldom stays as it is."""
    cell = rows.groupby(_CELL, dropna=False)[names]
    of_cell = cell.transform("median").where(cell.transform("count") >= _MIN_PER_CELL)
    of_spec = rows.groupby("spec_name")[names].transform("median")
    return rows[names] - of_cell.fillna(of_spec) + of_spec


def _fit_scale(characters: pd.DataFrame, policy: StylePolicy) -> Scale | None:
    """How to compare within specs; None without enough characters or informative features."""
    counts = characters.groupby("spec_name").size()
    rows = characters[characters["spec_name"].isin(counts.index[counts >= policy.min_per_spec])]
    features = tuple(name for name in FEATURES if _is_informative(rows, name, policy))
    if rows.empty or len(features) < policy.min_features:
        return None
    groups = rows.groupby("spec_name")[list(features)]
    middle, spread = groups.mean(), groups.std()
    pooled = (rows[list(features)] - groups.transform("mean")).std()
    # A spec in which a feature does not vary says nothing with it.
    weight = (1 / spread).where(spread > 0.05 * pooled, 0.0, axis=0)
    numbers = middle.to_numpy(float), weight.to_numpy(float)
    place = middle.index.get_indexer(pd.Index(rows["spec_name"]))
    shape = _fit_shape(_centre_in_spec(rows, features, *numbers, place))
    return Scale(features, tuple(map(str, middle.index)), *numbers, shape)


def _centre_in_spec(
    rows: pd.DataFrame, features: tuple[str, ...], middle: np.ndarray, weight: np.ndarray, place: np.ndarray
) -> np.ndarray:
    """Departures from the spec's middle in its standard deviations; 0 where a figure is not known."""
    scores = (rows[list(features)].to_numpy(float) - middle[place]) * weight[place]
    return np.nan_to_num(np.clip(scores, -_MAX_DEVIATION, _MAX_DEVIATION))


def _fit_shape(scores: np.ndarray) -> Shape:
    powers = PowerTransformer(standardize=False).fit(scores).lambdas_
    powered = _power_transform(scores, powers)
    deviations = powered.std(axis=0)
    return Shape(powers, powered.mean(axis=0), np.where(deviations > 0, deviations, 1.0))


def _power_transform(scores: np.ndarray, powers: np.ndarray) -> np.ndarray:
    columns = [yeojohnson(column, lmbda=power) for column, power in zip(scores.T, powers, strict=True)]
    return np.column_stack(columns)


def _is_informative(rows: pd.DataFrame, name: str, policy: StylePolicy) -> bool:
    """Known of most characters, and not the same of most of them: many zeros are no style."""
    known = rows[name].dropna()
    if len(known) < max(policy.known_share * len(rows), 2):
        return False
    return known.round(6).value_counts(normalize=True).iloc[0] <= policy.commonest_share


# Fitting and judging -------------------------------------------------------------------------------


def _fit_best_mixture(
    points: np.ndarray, policy: StylePolicy, seed: int | None = None, tries: int = 1
) -> Mixture:
    """The mixture of the lowest BIC."""
    seed = policy.seed if seed is None else seed
    return min((fit_mixture(points, k, seed, tries) for k in policy.styles), key=lambda m: m.bic(points))


def _measure_evidence(
    points: np.ndarray, mixture: Mixture, spec: pd.Series, scale: Scale, policy: StylePolicy
) -> Evidence:
    """Gain and stability of ``mixture``, and what they are on data without groups."""
    random = np.random.default_rng(policy.seed)
    tested = points
    if len(points) > policy.tested_characters:
        tested = points[np.sort(random.choice(len(points), policy.tested_characters, replace=False))]
    styles = mixture.groups
    gain, stability = _measure_gain_and_stability(tested, styles, random, policy)
    nulls = [
        _measure_gain_and_stability(_draw_null(tested, random), styles, random, policy)
        for _ in range(policy.null_draws)
    ]
    gain_limit, stability_limit = (_find_limit([n[i] for n in nulls], policy.level) for i in range(2))
    evidence = Evidence(
        characters=len(points),
        features=scale.features,
        styles=styles,
        gain=float(gain),
        gain_limit=gain_limit,
        stability=stability,
        stability_limit=stability_limit,
        ami_spec=float(adjusted_mutual_info_score(spec, mixture.labels(points))),
        reason="",
    )
    return replace(evidence, reason=_describe_evidence(evidence))


def _measure_gain_and_stability(
    points: np.ndarray, styles: int, random: np.random.Generator, policy: StylePolicy
) -> tuple[float, float]:
    """Gain of BIC a character of the best number of styles, and stability of ``styles``."""
    seed = int(random.integers(2**31))
    single = fit_mixture(points, 1, seed).bic(points)
    fits = {k: fit_mixture(points, k, seed) for k in {*policy.styles, styles}}
    gain = (single - min(fit.bic(points) for fit in fits.values())) / len(points)
    labels = fits[styles].labels(points)
    agreement = []
    for _ in range(policy.resamples):
        again = points[random.integers(0, len(points), len(points))]
        agreement.append(adjusted_rand_score(labels, fit_mixture(again, styles, seed).labels(points)))
    return gain, float(np.mean(agreement))


def _draw_null(points: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Points of the same covariance and the same distances from the middle, in every direction alike."""
    middle = points.mean(axis=0)
    root = np.linalg.cholesky(np.cov(points, rowvar=False) + 1e-9 * np.eye(points.shape[1]))
    distances = np.linalg.norm(np.linalg.solve(root, (points - middle).T), axis=0)
    directions = random.standard_normal(points.shape)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return middle + (directions * random.permutation(distances)[:, None]) @ root.T


def _find_limit(values: list[float], level: float) -> float:
    """What all but a share ``level`` of draws, counting the data as one of them, stay at or below."""
    ordered = np.sort(values)
    allowed = int(np.floor(level * (len(ordered) + 1))) - 1
    return float(ordered[-1 - allowed]) if allowed >= 0 else float("inf")


def _describe_evidence(found: Evidence) -> str:
    figures = (
        f"gain {found.gain:.3f} (without groups at most {found.gain_limit:.3f}), "
        f"stability {found.stability:.2f} (at most {found.stability_limit:.2f})"
    )
    return f"{found.styles} styles: {figures}" if found.is_accepted else f"a continuum: {figures}"


def _build_insufficient_evidence(characters: int, scale: Scale | None, policy: StylePolicy) -> Evidence:
    features = scale.features if scale else ()
    reason = (
        f"too little to say: {characters:,} characters (expected {policy.min_characters:,}) with "
        f"{len(features)} features that vary (expected {policy.min_features})"
    )
    nothing = float("nan")
    return Evidence(characters, features, 0, nothing, nothing, nothing, nothing, nothing, reason)


def _find_axes(points: np.ndarray) -> np.ndarray:
    """The two directions in which characters differ most; signs are fixed by the largest part."""
    _, _, directions = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    axes = directions[:2]
    largest = axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)]
    return axes * np.sign(largest)[:, None]


def _choose_names(model: StyleModel, before: StyleModel | None, policy: StylePolicy) -> tuple[str, ...]:
    """Names of the styles before, where they are the same ones; else by what stands out."""
    kept = {}
    if before is not None and not before.is_continuum:
        kept = match_labels(model.centroids, before.centroids, policy.max_match_distance)
    return name_styles(model.centroids, kept)

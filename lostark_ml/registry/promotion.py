"""The promotion gate: whether a challenger replaces the champion, tested on fights unseen by both. Pure.

A retrained copy of the same model scores a little better half of the time. So a gain counts only if it
exceeds a margin in 95 % of resamples *of fights* (errors of players of one raid are correlated), and no
slice with enough rows gets significantly worse by more than its limit. A tie keeps the champion.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import pandas as pd

from lostark_assets.errors import SettingsError
from lostark_ml.model.baselines import build_baselines
from lostark_ml.model.leakage import MAX_ID_GAIN, MAX_SHUFFLED_R2, LeakageReport
from lostark_ml.model.training import FittedModel
from lostark_ml.registry.names import CHAMPION

REASONS = {
    "better": "better than the champion, and no slice pays for it",
    "first_champion": "there is no champion, and every baseline is beaten",
    "seen_fights": "a model had seen fights of the test",
    "too_few_fights": "the test has too few fights",
    "leak": "the leakage tests found target leakage in the features",
    "not_better": "not significantly better than the champion",
    "below_margin": "significantly better than the champion, but by less than the margin",
    "baseline_not_beaten": "not significantly better than a baseline",
    "slice_worse": "a slice gets worse by more than its limit",
    "answers_fewer": "refuses rows that the champion answers",
}
"""Codes of what a decision can rest on; the first two promote."""
SLICE_LIMITS = {"gate_difficulty": 0.005, "spec_name": 0.015, "item_level_bracket": 0.01}
FIGHTS_PER_BLOCK = 4096
MAX_SLICES_SHOWN = 3


@dataclass(frozen=True)
class PromotionPolicy:
    """Thresholds of the gate. MAPE and its changes are fractions: 0.001 is a tenth of a point.

    ``margin``: retrains of one model on other samples differ by up to a tenth of a point, consistently on
    many fights: not worth a change of champion.
    ``min_fights``: with fewer, a gain of one point is detected in less than half of the cases.
    ``slice_limits``: by how much a slice may get worse, by column; the smaller its usual slices, the wider.
    ``max_refused``: share of the rows the champion predicts that the challenger may refuse.

    Raises:
        SettingsError: a threshold makes no sense.
    """

    confidence: float = 0.95
    margin: float = 0.0015
    min_fights: int = 50
    slice_limits: Mapping[str, float] = field(default_factory=lambda: dict(SLICE_LIMITS))
    slice_rows: int = 100
    slice_fights: int = 30
    max_refused: float = 0.01
    draws: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        """Reject thresholds under which everything or nothing would pass."""
        rules = {
            "confidence": (0.5 < self.confidence < 1, "more than 0.5 and less than 1"),
            "margin": (0 <= self.margin < 1, "0 or more, less than 1"),
            "min_fights": (self.min_fights >= 2, "2 or more"),
            "slice_limits": (all(0 <= v < 1 for v in self.slice_limits.values()), "0 or more, less than 1"),
            "slice_rows": (self.slice_rows >= 1, "1 or more"),
            "slice_fights": (self.slice_fights >= 2, "2 or more"),
            "max_refused": (0 <= self.max_refused <= 1, "0 to 1"),
            "draws": (self.draws >= 100, "100 or more"),
        }
        for name, (holds, expected) in rules.items():
            if not holds:
                raise SettingsError(
                    f"promotion policy: expected {name} to be {expected}, found {getattr(self, name)}. "
                    "No model was compared. Correct the policy."
                )


@dataclass(frozen=True)
class HoldoutTest:
    """Held-out fights, one row per player; predictions are log DPS in the order of ``rows``.

    ``rows`` has fight_id, fight_started_at, log_dps (the truth) and the columns of the policy's slices. NaN
    in a prediction is a refusal. Baselines are fitted on rows before the challenger's cutoff.
    """

    rows: pd.DataFrame
    challenger: np.ndarray
    champion: np.ndarray | None
    baselines: Mapping[str, np.ndarray]
    challenger_cutoff: datetime
    champion_cutoff: datetime | None = None


@dataclass(frozen=True)
class Comparison:
    """The challenger against one other, on the rows that both answer; ``gain_low`` is its lower bound."""

    against: str
    rows: int
    fights: int
    mape: float
    mape_of_other: float
    gain: float
    gain_low: float


@dataclass(frozen=True)
class SliceChange:
    """By how much MAPE of one slice rises from champion to challenger; ``worse_low`` is its lower bound."""

    slice: str
    value: str
    rows: int
    fights: int
    mape: float
    mape_of_champion: float
    worse: float
    worse_low: float
    limit: float

    @property
    def exceeds_limit(self) -> bool:
        """Worse by more than the limit, and not by chance."""
        return self.worse_low > self.limit


@dataclass(frozen=True)
class Reason:
    """A code of ``REASONS`` and a text with the numbers."""

    code: str
    text: str


@dataclass(frozen=True)
class PromotionDecision:
    """Whether to promote, why, and the numbers behind it; slices are worst first."""

    promote: bool
    reasons: tuple[Reason, ...]
    comparisons: tuple[Comparison, ...]
    slices: tuple[SliceChange, ...]
    test_from: datetime | None
    test_until: datetime | None
    policy: PromotionPolicy

    @property
    def summary(self) -> str:
        """All reasons, joined."""
        return "; ".join(reason.text for reason in self.reasons)


def predict_holdout(
    challenger: FittedModel, champion: FittedModel | None, frame: pd.DataFrame, until: datetime
) -> HoldoutTest:
    """All predictions for the population of ``frame`` after both models' cutoffs, up to ``until``.

    Args:
        challenger: the new model.
        champion: the active model, if any.
        frame: rows of ``ml_training_set``; baselines learn from those before the challenger's cutoff.
        until: UTC instant.
    """
    population = frame[frame["exclusion_reason"].isna()]
    cutoffs = [model.cutoff for model in (challenger, champion) if model is not None]
    at = population["fight_started_at"]
    rows = population[(at >= max(cutoffs)) & (at < until)].reset_index(drop=True)
    baselines = {}
    if len(rows):
        baselines = {
            one.name: one.fit(population, challenger.cutoff).predict(rows) for one in build_baselines()
        }
    return HoldoutTest(
        rows=rows,
        challenger=_predict_log_dps(challenger, rows),
        champion=None if champion is None else _predict_log_dps(champion, rows),
        baselines=baselines,
        challenger_cutoff=challenger.cutoff,
        champion_cutoff=None if champion is None else champion.cutoff,
    )


def decide_promotion(
    test: HoldoutTest, policy: PromotionPolicy | None = None, *, leaks: LeakageReport | None = None
) -> PromotionDecision:
    """Whether the challenger is promoted. The same test and policy give the same decision.

    Args:
        test: the held-out fights with all predictions.
        policy: the thresholds.
        leaks: result of the leakage tests, where they were run.
    """
    policy = policy or PromotionPolicy()
    at = test.rows["fight_started_at"]
    span = (_to_datetime(at.min()), _to_datetime(at.max())) if len(at) else (None, None)
    impossible = _find_test_defects(test, policy, span[0])
    if impossible:
        return PromotionDecision(
            promote=False,
            reasons=impossible,
            comparisons=(),
            slices=(),
            test_from=span[0],
            test_until=span[1],
            policy=policy,
        )
    errors = _Errors.of(test)
    pairs, slices = errors.pairs(), errors.slices(policy)
    drawn = _resample_fights(np.vstack([pairs.sums, slices.sums]), policy)
    comparisons = pairs.comparisons(drawn[: len(pairs.sums)], policy)
    changes = slices.changes(drawn[len(pairs.sums) :], policy)
    against = _find_objections(test, policy, leaks, comparisons, changes)
    reasons = against or (_build_positive_reason(comparisons, policy, is_first=test.champion is None),)
    return PromotionDecision(not against, reasons, comparisons, changes, span[0], span[1], policy)


def _find_test_defects(
    test: HoldoutTest, policy: PromotionPolicy, first: datetime | None
) -> tuple[Reason, ...]:
    cutoffs = {"challenger": test.challenger_cutoff, CHAMPION: test.champion_cutoff}
    seen = [
        _build_reason(
            "seen_fights",
            f"expected fights after the {who}'s cutoff {cutoff:%Y-%m-%d %H:%M}, found one of "
            f"{first:%Y-%m-%d %H:%M}: nothing was compared",
        )
        for who, cutoff in cutoffs.items()
        if cutoff is not None and first is not None and first < cutoff
    ]
    if seen:
        return tuple(seen)
    answered = np.isfinite(test.challenger)
    if test.champion is not None:
        answered &= np.isfinite(test.champion)
    fights = test.rows["fight_id"][answered].nunique()
    if fights < policy.min_fights:
        text = f"expected at least {policy.min_fights} fights to test on, found {fights}"
        return (_build_reason("too_few_fights", text),)
    return ()


def _find_objections(
    test: HoldoutTest,
    policy: PromotionPolicy,
    leaks: LeakageReport | None,
    comparisons: tuple[Comparison, ...],
    slices: tuple[SliceChange, ...],
) -> tuple[Reason, ...]:
    """Every reason against, in the order of ``REASONS``."""
    found = []
    if leaks is not None and not leaks.is_clean:
        found.append(
            _build_reason(
                "leak",
                f"expected R² of shuffled DPS at most {MAX_SHUFFLED_R2}, found {leaks.shuffled_r2:.3f}; "
                f"gain by a random id at most {_points(MAX_ID_GAIN)}, found {_points(leaks.id_gain)}",
            )
        )
    if test.champion is None:
        found += [
            _build_reason("baseline_not_beaten", _describe_shortfall(c, policy))
            for c in comparisons
            if c.gain_low <= policy.margin
        ]
    else:
        found += [
            _build_reason("below_margin" if c.gain_low > 0 else "not_better", _describe_shortfall(c, policy))
            for c in comparisons
            if c.against == CHAMPION and c.gain_low <= policy.margin
        ]
        found += _find_worse_slices(slices)
        found += _find_extra_refusals(test, policy)
    return tuple(found)


def _find_worse_slices(slices: tuple[SliceChange, ...]) -> list[Reason]:
    too_much = [one for one in slices if one.exceeds_limit]
    found = [
        _build_reason(
            "slice_worse",
            f"expected {one.value} ({one.slice}) to get worse by at most {_points(one.limit)}, found "
            f"{_points(one.worse)} (at least {_points(one.worse_low)}) in {one.rows:,} rows",
        )
        for one in too_much[:MAX_SLICES_SHOWN]
    ]
    more = len(too_much) - len(found)
    return [*found, _build_reason("slice_worse", f"and {more} more slices")] if more else found


def _find_extra_refusals(test: HoldoutTest, policy: PromotionPolicy) -> list[Reason]:
    assert test.champion is not None
    known = np.isfinite(test.champion)
    refused = int((known & ~np.isfinite(test.challenger)).sum())
    if refused <= policy.max_refused * known.sum():
        return []
    return [
        _build_reason(
            "answers_fewer",
            f"expected to refuse at most {policy.max_refused:.1%} of the {int(known.sum()):,} rows that the "
            f"champion answers, found {refused / known.sum():.1%}",
        )
    ]


def _build_positive_reason(
    comparisons: tuple[Comparison, ...], policy: PromotionPolicy, *, is_first: bool
) -> Reason:
    if is_first:
        hardest = min(comparisons, key=lambda c: c.gain_low, default=None)
        if hardest is None:
            return _build_reason("first_champion", "there is no champion and no baseline to beat")
        return _build_reason("first_champion", f"no champion yet; {_describe_gain(hardest, policy)}")
    return _build_reason(
        "better", _describe_gain(next(c for c in comparisons if c.against == CHAMPION), policy)
    )


def _describe_shortfall(c: Comparison, policy: PromotionPolicy) -> str:
    return (
        f"expected MAPE below the {c.against}'s by more than {_points(policy.margin)} in "
        f"{policy.confidence:.0%} of resamples, found {_points(c.gain)}, at least {_points(c.gain_low)} "
        f"({100 * c.mape:.2f} % against {100 * c.mape_of_other:.2f} %, {c.fights:,} fights)"
    )


def _describe_gain(c: Comparison, policy: PromotionPolicy) -> str:
    return (
        f"MAPE {100 * c.mape:.2f} % against the {c.against}'s {100 * c.mape_of_other:.2f} %: better by "
        f"{_points(c.gain)}, by at least {_points(c.gain_low)} where more than {_points(policy.margin)} is "
        f"expected ({c.fights:,} fights)"
    )


@dataclass(frozen=True)
class _Errors:
    """|expected - true| / true of each row by predictor, NaN where it refused; and codes of fights."""

    rows: pd.DataFrame
    own: np.ndarray
    others: dict[str, np.ndarray]
    fight: np.ndarray
    fights: int

    @classmethod
    def of(cls, test: HoldoutTest) -> _Errors:
        true = test.rows["log_dps"].to_numpy(float)
        predicted = {} if test.champion is None else {CHAMPION: test.champion}
        others = {
            name: _ape(true, np.asarray(one, float)) for name, one in {**predicted, **test.baselines}.items()
        }
        fight, names = pd.factorize(test.rows["fight_id"], sort=True)
        return cls(test.rows, _ape(true, test.challenger), others, fight, len(names))

    def pairs(self) -> _Pairs:
        records, sums = [], []
        for name, other in self.others.items():
            both = np.isfinite(self.own) & np.isfinite(other)
            own, others, fight = self.own[both], other[both], self.fight[both]
            count = np.bincount(fight, minlength=self.fights)
            sums += [np.bincount(fight, others - own, self.fights), count]
            records.append(
                {
                    "against": name,
                    "rows": len(own),
                    "fights": int((count > 0).sum()),
                    "mape": float(own.mean()),
                    "mape_of_other": float(others.mean()),
                    "gain": float((others - own).mean()),
                }
            )
        return _Pairs(records, np.reshape(sums, (-1, self.fights)))

    def slices(self, policy: PromotionPolicy) -> _Slices:
        """Slices with enough rows and fights; none without a champion."""
        champion = self.others.get(CHAMPION)
        records, sums = [], []
        if champion is not None:
            both = np.isfinite(self.own) & np.isfinite(champion)
            own, before, fight = self.own[both], champion[both], self.fight[both]
            for column, limit in policy.slice_limits.items():
                code, values = pd.factorize(
                    self.rows[column][both].fillna("unknown").astype("str"), sort=True
                )
                shape = (len(values), self.fights)
                cell = code * self.fights + fight
                count = np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape)
                worse = np.bincount(cell, own - before, shape[0] * shape[1]).reshape(shape)
                rows, fights = count.sum(axis=1), (count > 0).sum(axis=1)
                means = [np.bincount(code, one) / rows for one in (own, before)]
                for at in np.flatnonzero((rows >= policy.slice_rows) & (fights >= policy.slice_fights)):
                    sums += [worse[at], count[at]]
                    records.append(
                        {
                            "slice": column,
                            "value": str(values[at]),
                            "rows": int(rows[at]),
                            "fights": int(fights[at]),
                            "mape": float(means[0][at]),
                            "mape_of_champion": float(means[1][at]),
                            "worse": float(worse[at].sum() / rows[at]),
                            "limit": limit,
                        }
                    )
        return _Slices(records, np.reshape(sums, (-1, self.fights)))


@dataclass(frozen=True)
class _Pairs:
    """Fields of each comparison; ``sums`` has two rows each (gain, rows) and one column per fight."""

    records: list[dict]
    sums: np.ndarray

    def comparisons(self, drawn: np.ndarray, policy: PromotionPolicy) -> tuple[Comparison, ...]:
        gains = _divide_sums(drawn)
        lows = [float(np.nanquantile(gain, 1 - policy.confidence)) for gain in gains]
        return tuple(Comparison(**one, gain_low=low) for one, low in zip(self.records, lows, strict=True))


@dataclass(frozen=True)
class _Slices:
    """Fields of each slice; ``sums`` has two rows each (increase, rows) and one column per fight."""

    records: list[dict]
    sums: np.ndarray

    def changes(self, drawn: np.ndarray, policy: PromotionPolicy) -> tuple[SliceChange, ...]:
        """Significance of each change beyond its limit, with bounds that hold for all slices at once.

        With bounds of their own, one of fifty slices always looks worse by chance.
        """
        if not self.records:
            return ()
        rises = np.array([one["worse"] for one in self.records])
        off = np.nan_to_num(_divide_sums(drawn) - rises[:, None])
        spread = off.std(axis=1)
        largest = (off / np.where(spread > 0, spread, np.inf)[:, None]).max(axis=0)
        lows = rises - np.quantile(largest, policy.confidence) * spread
        found = [
            SliceChange(**one, worse_low=float(low)) for one, low in zip(self.records, lows, strict=True)
        ]
        return tuple(sorted(found, key=lambda s: (s.limit - s.worse_low, s.slice, s.value)))


def _divide_sums(drawn: np.ndarray) -> np.ndarray:
    """Means by draw from alternating rows of sums and counts; NaN where nothing was drawn."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return drawn[0::2] / drawn[1::2]


def _resample_fights(sums: np.ndarray, policy: PromotionPolicy) -> np.ndarray:
    """Totals of ``sums`` (figures, fights) over resampled fights: (figures, draws).

    Poisson bootstrap: each fight is drawn Poisson(1) times, independently, which bounds the memory.
    """
    random = np.random.default_rng(policy.seed)
    totals = np.zeros((len(sums), policy.draws))
    for first in range(0, sums.shape[1], FIGHTS_PER_BLOCK):
        block = sums[:, first : first + FIGHTS_PER_BLOCK].astype(float)
        totals += block @ random.poisson(1.0, (block.shape[1], policy.draws)).astype(float)
    return totals


def _predict_log_dps(model: FittedModel, rows: pd.DataFrame) -> np.ndarray:
    return model.predict(rows)["expected_log_dps"].to_numpy(float)


def _ape(true_log: np.ndarray, expected_log: np.ndarray) -> np.ndarray:
    return np.abs(np.expm1(expected_log - true_log))


def _to_datetime(value: pd.Timestamp) -> datetime:
    return value.to_pydatetime()


def _build_reason(code: str, text: str) -> Reason:
    return Reason(code, f"{REASONS[code]}: {text}")


def _points(fraction: float) -> str:
    return f"{100 * fraction:.2f} points"

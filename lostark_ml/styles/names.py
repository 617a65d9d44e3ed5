"""Names of play styles, in English and Korean: the features that stand out most."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

TERMS: dict[str, tuple[tuple[str, str], tuple[str, str]]] = {
    "crit_rate": (("Critical", "치명"), ("Few crits", "저치명")),
    "back_attack_rate": (("From behind", "백어택"), ("Not from behind", "비백어택")),
    "front_attack_rate": (("Head-on", "헤드어택"), ("Not head-on", "비헤드어택")),
    "casts_per_minute": (("Fast casts", "속사"), ("Few casts", "저빈도")),
    "opener_share": (("Strong opener", "초반 집중"), ("Slow start", "후반형")),
    "burst_share": (("Burst", "폭딜"), ("Even damage", "지속딜")),
    "active_share": (("Always on", "상시딜"), ("With pauses", "딜 공백")),
    "dead_share": (("Often dead", "잦은 사망"), ("Survivor", "생존")),
    "support_use": (("Inside the buffs", "버프 활용"), ("Outside the buffs", "버프 외 딜")),
    "residual_spread": (("Swings", "기복"), ("Reliable", "안정")),
}
"""Of each feature, what much and little of it is called."""
BALANCED = ("Balanced", "균형")
MIN_DEPARTURE = 0.35
"""Standard deviations from the middle of all; what is nearer does not stand out."""


def name_styles(centroids: pd.DataFrame, kept: Mapping[int, str] | None = None) -> tuple[str, ...]:
    """A name for each row of ``centroids`` (standardised features), no two alike.

    ``kept`` are names by place that stay. The style that stands out most is named first, by its one feature;
    one whose name is taken says its second feature too, and so on.
    """
    names = dict(kept or {})
    strength = centroids.abs().max(axis=1).to_numpy()
    for place in sorted(range(len(centroids)), key=lambda i: (-strength[i], i)):
        if place not in names:
            names[place] = _find_free_name(centroids.iloc[place], set(names.values()))
    return tuple(names[place] for place in range(len(centroids)))


def find_outstanding(centroid: pd.Series) -> list[tuple[str, float]]:
    """Features that stand out with their departures, the most outstanding first."""
    order = sorted(centroid.items(), key=lambda item: (-abs(item[1]), item[0]))
    return [(str(name), float(value)) for name, value in order if abs(value) >= MIN_DEPARTURE]


def _find_free_name(centroid: pd.Series, taken: set[str]) -> str:
    terms = [TERMS[name][0 if value > 0 else 1] for name, value in find_outstanding(centroid)] or [BALANCED]
    for count in range(1, len(terms) + 1):
        name = _join_terms(terms[:count])
        if name not in taken:
            return name
    number = 2
    while f"{_join_terms(terms)} {number}" in taken:
        number += 1
    return f"{_join_terms(terms)} {number}"


def _join_terms(terms: list[tuple[str, str]]) -> str:
    english = ", ".join(word if i == 0 else word[0].lower() + word[1:] for i, (word, _) in enumerate(terms))
    return f"{english} · {', '.join(korean for _, korean in terms)}"

"""Markdown pages about play styles. They contain no player names."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd

from lostark_ml.registry.model_card import MAX_CHARACTERS, truncate
from lostark_ml.styles.clusters import StyleModel
from lostark_ml.styles.names import TERMS, find_outstanding

CONTINUUM = "A continuum · 연속체"
_WHAT = (
    "How characters play, beside others of the same spec on the same gates; not how strong they are. Groups "
    "are believed only if they beat data of the same covariance without groups."
)
_WHY = "## Why it is believed"
_SECTIONS = ("## Examples", "## Specs")
"""What a description leaves out first where all pages together are too long."""
_SPECS_NAMED = 5
_EXAMPLES = 3


def _share(value: float) -> str:
    return f"{value:.1%}"


def _times(value: float) -> str:
    return f"×{value:.2f}"


MEANINGS: dict[str, tuple[str, Callable[[float], str]]] = {
    "crit_rate": ("crit rate", _share),
    "back_attack_rate": ("hits from behind", _share),
    "front_attack_rate": ("hits from the front", _share),
    "casts_per_minute": ("casts per minute", lambda value: f"{value:.1f}"),
    "opener_share": ("first 30 s, of mean DPS", _times),
    "burst_share": ("best 10 s, of mean DPS", _times),
    "active_share": ("time spent hitting", _share),
    "dead_share": ("time spent dead", _share),
    "support_use": ("damage under support buffs", _share),
    "residual_spread": ("variability of DPS against the expected", _share),
}
"""Of each feature, what it is called on a page, and how its value is written."""


def build_style_pages(model: StyleModel, characters: pd.DataFrame) -> dict[str, str]:
    """One page per style; for a continuum, one page that states it.

    ``characters``: rows of ``clusters.style_features``, those that the styles were found in or newer ones.
    """
    if model.is_continuum or model.scale is None:
        return {CONTINUUM: _build_continuum_page(model)}
    likely = model.probabilities(characters).dropna()
    style = likely.idxmax(axis=1)
    known = characters.loc[likely.index]
    return {name: _build_style_page(model, name, known, likely[name], style == name) for name in model.names}


def build_style_description(model: StyleModel, pages: Mapping[str, str], why: str) -> str:
    """All ``pages`` in one text that MLflow can hold: what is long goes first, and is in the pages' files.

    ``why``: description of this version; a continuum's page says so itself.
    """
    if model.is_continuum:
        return truncate(f"{_WHAT}\n\n{_nest(pages[CONTINUUM])}")
    head = f"{_WHAT}\n\n{why}\n\n{_describe_evidence(model)}"
    parts = [_nest(_drop_section(page, _WHY)) for page in pages.values()]
    for section in (None, *(f"#{name}" for name in _SECTIONS)):
        parts = parts if section is None else [_drop_section(part, section) for part in parts]
        text = "\n\n".join([head, *(part.strip() for part in parts)])
        if len(text) <= MAX_CHARACTERS:
            break
    return truncate(text)


def describe_axes(model: StyleModel) -> list[str]:
    """What each axis of the map says: features with their parts, the largest first."""
    if model.axes is None or model.scale is None:
        return []
    descriptions = []
    for axis in model.axes:
        parts = find_outstanding(pd.Series(axis, index=list(model.scale.features)))
        named = [f"{TERMS[name][0 if value > 0 else 1][0].lower()} ({value:+.2f})" for name, value in parts]
        descriptions.append(", ".join(named) or "a little of everything")
    return descriptions


def build_evidence_rows(model: StyleModel) -> list[dict[str, object]]:
    """The measured statistics and their null limits; empty if there were too few characters."""
    found = model.evidence
    if found.styles == 0:
        return []
    return [
        {"figure": "gain of BIC a character", "found": found.gain, "limit": found.gain_limit},
        {"figure": "stability (adjusted Rand)", "found": found.stability, "limit": found.stability_limit},
        {"figure": "agreement with the spec (AMI)", "found": found.ami_spec, "limit": "about 0"},
        {"figure": "characters", "found": found.characters, "limit": ""},
        {"figure": "styles tested", "found": found.styles, "limit": ""},
        {"figure": "features", "found": ", ".join(found.features), "limit": ""},
    ]


def _drop_section(page: str, heading: str) -> str:
    """``page`` without the section under ``heading``."""
    lines, is_left_out = [], False
    level = heading[: heading.index(" ") + 1]
    for line in page.split("\n"):
        if line.startswith(level):
            is_left_out = line == heading
        if not is_left_out:
            lines.append(line)
    return "\n".join(lines)


def _nest(page: str) -> str:
    """``page`` one level down."""
    return "\n".join(f"#{line}" if line.startswith("#") else line for line in page.split("\n"))


def _build_style_page(
    model: StyleModel, name: str, known: pd.DataFrame, probability: pd.Series, is_mine: pd.Series
) -> str:
    mine = known[is_mine]
    share = len(mine) / max(len(known), 1)
    lines = [
        f"# {name}",
        "",
        f"{len(mine):,} of {len(known):,} characters ({share:.0%}), counted once for each spec they play.",
        "",
        *_build_features_table(model, name, mine),
        "",
        "## Specs",
        "",
        *_build_specs_table(known, mine),
        "",
        "## Examples",
        "",
        *_build_examples(model, name, mine, probability[is_mine]),
        "",
        _WHY,
        "",
        _describe_evidence(model),
        "",
    ]
    return "\n".join(lines)


def _build_features_table(model: StyleModel, name: str, mine: pd.DataFrame) -> list[str]:
    """Outstanding features: mean of the style's characters against the mean of their specs."""
    assert model.scale is not None
    usual = model.scale.usual(mine["spec_name"])
    lines = [
        "| Stands out by | this style | usual in the same specs | departure |",
        "| --- | ---: | ---: | ---: |",
    ]
    found = find_outstanding(model.centroids.T[name])
    for feature, departure in found:
        meaning, write = MEANINGS[feature]
        values = write(mine[feature].mean()), write(usual[feature].mean())
        lines.append(f"| {meaning} | {values[0]} | {values[1]} | {departure:+.1f} sd |")
    return lines if found else ["Nothing stands out: these characters play as their specs usually do."]


def _build_specs_table(known: pd.DataFrame, mine: pd.DataFrame) -> list[str]:
    """The most frequent specs of the style, with their share of all characters."""
    among = mine["spec_name"].value_counts()
    of_all = known["spec_name"].value_counts()
    lines = ["| Spec | characters | of the spec's characters |", "| --- | ---: | ---: |"]
    for spec, count in among.head(_SPECS_NAMED).items():
        lines.append(f"| {spec} | {count:,} | {count / of_all[str(spec)]:.0%} |")
    return lines


def _build_examples(model: StyleModel, name: str, mine: pd.DataFrame, probability: pd.Series) -> list[str]:
    """The most typical characters, without their names."""
    lines = []
    shown = [feature for feature, _ in find_outstanding(model.centroids.T[name])][:3]
    typical = probability.sort_values(ascending=False, kind="stable").index[:_EXAMPLES]
    for place in typical:
        one = mine.loc[place]
        said = [f"{MEANINGS[f][0]} {MEANINGS[f][1](one[f])}" for f in shown if pd.notna(one[f])]
        what = ", ".join(said) or "as usual"
        lines.append(f"* {one['spec_name']} ({one['class_name']}), {one['fights']:,} clears: {what}")
    return lines


def _build_continuum_page(model: StyleModel) -> str:
    lines = [
        f"# {CONTINUUM}",
        "",
        "Characters differ in how they play, but there are no groups: every mixture between the extremes is",
        "played. Each character has a place on two axes instead of a style.",
        "",
        _describe_evidence(model),
        "",
    ]
    lines += [f"* Axis {number}: {text}" for number, text in enumerate(describe_axes(model), start=1)]
    return "\n".join([*lines, ""])


def _describe_evidence(model: StyleModel) -> str:
    found = model.evidence
    if found.styles == 0:
        return f"{found.reason[0].upper()}{found.reason[1:]}."
    return (
        f"Tested: {found.characters:,} characters, by {len(found.features)} features. "
        f"{found.reason[0].upper()}{found.reason[1:]}. The limits are what 95 % of data without groups, of "
        f"the same covariance, stay below. Agreement with the spec: {found.ami_spec:.3f} (0: none)."
    )

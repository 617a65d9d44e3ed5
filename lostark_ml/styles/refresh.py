"""Refresh of play styles: from statistics and scores to the registry and ``ml_player_clusters``.

Styles have no promotion gate: the newest version is active unless a person chose another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

import pandas as pd
import pyarrow as pa
from sklearn.metrics import adjusted_mutual_info_score

from lostark_assets.contracts.core import UPTIMES
from lostark_assets.contracts.expectations import Finding, examine_or_raise
from lostark_assets.contracts.ml import ML_EXPECTED_DPS, ML_PLAYER_CLUSTERS
from lostark_assets.contracts.stats import STATS_PLAYER_DPS
from lostark_assets.lake.tables import Lake
from lostark_ml.model.charts import as_png
from lostark_ml.registry.aliases import AliasChange, read_history, record_outside_changes, set_alias
from lostark_ml.registry.model_file import ModelRefused
from lostark_ml.registry.model_registry import ModelRegistry, ModelVersion, Submission, UnknownModelVersion
from lostark_ml.registry.names import CHALLENGER, CHAMPION
from lostark_ml.styles.clusters import (
    StyleModel,
    StylePolicy,
    build_player_clusters,
    compute_style_features,
    find_styles,
    model_input,
)
from lostark_ml.styles.pages import build_evidence_rows, build_style_description, build_style_pages
from lostark_ml.styles.style_map import draw_style_map

CLUSTERS = ML_PLAYER_CLUSTERS.name
STYLES_ARE_NOT_SPECS = "styles_are_not_specs"
MAX_AMI = 0.1
"""Agreement of style and spec by chance is 0; not standardised within spec, it is .5."""
BY = "play styles"
INPUT_TAG = "input_sha256"
_STATS, _EXPECTED = STATS_PLAYER_DPS.name, ML_EXPECTED_DPS.name
_STATS_COLUMNS = [
    "encounter_id", "player_name", "region", "class_name", "spec_name", "raid_name", "gate_name",
    "difficulty", "is_counted", "is_cleared", "is_name_known", "is_support", "item_level", "dps",
    "duration_s", "crit_rate", "back_attack_rate", "front_attack_rate", "casts_per_minute", "opener_dps",
    "peak_10s_dps", "active_s", "dead_s", *(column.name for column in UPTIMES),
]  # fmt: skip
_EXPECTED_COLUMNS = ["encounter_id", "player_name", "dps", "expected_dps", "refusal_reason", "is_population"]
_EXAMPLE_ROWS = 5


@dataclass(frozen=True)
class StylesRun:
    """Result of one refresh.

    ``version`` and ``model`` are active after it (no version: none was ever registered); ``rows``
    are those of ``ml_player_clusters``; ``made`` is the version that this refresh registered, ``change`` an
    alias that it moved; ``why``: description of what happened.
    """

    version: ModelVersion | None
    model: StyleModel
    rows: pa.Table
    pages: Mapping[str, str]
    findings: list[Finding]
    made: ModelVersion | None
    change: AliasChange | None
    why: str


def refresh_styles(
    lake: Lake, registry: ModelRegistry, now: datetime, policy: StylePolicy | None = None
) -> StylesRun:
    """Look for styles in the newest snapshot, register what is new, and place every character.

    The same input makes no new version. A version that a person made champion stays: newer ones are
    challengers until the newest is made champion.

    Args:
        lake: has ``stats_player_dps`` and, best, ``ml_expected_dps``.
        registry: of play styles.
        now: UTC instant.
        policy: parameters of the clustering.

    Raises:
        ContractViolated: a rule is broken; nothing was registered, and the table stays as it was.
        RegistryUnavailable: MLflow does not answer; the table stays as it was.
    """
    with lake.lock(CLUSTERS):
        return _refresh(lake, registry, now, policy or StylePolicy())


def _refresh(lake: Lake, registry: ModelRegistry, now: datetime, policy: StylePolicy) -> StylesRun:
    snapshot = {name: lake.version(name) for name in (_STATS, _EXPECTED)}
    characters = _read_characters(lake, snapshot, policy)
    record_outside_changes(registry, lake, now)
    versions, digest = registry.versions(), _compute_input_digest(characters, policy)
    champion = registry.champion()
    before, trouble = _try_load(registry, champion)
    newest = next((version for version in versions if version.tags.get(INPUT_TAG) == digest), None)
    model = before if newest == champion else _try_load(registry, newest)[0]
    made = None
    if newest is not None and model is not None:
        why = f"the same characters as of version {newest.version}"
    else:
        model = find_styles(characters, policy, before)
        why = " ".join(filter(None, [_describe(model, before), trouble]))
        # Before anything is registered: a table that breaks its contract must leave nothing behind.
        examine_or_raise(
            ML_PLAYER_CLUSTERS, build_player_clusters(model, characters, model_version=None, computed_at=now)
        )
        if model.evidence.styles:
            tags = {INPUT_TAG: digest, "style_names": ", ".join(model.names)}
            submission = _build_submission(model, characters, snapshot, policy, tags, why, now, lake.url)
            made = registry.submit(model, submission, model_input(characters).head(_EXAMPLE_ROWS))
        newest = made
    change = None
    if newest is not None and newest.version != (champion.version if champion else None):
        is_chosen = champion is not None and _was_chosen_by_person(registry, lake, champion, versions)
        change = _update_alias(registry, lake, newest, why, now, is_chosen=is_chosen)
    active = registry.champion()
    if active is not None and (newest is None or active.version != newest.version):
        kept = before if champion and active.version == champion.version else None
        model = kept if kept is not None else registry.load(active, StyleModel)
        why = f"{why}; version {active.version} stays active"
    number = active.version if active else None
    rows = build_player_clusters(model, characters, model_version=number, computed_at=now)
    findings = examine_or_raise(ML_PLAYER_CLUSTERS, rows)
    lake.replace_all(ML_PLAYER_CLUSTERS, rows, metadata={name: str(v) for name, v in snapshot.items()})
    pages = build_style_pages(model, characters)
    return StylesRun(active, model, rows, pages, [*findings, styles_are_not_specs(rows)], made, change, why)


def are_styles_current(lake: Lake) -> bool:
    """Whether ``ml_player_clusters`` is of the newest scores."""
    version = lake.version(CLUSTERS)
    return version is not None and lake.commit_metadata(CLUSTERS, version).get(_EXPECTED) == str(
        lake.version(_EXPECTED)
    )


def styles_are_not_specs(rows: pa.Table) -> Finding:
    """Whether style and spec are independent; needs rows of ``ml_player_clusters``."""
    frame = rows.select(["spec_name", "style"]).to_pandas().dropna()
    agreement = float(adjusted_mutual_info_score(frame["spec_name"], frame["style"])) if len(frame) else 0.0
    worst = [{"agreement of style and spec (AMI)": agreement, "at most": MAX_AMI}]
    is_broken = agreement > MAX_AMI
    return Finding(STYLES_ARE_NOT_SPECS, "warn", len(frame), int(is_broken), worst if is_broken else [])


def _read_characters(lake: Lake, snapshot: Mapping[str, int | None], policy: StylePolicy) -> pd.DataFrame:
    stats = lake.read(_STATS, columns=_STATS_COLUMNS, version=snapshot[_STATS]).to_pandas()
    expected = lake.read(_EXPECTED, columns=_EXPECTED_COLUMNS, version=snapshot[_EXPECTED]).to_pandas()
    return compute_style_features(stats, expected, policy)


def _compute_input_digest(characters: pd.DataFrame, policy: StylePolicy) -> str:
    """Of what styles are found in; blind to the last bits, which the order of a file's rows can move."""
    text = characters.to_csv(index=False, float_format="%.9g") + repr(policy)
    return hashlib.sha256(text.encode()).hexdigest()


def _try_load(registry: ModelRegistry, version: ModelVersion | None) -> tuple[StyleModel | None, str]:
    """The model of ``version``; None and an explanation if its files can't be used."""
    if version is None:
        return None, ""
    try:
        return registry.load(version, StyleModel), ""
    except (ModelRefused, UnknownModelVersion) as error:
        return None, f"Style names are reset: {error}"


def _was_chosen_by_person(
    registry: ModelRegistry, lake: Lake, champion: ModelVersion, versions: Sequence[ModelVersion]
) -> bool:
    """Whether a person made it champion while there was a newer one: then it was meant."""
    changes = [c for c in read_history(lake, registry.model_name) if c.alias == CHAMPION]
    last = changes[-1]
    newer = [v for v in versions if v.version > champion.version and v.created_at < last.changed_at]
    return last.changed_by != BY and bool(newer)


def _update_alias(
    registry: ModelRegistry, lake: Lake, version: ModelVersion, why: str, now: datetime, *, is_chosen: bool
) -> AliasChange | None:
    """Make ``version`` champion; challenger where a person chose the champion."""
    if not is_chosen:
        return set_alias(registry, lake, CHAMPION, version.version, by=BY, why=why, action="promote", now=now)
    if registry.aliases().get(CHALLENGER) == version.version:
        return None
    return set_alias(registry, lake, CHALLENGER, version.version, by=BY, why=why, action="submit", now=now)


def _describe(model: StyleModel, before: StyleModel | None) -> str:
    if model.is_continuum:
        return f"{model.evidence.reason}."
    known = set(before.names) if before else set()
    kept = [name for name in model.names if name in known]
    summary = f"{len(model.names)} styles among {model.evidence.characters:,} characters"
    return f"{summary}; {len(kept)} are those of the version before." if before else f"{summary}."


def _build_submission(
    model: StyleModel,
    characters: pd.DataFrame,
    snapshot: Mapping[str, int | None],
    policy: StylePolicy,
    tags: Mapping[str, str],
    why: str,
    now: datetime,
    lake_url: str,
) -> Submission:
    found, pages = model.evidence, build_style_pages(model, characters)
    chart = draw_style_map(
        build_player_clusters(model, characters, model_version=None, computed_at=now), model
    )
    measured = {
        "gain": found.gain,
        "gain_limit": found.gain_limit,
        "stability": found.stability,
        "stability_limit": found.stability_limit,
        "ami_spec": found.ami_spec,
    }
    tables = {"evidence": pd.DataFrame(build_evidence_rows(model)).astype(str)}
    if not model.is_continuum:
        tables["centroids"] = model.centroids.rename_axis("style").reset_index()
    return Submission(
        params=asdict(policy),
        metrics={**measured, "characters": found.characters, "styles": len(model.names)},
        tables=tables,
        figures={"map": as_png(chart)},
        pages={_get_file_name(model, place): page for place, page in enumerate(pages.values(), start=1)},
        snapshot=snapshot,
        features=found.features,
        tags=tags,
        description=build_style_description(model, pages, why),
        run_name=f"play styles {now:%Y-%m-%d %H:%M}",
        lake_url=lake_url,
    )


def _get_file_name(model: StyleModel, place: int) -> str:
    """Names of styles are in two scripts; names of files are plain."""
    return "continuum" if model.is_continuum else f"style_{place}"

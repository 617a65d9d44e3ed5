"""Asset checks of the core layer: their specs, and the same rules over stored rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import dagster as dg
import pyarrow.compute as pc

from lostark_assets.contracts.expectations import WORST_ROWS, Finding, merge
from lostark_assets.core.pipeline import COMMIT_ORDER
from lostark_assets.core.validate import CROSS_RULES, RAW_ROWS_ACCOUNTED, examine_core
from lostark_assets.dagster.specs import check_results, check_specs
from lostark_assets.lake.tables import Lake

HITS_A_CHUNK = 5_000_000


def core_check_specs() -> list[dg.AssetCheckSpec]:
    """Every check of the core tables."""
    return check_specs(reversed(COMMIT_ORDER), CROSS_RULES)


def examine_stored(
    lake: Lake, days: Iterable[date], raw_version: int | None = None
) -> dict[str, list[Finding]]:
    """Findings over the stored rows of ``days``, some days at a time so that memory stays bounded."""
    days = sorted(days)
    found: dict[str, list[Finding]] = {}
    for chunk in _chunks(lake, days) or [[]]:
        for name, findings in _examine_chunk(lake, chunk).items():
            found[name] = merge([*found.get(name, []), *findings])
    return with_accounting(found, lake, days, raw_version)


def accounted(lake: Lake, days: Iterable[date], raw_version: int | None = None) -> Finding:
    """Whether every raw log of ``days`` that was cleaned is an encounter or in quarantine.

    Collection goes on meanwhile: judged are the logs of the raw snapshot that the cleaning began with, or,
    where none is given, those that were fetched before the newest cleaning of the days. A log whose start was
    unreadable may, once replayed, lie on another day than its raw row: what the days lack is looked for
    everywhere.
    """
    days = sorted(days)
    where = pc.field("fight_date").isin(days)
    newest = None if raw_version is not None else _newest_cleaning(lake, days)
    if newest is not None:
        where &= pc.field("fetched_at") <= newest
    rows = lake.read("raw_battle_logs", columns=["log_id"], where=where, version=raw_version)
    raw = set(rows["log_id"].to_pylist())
    missing = raw - _settled(lake, days)
    if missing:
        missing -= _settled(lake, None)
    worst = [{"log_id": log_id} for log_id in sorted(missing)[:WORST_ROWS]]
    return Finding(RAW_ROWS_ACCOUNTED, "error", len(raw), len(missing), worst)


def _newest_cleaning(lake: Lake, days: list[date]) -> datetime | None:
    cleaned = lake.read("core_encounters", columns=["cleaned_at"], days=days)["cleaned_at"]
    refused = lake.read("core_quarantine", columns=["quarantined_at"], days=days)["quarantined_at"]
    return max((at for at in (pc.max(cleaned).as_py(), pc.max(refused).as_py()) if at), default=None)


def _settled(lake: Lake, days: list[date] | None) -> set[str]:
    encounters = lake.read("core_encounters", columns=["log_id"], days=days)
    refused = lake.read("core_quarantine", columns=["log_id"], days=days, where=pc.field("scope") == "log")
    return set(encounters["log_id"].to_pylist()) | set(refused["log_id"].to_pylist())


def _examine_chunk(lake: Lake, days: list[date]) -> dict[str, list[Finding]]:
    tables = {name: lake.read(name, days=days) for name in COMMIT_ORDER if name != "core_hits"}
    ids = ["encounter_id", "player_name"]
    hits = (
        lake.dataset("core_hits", days=days, dictionary=ids).to_table()
        if days
        else lake.read("core_hits", days=[])
    )
    return examine_core(tables | {"core_hits": hits}, _raw_logs(lake, days))


def _raw_logs(lake: Lake, days: Iterable[date]) -> int:
    return lake.read(
        "raw_battle_logs", columns=["log_id"], where=pc.field("fight_date").isin(list(days))
    ).num_rows


def _chunks(lake: Lake, days: list[date]) -> list[list[date]]:
    hits, logs = lake.rows_by_day("core_hits"), lake.rows_by_day("core_encounters")
    refused = lake.rows_by_day("core_quarantine")
    chunks: list[list[date]] = []
    room = 0
    for day in days:
        if day not in logs and day not in refused:
            continue
        rows = hits.get(day, 0)
        if not chunks or rows > room:
            chunks.append([])
            room = HITS_A_CHUNK
        chunks[-1].append(day)
        room -= rows
    return chunks


def with_accounting(
    findings: Mapping[str, Sequence[Finding]],
    lake: Lake,
    days: Iterable[date],
    raw_version: int | None = None,
) -> dict[str, list[Finding]]:
    """Findings of the logs cleaned now, with the accounting of all logs of the days in place of theirs."""
    found = {name: [f for f in group if f.rule != RAW_ROWS_ACCOUNTED] for name, group in findings.items()}
    found.setdefault("core_encounters", []).append(accounted(lake, days, raw_version))
    return found


def core_check_results(
    findings: Mapping[str, Sequence[Finding]], lake: Lake, wanted: set[Any] | None
) -> Iterator[dg.AssetCheckResult]:
    """Findings as Dagster shows them."""
    return check_results(findings, lake, CROSS_RULES, wanted)

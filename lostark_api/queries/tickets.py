"""State of an upload: received, collected, cleaned, published, or refused.

Each state is read from its source of truth: the landing folder, the lake's core tables, the marts.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pyarrow.compute as pc

from lostark_api.database import MartsSnapshot
from lostark_api.queries.backlog import describe_backlog, describe_wait
from lostark_assets.automation.backlog import Backlog
from lostark_assets.contracts.reasons import REASONS
from lostark_assets.lake.tables import Lake
from lostark_assets.sources.landing import Landed

MAX_FIGHTS = 200
_NO_WAIT = {"estimate_s": None, "estimate": None}
_PUBLISHED = (
    "SELECT encounter_id, fight_id, gate_id, raid_name, gate_name, difficulty, boss_name, is_cleared, "
    "fight_started_at "
    "FROM marts.encounters WHERE encounter_id = ANY(%(ids)s) ORDER BY fight_started_at DESC, encounter_id"
)


def read_cleaned_logs(lake: Lake, landed: Landed) -> tuple[dict[str, str], Counter[str], int]:
    """Encounter ids by cleaned log, refusals by reason, and the number of logs refused as a whole."""
    result = landed.result
    if result is None or not result.log_ids:
        return {}, Counter(), 0
    wanted, days = pc.field("log_id").isin(result.log_ids), result.days
    columns = ["log_id", "encounter_id"]
    core = lake.read("core_encounters", columns=columns, days=days, where=wanted)
    entries = lake.read(
        "core_quarantine", columns=["log_id", "scope", "reason_code"], days=days, where=wanted
    )
    if core.num_rows + entries.num_rows == 0 or not set(result.log_ids) <= {
        *core["log_id"].to_pylist(),
        *entries["log_id"].to_pylist(),
    }:
        # Cleaning may determine another day than the quick scan during collection.
        core = lake.read("core_encounters", columns=columns, where=wanted)
        entries = lake.read("core_quarantine", columns=["log_id", "scope", "reason_code"], where=wanted)
    whole = {
        log_id
        for log_id, scope in zip(entries["log_id"].to_pylist(), entries["scope"].to_pylist(), strict=True)
        if scope == "log"
    }
    encounters = dict(zip(core["log_id"].to_pylist(), core["encounter_id"].to_pylist(), strict=True))
    return encounters, Counter(entries["reason_code"].to_pylist()), len(whole - encounters.keys())


async def read_published_fights(snapshot: MartsSnapshot, encounter_ids: list[str]) -> list[dict[str, Any]]:
    """The published ones among the encounters, newest first."""
    return await snapshot.fetch_all(_PUBLISHED, {"ids": encounter_ids}) if encounter_ids else []


def describe_ticket(
    landed: Landed,
    encounters: dict[str, str],
    reasons: Counter[str],
    refused: int,
    fights: list[dict[str, Any]],
    uploads_before: int | None,
    backlog: Backlog,
    language: str,
) -> dict[str, Any]:
    """The ticket as the API returns it."""
    ticket, result = landed.ticket, landed.result
    state = _state(landed, len(encounters), refused, len(fights))
    is_final = state in ("published", "refused")
    waited_s = (datetime.now(UTC) - ticket.received_at).total_seconds()
    return {
        "ticket": ticket.ticket,
        "state": state,
        "is_final": is_final,
        "received_at": ticket.received_at,
        "uploads_before": uploads_before,
        **(_NO_WAIT if is_final else describe_wait(backlog, uploads_before or 0, waited_s, language)),
        "backlog": describe_backlog(backlog, language),
        "name": ticket.name,
        "format": ticket.log_format,
        "size_bytes": ticket.bytes,
        "logs": {
            "found": result.found if result else None,
            "new": result.new if result else None,
            "known": result.known if result else None,
            "cleaned": len(encounters),
            "refused": refused,
        },
        "fights": [fight | {"href": f"/v1/fights/{fight['fight_id']}"} for fight in fights[:MAX_FIGHTS]],
        "fight_count": len({fight["fight_id"] for fight in fights}),
        "reasons": [
            {"reason_code": code, "count": count, "what_to_do": REASONS.get(code, "")}
            for code, count in reasons.most_common()
        ],
        "problems": result.problems[:20] if result else [],
        "error": result.error if result else None,
    }


def _state(landed: Landed, cleaned: int, refused: int, published: int) -> str:
    result = landed.result
    if result is None:
        return "received"
    wanted = len(result.log_ids)
    if result.error is not None or refused == wanted:
        return "refused"
    if cleaned + refused < wanted:
        return "collected"
    return "published" if published >= cleaned else "cleaned"

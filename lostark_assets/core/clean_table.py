"""Cleaning one encounter of a player table, of any era. Pure.

Tables only hold cleared fights, without skills or hits. Columns changed names and meanings between eras:
``class`` holds the spec in the oldest, ``localPlayer`` is a flag in one and a name in another, ``percent``
runs to 100 or to 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from lostark_assets.contracts.core import CORE_PLAYERS
from lostark_assets.core.clean_meter import (
    CleanLog,
    Rules,
    check_duration,
    check_player_count,
    checked_start,
    completeness,
    identity,
    is_name_known,
    item_level_or_none,
)
from lostark_assets.core.documents import TableLog
from lostark_assets.core.limits import GIVEN, check_rows
from lostark_assets.core.rows import LogHits, LogSkills
from lostark_assets.errors import LogRejected
from lostark_assets.game.difficulties import resolve_difficulty
from lostark_assets.game.raids import (
    GateMatch,
    canonical_boss,
    gate_from_text,
    resolve_gate,
    resolve_named_gate,
)
from lostark_assets.game.specs import is_support, resolve_spec
from lostark_assets.game.versions import measurement_rules
from lostark_assets.sources.player_table import epoch_ms

_ALIASES = {
    "gear_score": ("gearScore", "gearscore", "gear_score"),
    "is_dead": ("isDead", "dead"),
    "started": ("timestamp", "date"),
}
_TRUE, _FALSE = {"true", "1", "1.0", "t", "yes"}, {"false", "0", "0.0", "f", "no"}


def clean_table_log(log: TableLog, rules: Rules) -> tuple[CleanLog, list[tuple[str, LogRejected]]]:
    """The rows of one encounter of a table, and its refused player rows (with their names).

    Raises:
        LogRejected: the encounter as a whole breaks a rule.
    """
    rows = [dict(zip(log.columns, row, strict=False)) for row in log.rows]
    if not rows:
        raise LogRejected("no_players", "expected at least one player row, found none")
    first = rows[0]
    started_at = checked_start(epoch_ms(_get(first, "started")), rules)
    duration_ms = _int(first.get("duration"))
    if duration_ms is None:
        raise LogRejected("missing_field", "expected the fight's duration, found none")
    check_duration(duration_ms, rules)
    seconds = max(duration_ms // 1000, 1)
    match, boss, reported = _gate(first, log.context, started_at)
    check_player_count(len(rows), match)
    shares, total = _shares(rows), _int(first.get("totalDamageDealt"))
    players, refused = _players(rows, shares, total, seconds)
    if not players:
        raise LogRejected("no_players", "expected at least one valid player row, found none")
    version = _text(first.get("version"))
    raid_dps = _int(first.get("totalDps"))
    if total is not None and raid_dps is not None and total // seconds != raid_dps:
        raise LogRejected(
            "meter_dps_mismatch", f"expected {total // seconds} raid DPS, the table holds {raid_dps}"
        )
    encounter = {
        "fight_started_at": started_at,
        "fight_date": started_at.date(),
        "raid_name": match.raid_name,
        "gate_name": match.gate_name,
        "boss_name": boss,
        "difficulty": resolve_difficulty(reported, meter_version=version, raid_name=match.raid_name),
        "difficulty_reported": reported,
        "gate_resolution": match.resolution,
        "gate_candidates": "; ".join(f"{r} {g}" for r, g in match.candidates)
        if len(match.candidates) > 1
        else None,
        "is_cleared": True,
        "duration_s": seconds,
        "duration_ms": duration_ms,
        "intermission_ms": None,
        "meter_version": version,
        "measurement_rules": measurement_rules(version, figure="dps"),
        "region": _text(first.get("region")) or log.context.get("region"),
        "local_player_name": next((p["player_name"] for p in players if p["is_uploader"]), None),
        "raid_size": match.players,
        "damage": total,
        "dps": total // seconds if total is not None else None,
        "meter_damage": total,
        "meter_dps": raid_dps,
        "detail_level": "players",
        "player_count": len(players),
        "player_rows_in": len(rows),
        "completeness": completeness("players", players),
    }
    if all(p["damage"] is not None for p in players):
        encounter["player_damage"] = sum(p["damage"] for p in players)
    return CleanLog(encounter, players, LogSkills(), LogHits()), refused


def _gate(
    row: Mapping[str, Any], context: Mapping[str, str], started_at: Any
) -> tuple[GateMatch, str | None, str | None]:
    """Gate, boss and difficulty: from the columns, else the import's arguments, else the file's name."""
    boss = _text(row.get("boss")) or context.get("boss")
    named, named_difficulty = _gate_of_file(context.get("file_name", ""))
    difficulty = _text(row.get("difficulty")) or context.get("difficulty") or named_difficulty
    if context.get("raid"):
        match = resolve_named_gate(context["raid"], context.get("gate"), boss)
    elif boss:
        match = resolve_gate(boss, difficulty=difficulty, fight_started_at=started_at)
    else:
        match = named
    return match, canonical_boss(boss) or boss, difficulty


_gate_of_file = lru_cache(gate_from_text)


def _shares(rows: Sequence[Mapping[str, Any]]) -> list[float | None]:
    """Damage shares 0..1; the oldest era stored percent rounded to 0.1."""
    values = [_float(row.get("percent")) for row in rows]
    total = sum(v for v in values if v is not None)
    scale = 100.0 if total > 1.5 else 1.0
    return [v / scale if v is not None and 0 <= v / scale <= 1 else None for v in values]


def _players(
    rows: list[dict[str, Any]], shares: list[float | None], total: int | None, seconds: int
) -> tuple[list[dict[str, Any]], list[tuple[str, LogRejected]]]:
    players: dict[str, dict[str, Any]] = {}
    refused = []
    for place, (row, share) in enumerate(zip(rows, shares, strict=True), start=1):
        name = _text(row.get("name")) or f"Unknown #{place}"
        dps = _int(row.get("dps"))
        if dps is None or dps < 0:
            found = LogRejected(
                "impossible_value", f"expected DPS of 0 or more, found {row.get('dps')!r}", name
            )
            refused.append((name, found))
        elif name in players:
            refused.append(
                (name, LogRejected("duplicate_player", "expected a player once, found another row", name))
            )
        else:
            player = _player_row(name, row, dps, share, total, seconds)
            try:
                check_rows(CORE_PLAYERS, [player], given=GIVEN)
            except LogRejected as error:
                refused.append((name, error))
            else:
                players[name] = player
    return [players[name] for name in sorted(players)], refused


def _player_row(
    name: str, row: Mapping[str, Any], dps: int, share: float | None, total: int | None, seconds: int
) -> dict[str, Any]:
    class_text, spec_text = _text(row.get("class")), _text(row.get("spec"))
    if spec_text is None and resolve_spec(class_text):
        class_text, spec_text = None, class_text
    class_name, spec_name = identity(class_text or spec_text, None, spec_text)
    damage = round(share * total) if share is not None and total else None
    if damage is not None and damage // seconds != dps:
        damage = None
    return {
        "player_name": name,
        "is_name_known": is_name_known(name),
        "class_name": class_name,
        "spec_name": spec_name,
        "item_level": item_level_or_none(_float(_get(row, "gear_score"))),
        "is_support": is_support(spec_name, class_name),
        "is_dead": _bool(_get(row, "is_dead")),
        "is_uploader": _is_uploader(row, name),
        "damage": damage,
        "dps": dps,
        "damage_share": share,
        "meter_dps": dps,
        "deaths": _int(row.get("deaths")),
        "is_ark_passive_active": _bool(row.get("arkPassiveActive")),
    }


def _is_uploader(row: Mapping[str, Any], name: str) -> bool | None:
    value = row.get("localPlayer")
    flag = _bool(value)
    return flag if flag is not None else value == name if value is not None else None


def _get(row: Mapping[str, Any], key: str) -> Any:
    return next((row[c] for c in _ALIASES[key] if c in row), None)


def _text(value: Any) -> str | None:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return value.strip() if isinstance(value, str) and value.strip() else None


def _float(value: Any) -> float | None:
    if value is None or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _int(value: Any) -> int | None:
    if isinstance(value, str) and value.strip().lstrip("-").isdigit():
        return int(value)
    number = _float(value)
    return int(number) if number is not None and abs(number) < 2**62 else None


def _bool(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    return True if text in _TRUE else False if text in _FALSE else None

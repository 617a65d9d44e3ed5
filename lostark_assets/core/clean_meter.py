"""Cleaning one log of a damage meter: the rules for a valid log, and its rows. Pure."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np

from lostark_assets.contracts.core import MAX_FIGHT_S
from lostark_assets.core.clean_skills import PART_TOLERANCE, clean_skills, total_damage, within
from lostark_assets.core.documents import DamageStats
from lostark_assets.core.parse import MeterLog, PlayerPart
from lostark_assets.core.rows import LogHits, LogSkills
from lostark_assets.errors import LogRejected
from lostark_assets.game.classes import class_name_of_id, resolve_class
from lostark_assets.game.difficulties import resolve_difficulty
from lostark_assets.game.raids import GateMatch, canonical_boss, resolve_gate
from lostark_assets.game.specs import is_support, resolve_spec
from lostark_assets.game.versions import measurement_rules
from lostark_assets.settings import Settings
from lostark_assets.sources.profiles import ProfileRules

LARGEST_RAID = 16
HIGHEST_ITEM_LEVEL = 3000.0
_MAX_FRACTION = 2.0
_MAX_HP = 1e17
_MAX_S = 2.0**62
_UNDER_BUFF: dict[str, Callable[[DamageStats], int | None]] = {
    "support_ap": attrgetter("buffed_by_support"),
    "support_brand": attrgetter("debuffed_by_support"),
    "support_identity": attrgetter("buffed_by_identity"),
    "support_hyper": attrgetter("buffed_by_hat"),
}
PARTY_SIZE = 4
MAX_UPTIME = 1.5
"""Real uptimes exceed 1 by at most a few percent. A larger value is no uptime, and counts as unknown."""
TOTAL_TOLERANCE = 0.01
"""Old meters kept running totals: real ones exceed the players' sum by up to 3e-5; a lost player is more."""
_ANONYMOUS_NAME = re.compile(r"(?=.*\d)[0-9a-f]{5,16}|You|.+ #\d+|Unknown.*")


@dataclass(frozen=True)
class Rules:
    """Limits of valid logs, and which armory profiles count. ``now``: upper bound of fight starts."""

    max_fight_s: int = 7200
    max_part_bytes: int = 256 << 20
    max_log_bytes: int = 1 << 30
    earliest_fight_date: date = date(2022, 1, 1)
    now: datetime | None = None
    profiles: ProfileRules = field(default_factory=ProfileRules)


def build_rules(settings: Settings) -> Rules:
    """The cleaning rules of the settings."""
    return Rules(
        max_fight_s=settings.max_fight_s,
        max_part_bytes=int(settings.max_part_bytes),
        max_log_bytes=int(settings.max_log_bytes),
        earliest_fight_date=settings.earliest_fight_date,
        profiles=ProfileRules(
            max_age=timedelta(days=settings.profile_max_age_days),
            regions=frozenset(settings.open_api_regions),
        ),
    )


@dataclass
class CleanLog:
    """The rows of one valid log, without the columns that the caller adds (ids, run, version)."""

    encounter: dict[str, Any]
    players: list[dict[str, Any]]
    skills: LogSkills
    hits: LogHits


def clean_meter_log(log: MeterLog, rules: Rules) -> CleanLog:
    """The rows of one meter log.

    Raises:
        LogRejected: the log breaks a rule; the reason says which.
    """
    started_at = checked_start(log.fight_started_ms, rules)
    if log.last_packet_ms is None:
        raise LogRejected("missing_field", "expected the time of the last combat packet, found none")
    if not log.players:
        raise LogRejected("no_players", "expected at least one player, found none")
    _check_names(log.players)
    match, difficulty = _gate(log, started_at)
    check_player_count(len(log.players), match)
    player_damage = sum(p.stats.damage_dealt for p in log.players)
    _check_sums(log, player_damage)
    duration_ms, intermission_ms = _duration(log, rules)
    seconds = max(duration_ms // 1000, 1)
    span_ms = duration_ms + intermission_ms
    parts = sorted(log.players, key=lambda p: p.name)
    skills, log_hits, coverage = clean_skills(parts, seconds, span_ms)
    detail = "hits" if log_hits.runs else "skills" if len(skills) else "players"
    players = []
    for player in parts:
        row = _player_row(player, log, seconds, player_damage, span_ms)
        row["hit_coverage"] = coverage.get(player.name)
        if detail != "hits":
            row["meter_rolling_dps"] = _whole_list(player.stats.dps_rolling10s_avg)
            row["meter_average_dps"] = _whole_list(player.stats.dps_average)
        players.append(row)
    _measure_supports(players, parts)
    encounter = _encounter_row(log, started_at, match, difficulty, player_damage, seconds) | {
        "duration_ms": duration_ms,
        "intermission_ms": intermission_ms,
        "detail_level": detail,
        "player_count": len(players),
        "player_rows_in": len(players),
        "completeness": completeness(detail, players),
    }
    return CleanLog(encounter, players, skills, log_hits)


def checked_start(started_ms: int | None, rules: Rules) -> datetime:
    """The fight's start as an instant; a missing or impossible one is refused."""
    if not started_ms:
        raise LogRejected("missing_field", "expected the fight's start, found none")
    try:
        started_at = datetime.fromtimestamp(started_ms / 1000, UTC)
    except (OverflowError, ValueError, OSError) as error:
        raise LogRejected("impossible_time", f"expected epoch ms, found {started_ms}") from error
    latest = rules.now or datetime.now(UTC)
    if started_at.date() < rules.earliest_fight_date or (started_at - latest).days >= 1:
        raise LogRejected(
            "impossible_time",
            f"expected a start from {rules.earliest_fight_date} until now, found {started_at:%F %T}",
        )
    return started_at


def _check_names(players: list[PlayerPart]) -> None:
    counts = Counter(p.name for p in players)
    name, times = counts.most_common(1)[0]
    if times > 1:
        raise LogRejected(
            "duplicate_player", f"expected each player once, found {name!r} {times} times", name
        )


def check_player_count(count: int, match: GateMatch) -> None:
    """Refuse more players than the raid allows."""
    limit = match.players or LARGEST_RAID
    if count > limit:
        where = f"{match.raid_name} {match.gate_name or ''}".strip() if match.raid_name else "any raid"
        raise LogRejected("too_many_players", f"expected at most {limit} players in {where}, found {count}")


def check_duration(duration_ms: int, rules: Rules) -> None:
    """Refuse a fight that lasted too long or ended before it began; one-hit logs may be a moment negative."""
    limit = min(rules.max_fight_s, MAX_FIGHT_S) * 1000
    if not -1000 <= duration_ms <= limit:
        raise LogRejected("impossible_duration", f"expected at most {limit} ms, found {duration_ms} ms")


def is_name_known(name: str) -> bool:
    """Whether a name is a character's: the meter writes hex ids and "You", exports write "Bard #7"."""
    return not _ANONYMOUS_NAME.fullmatch(name)


def completeness(detail_level: str, players: list[dict[str, Any]]) -> float:
    """Rank of a log among those of its fight: detail first, then players, then names that are known."""
    known = sum(1 for p in players if p["is_name_known"])
    return {"players": 0, "skills": 1, "hits": 2}[detail_level] * 100 + len(players) + known / 100


@lru_cache(maxsize=4096)
def identity(
    class_text: str | None, class_id: int | None, spec_text: str | None
) -> tuple[str | None, str | None]:
    """English class and spec from a log's texts and ids; without a class, the spec implies it."""
    class_name = class_name_of_id(class_id) or resolve_class(class_text)
    spec = resolve_spec(spec_text, class_name)
    return class_name or (spec.class_name if spec else None), spec.name if spec else None


def item_level_or_none(value: float | None) -> float | None:
    """Item levels have two decimals, stored in single precision; 0 and impossible values mean unknown."""
    return round(value, 2) if value is not None and 1 <= value <= HIGHEST_ITEM_LEVEL else None


def _duration(log: MeterLog, rules: Rules) -> tuple[int, int]:
    """Fight length and intermission in ms: the meter's rule, checked against the length and DPS it stored."""
    assert log.last_packet_ms is not None
    assert log.fight_started_ms is not None
    begin, end = log.misc.intermission_start, log.misc.intermission_end
    intermission = max(end - begin, 0) if begin and end else 0
    computed = log.last_packet_ms - log.fight_started_ms - intermission
    candidates = [computed]
    if log.stored_duration_ms is not None and log.stored_duration_ms != computed:
        candidates.append(log.stored_duration_ms)
    for duration in (*candidates, computed + intermission):
        check_duration(duration, rules)
    for duration in candidates:
        if not _dps_mismatch(log, max(duration // 1000, 1)):
            return duration, intermission
    raise LogRejected("meter_dps_mismatch", _dps_mismatch(log, max(computed // 1000, 1)) or "")


def _dps_mismatch(log: MeterLog, seconds: int) -> str | None:
    """The first figure that our rule does not reproduce; None for a log that stores no DPS."""
    if _stores_dps(log):
        for player in log.players:
            ours = player.stats.damage_dealt // seconds
            if player.meter_dps is not None and player.meter_dps != ours:
                stored = player.meter_dps
                return f"expected {ours} DPS of {player.name!r} by {seconds} s, the meter stored {stored}"
    if log.meter_dps and log.meter_damage is not None and log.meter_damage // seconds != log.meter_dps:
        ours = log.meter_damage // seconds
        return f"expected {ours} raid DPS by {seconds} s, the meter stored {log.meter_dps}"
    return None


def _stores_dps(log: MeterLog) -> bool:
    """Whether the log stores DPS: meters that measured none left zeros."""
    return any(player.meter_dps for player in log.players)


def _gate(log: MeterLog, started_at: datetime) -> tuple[GateMatch, str | None]:
    match = resolve_gate(
        log.boss_name,
        difficulty=log.difficulty,
        boss_max_hp=_boss_max_hp(log),
        fight_started_at=started_at,
    )
    version = log.misc.version
    return match, resolve_difficulty(log.difficulty, meter_version=version, raid_name=match.raid_name)


def _boss_max_hp(log: MeterLog) -> int | None:
    return log.boss_max_hp if log.boss_max_hp and log.boss_max_hp > 0 else _full_hp(log)


def _full_hp(log: MeterLog) -> int | None:
    """The boss's full HP from the first second of its log, where the boss itself is not stored."""
    first, fractions = log.boss_hp[0] if log.boss_hp else None, _boss_hp(log)[1]
    if first is None or not fractions or first.p is None or first.hp is None:
        return None
    return round(first.hp / fractions[0]) if fractions[0] and 0 < first.hp < _MAX_HP else None


def _check_sums(log: MeterLog, player_damage: int) -> None:
    for player in log.players:
        if player.stats.damage_dealt < 0:
            raise LogRejected(
                "impossible_value",
                f"expected damage of 0 or more, found {player.stats.damage_dealt}",
                player.name,
            )
        if len(player.skills):
            total = total_damage(player.skills)
            if abs(total - player.stats.damage_dealt) > PART_TOLERANCE * max(player.stats.damage_dealt, 1):
                raise LogRejected(
                    "broken_sums",
                    f"expected skills of {player.stats.damage_dealt:,} damage, found {total:,}",
                    player.name,
                )
    stored = log.meter_damage
    if stored and abs(stored - player_damage) > TOTAL_TOLERANCE * max(stored, player_damage):
        raise LogRejected("broken_sums", f"expected players of {stored:,} damage, found {player_damage:,}")


def _player_row(
    player: PlayerPart, log: MeterLog, seconds: int, raid_damage: int, span_ms: int
) -> dict[str, Any]:
    stats, counts = player.stats, player.counts
    class_name, spec_name = identity(player.class_text, player.class_id, player.spec_text)
    if (
        counts.hits is not None
        and max(counts.crits or 0, counts.back_attacks or 0, counts.front_attacks or 0) > counts.hits
    ):
        raise LogRejected(
            "impossible_value", f"expected at most {counts.hits} hits of a kind, found {counts}", player.name
        )
    parts = (stats.crit_damage, stats.back_attack_damage, stats.front_attack_damage)
    if max(part or 0 for part in parts) > stats.damage_dealt:
        raise LogRejected(
            "impossible_value",
            f"expected at most {stats.damage_dealt:,} damage by crits, from behind and from the front each, "
            f"found {', '.join(map(str, parts))}",
            player.name,
        )
    died_at_s, dead_s = _death(player, log, span_ms)
    return (
        {
            "player_name": player.name,
            "is_name_known": is_name_known(player.name),
            "character_id": player.character_id,
            "class_id": player.class_id,
            "class_name": class_name,
            "spec_name": spec_name,
            "item_level": item_level_or_none(player.item_level),
            "combat_power": within(player.combat_power or None, math.inf),
            "is_support": is_support(spec_name, class_name),
            "is_dead": player.is_dead,
            "is_uploader": player.name == log.local_player if log.local_player else None,
            "party_number": player.party_number,
            "damage": stats.damage_dealt,
            "dps": stats.damage_dealt // seconds,
            "damage_share": stats.damage_dealt / raid_damage if raid_damage else None,
            "meter_dps": player.meter_dps if _stores_dps(log) else None,
            "damage_taken": stats.damage_taken,
            "deaths": stats.deaths
            if stats.deaths is not None
            else len(stats.death_info)
            if stats.death_info
            else None,
            "dead_s": dead_s,
            "died_at_s": died_at_s,
            "casts": counts.casts,
            "hits": counts.hits,
            "crits": counts.crits,
            "back_attacks": counts.back_attacks,
            "front_attacks": counts.front_attacks,
            "counters": counts.counters,
            "crit_damage": measured(stats.crit_damage, counts.crits),
            "back_attack_damage": measured(stats.back_attack_damage, counts.back_attacks),
            "front_attack_damage": measured(stats.front_attack_damage, counts.front_attacks),
            "hyper_awakening_damage": stats.hyper_awakening_damage,
            "stagger": stats.stagger,
            "incapacitated_s": _incapacitated_s(player, log),
            "damage_under_ap": stats.buffed_by_support,
            "damage_under_brand": stats.debuffed_by_support,
            "damage_under_identity": stats.buffed_by_identity,
            "damage_under_hyper": stats.buffed_by_hat,
            "unbuffed_damage": stats.unbuffed_damage,
            "shields_given": stats.shields_given,
            "damage_absorbed_on_others": stats.damage_absorbed_on_others,
            "is_ark_passive_active": player.is_ark_passive_active,
            "loadout_hash": player.loadout_hash,
        }
        | _uptimes(player)
        | _contribution(player, log)
    )


def _uptimes(player: PlayerPart) -> dict[str, float | None]:
    """The meter's uptimes; for logs without them, the player's share of damage under the buff."""
    return {
        name: within(_uptime([player], of) if stored is None else stored, MAX_UPTIME)
        for (name, of), stored in zip(_UNDER_BUFF.items(), player.uptimes, strict=True)
    }


def _uptime(players: Iterable[PlayerPart], under_buff: Callable[[DamageStats], int | None]) -> float | None:
    """The share of the players' damage, without hyper-awakening, that was under a buff."""
    known = [(p.stats, damage) for p in players if (damage := under_buff(p.stats)) is not None]
    base = sum(stats.damage_dealt - (stats.hyper_awakening_damage or 0) for stats, _ in known)
    return sum(damage for _, damage in known) / base if base > 0 else None


def _measure_supports(rows: list[dict[str, Any]], parts: list[PlayerPart]) -> None:
    """Uptimes of supports where the meter stored none, by its own rule.

    The only support of a party has the uptime of the party's dealers. If the party of a support is unknown,
    its uptimes are null: its own share is a different figure.
    """
    is_one_party = len(rows) <= PARTY_SIZE and all(row["party_number"] is None for row in rows)
    for row, part in zip(rows, parts, strict=True):
        if not row["is_support"] or any(uptime is not None for uptime in part.uptimes):
            continue
        number = row["party_number"]
        if number is None and not is_one_party:
            row.update(dict.fromkeys(_UNDER_BUFF))
            continue
        party = [(r, p) for r, p in zip(rows, parts, strict=True) if r["party_number"] == number]
        if sum(bool(r["is_support"]) for r, _ in party) == 1:
            dealers = [p for r, p in party if not r["is_support"]]
            row.update({name: within(_uptime(dealers, of), MAX_UPTIME) for name, of in _UNDER_BUFF.items()})


def _contribution(player: PlayerPart, log: MeterLog) -> dict[str, int | None]:
    """RDPS figures, if the meter marks them as valid: an invalid log holds zeros."""
    stats = player.stats
    names = ("rdps_damage_received", "rdps_damage_received_support", "rdps_damage_given", "rdps", "ndps")
    if not log.misc.rdps_valid:
        return dict.fromkeys(names)
    return {name: getattr(stats, name) for name in names}


def measured(damage: int | None, count: int | None) -> int | None:
    """Damage of a kind of hit; zero with hits of that kind is how old meters store "not measured"."""
    return None if damage == 0 and count else damage


def _death(player: PlayerPart, log: MeterLog, span_ms: int) -> tuple[float | None, float | None]:
    """Second of the last death and seconds spent dead; a death without a length lasts to the end."""
    assert log.fight_started_ms is not None
    start, stats = log.fight_started_ms, player.stats
    deaths = [(d.death_time, d.dead_for) for d in stats.death_info or () if d.death_time]
    if not deaths and stats.death_time and player.is_dead:
        deaths = [(stats.death_time, None)]
    last = max((at for at, _ in deaths), default=stats.death_time) or None
    died_at_s = (last - start) / 1000 if last and -1000 <= last - start <= span_ms + 60_000 else None
    if not deaths:
        return died_at_s, 0.0 if stats.deaths == 0 else None
    spent = [dead_for if dead_for is not None else start + span_ms - at for at, dead_for in deaths]
    return died_at_s, sum(min(max(ms, 0), span_ms) for ms in spent) / 1000


def _incapacitated_s(player: PlayerPart, log: MeterLog) -> float | None:
    """Union of the intervals, clipped to the fight. Cut short by death, a length has the wrong sign."""
    if player.stats.incapacitations is None:
        return None
    assert log.fight_started_ms is not None
    assert log.last_packet_ms is not None
    covered, until = 0, log.fight_started_ms
    for begin, length in sorted((i.timestamp, abs(i.duration)) for i in player.stats.incapacitations):
        first, end = max(begin, until), min(begin + length, log.last_packet_ms)
        if end > first:
            covered += end - first
            until = end
    return covered / 1000


def _encounter_row(
    log: MeterLog,
    started_at: datetime,
    match: GateMatch,
    difficulty: str | None,
    player_damage: int,
    seconds: int,
) -> dict[str, Any]:
    damage = log.meter_damage or player_damage
    ntp = log.misc.ntp_fight_start
    at_s, fractions = _boss_hp(log)
    return {
        "fight_started_at": started_at,
        "fight_date": started_at.date(),
        "raid_name": match.raid_name,
        "gate_name": match.gate_name,
        "boss_name": canonical_boss(log.boss_name) or log.boss_name,
        "difficulty": difficulty,
        "difficulty_reported": log.difficulty or None,
        "gate_resolution": match.resolution,
        "gate_candidates": "; ".join(f"{r} {g}" for r, g in match.candidates)
        if len(match.candidates) > 1
        else None,
        "is_cleared": log.is_cleared,
        "duration_s": seconds,
        "meter_version": log.misc.version,
        "measurement_rules": measurement_rules(log.misc.version, figure="dps"),
        "region": log.region,
        "fight_started_ntp_at": datetime.fromtimestamp(ntp / 1000, UTC)
        if ntp and 1e12 < ntp < 4e12
        else None,
        "local_player_name": log.local_player,
        "raid_size": match.players,
        "damage": damage,
        "dps": damage // seconds,
        "player_damage": player_damage,
        "meter_damage": log.meter_damage,
        "meter_dps": log.meter_dps,
        "boss_max_hp": _boss_max_hp(log),
        "boss_hp_left": _boss_hp_left(log),
        "boss_hp_at_s": at_s,
        "boss_hp": fractions,
        "is_boss_only_damage": log.is_boss_only_damage,
        "is_manual_save": log.misc.manual_save,
        "is_rdps_valid": log.misc.rdps_valid,
    }


def _boss_hp(log: MeterLog) -> tuple[list[int] | None, list[float] | None]:
    """Seconds and HP fractions of the boss. Old logs hold percent, which starts far above any fraction."""
    # An unknown fraction becomes NaN.
    at = np.array([b.time for b in log.boss_hp], np.float64)
    left = np.array([b.p for b in log.boss_hp], np.float64)
    is_real = np.isfinite(at) & np.isfinite(left)
    if not is_real.any():
        return None, None
    at, left = at[is_real], left[is_real]
    full = 100.0 if left.max() > _MAX_FRACTION else 1.0
    seconds = np.clip(at, -_MAX_S, _MAX_S).astype(np.int64)
    return seconds.tolist(), np.clip(left / full, 0.0, 1.0).tolist()


_series = msgspec.json.Decoder(list[float] | None, strict=False).decode


def _boss_hp_left(log: MeterLog) -> float | None:
    if log.boss_max_hp and log.boss_max_hp > 0 and log.boss_current_hp is not None:
        return min(max(log.boss_current_hp / log.boss_max_hp, 0.0), 1.0)
    fractions = _boss_hp(log)[1]
    return fractions[-1] if fractions else None


def _whole_list(series: msgspec.Raw) -> list[int] | None:
    """One of the meter's series, which are as long as the fight and only used for logs without hits."""
    values = _series(series) if bytes(series) else None
    return [int(v) if math.isfinite(v) else 0 for v in values] if values else None

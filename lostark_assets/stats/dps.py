"""Figures of one player in one encounter: shares, rates, bursts, contribution, and percentiles.

Written once as Narwhals expressions; the engine computes them. A figure that can't be computed is null, never
zero.
"""

from __future__ import annotations

from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lostark_assets.arrow import plain
from lostark_assets.contracts.stats import STATS_PLAYER_DPS
from lostark_assets.game.versions import UNKNOWN_RULES, measurement_rules
from lostark_assets.stats.engine import Engine, combine_key, is_true, ratio, to_arrow, to_engine, where
from lostark_assets.stats.percentiles import pool_percentiles
from lostark_assets.stats.weeks import week_started_at

OPENER_S = 30
BRACKET_WIDTH = 10
KEY = ("encounter_id", "player_name")
FROM_ENCOUNTERS = (
    "fight_id", "is_counted", "fight_started_at", "raid_name", "gate_name", "boss_name", "difficulty",
    "is_cleared", "duration_s", "meter_version", "measurement_rules", "region", "detail_level",
    "clean_version", "cleaned_at", "is_rdps_valid",
)  # fmt: skip
FROM_PLAYERS = (
    "log_id", "encounter_id", "fight_date", "player_name", "is_name_known", "class_name", "spec_name",
    "item_level", "combat_power", "is_support", "is_dead", "is_uploader", "party_number", "damage", "dps",
    "damage_share", "casts", "hits", "crits", "back_attacks", "front_attacks", "crit_damage",
    "back_attack_damage", "front_attack_damage", "deaths", "dead_s", "damage_taken", "stagger", "counters",
    "incapacitated_s", "support_ap", "support_brand", "support_identity", "support_hyper", "rdps", "ndps",
    "rdps_damage_given",
)  # fmt: skip
BURSTS = pa.schema(
    [
        ("encounter_id", pa.string()),
        ("player_name", pa.string()),
        ("active_s", pa.float64()),
        ("max_hit_damage", pa.int64()),
        ("peak_10s_dps", pa.int64()),
        ("opener_damage", pa.int64()),
        ("opener_dps", pa.int64()),
    ]
)
UPTIMES = ("support_ap", "support_brand", "support_identity", "support_hyper")
POOL_KEY = ("raid_name", "gate_name", "difficulty", "spec_name", "is_support", "measurement_rules")
POOL_COLUMNS = (
    *POOL_KEY, *UPTIMES, "meter_version", "is_counted", "is_cleared", "is_dead", "fight_date", "item_level",
    "dps", "support_contribution",
)  # fmt: skip
"""Columns that percentiles need of the ranked rows and of the pool."""
_LATER = ("percentile", "stats_version", "computed_at", "stats_run_id")
FIGURES = tuple(name for name in STATS_PLAYER_DPS.names if not any(word in name for word in _LATER))


def player_statistics(
    encounters: Any, players: Any, bursts: Any | None, engine: Engine = "pandas"
) -> pa.Table:
    """Every figure of ``stats_player_dps`` that needs no other fight.

    Args:
        encounters: rows of ``core_encounters``.
        players: rows of ``core_players`` of these encounters, whole encounters (shares need all players).
        bursts: figures from hits or the meter's series, at most one row by encounter_id and player_name; of
            the columns active_s, max_hit_damage, peak_10s_dps, opener_damage (first 30 s) and opener_dps
            those that are known. None if no log has either.
        engine: the engine that computes it.

    Returns:
        One row per player, in any order: all columns except percentiles (:func:`with_percentiles`),
        stats_version, computed_at and stats_run_id. Players whose encounter is missing are left out.
    """
    rows = to_engine(_select(players, FROM_PLAYERS), engine)
    rows = rows.join(
        to_engine(_select(encounters, ("encounter_id", *FROM_ENCOUNTERS)), engine), on="encounter_id"
    )
    rows = rows.join(to_engine(_bursts(bursts), engine), on=list(KEY), how="left")
    rows = rows.with_columns(*_rates(), *_burst_figures(), *_context())
    return plain(to_arrow(_with_party_figures(rows).select(*FIGURES)))


def with_percentiles(rows: Any, pool: Any, engine: Engine = "pandas") -> pa.Table:
    """``rows`` with the four percentiles of the contract, each with its interval and n.

    A target is any row of a cleared fight with known raid, gate and spec, dead or not, counted or not; other
    rows get null. Dealers are placed by DPS, in their spec and within 5 item levels; supports by contribution
    and by the mean of their known buff uptimes. A null difficulty is a pool of its own.

    Args:
        rows: rows of ``stats_player_dps``, percentile columns in it are replaced.
        pool: ``POOL_COLUMNS`` of rows that may be members (:func:`pool_members`), each once: the last 28
            days up to the newest day of ``rows``, with ``rows`` themselves among them.
        engine: the engine that computes it.
    """
    table = plain(to_arrow(rows))
    table = table.select([name for name in table.column_names if "percentile" not in name])
    facts = pa.concat_tables([_pool_facts(table, engine), _pool_facts(pool, engine)])
    is_asked = np.arange(len(facts)) < len(table)
    is_member = facts["is_member"].to_numpy() & ~is_asked
    group = np.where(
        facts["is_target"].to_numpy(),
        facts["pool_key"].combine_chunks().dictionary_encode().indices.to_numpy(),
        -1,
    )
    day, level = facts["fight_date"].cast(pa.int32()).to_numpy(), _floats(facts["item_level"])
    for name, value, item_level in (
        ("spec_percentile", "dealer_dps", None),
        ("item_level_percentile", "dealer_dps", level),
        ("contribution_percentile", "support_share", None),
        ("uptime_percentile", "uptime", None),
    ):
        figures = pool_percentiles(
            group, day, _floats(facts[value]), is_member, item_level, is_target=is_asked
        )
        for suffix, column in zip(("", "_low", "_high", "_n"), figures.columns, strict=True):
            table = table.append_column(name + suffix, column.slice(0, len(table)))
    return table


def pool_members() -> nw.Expr:
    """Whether a row of ``stats_player_dps`` counts across fights: a living player of a counted clear."""
    return is_true(nw.col("is_counted")) & ~is_true(nw.col("is_dead")) & has_pool()


def has_pool() -> nw.Expr:
    """Whether a row of ``stats_player_dps`` can be compared at all: cleared, raid, gate and spec known."""
    known = [~nw.col(name).is_null() for name in ("raid_name", "gate_name", "spec_name")]
    return is_true(nw.col("is_cleared")) & known[0] & known[1] & known[2]


def item_level_bracket(item_level: nw.Expr) -> nw.Expr:
    """Item level in steps of 10, such as ``1680-1689`` (which reaches up to 1690, not including it)."""
    low = (item_level // BRACKET_WIDTH).cast(nw.Int64()) * BRACKET_WIDTH
    return nw.concat_str([low.cast(nw.String()), (low + BRACKET_WIDTH - 1).cast(nw.String())], separator="-")


def _select(frame: Any, names: tuple[str, ...]) -> pa.Table:
    return to_arrow(frame.loc[:, list(names)] if hasattr(frame, "loc") else frame).select(list(names))


def _bursts(bursts: Any | None) -> pa.Table:
    """``bursts`` with all of its columns, null where unknown."""
    if bursts is None:
        return BURSTS.empty_table()
    table = to_arrow(bursts)
    known = set(table.column_names)
    return pa.table(
        [table[f.name].cast(f.type) if f.name in known else pa.nulls(len(table), f.type) for f in BURSTS],
        schema=BURSTS,
    )


def _rates() -> list[nw.Expr]:
    hits, damage, seconds = nw.col("hits"), nw.col("damage"), nw.col("duration_s")
    rates = [
        ratio(nw.col(f"{part}s"), hits).alias(f"{part}_rate")
        for part in ("crit", "back_attack", "front_attack")
    ]
    shares = [
        ratio(where(hits > 0, nw.col(f"{part}_damage")), damage).alias(f"{part}_damage_share")
        for part in ("crit", "back_attack", "front_attack")
    ]
    per_minute = [ratio(60 * nw.col(what), seconds).alias(f"{what}_per_minute") for what in ("casts", "hits")]
    return [*rates, *shares, *per_minute]


def _burst_figures() -> list[nw.Expr]:
    active_ms = (nw.col("active_s") * 1000).round().cast(nw.Int64())
    opener = nw.coalesce(nw.col("opener_damage") // OPENER_S, nw.col("opener_dps"))
    return [
        (nw.col("damage") * 1000 // where(active_ms >= 1000, active_ms)).alias("active_dps"),
        nw.when(nw.col("duration_s") <= OPENER_S).then(nw.col("dps")).otherwise(opener).alias("opener_dps"),
    ]


def _context() -> list[nw.Expr]:
    is_valid = nw.col("is_rdps_valid").fill_null(value=True)
    return [
        week_started_at(nw.col("fight_started_at"), nw.col("region")).alias("week_started_at"),
        item_level_bracket(nw.col("item_level")).alias("item_level_bracket"),
        *(where(is_valid, nw.col(name)).alias(name) for name in ("rdps", "ndps", "rdps_damage_given")),
    ]


def _with_party_figures(rows: nw.DataFrame) -> nw.DataFrame:
    """Share of the party's damage, and contribution: damage given / damage of the other dealers of the party.

    If the party is unknown, the contribution is relative to the raid. In a log without any given damage rDPS
    was not measured: null.
    """
    dealt = nw.col("damage").fill_null(0)
    rows = rows.with_columns(
        combine_key("encounter_id", "party_number").alias("party"),
        dealt.alias("dealt"),
        where(~nw.col("is_support"), dealt).fill_null(0).alias("dealer_damage"),
        nw.col("rdps_damage_given").fill_null(0).alias("given"),
    )
    rows = rows.with_columns(
        nw.col("dealt").sum().over("party").alias("party_damage"),
        nw.col("dealer_damage").sum().over("party").alias("party_dealers"),
        nw.col("dealer_damage").sum().over("encounter_id").alias("raid_dealers"),
        nw.col("given").sum().over("encounter_id").alias("raid_given"),
    )
    knows_party = ~nw.col("party_number").is_null()
    dealers = nw.when(knows_party).then(nw.col("party_dealers")).otherwise(nw.col("raid_dealers"))
    given = where(nw.col("raid_given") > 0, nw.col("rdps_damage_given"))
    return rows.with_columns(
        where(knows_party, ratio(nw.col("damage"), nw.col("party_damage"))).alias("party_damage_share"),
        ratio(given, dealers - nw.col("dealer_damage")).alias("support_contribution"),
    )


def _pool_facts(frame: Any, engine: Engine) -> pa.Table:
    """The columns for ranking; values are null for the other role."""
    table = _select(frame, POOL_COLUMNS)
    rows = to_engine(table.append_column("support_rules", _support_rules(table["meter_version"])), engine)
    support, dealer = nw.col("is_support"), ~nw.col("is_support")
    rows = rows.with_columns(where(support, nw.col("support_rules")))
    facts = rows.select(
        combine_key(*POOL_KEY, "support_rules").alias("pool_key"),
        "fight_date",
        nw.col("item_level").cast(nw.Float64()),
        has_pool().alias("is_target"),
        pool_members().alias("is_member"),
        where(dealer, nw.col("dps")).cast(nw.Float64()).alias("dealer_dps"),
        where(support, nw.col("support_contribution")).cast(nw.Float64()).alias("support_share"),
        where(support, nw.mean_horizontal(*(nw.col(name) for name in UPTIMES))).alias("uptime"),
    )
    return plain(to_arrow(facts))


def _support_rules(versions: pa.ChunkedArray) -> pa.Array:
    """Eras of the figures that supports are ranked by, per meter version (not the eras of DPS)."""
    encoded = pc.fill_null(versions.combine_chunks().cast(pa.string()), UNKNOWN_RULES).dictionary_encode()
    eras = [
        ", ".join(measurement_rules(version, figure=figure) for figure in ("contribution", "support_uptime"))
        for version in encoded.dictionary.to_pylist()
    ]
    return pa.array(eras, pa.string()).take(encoded.indices)


def _floats(column: pa.ChunkedArray) -> np.ndarray:
    return pc.fill_null(column.cast(pa.float64()), np.nan).to_numpy()

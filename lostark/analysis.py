"""The platform's cleaning and statistics on a data frame in memory: no lake is read or written.

Each function calls the one that the pipeline calls, so that the same rows give the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pyarrow as pa

from lostark_assets.arrow import plain
from lostark_assets.contracts.core import CORE_ENCOUNTERS, CORE_PLAYERS
from lostark_assets.contracts.stats import STATS_PLAYER_DPS
from lostark_assets.contracts.table import Contract
from lostark_assets.core.clean import Stamp, clean_into
from lostark_assets.core.clean_meter import Rules
from lostark_assets.core.pipeline import resolve_within_batch
from lostark_assets.core.rows import Cleaned
from lostark_assets.core.validate import build_tables
from lostark_assets.errors import UnknownFormat, WrongUsage
from lostark_assets.sources.player_table import FORMAT, find_rows_with_id, split_encounters
from lostark_assets.sources.protocol import Unreadable, compute_log_id, fight_day
from lostark_assets.stats import distribution as distribution_table
from lostark_assets.stats import dps
from lostark_assets.stats import progression as progression_table
from lostark_assets.stats.engine import Engine, to_arrow

SOURCE = "frame"
"""Stands in the column ``source`` of standardized rows, and is part of their ids."""
_RUN_ID = "in memory"


@dataclass(frozen=True)
class Standardized:
    """What cleaning made of a player table; all three are pandas frames with Arrow dtypes.

    ``encounters`` and ``players`` have the columns of ``core_encounters`` and ``core_players``, ``refused``
    those of ``core_quarantine``: one row a refused encounter or player, with reason code and detail.
    """

    encounters: pd.DataFrame
    players: pd.DataFrame
    refused: pd.DataFrame


def standardize(
    frame: Any,
    *,
    raid: str | None = None,
    gate: str | None = None,
    boss: str | None = None,
    difficulty: str | None = None,
    region: str | None = None,
    rules: Rules | None = None,
) -> Standardized:
    """Clean a player table: one row a player in an encounter, of any era that ``lostark ingest`` reads.

    Args:
        frame: pandas, polars or Arrow with the columns id, dps, duration, timestamp or date, class or spec,
            and whatever else the table holds. Rows without an id are left out.
        raid: what the table is about, where its columns do not say it; so are the next four.
        gate: see ``raid``.
        boss: see ``raid``.
        difficulty: see ``raid``.
        region: see ``raid``.
        rules: the limits of what is refused; the defaults of the settings if left out.

    Raises:
        UnknownFormat: columns that every player table has are missing, or a value can't be read.
    """
    table = plain(to_arrow(frame))
    table = table.filter(find_rows_with_id(table, SOURCE))
    arguments = {"raid": raid, "gate": gate, "boss": boss, "difficulty": difficulty, "region": region}
    context = {name: text for name, text in sorted(arguments.items()) if text is not None}
    rules, now = rules or Rules(), datetime.now(UTC)
    cleaned, stamp = Cleaned(), Stamp(_RUN_ID, now)
    problems: list[Unreadable] = []
    for listed in split_encounters(table, context, problems):
        payload, started_ms = listed.locator
        raw = {
            "log_id": compute_log_id(SOURCE, listed.source_log_id, listed.fingerprint),
            "source": SOURCE,
            "source_log_id": listed.source_log_id,
            "log_format": FORMAT,
            "fight_date": fight_day(started_ms, now, rules.earliest_fight_date),
            "fetched_at": now,
            "payload": payload,
        }
        clean_into(cleaned, raw, rules, stamp)
    if problems:
        found = "; ".join(f"{problem.where}: {problem.reason}" for problem in problems)
        raise UnknownFormat(SOURCE, found, "values that can be read", "Correct or leave out these rows.")
    tables = build_tables(cleaned)
    players = tables["core_players"]
    encounters = resolve_within_batch(tables["core_encounters"], players)
    return Standardized(_to_pandas(encounters), _to_pandas(players), _to_pandas(tables["core_quarantine"]))


def player_statistics(
    encounters: Any, players: Any, bursts: Any | None = None, *, engine: Engine = "pandas"
) -> pd.DataFrame:
    """The figures of ``stats_player_dps``, with percentiles among the given rows.

    Args:
        encounters: rows like ``core_encounters``; a column that is missing counts as unknown.
        players: rows like ``core_players`` of these encounters, whole encounters (shares need all players).
        bursts: ``active_s``, ``max_hit_damage``, ``peak_10s_dps``, ``opener_dps`` by ``encounter_id`` and
            ``player_name``, as far as they are known.
        engine: ``pandas`` or ``polars``, with the same numbers.

    Returns:
        One row a player. A percentile looks back 28 days from the row's fight, so pass the weeks before those
        of interest as well; with fewer than 20 players to compare with it is null.

    Raises:
        WrongUsage: a column that no row can do without is missing.
    """
    rows = dps.player_statistics(
        _complete(CORE_ENCOUNTERS, encounters, ("encounter_id", "fight_started_at", "duration_s")),
        _complete(CORE_PLAYERS, players, ("encounter_id", "player_name", "fight_date", "dps")),
        bursts,
        engine,
    )
    return _to_pandas(dps.with_percentiles(rows, rows.select(dps.POOL_COLUMNS), engine))


def distribution(statistics: Any, *, engine: Engine = "pandas") -> pd.DataFrame:
    """Rows of ``stats_dps_distribution``: n, mean, quantiles and trend by gate, spec, item level and week.

    Args:
        statistics: what :func:`player_statistics` returns, or rows of ``stats_player_dps``.
        engine: ``pandas`` or ``polars``, with the same numbers.
    """
    rows = _complete(STATS_PLAYER_DPS, statistics, distribution_table.NEEDED)
    return _to_pandas(distribution_table.dps_distribution(rows, engine))


def progression(statistics: Any, encounters: Any | None = None, *, engine: Engine = "pandas") -> pd.DataFrame:
    """Rows of ``stats_raid_progression``: pulls, clears, deaths of each character at each gate.

    Args:
        statistics: what :func:`player_statistics` returns, or rows of ``stats_player_dps``.
        encounters: rows like ``core_encounters``, for the boss HP that was left.
        engine: ``pandas`` or ``polars``, with the same numbers.
    """
    hp_left = CORE_ENCOUNTERS.empty() if encounters is None else encounters
    return _to_pandas(
        progression_table.raid_progression(
            _complete(STATS_PLAYER_DPS, statistics, progression_table.NEEDED),
            _complete(CORE_ENCOUNTERS, hp_left, ("encounter_id",)).select(["encounter_id", "boss_hp_left"]),
            engine,
        )
    )


def _complete(contract: Contract, frame: Any, required: tuple[str, ...]) -> pa.Table:
    """The contract's columns of ``frame``, in its types; null where the frame lacks one."""
    table = plain(to_arrow(frame))
    missing = [name for name in required if name not in table.column_names]
    if missing:
        raise WrongUsage(f"expected rows like {contract.name}, found none of the columns {missing}")
    return contract.conform(table.select([name for name in contract.names if name in table.column_names]))


def _to_pandas(table: pa.Table) -> pd.DataFrame:
    return table.to_pandas(types_mapper=pd.ArrowDtype)

"""Which armory profile counts for a player in a fight, and what it adds to the player's row. Pure.

The latest profile fetched at or before the fight's start, not older than allowed; never a later one, which
would leak the future into the model.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from lostark_assets.contracts.core import CORE_PLAYERS, PROFILE
from lostark_assets.sources.open_api_parse import ArmoryProfile

KOREA = "KR"
UNKNOWN_REGION = "unknown"
INDEX_COLUMNS = ["profile_id", "region", "character_name", "fetched_at", "status"]
_STARTS = ["fight_started_at", "fight_started_ntp_at"]
_FROM_LOG, _FROM_PROFILE = "log", "profile"
ReadProfiles = Callable[[set[str]], Mapping[str, ArmoryProfile]]
"""Returns the parsed profiles of some profile ids; unreadable ones are left out."""


@dataclass(frozen=True)
class ProfileRules:
    """``max_age``: how old a profile may be at the fight's start.

    ``regions``: regions of logs whose characters the (Korean) Open API has, ``unknown`` for logs without one.
    """

    max_age: timedelta = timedelta(days=7)
    regions: frozenset[str] = frozenset({KOREA, UNKNOWN_REGION})


def character_key(name: str) -> str:
    """A character's name as it is requested and compared: composed Unicode, case kept."""
    return unicodedata.normalize("NFC", name)


def attach_profiles(
    players: pa.Table, encounters: pa.Table, index: pa.Table, read: ReadProfiles, rules: ProfileRules
) -> pa.Table:
    """``players`` with their profile columns filled; rows, order and all other columns stay.

    The log's own combat power is kept; if it has none, the profile's is used, and ``combat_power_source``
    says so. A profile of another class belongs to another character (names are reused) and is ignored; if the
    log's region is unknown, the class must be known and agree.

    Args:
        players: rows of ``core_players``.
        encounters: rows of ``core_encounters``, those of the players among them.
        index: INDEX_COLUMNS of ``raw_armory_profiles``, of the players' names at least.
        read: returns the profiles that turn out to be needed.
        rules: how old a profile may be, and whose.
    """
    if not index.num_rows:
        return _with_columns(players, [])
    chosen, is_region_known = choose_profiles(players, encounters, index, rules)
    profiles = read({profile_id for profile_id in chosen if profile_id is not None})
    fetched = dict(zip(index["profile_id"].to_pylist(), index["fetched_at"].to_pylist(), strict=True))
    rows: list[dict[str, Any]] = []
    for profile_id, class_name, is_certain in zip(
        chosen, players["class_name"].to_pylist(), is_region_known, strict=True
    ):
        profile = profiles.get(profile_id) if profile_id is not None else None
        if profile is None or not _is_same(class_name, profile.class_name, is_certain=is_certain):
            rows.append({})
        else:
            rows.append({"profile_id": profile_id, "profile_at": fetched[profile_id]} | _facts(profile))
    return _with_columns(players, rows)


def choose_profiles(
    players: pa.Table, encounters: pa.Table, index: pa.Table, rules: ProfileRules
) -> tuple[list[str | None], list[bool]]:
    """The profile that counts for each player, and whether the log's region is known.

    The start is the earlier of the meter's two clocks: a wrong clock must not admit a later profile.
    Responses without such a character are no profiles.
    """
    facts = players.select(["encounter_id", "player_name", "is_name_known"]).to_pandas()
    facts["row"] = range(len(facts))
    fights = encounters.select(["encounter_id", "region", *_STARTS]).to_pandas()
    fights["at"] = fights[_STARTS].min(axis=1)
    fights["region"] = fights["region"].fillna(UNKNOWN_REGION)
    facts = facts.merge(fights[["encounter_id", "region", "at"]], on="encounter_id", how="left")
    known = (facts["region"] != UNKNOWN_REGION).tolist()
    facts["region"] = facts["region"].where(~facts["region"].isin(rules.regions), KOREA)
    facts["character_name"] = facts["player_name"].map(character_key)
    asked = facts[facts["is_name_known"].astype(bool) & facts["at"].notna()].sort_values("at", kind="stable")
    found = index.filter(pc.field("status") == "found").to_pandas().sort_values(["fetched_at", "profile_id"])
    chosen: list[str | None] = [None] * len(facts)
    if asked.empty or found.empty:
        return chosen, known
    joined = pd.merge_asof(
        asked,
        found[["profile_id", "region", "character_name", "fetched_at"]],
        left_on="at",
        right_on="fetched_at",
        by=["region", "character_name"],
        tolerance=pd.Timedelta(rules.max_age),
        direction="backward",
    )
    for row, profile_id in zip(joined["row"], joined["profile_id"], strict=True):
        chosen[row] = None if pd.isna(profile_id) else profile_id
    return chosen, known


def _is_same(logged: str | None, of_profile: str | None, *, is_certain: bool) -> bool:
    if logged is None or of_profile is None:
        return is_certain
    return logged == of_profile


def _facts(profile: ArmoryProfile) -> dict[str, Any]:
    engravings, grid = profile.engravings, profile.ark_grid
    return {
        "profile_server_name": profile.server_name,
        "profile_item_level": profile.item_level,
        "profile_combat_power": profile.combat_power,
        "profile_spec_name": profile.spec_name,
        "engravings": None if engravings is None else [one.name for one in engravings],
        "engraving_levels": None if engravings is None else [one.level for one in engravings],
        "engraving_grades": None if engravings is None else [one.grade for one in engravings],
        "gem_levels": profile.gem_levels,
        "ark_passive_evolution": profile.evolution,
        "ark_passive_enlightenment": profile.enlightenment,
        "ark_passive_leap": profile.leap,
        "ark_grid_cores": None if grid is None else [name for name, _ in grid],
        "ark_grid_points": None if grid is None else [points for _, points in grid],
        "card_sets": profile.card_sets,
    }


def _with_columns(players: pa.Table, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """The profile columns from ``rows``, one per player; without any rows all are null."""
    columns = {
        c.name: pa.array([row.get(c.name) for row in rows], c.dtype)
        if rows
        else pa.nulls(players.num_rows, c.dtype)
        for c in PROFILE
    }
    logged, of_profile = players["combat_power"], columns["profile_combat_power"]
    columns["combat_power_source"] = pc.if_else(
        pc.is_valid(logged), _FROM_LOG, pc.if_else(pc.is_valid(of_profile), _FROM_PROFILE, None)
    )
    columns["combat_power"] = pc.coalesce(logged, of_profile)
    for name, values in columns.items():
        place = players.schema.get_field_index(name)
        players = players.set_column(place, CORE_PLAYERS.schema.field(name), values)
    return players

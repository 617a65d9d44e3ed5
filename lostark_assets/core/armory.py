"""Reading the armory profiles of given players from the lake, for the join in ``sources.profiles``.

Files written before the oldest profile that may count are not opened.
"""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from lostark_assets.contracts.raw import RAW_ARMORY_PROFILES
from lostark_assets.lake.tables import Lake
from lostark_assets.sources.open_api_parse import ArmoryProfile, parse_profile
from lostark_assets.sources.profiles import INDEX_COLUMNS, ProfileRules, attach_profiles, character_key

_TABLE = RAW_ARMORY_PROFILES.name


def with_profiles(lake: Lake, players: pa.Table, encounters: pa.Table, rules: ProfileRules) -> pa.Table:
    """``players`` with their armory profiles from before their fights; see :func:`attach_profiles`."""
    since = _oldest(encounters, rules)
    names = {character_key(name) for name in pc.unique(players["player_name"]).to_pylist()}
    empty = RAW_ARMORY_PROFILES.empty().select(INDEX_COLUMNS)
    parts = (
        [] if since is None else lake.groups_with(_TABLE, "character_name", names, INDEX_COLUMNS, since=since)
    )
    index = pa.concat_tables([empty, *(part.cast(empty.schema) for part in parts)])
    return attach_profiles(players, encounters, index, lambda ids: _read(lake, ids, since), rules)


def _oldest(encounters: pa.Table, rules: ProfileRules) -> datetime | None:
    """The earliest fetch time of a profile that may count; None without fights."""
    starts = [pc.min(encounters[name]).as_py() for name in ("fight_started_at", "fight_started_ntp_at")]
    earliest = min((at for at in starts if at is not None), default=None)
    return None if earliest is None else earliest - rules.max_age


def _read(lake: Lake, profile_ids: set[str], since: datetime | None) -> dict[str, ArmoryProfile]:
    profiles: dict[str, ArmoryProfile] = {}
    for rows in lake.groups_with(_TABLE, "profile_id", profile_ids, ["profile_id", "body"], since=since):
        for profile_id, body in zip(rows["profile_id"].to_pylist(), rows["body"].to_pylist(), strict=True):
            profile = _parsed(body)
            if profile is not None:
                profiles[profile_id] = profile
    return profiles


def _parsed(body: bytes) -> ArmoryProfile | None:
    """The profile; None for an unreadable body, which the drift check of the raw table reports."""
    try:
        return parse_profile(body)
    except ValueError:
        return None

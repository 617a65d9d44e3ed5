"""Choosing the characters to request from the Open API: seen recently, and not requested recently."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from lostark_assets.contracts.raw import RAW_ARMORY_PROFILES
from lostark_assets.lake.tables import Lake
from lostark_assets.settings import Settings
from lostark_assets.sources.profiles import UNKNOWN_REGION, character_key


@dataclass(frozen=True)
class Freshness:
    """How long a response stays fresh: of a ``found`` character, and of a name ``unknown`` to the API.

    ``seen``: players of fights within this time are requested. ``regions`` as in
    :class:`~lostark_assets.sources.profiles.ProfileRules`.
    """

    seen: timedelta = timedelta(days=14)
    found: timedelta = timedelta(hours=6)
    unknown: timedelta = timedelta(hours=24)
    regions: frozenset[str] = frozenset({"KR", UNKNOWN_REGION})

    def lifetime(self, status: str) -> timedelta:
        """How long a response with ``status`` stays fresh."""
        return self.found if status == "found" else self.unknown


@dataclass(frozen=True)
class CharacterChoice:
    """``due`` names, those of the newest fights first; how many were ``seen`` and still ``fresh``."""

    due: list[str]
    seen: int
    fresh: int


def characters_due(
    seen: Iterable[tuple[str, datetime]],
    responses: Mapping[str, tuple[datetime, str]],
    now: datetime,
    freshness: Freshness,
) -> CharacterChoice:
    """Choose among ``seen`` (name, fight's start) by time and status of each name's last of ``responses``.

    Names with the same start are sorted. A response from the future (a clock was put back) is not fresh.
    """
    newest: dict[str, datetime] = {}
    for name, at in seen:
        if now - freshness.seen <= at:
            newest[name] = max(at, newest.get(name, at))
    due = []
    for name in sorted(newest, key=lambda one: (-newest[one].timestamp(), one)):
        last = responses.get(name)
        if last is None or not timedelta(0) <= now - last[0] < freshness.lifetime(last[1]):
            due.append(name)
    return CharacterChoice(due, len(newest), len(newest) - len(due))


def choose_characters(lake: Lake, now: datetime, freshness: Freshness) -> CharacterChoice:
    """The choice of :func:`characters_due` among the players in the lake."""
    first = (now - freshness.seen).date()
    days = [day for day in lake.days("core_encounters") if day >= first]
    fights = lake.read("core_encounters", columns=["encounter_id", "region", "fight_started_at"], days=days)
    region = pc.fill_null(fights["region"], UNKNOWN_REGION)
    fights = fights.filter(pc.is_in(region, pa.array(sorted(freshness.regions))))
    started = dict(
        zip(fights["encounter_id"].to_pylist(), fights["fight_started_at"].to_pylist(), strict=True)
    )
    players = lake.read(
        "core_players",
        columns=["encounter_id", "player_name"],
        days=days,
        where=pc.field("is_name_known")
        & pc.field("encounter_id").isin(pa.array(sorted(started), pa.string())),
    )
    seen = [
        (character_key(name), started[encounter])
        for encounter, name in zip(
            players["encounter_id"].to_pylist(), players["player_name"].to_pylist(), strict=True
        )
    ]
    return characters_due(
        seen, _last_responses(lake, {name for name, _ in seen}, now, freshness), now, freshness
    )


def _last_responses(
    lake: Lake, names: set[str], now: datetime, freshness: Freshness
) -> dict[str, tuple[datetime, str]]:
    found: dict[str, tuple[datetime, str]] = {}
    since = now - max(freshness.found, freshness.unknown)
    columns = ["character_name", "fetched_at", "status"]
    for rows in lake.groups_with(RAW_ARMORY_PROFILES.name, "character_name", names, columns, since=since):
        for row in rows.to_pylist():
            before = found.get(row["character_name"])
            if before is None or before[0] <= row["fetched_at"]:
                found[row["character_name"]] = (row["fetched_at"], row["status"])
    return found


def build_freshness(settings: Settings) -> Freshness:
    """How long the settings let a response of the Open API serve, and for whom."""
    return Freshness(
        seen=timedelta(days=settings.profile_seen_days),
        found=timedelta(hours=settings.profile_freshness_h),
        unknown=timedelta(hours=settings.profile_unknown_freshness_h),
        regions=frozenset(settings.open_api_regions),
    )

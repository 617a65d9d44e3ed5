"""What the settings make: the lake, the rules of cleaning, the limits of sources.

One place, so that the command line, the assets and the first start see the same lake by the same rules.
What does not belong here: reading the environment (``settings``), and anything that connects or writes.
"""

from __future__ import annotations

from lostark_assets.core.clean_meter import Rules
from lostark_assets.lake.tables import Lake
from lostark_assets.settings import Settings
from lostark_assets.sources.detect import Limits


def lake_of(settings: Settings) -> Lake:
    """The lake that the settings name; nothing is opened or created yet."""
    return Lake(settings.lake_url)


def rules_of(settings: Settings) -> Rules:
    """What a battle log may hold to become core rows."""
    return Rules(
        max_fight_s=settings.max_fight_s,
        max_part_bytes=int(settings.max_part_bytes),
        max_log_bytes=int(settings.max_log_bytes),
        earliest_fight_date=settings.earliest_fight_date,
    )


def limits_of(settings: Settings) -> Limits:
    """Sizes above which a source's file, or what it unpacks to, is refused."""
    return Limits(max_file_bytes=int(settings.max_log_bytes), max_part_bytes=int(settings.max_part_bytes))

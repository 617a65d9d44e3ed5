"""What the settings make: the lake, the rules of cleaning, the limits of sources.

One place, so that the command line, the assets and the first start see the same lake by the same rules.
What does not belong here: reading the environment (``settings``), and anything that connects or writes.
"""

from __future__ import annotations

from datetime import timedelta

from lostark_assets.core.clean_meter import Rules
from lostark_assets.core.profiles import ProfileRules
from lostark_assets.lake.tables import Lake
from lostark_assets.operations.ledger import LEDGER_FILE, Ledger
from lostark_assets.settings import Settings
from lostark_assets.sources.detect import Limits
from lostark_assets.sources.open_api import OpenApi
from lostark_assets.sources.open_api_choice import Freshness


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
        profiles=ProfileRules(
            max_age=timedelta(days=settings.profile_max_age_days),
            regions=frozenset(settings.open_api_regions),
        ),
    )


def ledger_of(settings: Settings) -> Ledger:
    """The ledger of collections; nothing is opened or created yet."""
    return Ledger(settings.state_dir / LEDGER_FILE)


def open_api_of(settings: Settings) -> OpenApi:
    """How to reach the Open API."""
    return OpenApi(
        settings.open_api_url,
        settings.open_api_keys,
        settings.open_api_requests_per_minute,
        settings.state_dir,
    )


def freshness_of(settings: Settings) -> Freshness:
    """How long an answer of the Open API serves, and for whom."""
    return Freshness(
        seen=timedelta(days=settings.profile_seen_days),
        found=timedelta(hours=settings.profile_freshness_h),
        unknown=timedelta(hours=settings.profile_unknown_freshness_h),
        regions=frozenset(settings.open_api_regions),
    )


def limits_of(settings: Settings) -> Limits:
    """Sizes above which a source's file, or what it unpacks to, is refused."""
    return Limits(max_file_bytes=int(settings.max_log_bytes), max_part_bytes=int(settings.max_part_bytes))

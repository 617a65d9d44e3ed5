"""Startup report on the data: where it comes from, and when the first statistics are in the lake.

The sensors collect it, at the first start as at any other; this module only waits.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from lostark_assets.lake.tables import Lake, open_lake
from lostark_assets.settings import Settings
from lostark_platform.services.demo import is_demo

_STATS, _CORE = "stats_player_dps", "core_encounters"
_TIMEOUT_S = 600.0
_POLL_S = 1.0


def report_initial_data(
    settings: Settings, say: Callable[[str], None], *, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Report the data sources and wait up to ten minutes for the first statistics."""
    if is_demo(settings):
        say("this is synthetic demo data from a mock server: no source of battle logs is configured")
        say("for real data set LOSTARK_SOURCES or LOSTARK_BATTLE_LOG_URLS, and a separate LOSTARK_HOME")
    for path in settings.sources:
        if not path.exists():
            say(f"{path} does not exist; it is polled every few minutes")
    lake = open_lake(settings)
    if lake.is_at(_STATS, None):
        say("collecting the first battle logs; this takes a minute or two")
        if not _await_statistics(lake, sleep):
            say("no statistics yet; see Automation in the Dagster UI for the state of the sensors")
            return
    say(
        f"{lake.count(_CORE):,} fights of {len(lake.days(_CORE)):,} days are in the lake; "
        "new ones are collected automatically"
    )


def _await_statistics(lake: Lake, sleep: Callable[[float], None]) -> bool:
    for _ in range(int(_TIMEOUT_S / _POLL_S)):
        if not lake.is_at(_STATS, None):
            return True
        sleep(_POLL_S)
    return False

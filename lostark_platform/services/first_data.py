"""What a start says about its data: where it comes from, and when the first fights are in.

The sensors bring it, after a first start like ever after. What does not belong here: starting services
(``up``), and any work on data.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from lostark_assets.lake.tables import Lake, open_lake
from lostark_assets.settings import Settings
from lostark_platform.services.demo import is_demo

_STATS, _CORE = "stats_player_dps", "core_encounters"
_PATIENCE_S = 600.0
_LOOK_EVERY_S = 1.0


def first_data(
    settings: Settings, say: Callable[[str], None], *, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Say what is collected, and wait until the first statistics are in the lake (at most ten minutes)."""
    if is_demo(settings):
        say("what you see is demo data, made up by a mock server: no source of battle logs is configured")
        say("for real ones set LOSTARK_SOURCES or LOSTARK_BATTLE_LOG_URLS, and a LOSTARK_HOME of their own")
    for path in settings.sources:
        if not path.exists():
            say(f"not there: {path}; it is looked for every few minutes")
    lake = open_lake(settings)
    if lake.is_at(_STATS, None):
        say("the first battle logs are being collected; it takes a minute or two")
        if not _has_come(lake, sleep):
            say("no statistics yet; see Automation in the Dagster UI for what the sensors say")
            return
    say(f"{lake.count(_CORE):,} fights of {len(lake.days(_CORE)):,} days are in; new ones come by themselves")


def _has_come(lake: Lake, sleep: Callable[[float], None]) -> bool:
    for _ in range(int(_PATIENCE_S / _LOOK_EVERY_S)):
        if not lake.is_at(_STATS, None):
            return True
        sleep(_LOOK_EVERY_S)
    return False

"""The code location ``lostark_assets`` of ``workspace.yaml``: phase 1, and the sensor that alerts about it.

Alerts belong to the platform, which knows every layer. Phase 1 alone is ``lostark_assets.definitions``.
"""

from __future__ import annotations

import dagster as dg

from lostark_assets.definitions import build_defs
from lostark_platform.dagster.alert_sensor import alert_sensor

defs = dg.Definitions.merge(build_defs(), dg.Definitions(sensors=[alert_sensor()]))

"""Feature columns of the model by kind: ``features`` fills them, ``model`` reads them."""

from __future__ import annotations

from lostark_assets.contracts.core import UPTIMES
from lostark_assets.contracts.ml import CATEGORIES, HISTORY, OWN, PARTY, SUPPORT_COUNTS, WHEN
from lostark_assets.contracts.table import concat

CATEGORY_FEATURES = [c.name for c in CATEGORIES]
NUMBER_FEATURES = [c.name for c in concat(OWN, UPTIMES, PARTY, WHEN, HISTORY)]
TIME_FEATURE = "fought_at_week"
MODEL_FEATURES = [*CATEGORY_FEATURES, *NUMBER_FEATURES, TIME_FEATURE]
INCREASING = ("item_level", "combat_power", *(c.name for c in UPTIMES))
"""More of it never lowers the expected DPS, everything else equal."""
SUPPORT_CODES = {spec: code for code, spec in enumerate(SUPPORT_COUNTS)}
NO_SUPPORT = len(SUPPORT_CODES)
"""Numbers of the support specs, and that of all others, where players are numbers."""

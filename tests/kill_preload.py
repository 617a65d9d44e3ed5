"""What every worker of ``kill_worker`` needs, imported once in the server that they are forked from.

Nothing here may start a thread: a fork would not have it.
"""

from __future__ import annotations

import pandas as pd  # noqa: F401 - seconds of imports are paid once, not in each worker
import polars as pl  # noqa: F401

from lostark_assets.contracts.expectations import examine
from lostark_assets.contracts.registry import CONTRACTS
from lostark_assets.core.skill_scan import scan_skills
from tests import kill_worker  # noqa: F401

scan_skills(b'{"1":{"id":1,"totalDamage":0}}')
examine(CONTRACTS["core_hits"], CONTRACTS["core_hits"].empty())

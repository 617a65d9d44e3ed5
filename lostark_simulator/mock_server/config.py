"""Configuration of a mock server: its data, growth and faults. It reads no settings of the platform."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from lostark_assets.errors import SettingsError
from lostark_simulator.mock_server.fault_kinds import FaultKind

DEMO_OPEN_API_KEY = "demo-key"
OPEN_API_PREFIX = "/open-api"
CONTROL_PREFIX = "/mock-server"
FAULT_KINDS: tuple[FaultKind, ...] = get_args(FaultKind)


@dataclass(frozen=True)
class FaultConfig:
    """Share (0..1) and kinds of faulty requests; the n-th request always has the same fault.

    Raises:
        SettingsError: a share outside of 0..1, or an unknown kind.
    """

    share: float = 0.0
    kinds: tuple[FaultKind, ...] = FAULT_KINDS
    seed: int = 1
    slow_body_s: float = 0.2
    retry_after_s: int = 1
    skew_s: int = 3 * 3600

    def __post_init__(self) -> None:
        unknown = [kind for kind in self.kinds if kind not in FAULT_KINDS]
        if unknown or not self.kinds or not 0 <= self.share <= 1:
            raise SettingsError(
                f"faults: expected a share of 0 to 1 and kinds of {', '.join(FAULT_KINDS)}; found "
                f"share {self.share} and {', '.join(unknown or self.kinds) or 'no kinds'}. "
                "The faults are unchanged."
            )


@dataclass(frozen=True)
class MockServerConfig:
    """Everything about one mock server. The same seed and number give the same fight.

    ``history`` fights of the ``history_days`` before the first start exist at once, then one is added every
    ``new_fight_every_s`` seconds (0: none automatically). ``speed`` is how many seconds characters progress
    in one second after that. ``tiny_logs`` have one hit each, made in microseconds. ``state_dir`` keeps
    the season over a restart (None: in memory only). Limits count requests in ``limit_window_s``; 0 is no
    limit. ``clock`` gives epoch seconds.
    """

    state_dir: Path | None = None
    history: int = 60
    history_days: int = 28
    new_fight_every_s: float = 30.0
    seed: int = 1
    characters: int = 800
    hits_per_player: int = 300
    dirt: bool = True
    tiny_logs: bool = False
    region: str = "KR"
    speed: float = 24.0
    late_share: float = 0.08
    reupload_share: float = 0.06
    battle_log_token: str | None = field(default=None, repr=False)
    battle_log_limit: int = 0
    open_api_keys: tuple[str, ...] = field(default=(DEMO_OPEN_API_KEY,), repr=False)
    open_api_limit: int = 100
    limit_window_s: float = 60.0
    weekly_maintenance: bool = False
    faults: FaultConfig = FaultConfig()
    cache_bytes: int = 256 * 1024 * 1024
    clock: Callable[[], float] = field(default=time.time, repr=False)

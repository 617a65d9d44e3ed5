"""The model that serves: replaced within seconds of its alias, and kept while the next one fails to load."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from lostark_api.schemas.builds import Build
from lostark_assets.observability.logs import get_logger

POLL_EVERY_S = 3.0
log = get_logger()


class Predictor(Protocol):
    """A loaded champion."""

    @property
    def version(self) -> int:
        """The version of the registered model."""

    def expect(self, builds: Sequence[Build]) -> Sequence[Any]:
        """Expected DPS of each build, or why there is none."""


class ChampionSource(Protocol):
    """Where champions come from. Both calls may take seconds and run in a thread."""

    def champion_version(self) -> int | None:
        """The version that the alias points to; None: there is no champion."""

    def load(self, version: int) -> Predictor:
        """Load that version."""


@dataclass
class ActiveChampion:
    """The predictor that serves. ``on_change`` gets its version; ``on_failure`` is called on failed loads."""

    source: ChampionSource | None
    on_change: Callable[[int | None], None] = lambda _: None
    on_failure: Callable[[], None] = lambda: None
    predictor: Predictor | None = None

    @property
    def version(self) -> int | None:
        """The version that serves."""
        return None if self.predictor is None else self.predictor.version

    async def refresh(self) -> None:
        """Load the version behind the alias if it changed; requests use the old one meanwhile."""
        if self.source is None:
            return
        try:
            wanted = await asyncio.to_thread(self.source.champion_version)
            if wanted == self.version:
                return
            loaded = None if wanted is None else await asyncio.to_thread(self.source.load, wanted)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the new one, the old one serves on
            self.on_failure()
            log.warning("champion_not_loaded", error=f"{type(error).__name__}: {error}", serving=self.version)
            return
        self.predictor = loaded
        self.on_change(self.version)
        log.info("champion_loaded", version=self.version)

    async def poll(self) -> None:
        """Refresh until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(POLL_EVERY_S)

"""The model that serves: loaded at start, changed within seconds of its alias, kept while the next one fails.

What does not belong here: the registry (given as a function), and HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from lostark_assets.observability.logs import get_logger

LOOK_EVERY_S = 3.0
log = get_logger()


class Predictor(Protocol):
    """A loaded champion."""

    version: int

    def expect(self, builds: Any) -> list[dict[str, Any]]:
        """What each build would be expected to reach, or why it can't be said."""


class Registry(Protocol):
    """Where champions come from; both calls may take seconds and are made in a thread."""

    def champion_version(self) -> int | None:
        """The version that the alias names now; None: there is no champion."""

    def load(self, version: int) -> Predictor:
        """Load that version."""


@dataclass
class Champion:
    """The predictor in force. ``on_change`` hears its version, ``on_failure`` that a load failed."""

    registry: Registry | None
    on_change: Callable[[int | None], None] = lambda _: None
    on_failure: Callable[[], None] = lambda: None
    predictor: Predictor | None = None

    @property
    def version(self) -> int | None:
        """The version that serves."""
        return None if self.predictor is None else self.predictor.version

    async def look(self) -> None:
        """Load what the alias names, if it is another version; requests go on with the old one meanwhile."""
        if self.registry is None:
            return
        try:
            wanted = await asyncio.to_thread(self.registry.champion_version)
            if wanted == self.version:
                return
            loaded = None if wanted is None else await asyncio.to_thread(self.registry.load, wanted)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the new one, the old one serves on
            self.on_failure()
            log.warning("champion_not_loaded", error=f"{type(error).__name__}: {error}", serving=self.version)
            return
        self.predictor = loaded
        self.on_change(self.version)
        log.info("champion_loaded", version=self.version)

    async def follow(self) -> None:
        """Look for ever."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_EVERY_S)

"""How player names are published: plain, or as salted hashes."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field

from lostark_assets.settings import Settings

MAX_NAME = 64
"""Characters. The game allows 12; a longer text is no character's name, and too long for an index."""


@dataclass(frozen=True)
class Names:
    """How names are published: plain if ``salt`` is None."""

    salt: bytes | None = field(default=None, repr=False)

    @property
    def mode(self) -> str:
        """Identifies the rule, to detect what was published by another one; does not reveal the salt."""
        return "plain" if self.salt is None else f"hidden {self.public('lostark')}"

    def public(self, name: str) -> str:
        """The published form of ``name``; equal names give equal texts for one salt."""
        if self.salt is not None:
            digest = hmac.new(self.salt, name.encode("utf-8", "surrogatepass"), hashlib.sha256)
            return f"player-{digest.hexdigest()[:16]}"
        clean = name.replace("\x00", "")
        if len(clean) <= MAX_NAME:
            return clean
        tail = hashlib.sha256(clean.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        return f"{clean[: MAX_NAME - 9]}…{tail}"


def build_names(settings: Settings) -> Names:
    """The naming rule of the settings."""
    if not settings.hide_names or settings.name_salt is None:
        return Names()
    return Names(settings.name_salt.get_secret_value().encode())

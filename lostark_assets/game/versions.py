"""Meter versions and the measurement rules that changed with them.

Which version wrote a row, and whether two rows were measured by the same rules.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Figure = Literal["dps", "encounter", "positional", "contribution", "support_uptime"]
Version = tuple[int, int, int]

UNKNOWN_RULES = "unknown"

_VERSION = re.compile(r"v?(\d{1,6})\.(\d{1,6})(?:\.(\d{1,6}))?(?:[-+].*)?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RuleChange:
    """A version of LOA Logs from which some figures are measured differently than before."""

    version: Version
    figures: tuple[Figure, ...]
    what: str

    @property
    def label(self) -> str:
        """The era that begins here, such as "since 1.27.0"."""
        return "since " + _dotted(self.version)


VERSIONS_WITH_OTHER_RULES: tuple[RuleChange, ...] = (
    RuleChange((1, 13, 5), ("support_uptime",), "storage rewritten; parties, and so buff shares, are right"),
    RuleChange((1, 26, 0), ("positional",), "back attacks counted right"),
    RuleChange((1, 27, 0), ("dps",), "damage to boss shields counts as damage"),
    RuleChange((1, 31, 5), ("support_uptime",), "hyper-awakening and the like left out of buff shares"),
    RuleChange(
        (1, 33, 4), ("contribution",), "old rDPS removed, damage without support buffs recorded instead"
    ),
    RuleChange((1, 36, 6), ("dps",), "intermission of Kazeros gate 2 left out of the clock"),
    RuleChange((1, 38, 0), ("encounter",), "the phases of a Kazeros gate become two encounters"),
    RuleChange((1, 40, 0), ("encounter",), "the phases of a Kazeros gate become one encounter again"),
    RuleChange((1, 45, 0), ("contribution",), "rDPS and nDPS return with a new meaning"),
)


def parse_meter_version(text: str | None) -> Version | None:
    """Read a LOA Logs version: "1.16.5", "v1.45", "1.16.5-sync" without its suffix; None for other texts."""
    match = _VERSION.fullmatch(text.strip()) if text else None
    if match is None:
        return None
    major, minor, patch = match.groups(default="0")
    return int(major), int(minor), int(patch)


def measurement_rules(meter_version: str | None, *, figure: Figure | None = None) -> str:
    """Name the era of measurement a meter version belongs to; "unknown" for an unknown version.

    Figures of two eras must not share a cell. With `figure`, only the changes that touch that figure separate
    eras, so that DPS is not split where only buff shares changed; "encounter" is what counts as one fight.
    Facts: LOA Logs' own release notes (shields in 1.27.0 on 2025-04-23) and the format notes, section 1.9.
    """
    version = parse_meter_version(meter_version)
    if version is None:
        return UNKNOWN_RULES
    changes = [c for c in VERSIONS_WITH_OTHER_RULES if figure is None or figure in c.figures]
    passed = [c for c in changes if c.version <= version]
    return passed[-1].label if passed else "before " + _dotted(changes[0].version)


def list_measurement_rules(figure: Figure) -> tuple[str, ...]:
    """Every era that :func:`measurement_rules` can name for one figure."""
    labels = [c.label for c in VERSIONS_WITH_OTHER_RULES if figure in c.figures]
    return (UNKNOWN_RULES, labels[0].replace("since", "before"), *labels)


def _dotted(version: Version) -> str:
    return ".".join(map(str, version))

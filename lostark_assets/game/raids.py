"""Raids and gates as the rest of the platform uses them: the table and the ways to recognise a gate.

A list of names only, so that readers need one import. The facts are in `raid_table` and `bosses`, names of
raids in `raid_names`, gates from logs in `gates`, gates from file stems in `gate_text`.
"""

from __future__ import annotations

from lostark_assets.game.bosses import boss_korean
from lostark_assets.game.gate_text import gate_from_text
from lostark_assets.game.gates import GateMatch, canonical_boss, resolve_gate, resolve_named_gate
from lostark_assets.game.raid_names import find_raid, raid_korean
from lostark_assets.game.raid_table import GUARDIAN_RAIDS, RAIDS, Gate, Raid

__all__ = [
    "GUARDIAN_RAIDS",
    "RAIDS",
    "Gate",
    "GateMatch",
    "Raid",
    "boss_korean",
    "canonical_boss",
    "find_raid",
    "gate_from_text",
    "raid_korean",
    "resolve_gate",
    "resolve_named_gate",
]

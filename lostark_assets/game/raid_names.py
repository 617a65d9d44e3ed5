"""Finding raids and gates by the names that users and tools give them."""

from __future__ import annotations

import re

from lostark_assets.game.names import index_by_key, name_key
from lostark_assets.game.raid_table import RAIDS, Gate, Raid

RAID_NAMES = tuple(raid.name for raid in RAIDS)
GATE_NAMES = tuple(dict.fromkeys(gate.gate_name for raid in RAIDS for gate in raid.gates))
RAID_BY_NAME: dict[str, Raid] = {raid.name: raid for raid in RAIDS}
_RAID_OF_WORD = index_by_key((n, r.name) for r in RAIDS for n in (r.name, r.korean, *r.aliases))
_GATE_AT_END = re.compile(r"(.+?)[\s_\-]*(g\d{1,2}|gate ?\d{1,2}|\d{1,2} ?관문)\s*", re.IGNORECASE)
_GATE_NUMBER = re.compile(r"(?:g|gate|관문)?(\d{1,2})(?:관문|관)?")


def find_raid(text: str | None) -> Raid | None:
    """Find the raid with this English or Korean name or alias, in any spelling; None if there is none."""
    name = _RAID_OF_WORD.get(name_key(text))
    return RAID_BY_NAME[name] if name else None


def raid_korean(name: str | None) -> str | None:
    """Give the Korean name of a raid named in any known way; None if unknown."""
    raid = find_raid(name)
    return raid.korean if raid else None


def gate_number(gate: str | int | None) -> int | None:
    """Read a gate number from 1, "1", "G1", "Gate 1", "1관문" or "관문 1"; None for other texts."""
    text = "" if gate is None else str(gate).strip().removesuffix(".0")
    match = _GATE_NUMBER.fullmatch(name_key(text))
    return int(match[1]) if match else None


def split_gate(text: str) -> tuple[str, str | None]:
    """Split a raid name from the gate at its end, as LOA Logs writes both: "Act 2: Brelshaza G2"."""
    match = _GATE_AT_END.fullmatch(text)
    return (match[1], match[2]) if match else (text, None)


def find_gate(raid: Raid, gate: str | int | None) -> Gate | None:
    """Find a gate of a raid by number or by name; the only gate of a raid with one needs no naming."""
    if raid.kind == "guardian":
        key = name_key(None if gate is None else str(gate))
        return next((g for g in raid.gates if name_key(g.gate_name) == key), None)
    if gate is None or name_key(str(gate)) == "":
        return raid.gates[0] if len(raid.gates) == 1 else None
    number = gate_number(gate)
    return next((g for g in raid.gates if g.number == number), None)

"""Resolving the gate of a fight, from the boss in a log or from the names in an import.

Every result says how it was reached and, if it is ambiguous, which gates remain: a gate is never picked
because it is the newest. The table is in `raid_table`, names are in `raid_names` and `bosses`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from lostark_assets.game.bosses import KOREAN_OF_BOSS, MAIN_BOSS_OF, main_boss
from lostark_assets.game.difficulties import resolve_difficulty
from lostark_assets.game.names import name_key
from lostark_assets.game.raid_names import RAID_BY_NAME, find_gate, find_raid, split_gate
from lostark_assets.game.raid_table import RAIDS, Gate

Resolution = Literal["boss", "difficulty", "boss_hp", "time", "import", "ambiguous", "unknown"]

# One boss name, several raids: more HP than this is the newer raid. 100e9 is LOA Logs' own line for Act 2.
# Armoche gate 1 has 535e9 in Normal; that gate 2 of Echidna stays below 400e9 is an assumption.
_NEWER_RAID_HP = {"Act 2: Brelshaza": 100_000_000_000, "Act 4: Armoche": 400_000_000_000}
_LOW_HP_MODES = ("Solo", "Matching")


@dataclass(frozen=True, slots=True)
class GateMatch:
    """Which gate a fight was.

    `resolution` says what decided: the boss name alone, the difficulty, the boss's HP, the time of the
    fight, or names given by an import. "ambiguous" leaves several `candidates` (raid and gate names); then
    `raid_name` and `players` (the raid's size) stand only if all candidates agree on them. "unknown" has no
    candidates.
    """

    raid_name: str | None
    gate_name: str | None
    resolution: Resolution
    candidates: tuple[tuple[str, str], ...]
    players: int | None


UNKNOWN_GATE = GateMatch(None, None, "unknown", (), None)


def _index_gates() -> dict[str, list[Gate]]:
    index: dict[str, list[Gate]] = defaultdict(list)
    names = [(boss, gate) for raid in RAIDS for gate in raid.gates for boss in gate.bosses]
    names += [(KOREAN_OF_BOSS[boss], gate) for boss, gate in names if boss in KOREAN_OF_BOSS]
    of_boss = dict(names)
    names += [(part, of_boss[boss]) for part, boss in MAIN_BOSS_OF.items()]
    for name, gate in names:
        if gate not in index[name_key(name)]:
            index[name_key(name)].append(gate)
    return dict(index)


_GATES_OF_BOSS = _index_gates()
_ENGLISH_OF_KOREAN: dict[str, set[str]] = defaultdict(set)
for _english, _korean in KOREAN_OF_BOSS.items():
    _ENGLISH_OF_KOREAN[name_key(_korean)].add(_english)
_BOSS_OF_KEY = {name_key(b): b for raid in RAIDS for g in raid.gates for b in g.bosses}


def canonical_boss(name: str | None) -> str | None:
    """Give LOA Logs' name of a boss; parts of a boss become the boss, Korean names become English.

    None for names not known and for a Korean name that two bosses share.
    """
    if not name:
        return None
    key = name_key(main_boss(name))
    english = _ENGLISH_OF_KOREAN.get(key, set())
    if english:
        return next(iter(english)) if len(english) == 1 else None
    found = _BOSS_OF_KEY.get(key)
    return main_boss(found) if found else None


def resolve_gate(
    boss_name: str | None,
    *,
    difficulty: str | None = None,
    boss_max_hp: int | None = None,
    fight_started_at: datetime | None = None,
    players: int | None = None,
) -> GateMatch:
    """Resolve the gate of a boss; English or Korean, in any spelling, parts of a boss included.

    A name found in several gates is narrowed by the boss's maximum HP (points), then by the difficulty,
    then by the time: a raid cannot be fought before it opened in Korea (a time without zone is taken as
    UTC). `players` drops raids smaller than the party. What stays open is "ambiguous", such as gates 4 and
    6 of the old Brelshaza raid, which share a boss and were later counted as one gate 4. HP below the line
    decides nothing in the Solo and Matching modes, where every boss has less.
    """
    gates = _GATES_OF_BOSS.get(name_key(boss_name), [])
    word = resolve_difficulty(difficulty)
    rules: tuple[tuple[Resolution, Callable[[Gate], bool]], ...] = (
        ("boss", lambda gate: players is None or players <= RAID_BY_NAME[gate.raid_name].players),
        ("boss_hp", lambda gate: _hp_fits(gate, gates, boss_max_hp, word)),
        ("difficulty", lambda gate: _difficulty_fits(gate, word)),
        ("time", lambda gate: _time_fits(gate, fight_started_at)),
    )
    left = gates
    resolution: Resolution = "boss"
    for rule, fits in rules:
        kept = [gate for gate in left if fits(gate)]
        if len(left) > 1 and kept and len(kept) < len(left):
            left, resolution = kept, rule
    return _match(left, resolution)


def resolve_named_gate(raid: str | None, gate: str | int | None, boss: str | None = None) -> GateMatch:
    """Resolve the gate that an import names: raid "Aegir" or "에기르", gate "G1", 1 or "1관문".

    A boss name that is known and contradicts those words wins over them: a log recorded it, while a person
    may write "Brelshaza" for either raid of that name. Without a usable gate the boss decides within the
    raid, else the raid's gates are the candidates; a gate the raid does not have leaves the gate unknown.
    """
    found = find_raid(raid)
    if found is None and raid and gate is None:
        raid, gate = split_gate(raid)
        found = find_raid(raid)
    is_guardian = found is not None and found.kind == "guardian"
    by_boss = resolve_gate(str(gate) if is_guardian and boss is None and gate else boss)
    if found is None:
        return by_boss if by_boss.candidates else resolve_gate(raid)
    named = find_gate(found, gate)
    if named is None and (gate is None or not name_key(str(gate))):
        inside = [g for g in found.gates if (g.raid_name, g.gate_name) in by_boss.candidates]
        return _match(inside or list(found.gates), "import") if inside or not by_boss.candidates else by_boss
    if named is None:
        return by_boss if by_boss.candidates else GateMatch(found.name, None, "unknown", (), found.players)
    if by_boss.candidates and (named.raid_name, named.gate_name) not in by_boss.candidates:
        return by_boss
    return _match([named], "import")


def _hp_fits(gate: Gate, rivals: list[Gate], max_hp: int | None, difficulty: str | None) -> bool:
    newest = max((g.raid_name for g in rivals if g.raid_name in _NEWER_RAID_HP), default=None)
    if newest is None or not max_hp or max_hp <= 0:
        return True
    if max_hp > _NEWER_RAID_HP[newest]:
        return gate.raid_name == newest
    return difficulty in _LOW_HP_MODES or gate.raid_name != newest


def _difficulty_fits(gate: Gate, word: str | None) -> bool:
    modes = RAID_BY_NAME[gate.raid_name].difficulties
    if word == "Nightmare" or word is None:
        return True  # the newest meters write Nightmare for Inferno too, so the word decides nothing
    return word in modes or (word == "Extreme" and any(mode.startswith("Extreme ") for mode in modes))


def _time_fits(gate: Gate, started_at: datetime | None) -> bool:
    released = RAID_BY_NAME[gate.raid_name].released
    if started_at is None or released is None:
        return True
    at_utc = started_at.astimezone(UTC) if started_at.tzinfo else started_at
    return at_utc.date() >= released


def _match(gates: list[Gate], resolution: Resolution) -> GateMatch:
    """Build the result: no gate is unknown, one is the gate, several are ambiguous."""
    if not gates:
        return UNKNOWN_GATE
    candidates = tuple((gate.raid_name, gate.gate_name) for gate in gates)
    raids = {gate.raid_name for gate in gates}
    sizes = {RAID_BY_NAME[name].players for name in raids}
    return GateMatch(
        raid_name=gates[0].raid_name if len(raids) == 1 else None,
        gate_name=gates[0].gate_name if len(gates) == 1 else None,
        resolution=resolution if len(gates) == 1 else "ambiguous",
        candidates=candidates,
        players=sizes.pop() if len(sizes) == 1 else None,
    )

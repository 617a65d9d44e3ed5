"""The raid gates that the simulator plays: bosses, health, size and item levels, as LOA Logs names them.

Cleaning has its own reference list.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Gate:
    """One gate of one raid at one difficulty; health in damage units, the limit in seconds."""

    raid: str
    gate: str
    boss: str
    difficulty: str
    size: int
    item_level: int
    max_hp: int
    limit_s: int
    npc_id: int
    hp_bars: int | None
    weight: float

    @property
    def dealers(self) -> int:
        """Players of a full group that are not its supports (one support per party of four)."""
        return self.size - self.size // 4

    @property
    def has_intermission(self) -> bool:
        """Whether the boss leaves between two phases and the meter takes that time off the duration."""
        return self.boss == "Archdemon Kazeros"


# raid|gate|boss|size|limit s|npc id|hp bars|weight|difficulty:item level:health in units of 100 million
_TABLE = """
Serca|G1|Witch of Agony, Serca|4|600|486001|300|6|Normal:1710:3699 Hard:1730:7696 Nightmare:1740:11941
Serca|G2|Corvus Tul Rak|4|600|486021|320|6|Normal:1710:4768 Hard:1730:9920 Nightmare:1740:15392
Act 4: Armoche|G1|Brelshaza, Ember in the Ashes|8|660|485801|450|5|Normal:1700:5347 Hard:1720:10443
Act 4: Armoche|G2|Armoche, Sentinel of the Abyss|8|900|485821|450|5|Normal:1700:6789 Hard:1720:13471
Final Act: Kazeros|G1|Abyss Lord Kazeros|8|1080|485901|999|5|Normal:1710:8784 Hard:1730:13688
Final Act: Kazeros|G2|Archdemon Kazeros|8|960|485921|777|5|Normal:1710:7629 Hard:1730:24063
Horizon Cathedral|G1|Archbishop Arcenos|4|600|487001|90|4|L1:1700:3314 L2:1720:7917 L3:1750:12166
Horizon Cathedral|G2|Arcenos, Vanguard of Fanaticism|4|600|487021|90|4|L1:1700:3125 L2:1720:7653 L3:1750:11980
Act 2: Brelshaza|G2|Phantom Legion Commander Brelshaza|8|900|485421|420|1.5|Normal:1670:3994 Hard:1690:8253
Aegir|G1|Akkan, Lord of Death|8|720|485301|300|1|Normal:1660:1615 Hard:1680:2698
Aegir|G2|Aegir, the Oppressor|8|900|485321|400|1|Normal:1660:2132 Hard:1680:3985
Behemoth|G2|Behemoth, the Storm Commander|16|1200|484021|500|1|Normal:1640:9000
"""


def _read_line(line: str) -> list[Gate]:
    raid, gate, boss, size, limit_s, npc_id, hp_bars, weight, levels = line.split("|")
    found = []
    for level in levels.split():
        difficulty, item_level, health = level.split(":")
        found.append(
            Gate(
                raid=raid,
                gate=gate,
                boss=boss,
                difficulty=difficulty.replace("L", "Level "),
                size=int(size),
                item_level=int(item_level),
                max_hp=int(health) * 100_000_000,
                limit_s=int(limit_s),
                npc_id=int(npc_id),
                hp_bars=int(hp_bars),
                weight=float(weight),
            )
        )
    return found


GATES: tuple[Gate, ...] = tuple(gate for line in _TABLE.split("\n") if line for gate in _read_line(line))

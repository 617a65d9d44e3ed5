"""Upload JSON of the season's fights, clean or deliberately broken, as uploaders send it.

Which log exists when is in ``growing_season``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from isal import igzip

from lostark_simulator.dirt import FULL_SET_WITHIN, IMPOSSIBLE_DURATION_MS, pick_dirt
from lostark_simulator.entities import encounter_json
from lostark_simulator.fight import Fight
from lostark_simulator.loa_logs_rows import to_json
from lostark_simulator.season import SeasonConfig, generate_fight
from lostark_simulator.views import view_fight


def upload_bytes(fight: Fight, upload: int, revision: int = 0) -> bytes:
    """The upload of one player of a fight; a ``revision`` is the same log, edited by its owner.

    It includes the fight's dirt, as far as an upload can have it.
    """
    document = encounter_json(view_fight(fight, fight.uploads[upload]))
    if revision:
        document |= {"favorite": True, "sync": f"edited-{revision}"}
    if fight.dirt in _DAMAGED_DOCUMENT:
        _DAMAGED_DOCUMENT[fight.dirt](document)
    content = to_json(document)
    return _DAMAGED_BYTES[fight.dirt](content) if fight.dirt in _DAMAGED_BYTES else content


def fight_start_ms(fight: Fight, upload: int) -> int:
    """Start of the fight by the uploader's clock, epoch ms."""
    return fight.started_at_ms + fight.uploads[upload].clock_offset_ms


def tiny_bytes(seed: int, number: int, started_at_ms: int, revision: int = 0) -> bytes:
    """A log of one hit, about 5 kB: the same but for its time and its ``sync`` mark."""
    document = _tiny_template(seed)
    shared = document["encounterDamageStats"]
    return to_json(
        document
        | {
            "fightStart": started_at_ms,
            "lastCombatPacket": started_at_ms,
            "encounterDamageStats": shared | {"misc": shared["misc"] | {"ntpFightStart": started_at_ms}},
            "sync": f"tiny-{number}-{revision}",
        }
    )


@lru_cache(maxsize=4)
def _tiny_template(seed: int) -> dict:
    rng = np.random.default_rng(seed)
    number = next(one for one in range(FULL_SET_WITHIN) if pick_dirt(one, rng) == "one_hit_log")
    fight = generate_fight(SeasonConfig(seed=seed), number)
    return encounter_json(view_fight(fight, fight.uploads[0]))


def _first_player(document: dict) -> dict:
    return next(one for one in document["entities"].values() if one["entityType"] == "PLAYER")


def _impossible_duration(document: dict) -> None:
    document["duration"] = IMPOSSIBLE_DURATION_MS
    document["lastCombatPacket"] = document["fightStart"] + IMPOSSIBLE_DURATION_MS


def _broken_player_sum(document: dict) -> None:
    stats = _first_player(document)["damageStats"]
    stats["damageDealt"] = stats["damageDealt"] * 3 // 2


def _broken_total(document: dict) -> None:
    document["encounterDamageStats"]["totalDamageDealt"] *= 2


def _negative_incapacitation(document: dict) -> None:
    _first_player(document)["damageStats"]["incapacitations"].append(
        {"type": "FALL_DOWN", "timestamp": document["fightStart"] + 30_000, "duration": -1_734}
    )


def _invalid_json(content: bytes) -> bytes:
    return content[: len(content) // 2] + b"}}"


def _truncated_gzip(content: bytes) -> bytes:
    packed = igzip.compress(content, 2, mtime=0)
    return packed[: len(packed) * 6 // 10]


_DAMAGED_DOCUMENT: dict[str | None, Callable[[dict], None]] = {
    "impossible_duration": _impossible_duration,
    "broken_player_sum": _broken_player_sum,
    "broken_total": _broken_total,
    "negative_incapacitation": _negative_incapacitation,
}
_DAMAGED_BYTES: dict[str | None, Callable[[bytes], bytes]] = {
    "invalid_json": _invalid_json,
    "truncated_gzip": _truncated_gzip,
}

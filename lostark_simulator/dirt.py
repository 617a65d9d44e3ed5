"""Kinds of dirt in real battle logs, and their assignment to fights.

Kinds that change the fight itself are applied in fight_builder.py and roster.py, the others in dirt_rows.py.
"""

import numpy as np

QUARANTINE = (
    "invalid_json",
    "truncated_gzip",
    "impossible_duration",
    "too_many_players",
    "broken_player_sum",
    "broken_total",
    "negative_damage",
)
KEPT = (
    "difficulty_null",
    "difficulty_empty",
    "item_level_zero",
    "hex_local_player",
    "boss_hp_negative",
    "old_layout",
    "no_spec",
    "judgement_spelling",
    "princess_spec",
    "class_id_701",
    "class_id_702",
    "odd_players_piece",
    "negative_incapacitation",
    "support_ap_above_one",
    "support_ap_null",
    "one_hit_log",
)
KINDS = tuple(kind for pair in zip(QUARANTINE, KEPT, strict=False) for kind in pair) + KEPT[len(QUARANTINE) :]
EXPECTED_REASONS = {
    "invalid_json": "a blob is not valid JSON",
    "truncated_gzip": "a gzip blob ends too early",
    "impossible_duration": "the duration is impossible",
    "too_many_players": "more players than the raid holds",
    "broken_player_sum": "a player's skills do not add up to the player's damage",
    "broken_total": "the players do not add up to the total",
    "negative_damage": "damage is negative",
}
FULL_SET_WITHIN = 40
LATER_SHARE = 0.01
HEX_NAME = "74bfd02"
IMPOSSIBLE_DURATION_MS = 72_654_676
NEGATIVE_BOSS_HP = -428_339

_FIRST_OF = {1 + place * (FULL_SET_WITHIN - 2) // (len(KINDS) - 1): kind for place, kind in enumerate(KINDS)}


def pick_dirt(number: int, rng: np.random.Generator) -> str | None:
    """The dirt of one fight: each kind once among the first 40, afterwards in one fight of a hundred."""
    if number < FULL_SET_WITHIN:
        return _FIRST_OF.get(number)
    return str(rng.choice(KINDS)) if rng.random() < LATER_SHARE else None


def expected_outcome(kind: str | None) -> str:
    """The correct outcome of cleaning the log: `quarantine` or `kept`."""
    return "quarantine" if kind in QUARANTINE else "kept"

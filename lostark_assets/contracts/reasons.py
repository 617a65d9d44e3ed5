"""The closed list of quarantine reasons, each with what an operator does about it.

The contract of ``core_quarantine``, the documentation and the pages follow this list.
"""

from __future__ import annotations

REASONS: dict[str, str] = {
    "invalid_json": "A JSON document does not parse, or a value has a wrong type. Ask for a new copy.",
    "truncated_gzip": "A compressed part ends early or is damaged. Fetch the log again if its source has it.",
    "payload_too_large": "A part unpacks to more than the limit. Raise LOSTARK_MAX_PART_BYTES if it is real.",
    "missing_field": "A field without which a log says nothing (start, end, duration) is missing.",
    "no_players": "The log holds no player.",
    "impossible_duration": "The fight lasted longer than LOSTARK_MAX_FIGHT_S, or ended before it began.",
    "impossible_time": "The fight started before the game's meters existed, or in the future.",
    "too_many_players": "More players than the raid takes.",
    "impossible_value": "A figure that can't be: negative damage, more crits than hits, hits after the end.",
    "broken_sums": "Parts do not add up to their total: hits to skills, skills to players, players to raid.",
    "meter_dps_mismatch": "Our DPS differs from the one that the meter stored.",
    "duplicate_player": "One player stands twice in one log.",
    "unexpected_error": (
        "Cleaning, computing or publishing the log raised an error that no rule foresees. The event log "
        "has the traceback under the error id in the detail: report it, and replay the log after an update."
    ),
}

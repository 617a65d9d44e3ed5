"""JSON of all hits of a player, written by a compiled loop: a Python object per hit is too slow.

Only the `skillCastLog` lists are written here; the rest of a skill is in encode_skills.py.
"""

from functools import lru_cache
from itertools import pairwise

import msgspec
import numpy as np
from numba import njit

from lostark_simulator.effects import effect_ids, palette
from lostark_simulator.fight import Hits
from lostark_simulator.sums import Sums

_FIXED = (
    '{"timestamp":',
    ',"last":',
    ',"hits":[{"timestamp":',
    ',{"timestamp":',
    ',"damage":',
    ',"unbuffedDamage":',
    ',"rdpsDamageReceived":',
    ',"rdpsDamageReceivedSupport":',
    "}",
    "]}",
)
_CAST, _LAST, _FIRST_HIT, _NEXT_HIT, _FIELDS, _END_HIT, _END_CAST = 0, 1, 2, 3, 4, 8, 9
_FIELD_COUNT = 4
_FLAGS = tuple(
    f',"crit":{crit},"backAttack":{back},"frontAttack":{front},"buffedBy":'
    for crit in ("false", "true")
    for back in ("false", "true")
    for front in ("false", "true")
)
_FIRST_FLAG = len(_FIXED)
_FIRST_EFFECT = _FIRST_FLAG + len(_FLAGS)
_MAX_NUMBER = 20


@lru_cache(maxsize=512)
def _texts(support_class: str | None, class_id: int) -> tuple[np.ndarray, np.ndarray, int]:
    """All texts between numbers as one array with its edges, and the maximum size of one hit in bytes.

    The last texts are the effects of a hit, for all combinations of buff and debuff bits.
    """
    buffs, debuffs = (
        [f"[{','.join(map(str, ids))}]" for ids in palette(all_ids)]
        for all_ids in effect_ids(support_class, class_id)
    )
    effects = [f'{buff},"debuffedBy":{debuff},"stagger":' for buff in buffs for debuff in debuffs]
    texts = [text.encode() for text in (*_FIXED, *_FLAGS, *effects)]
    edges = np.cumsum([0, *map(len, texts)])
    longest = sum(map(len, texts[:_FIRST_FLAG])) + max(map(len, _FLAGS)) + max(map(len, effects))
    return np.frombuffer(b"".join(texts), np.uint8), edges, longest + 9 * _MAX_NUMBER


@njit(cache=True)
def _put_text(out, at, texts, edges, which):
    for place in range(edges[which], edges[which + 1]):
        out[at] = texts[place]
        at += 1
    return at


@njit(cache=True)
def _put_number(out, at, value):
    if value < 0:
        out[at] = 45
        at += 1
        value = -value
    digits, rest = 1, value // 10
    while rest > 0:
        digits += 1
        rest //= 10
    for place in range(at + digits - 1, at - 1, -1):
        out[place] = 48 + value % 10
        value //= 10
    return at + digits


@njit(cache=True)
def _write_casts(out, texts, edges, cast_edges, cast_at, is_new_skill, numbers, flags, effects):
    """Write all casts with their hits; returns the offset of each cast, and the end."""
    begins = np.empty(cast_at.size + 1, np.int64)
    at = 0
    for cast in range(cast_at.size):
        if not is_new_skill[cast]:
            out[at] = 44
            at += 1
        begins[cast] = at
        at = _put_text(out, at, texts, edges, _CAST)
        at = _put_number(out, at, cast_at[cast])
        at = _put_text(out, at, texts, edges, _LAST)
        at = _put_number(out, at, numbers[0, cast_edges[cast + 1] - 1])
        for hit in range(cast_edges[cast], cast_edges[cast + 1]):
            opening = _FIRST_HIT if hit == cast_edges[cast] else _NEXT_HIT
            at = _put_text(out, at, texts, edges, opening)
            at = _put_number(out, at, numbers[0, hit])
            for field in range(_FIELD_COUNT):
                at = _put_text(out, at, texts, edges, _FIELDS + field)
                at = _put_number(out, at, numbers[field + 1, hit])
            at = _put_text(out, at, texts, edges, _FIRST_FLAG + flags[hit])
            at = _put_text(out, at, texts, edges, _FIRST_EFFECT + effects[hit])
            at = _put_number(out, at, numbers[_FIELD_COUNT + 1, hit])
            at = _put_text(out, at, texts, edges, _END_HIT)
        at = _put_text(out, at, texts, edges, _END_CAST)
    begins[cast_at.size] = at
    return begins


def skill_cast_logs(hits: Hits, sums: Sums, support_class: str | None, class_id: int) -> list[msgspec.Raw]:
    """For each skill with hits, its `skillCastLog`: casts with timestamp, last and hits (ms from start)."""
    texts, edges, longest = _texts(support_class, class_id)
    out = np.empty(hits.at_ms.size * longest, np.uint8)
    first_casts = np.append(np.searchsorted(sums.cast_start, sums.start), sums.cast_start.size)
    is_new_skill = np.zeros(sums.cast_start.size, np.bool_)
    is_new_skill[first_casts[:-1]] = True
    numbers = np.stack(
        [hits.at_ms, hits.damage, hits.unbuffed, hits.received, hits.received_support, hits.stagger]
    )
    begins = _write_casts(
        out,
        texts,
        edges,
        np.append(sums.cast_start, hits.at_ms.size),
        hits.cast_at[hits.cast[sums.cast_start]],
        is_new_skill,
        numbers,
        hits.crit.astype(np.int64) * 4 + hits.back * 2 + hits.front,
        hits.buffs.astype(np.int64) * 8 + hits.debuffs,
    )
    content = out[: begins[-1]].tobytes()
    return [
        msgspec.Raw(b"[" + content[begins[first] : begins[after]] + b"]")
        for first, after in pairwise(first_casts.tolist())
    ]

"""JSON of all hits of a player in one go, by joining text columns; a Python object per hit would be too slow."""

from functools import lru_cache

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lostark_assets.simulator.effects import effect_ids, palette
from lostark_assets.simulator.fight import Hits
from lostark_assets.simulator.sums import Sums

_FLAGS = pa.array(
    f',"crit":{crit},"backAttack":{back},"frontAttack":{front},"buffedBy":'
    for crit in ("false", "true")
    for back in ("false", "true")
    for front in ("false", "true")
)


@lru_cache(maxsize=512)
def _effects(support_class: str | None, class_id: int) -> pa.Array:
    """Text of the effects of a hit, for all combinations of buff and debuff bits."""
    buffs, debuffs = (
        [f"[{','.join(map(str, ids))}]" for ids in palette(all_ids)]
        for all_ids in effect_ids(support_class, class_id)
    )
    return pa.array(f'{buff},"debuffedBy":{debuff},"stagger":' for buff in buffs for debuff in debuffs)


def _text(column: np.ndarray) -> pa.Array:
    return pc.cast(pa.array(column), pa.string())


def _cast_openings(hits: Hits, sums: Sums) -> pa.Array:
    """Per cast, the text before its first hit; a comma parts it from the skill's cast before."""
    is_first = np.zeros(sums.cast_start.size, bool)
    is_first[np.searchsorted(sums.cast_start, sums.start)] = True
    comma = pc.if_else(pa.array(is_first), '{"timestamp":', ',{"timestamp":')
    at, last = hits.cast_at[hits.cast[sums.cast_start]], hits.at_ms[sums.cast_stop - 1]
    return pc.binary_join_element_wise(
        comma, _text(at), ',"last":', _text(last), ',"hits":[{"timestamp":', ""
    )


def _openings(hits: Hits, sums: Sums) -> pa.Array:
    texts = pa.concat_arrays([_cast_openings(hits, sums), pa.array([',{"timestamp":'])])
    which = np.full(hits.at_ms.size, sums.cast_start.size)
    which[sums.cast_start] = np.arange(sums.cast_start.size)
    return texts.take(pa.array(which))


def skill_cast_logs(hits: Hits, sums: Sums, support_class: str | None, class_id: int) -> list[msgspec.Raw]:
    """Per skill that hit, its `skillCastLog`: casts with timestamp, last and hits (ms since fight start)."""
    flags = hits.crit * np.uint8(4) + hits.back * np.uint8(2) + hits.front
    effects = hits.buffs.astype(np.int64) * 8 + hits.debuffs
    is_last = np.zeros(hits.at_ms.size, bool)
    is_last[sums.cast_stop - 1] = True
    joined = pc.binary_join_element_wise(
        _openings(hits, sums),
        _text(hits.at_ms),
        ',"damage":',
        _text(hits.damage),
        ',"unbuffedDamage":',
        _text(hits.unbuffed),
        ',"rdpsDamageReceived":',
        _text(hits.received),
        ',"rdpsDamageReceivedSupport":',
        _text(hits.received_support),
        _FLAGS.take(pa.array(flags)),
        _effects(support_class, class_id).take(pa.array(effects)),
        _text(hits.stagger),
        pc.if_else(pa.array(is_last), "}]}", "}"),
        "",
    )
    _, offsets, data = joined.buffers()
    places = np.frombuffer(offsets, np.int32)
    edges = places[np.append(sums.start, hits.at_ms.size)].tolist()
    content = data.to_pybytes()
    return [
        msgspec.Raw(b"[" + content[begin:end] + b"]") for begin, end in zip(edges, edges[1:], strict=False)
    ]

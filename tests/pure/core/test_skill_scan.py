"""The scanner of skills against msgspec: where it answers, both say the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lostark_assets.core.documents import Skill
from lostark_assets.core.rows import NULL
from lostark_assets.core.skill_scan import (
    NUMBERS,
    UNREADABLE,
    ScannedSkills,
    collect_skills,
    scan_skills,
)

_decoder = msgspec.json.Decoder(dict[str, Skill] | None, strict=False)
HIT = {
    "timestamp": 11284,
    "damage": 99685385,
    "unbuffedDamage": 70799279,
    "crit": True,
    "backAttack": False,
    "frontAttack": True,
    "buffedBy": [314004, 310501],
    "debuffedBy": [],
    "stagger": 9,
}
SKILL = {
    "id": 11800,
    "name": "Basic Attack",
    "icon": "",
    "tripodIndex": {"first": 1, "second": None},
    "totalDamage": 5703845181,
    "maxDamage": 198976389,
    "maxDamageCast": 662753468,
    "buffedBySupport": 1,
    "debuffedBySupport": 2,
    "buffedByIdentity": 3,
    "buffedByHat": 4,
    "casts": 11,
    "hits": 52,
    "crits": 44,
    "adjustedCrit": 0.8461538461538461,
    "critDamage": 5,
    "backAttacks": 6,
    "frontAttacks": 7,
    "backAttackDamage": 8,
    "frontAttackDamage": 9,
    "stagger": 468,
    "isHyperAwakening": False,
    "special": None,
    "buffedBy": {"314004": 5703845181},
    "castLog": [11164, 39993],
    "skillCastLog": [
        {"timestamp": 11164, "last": 11764, "hits": [HIT, HIT | {"timestamp": -5, "crit": False}]},
        {"timestamp": 39993, "last": 40000, "hits": []},
        {},
        {"hits": [HIT]},
    ],
}
WHOLE = {"11800": SKILL, "7": {}, "0": SKILL | {"name": "", "castLog": [], "skillCastLog": None}}


def _plain(skills: ScannedSkills | None) -> Any:
    if skills is None:
        return None
    arrays = [getattr(skills, f.name) for f in fields(skills)[2:]]
    # As text: an unknown rate equals no other.
    return skills.keys, skills.names, [str(a.tolist()) for a in arrays]


def _by_msgspec(data: bytes) -> Any:
    try:
        documents = _decoder.decode(data)
    except UNREADABLE:
        return "unreadable"
    return None if documents is None else _plain(collect_skills(documents))


def _packed(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _with(**fields: Any) -> bytes:
    return _packed({"1": SKILL | fields})


def _with_hit(**fields: Any) -> bytes:
    return _with(skillCastLog=[{"hits": [HIT | fields]}])


def _replaced(old: str, new: str) -> bytes:
    data = _packed({"1": SKILL})
    assert old.encode() in data
    return data.replace(old.encode(), new.encode())


SCANNED = {
    "whole": _packed(WHOLE),
    "empty map": b"{}",
    "empty skill": b'{"1":{}}',
    "spaces": b' { "1" : { "id" : 5 , "castLog" : [ ] , "skillCastLog" : [ { } ] } } \r\n\t',
    "pretty-printed": json.dumps(WHOLE, indent=4).encode(),
    "nulls": _packed({"1": dict.fromkeys(SKILL) | {"totalDamage": 0}}),
    "no casts": _packed({"1": {k: v for k, v in SKILL.items() if k != "skillCastLog"}}),
    "null hits": _with(skillCastLog=[{"hits": None}]),
    "escape in a name": _with(name='Two "words" \\ and\na line'),
    "null as a name": _with(name="null"),
    "unicode": _with(name="Ätzende Säure 酸 😀", icon="Ä😀"),
    "escape in a text to skip": _with(icon='a\\"b\n'),
    "fraction as a whole number": _with(adjustedCrit=1),
    "exponent": _replaced("0.8461538461538461", "8.4E-1"),
    "largest": _with(totalDamage=10**18 - 1, stagger=-(10**18) + 1),
    "minus zero": _replaced('"stagger":468', '"stagger":-0'),
    "unknown keys": _with_hit(a={"b": [{"c": [[], {}, "}]", 1.5e3, True, None]}]}, timestamps=[{}]),
    "hits whose keys differ": _with(
        skillCastLog=[
            {
                "hits": [
                    HIT,
                    dict(reversed(HIT.items())),
                    {k: v for k, v in HIT.items() if k != "unbuffedDamage"} | {"crit": False},
                    HIT | {"crits": True, "damages": 7, "damage": 8},
                    {"damages": 9, "damage": 1, "timestamp": 2, "backAttack": True, "frontAttacks": True},
                    HIT,
                ]
            }
        ]
    ),
    "hits of many keys": _with(
        skillCastLog=[
            {
                "hits": [
                    {f"k{i}": i for i in range(80)} | HIT,
                    {f"k{i}": 0 for i in range(79)} | HIT | {"k79": [1]},
                    {f"k{i}": 0 for i in range(79)} | HIT | {"k79": [1]},
                ]
            }
        ]
    ),
    "lists that stay and change": _with(
        skillCastLog=[
            {"hits": [HIT | {"buffedBy": buffs, "debuffedBy": [10**8, 7], "damage": at}]}
            for at, buffs in enumerate(
                [[1, 2], [1, 2], [1, 23], [1], [1, 2, 3], [], [], 12, [1, 2], None, [1, [2], {"a": "]"}], [1]]
            )
        ]
    ),
    "numbers of every length": _with(
        castLog=[int("1234567890123456789"[:digits]) for digits in range(1, 19)],
        skillCastLog=[
            {
                "hits": [
                    HIT | {"timestamp": sign * int("987654321012345678"[:digits]), "damage": 10**digits - 1}
                ]
            }
            for digits in range(1, 19)
            for sign in (1, -1)
        ],
    ),
    "no flags": _packed({"1": {"skillCastLog": [{"hits": [{"damage": 1, "timestamp": 2}]}]}}),
    "a field twice": b'{"1":{"id":5,"id":null,"casts":1,"casts":2,"name":null,"name":"a"}}',
    "casts after null": b'{"1":{"castLog":null,"castLog":[ 1 , -2 ]},"2":{"castLog":[3]},"3":{"castLog":[]}}',
    "a flag twice": b'{"1":{"skillCastLog":[{"hits":[{"timestamp":1,"timestamp":2,"damage":0,"crit":true,'
    b'"crit":false}]}]}}',
}
SCANNED["hits whose spaces differ"] = SCANNED["hits whose keys differ"].replace(b'":', b'" : ', 70)
LEFT = {
    "nothing": b"",
    "null": b"null",
    "list": b"[]",
    "more behind": _packed(WHOLE) + b"}",
    "zero byte behind": _packed(WHOLE) + b"\0",
    "a skill that is none": b'{"1":null}',
    "text as a number": _with(casts="11"),
    "float as a number": _with(casts=11.0),
    "flag as a number": _with(casts=True),
    "number as a flag": _with(special=1),
    "huge": _with(totalDamage=2**63),
    "beyond 64 bits": _with_hit(damage=2**70),
    "no damage": _packed({"1": {"skillCastLog": [{"hits": [{"timestamp": 1}]}]}}),
    "null damage": _with_hit(damage=None),
    "null flag": _with_hit(crit=None),
    "null total": _with(totalDamage=None),
    "a list that broke": _with_hit(buffedBy=[5]).replace(b"[5]", b"[5,]"),
    "a list that broke after a good one": _with(
        skillCastLog=[{"hits": [HIT, HIT | {"buffedBy": [314004, 3]}]}]
    ).replace(b"[314004,3]", b"[314004,310501,]"),
    "19 digits": _with_hit(damage=10**18),
    "leading zero": _replaced('"stagger":468', '"stagger":0468'),
    "text as a list": _with(castLog="1"),
    "floats in the list": _with(castLog=[1.5]),
    "the list cut": _replaced("[11164,39993]", "[11164,39993"),
    "escaped key": _replaced('"id"', r'"\u0069d"'),
    "a skill twice": b'{"1":{"id":1},"1":{"id":2}}',
    "a name twice": b'{"1":{"name":"\xff","name":"a"}}',
    "a name, then none": b'{"1":{"name":"\xff","name":null}}',
    "a rate twice": b'{"1":{"adjustedCrit":' + b"9" * 400 + b',"adjustedCrit":1}}',
    "casts twice": b'{"1":{"skillCastLog":[],"skillCastLog":[]}}',
    "too deep": b'{"1":{"x":' + b"[" * 5000 + b"]" * 5000 + b"}}",
    "a list of casts twice": b'{"1":{"castLog":[1],"castLog":null}}',
    "text as a cast": _with(castLog=["1"]),
    "many skills": _packed({str(i): {} for i in range(2000)}),
    "comma at the end": b'{"1":{"id":1,}}',
    "code in a name": _replaced('"Basic Attack"', r'"\ud83d\ude00\u00e9"'),
    "bad text": b'{"1":{"name":"\xff"}}',
    "bad key": b'{"\xff":{}}',
}


@pytest.mark.parametrize("data", SCANNED.values(), ids=SCANNED)
def test_the_scanner_reads_what_msgspec_reads(data: bytes) -> None:
    scanned = scan_skills(data)
    assert scanned is not None
    assert _plain(scanned) == _by_msgspec(data)


@pytest.mark.parametrize("data", LEFT.values(), ids=LEFT)
def test_what_is_not_certain_is_left_to_msgspec(data: bytes) -> None:
    assert scan_skills(data) is None


def test_no_cut_document_is_read() -> None:
    data = _packed(WHOLE)
    assert all(scan_skills(data[:size]) is None for size in range(len(data)))


def test_documents_of_every_length_are_read() -> None:
    documents = [_packed({"1": SKILL | {"name": "x" * length}}) for length in range(600)]
    assert all(_plain(scan_skills(data)) == _by_msgspec(data) for data in documents)


def test_hits_beyond_64_bits_are_cut() -> None:
    skills = collect_skills(_decoder.decode(_with_hit(damage=2**70)) or {})
    assert skills.hit_damage.tolist() == [2**63 - 1]


@pytest.mark.parametrize("damage", [2**63, -(2**63)])
def test_other_numbers_beyond_64_bits_are_no_numbers(damage: int) -> None:
    documents = _decoder.decode(_with(totalDamage=damage)) or {}
    with pytest.raises(OverflowError):
        collect_skills(documents)


@pytest.mark.parametrize("skill_id", [2**63, -(2**63), 10**25])
def test_an_id_beyond_64_bits_is_unknown(skill_id: int) -> None:
    skills = collect_skills(_decoder.decode(_with(id=skill_id)) or {})
    assert skills.numbers[NUMBERS.index("id")].tolist() == [NULL]


_TOKENS = [
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b'"',
    b"\\",
    b"\0",
    b"null",
    b"true",
    b"-",
    b"0",
    b"1e5",
    b".5",
]
_TOKENS += [
    b"9" * 19,
    b"\xff",
    b" ",
    b'"id":1,',
    b'"hits":',
    b'"damage":3,',
    b"\\u0041",
    b"\x1f",
    b"{}",
    b"[]",
]


@st.composite
def _damaged(draw: Callable[[st.SearchStrategy[Any]], Any]) -> bytes:
    data = bytearray(
        draw(st.sampled_from([_packed({"1": SKILL}), SCANNED["spaces"], SCANNED["unknown keys"]]))
    )
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        gone = draw(st.integers(0, 12))
        data[at : at + gone] = draw(st.one_of(st.sampled_from(_TOKENS), st.binary(max_size=3)))
    return bytes(data)


@settings(max_examples=400, deadline=None)
@given(_damaged())
@example(b'{"1":{"icon":"\xff"}}')
@example(b'{"1":{"\xff":1}}')
@example(b'{"1":{"x":1e99}}')
@example(b'{"1":{"adjustedCrit":1e-99}}')
def test_damage_is_left_or_read_as_msgspec_reads_it(data: bytes) -> None:
    scanned = scan_skills(data)
    assert scanned is None or _plain(scanned) == _by_msgspec(data)


@pytest.mark.skipif("FUZZ_S" not in os.environ, reason="a long run: FUZZ_S=600")
def test_a_fuzzer_finds_no_difference_to_msgspec(record_property: Callable[[str, object], None]) -> None:
    """Run with ``NUMBA_BOUNDSCHECK=1`` and a ``NUMBA_CACHE_DIR`` of its own: each index is checked then."""
    scan_skills(_packed(WHOLE))  # compiles, which takes a minute with checks
    until, inputs = time.monotonic() + float(os.environ["FUZZ_S"]), 0

    @settings(max_examples=2000, deadline=None, database=None)
    @given(st.one_of(_damaged(), st.binary(max_size=200)))
    def compare(data: bytes) -> None:
        nonlocal inputs
        inputs += 1
        scanned = scan_skills(data)
        assert scanned is None or _plain(scanned) == _by_msgspec(data)

    while time.monotonic() < until:
        compare()
    record_property("inputs", inputs)


def test_an_index_out_of_bounds_is_an_error_where_bounds_are_checked(tmp_path: Path) -> None:
    """What the fuzzer relies on: compiled code reads through arrays whose length is known."""
    script = (
        "import numpy as np\n"
        "from lostark_assets.core.skill_scan import _byte\n"
        "try:\n    _byte(np.zeros(8, np.uint8), 8)\n"
        "except IndexError:\n    print('refused')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "refused\n"

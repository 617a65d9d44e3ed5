"""Read the ``skills`` document of a log from its bytes into arrays, compiled, without an object per hit.

It reads only plain documents as the meter writes them. For anything else (another type, an escaped key, a
number of more than 18 digits, deep nesting, damage) it returns None, and the caller decodes with msgspec.
"""

# ruff: noqa: C901, PLR0911, PLR0912, PLR1714 - a state machine, and Numba compares single numbers fastest

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
import numpy as np
from numba import njit

from lostark_assets.core.documents import Skill
from lostark_assets.core.rows import NULL

_NUMBERS = (
    "id",
    "total_damage",
    "max_damage",
    "max_damage_cast",
    "buffed_by_support",
    "debuffed_by_support",
    "buffed_by_identity",
    "buffed_by_hat",
    "casts",
    "hits",
    "crits",
    "crit_damage",
    "back_attacks",
    "front_attacks",
    "back_attack_damage",
    "front_attack_damage",
    "stagger",
)
_FLAGS = ("is_hyper_awakening", "special")
NUMBERS = (*_NUMBERS, *_FLAGS)
"""Fields of documents.Skill that are numbers of 64 bits in arrays: a flag is 0 or 1."""
_FIELDS = (*NUMBERS, "name", "adjusted_crit", "cast_log", "skill_cast_log")
_TOTAL_DAMAGE = _NUMBERS.index("total_damage")
_FIRST_FLAG, _NAME = len(_NUMBERS), len(NUMBERS)
_ADJUSTED, _CAST_LOG, _SKILL_CAST_LOG = _NAME + 1, _NAME + 2, _NAME + 3
# A row is what the document says of a skill, or where it says it: numbers and flags, then places.
_TO_END = 3
_KEY, _KEY_END, _KEY_ID, _HIT_COUNT, _CAST_COUNT = range(_ADJUSTED + _TO_END + 1, _ADJUSTED + _TO_END + 6)
_COLUMNS = _CAST_COUNT + 1
_MAX_SKILLS = 1024
_MAX_DIGITS = 18
_NUMBER_KEY = re.compile(f"[0-9]{{1,{_MAX_DIGITS}}}")
_MAX_DEPTH = 60
_PADDING = 64
"""Zero bytes behind a document: eight bytes can be read at any place in it."""
_KEPT_BYTES = 16 << 20
_INT64 = 2**63 - 1
_MIN_HIT, _MIN_CAST = len('{"timestamp":1,"damage":1}'), len("1,")
_FAILED = -1
# Beside the bits of flags, what the key of a hit means.
_TIME, _DAMAGE_OF_HIT = 8, 16
# The keys that were seen last, in their order: where one began, bytes to its value, what it says, and where a
# list as its value ended.
_BEGAN, _TO_VALUE, _SAYS, _LIST_ENDED, _COLUMNS_OF_KEYS = range(5)
_MAX_KEYS = 64

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What a decoder raises on damaged bytes or values of a wrong type."""

_names = msgspec.json.Decoder(list[str | None], strict=False).decode
_rates = msgspec.json.Decoder(list[float | None], strict=False).decode

_WIRE_NAMES = [f.encode_name.encode() for f in msgspec.structs.fields(Skill)]
_WIRE = {f.name: f.encode_name.encode() for f in msgspec.structs.fields(Skill)}
_MAX_NAME = max(map(len, _WIRE_NAMES))
_TEXTS = np.zeros((len(_FIELDS), _MAX_NAME), np.uint8)
_LENGTHS = np.array([len(_WIRE[name]) for name in _FIELDS])
for _place, _field in enumerate(_FIELDS):
    _TEXTS[_place, : _LENGTHS[_place]] = np.frombuffer(_WIRE[_field], np.uint8)


def _as_number(text: bytes) -> np.uint64:
    return np.uint64(int.from_bytes(text, "little"))


_TIMESTAM, _TIMESTAMP_END = _as_number(b"timestam"), _as_number(b"p")
_BACK_ATT, _BACK_END = _as_number(b"backAtta"), _as_number(b"ck")
_FRONT_AT, _FRONT_END = _as_number(b"frontAtt"), _as_number(b"ack")
_DAMAGE, _CRIT, _HITS = (
    _as_number(b"damage"),
    _as_number(b"crit"),
    _as_number(b"hits"),
)
_TRUE, _FALSE = _as_number(b"true"), _as_number(b"false")
_NULL_WORD = _as_number(b"null")
_ONE_BYTE, _TWO_BYTES, _THREE_BYTES = np.uint64(2**8 - 1), np.uint64(2**16 - 1), np.uint64(2**24 - 1)
_FOUR_BYTES, _FIVE_BYTES, _SIX_BYTES = np.uint64(2**32 - 1), np.uint64(2**40 - 1), np.uint64(2**48 - 1)
_ONES, _HIGHS, _SPACES, _QUOTES, _SLASHES, _DIGIT_ZEROS, _ABOVE_NINE = (
    _as_number(bytes([byte]) * 8) for byte in (0x01, 0x80, 0x20, 0x22, 0x5C, 0x30, 0x76)
)
_ZERO = np.uint64(0)
# A digit times ten lands beside the digit after it, and so on.
_TENS, _PAIRS = np.uint64(10 * 2**8 + 1), np.uint64(0x00FF00FF00FF00FF)
_HUNDREDS, _FOURS = np.uint64(100 * 2**16 + 1), np.uint64(0x0000FFFF0000FFFF)
_TEN_THOUSANDS = np.uint64(10_000 * 2**32 + 1)


@dataclass(slots=True)
class ScannedSkills:
    """All skills of one player in the order of the document, and all their casts and hits flat.

    ``keys`` are what the skills are kept under, ``key_ids`` these as numbers, NULL for what is none of at
    most 18 digits. ``numbers`` has a row for each of NUMBERS, NULL where the document has none;
    ``adjusted_crit`` is NaN there. ``cast_at_ms`` holds the casts of one skill after those of the other, in
    ms since the fight's start, ``cast_counts`` of each, and ``has_casts`` tells none from unknown; hits
    likewise. ``hit_flags`` has bit 0 for crit, 1 for back attack, 2 for front attack.
    """

    keys: list[str] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)
    key_ids: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    numbers: np.ndarray = field(default_factory=lambda: np.empty((len(NUMBERS), 0), np.int64))
    adjusted_crit: np.ndarray = field(default_factory=lambda: np.empty(0))
    has_casts: np.ndarray = field(default_factory=lambda: np.empty(0, np.bool_))
    cast_counts: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    cast_at_ms: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    hit_counts: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    hit_at_ms: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    hit_damage: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    hit_flags: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint8))

    def __len__(self) -> int:
        return len(self.keys)


def scan_skills(data: bytes) -> ScannedSkills | None:
    """The skills in ``data``, the JSON of ``{"<id>": {skill}, ...}``; None where only msgspec can tell."""
    size = len(data)
    scratch = _scratch_for(size)
    found = scratch.places
    end, skills = _scan(scratch.pad(data), found)
    if end != size:
        return None
    rows = found.rows[:skills]
    places = rows[:, _NAME:].T.tolist()
    try:
        keys = [
            data[i:j].decode() for i, j in zip(places[_KEY - _NAME], places[_KEY_END - _NAME], strict=True)
        ]
        names = _names(_read_list(data, places, _NAME))
        rates = np.array(_rates(_read_list(data, places, _ADJUSTED)), np.float64)
    except UNREADABLE:
        return None
    if len(set(keys)) != skills:
        return None
    hits, casts = int(rows[:, _HIT_COUNT].sum()), int(rows[:, _CAST_COUNT].sum())
    return ScannedSkills(
        keys,
        names,
        rows[:, _KEY_ID].copy(),
        rows[:, :_NAME].T.copy(),
        rates,
        rows[:, _CAST_LOG] != NULL,
        rows[:, _CAST_COUNT].copy(),
        found.casts[:casts].copy(),
        rows[:, _HIT_COUNT].copy(),
        found.at_ms[:hits].copy(),
        found.damage[:hits].copy(),
        found.flags[:hits].copy(),
    )


def _read_list(data: bytes, places: list[list[int]], field: int) -> bytes:
    """One field of all skills as one list: a call a value costs more than the value."""
    at = zip(places[field - _NAME], places[field + _TO_END - _NAME], strict=True)
    return b"[" + b",".join([b"null" if i == NULL else data[i:j] for i, j in at]) + b"]"


class _Places(NamedTuple):
    """What the compiled code reads and fills."""

    names: np.ndarray
    lengths: np.ndarray
    rows: np.ndarray
    casts: np.ndarray
    at_ms: np.ndarray
    damage: np.ndarray
    flags: np.ndarray
    keys_of_skill: np.ndarray
    keys_of_hit: np.ndarray


class _Scratch:
    """Reusable room for one document and what is found in it: new pages of memory cost more than reading."""

    def __init__(self, size: int) -> None:
        max_casts, max_hits = size // _MIN_CAST + 1, size // _MIN_HIT + 1
        self.text = np.zeros(size + _PADDING, np.uint8)
        self.places = _Places(
            _TEXTS,
            _LENGTHS,
            np.empty((_MAX_SKILLS, _COLUMNS), np.int64),
            np.empty(max_casts, np.int64),
            np.empty(max_hits, np.int64),
            np.empty(max_hits, np.int64),
            np.empty(max_hits, np.uint8),
            np.empty((_MAX_KEYS, _COLUMNS_OF_KEYS), np.int64),
            np.empty((_MAX_KEYS, _COLUMNS_OF_KEYS), np.int64),
        )

    def pad(self, data: bytes) -> np.ndarray:
        """The bytes of ``data`` and zero bytes behind them."""
        self.text[: len(data)] = np.frombuffer(data, np.uint8)
        self.text[len(data) : len(data) + _PADDING] = 0
        return self.text[: len(data) + _PADDING]


_kept = threading.local()


def _scratch_for(size: int) -> _Scratch:
    """This thread's; a document above the limit gets one of its own, which is not kept."""
    if size > _KEPT_BYTES:
        return _Scratch(size)
    if getattr(_kept, "scratch", None) is None:
        _kept.scratch = _Scratch(_KEPT_BYTES)
    return _kept.scratch


def collect_skills(documents: Mapping[str, Skill]) -> ScannedSkills:
    """The same arrays of skills that msgspec decoded. Hits beyond 64 bits are cut to the nearest number.

    An id of more bits is unknown, since the key that a skill is kept under goes before it.

    Raises:
        OverflowError: another number has more than 64 bits.
    """
    skills = list(documents.values())
    casts = [skill.cast_log for skill in skills]
    hits = [[h for cast in skill.skill_cast_log or () for h in cast.hits or ()] for skill in skills]
    return ScannedSkills(
        list(documents),
        [skill.name for skill in skills],
        np.array([int(key) if _NUMBER_KEY.fullmatch(key) else NULL for key in documents], np.int64),
        np.array(
            [
                [NULL if skill.id is None or abs(skill.id) > _INT64 else skill.id for skill in skills],
                *([_fitting(getattr(skill, name)) for skill in skills] for name in NUMBERS[1:]),
            ],
            np.int64,
        ),
        np.array([skill.adjusted_crit for skill in skills], np.float64),
        np.array([of_skill is not None for of_skill in casts], np.bool_),
        np.array([len(of_skill or ()) for of_skill in casts], np.int64),
        np.array([at for of_skill in casts for at in of_skill or ()], np.int64),
        np.array(list(map(len, hits)), np.int64),
        _clipped([h.timestamp for of_skill in hits for h in of_skill]),
        _clipped([h.damage for of_skill in hits for h in of_skill]),
        np.array(
            [h.crit + 2 * h.back_attack + 4 * h.front_attack for of_skill in hits for h in of_skill], np.uint8
        ),
    )


def _fitting(value: int | None) -> int:
    if value is not None and value <= NULL:
        raise OverflowError(f"{value} has more than 64 bits")
    return NULL if value is None else value


def _clipped(values: list[int]) -> np.ndarray:
    try:
        return np.array(values, np.int64)
    except OverflowError:
        return np.array([min(max(value, -_INT64), _INT64) for value in values], np.int64)


# Every function below takes the bytes of the document, _PADDING zero bytes behind them, and a place in it.
# A zero byte ends every loop and is no part of a token, so no place is ever beyond the first of them. They
# return the place after what they read, or _FAILED. Indices are unsigned because Numba tests each signed one
# for being negative. NUMBA_BOUNDSCHECK=1 checks all of them; the fuzz test runs with it.


@njit(cache=True, nogil=True, forceinline=True)
def _byte(text, at):
    """The byte at ``at``."""
    return np.int64(text[np.uint64(at)])


@njit(cache=True, nogil=True, forceinline=True)
def _eight(text, at):
    """The eight bytes from ``at`` as one number: the compiler makes one load of it."""
    i = np.uint64(at)
    return (
        np.uint64(text[i])
        | np.uint64(text[i + np.uint64(1)]) << np.uint64(8)
        | np.uint64(text[i + np.uint64(2)]) << np.uint64(16)
        | np.uint64(text[i + np.uint64(3)]) << np.uint64(24)
        | np.uint64(text[i + np.uint64(4)]) << np.uint64(32)
        | np.uint64(text[i + np.uint64(5)]) << np.uint64(40)
        | np.uint64(text[i + np.uint64(6)]) << np.uint64(48)
        | np.uint64(text[i + np.uint64(7)]) << np.uint64(56)
    )


@njit(cache=True, nogil=True, forceinline=True)
def _first_byte(marks):
    """Which of the eight bytes is the first whose highest bit is set in ``marks``."""
    # The bytes below the lowest mark become 0x01 each: their sum is in the highest byte of the product.
    lowest = marks & (~marks + np.uint64(1))
    below = ((lowest >> np.uint64(7)) - np.uint64(1)) & _ONES
    return np.int64((below * _ONES) >> np.uint64(56))


@njit(cache=True, nogil=True, forceinline=True)
def _space(text, at):
    while _byte(text, at) <= 32 and (
        _byte(text, at) == 32 or _byte(text, at) == 10 or _byte(text, at) == 13 or _byte(text, at) == 9
    ):
        at += 1
    return at


@njit(cache=True, nogil=True, forceinline=True)
def _text_stop(text, at):
    """The next quote, backslash or control character: what lies between can't end a string."""
    while True:
        word = _eight(text, at)
        quotes, slashes = word ^ _QUOTES, word ^ _SLASHES
        marks = (quotes - _ONES) & ~quotes | (slashes - _ONES) & ~slashes | (word - _SPACES) & ~word
        marks &= _HIGHS
        if marks != _ZERO:
            return at + _first_byte(marks)
        at += 8


@njit(cache=True, nogil=True, forceinline=True)
def _number_stop(text, at):
    """The next byte that is no digit."""
    while True:
        digits = _eight(text, at) ^ _DIGIT_ZEROS
        marks = ((digits + _ABOVE_NINE) | digits) & _HIGHS
        if marks != _ZERO:
            return at + _first_byte(marks)
        at += 8


@njit(cache=True, nogil=True)
def _string(text, at):
    """Past a string whose opening quote is before ``at``. Escapes by code are for msgspec."""
    while True:
        at = _text_stop(text, at)
        if _byte(text, at) == 34:
            return at + 1
        if _byte(text, at) != 92:
            return _FAILED
        code = _byte(text, at + 1)
        if not (
            code == 34
            or code == 92
            or code == 47
            or code == 98
            or code == 102
            or code == 110
            or code == 114
            or code == 116
        ):
            return _FAILED
        at += 2


@njit(cache=True, nogil=True, forceinline=True)
def _colon(text, at):
    """From behind a key's quote to its value."""
    at = _space(text, at)
    if _byte(text, at) != 58:
        return _FAILED
    return _space(text, at + 1)


@njit(cache=True, nogil=True, forceinline=True)
def _any_number(text, at):
    """Past any number."""
    if _byte(text, at) == 45:
        at += 1
    first = at
    at = _number_stop(text, at)
    if at == first or (_byte(text, first) == 48 and at - first > 1):
        return _FAILED
    if _byte(text, at) == 46:
        first = at + 1
        at = _number_stop(text, first)
        if at == first:
            return _FAILED
    if _byte(text, at) == 101 or _byte(text, at) == 69:
        at += 1
        if _byte(text, at) == 43 or _byte(text, at) == 45:
            at += 1
        first = at
        at = _number_stop(text, at)
        if at == first or at - first > 2:
            return _FAILED
    return at


@njit(cache=True, nogil=True, forceinline=True)
def _first_digits(text, at, digits):
    """The number that 1 to 8 digits make: of all digits pairs, of pairs fours, of fours one."""
    word = (_eight(text, at) ^ _DIGIT_ZEROS) << np.uint64(64 - 8 * digits)
    pairs = (word * _TENS >> np.uint64(8)) & _PAIRS
    fours = (pairs * _HUNDREDS >> np.uint64(16)) & _FOURS
    return np.int64(fours * _TEN_THOUSANDS >> np.uint64(32))


@njit(cache=True, nogil=True, forceinline=True)
def _value_of_digits(text, first, end):
    """The number that the 1 to 18 digits between two places make."""
    digits = end - first
    if digits <= 8:
        return _first_digits(text, first, digits)
    if digits <= 16:
        return _first_digits(text, first, digits - 8) * 10**8 + _first_digits(text, end - 8, 8)
    low = _first_digits(text, end - 16, 8) * 10**8 + _first_digits(text, end - 8, 8)
    return _first_digits(text, first, digits - 16) * 10**16 + low


@njit(cache=True, nogil=True, forceinline=True)
def _integer(text, at):
    """A whole number and the place after it."""
    is_negative = _byte(text, at) == 45
    if is_negative:
        at += 1
    first = at
    at = _number_stop(text, at)
    digits, after = at - first, _byte(text, at)
    if digits == 0 or digits > _MAX_DIGITS or (_byte(text, first) == 48 and digits > 1):
        return 0, _FAILED
    if after == 46 or after == 101 or after == 69:
        return 0, _FAILED
    value = _value_of_digits(text, first, at)
    return (-value if is_negative else value), at


@njit(cache=True, nogil=True, forceinline=True)
def _literal(text, at):
    """1, 0 or NULL for true, false and null, and the place after it."""
    word = _eight(text, at)
    if word & _FOUR_BYTES == _TRUE:
        return 1, at + 4
    if word & _FIVE_BYTES == _FALSE:
        return 0, at + 5
    if word & _FOUR_BYTES == _NULL_WORD:
        return NULL, at + 4
    return 0, _FAILED


@njit(cache=True, nogil=True)
def _skip(text, at):
    """Past any value that begins at ``at``."""
    kinds, depth = 0, 0
    while True:
        char = _byte(text, at)
        if char == 123:
            at = _space(text, at + 1)
            if _byte(text, at) == 125:
                at += 1
            else:
                if depth == _MAX_DEPTH or _byte(text, at) != 34:
                    return _FAILED
                kinds, depth = kinds << 1 | 1, depth + 1
                at = _string(text, at + 1)
                if at < 0:
                    return _FAILED
                at = _colon(text, at)
                if at < 0:
                    return _FAILED
                continue
        elif char == 91:
            at = _space(text, at + 1)
            if _byte(text, at) == 93:
                at += 1
            else:
                if depth == _MAX_DEPTH:
                    return _FAILED
                kinds, depth = kinds << 1, depth + 1
                continue
        elif char == 34:
            at = _string(text, at + 1)
        elif char == 45 or 48 <= char <= 57:
            at = _any_number(text, at)
        else:
            _, at = _literal(text, at)
        if at < 0:
            return _FAILED
        while True:
            if depth == 0:
                return at
            at = _space(text, at)
            char = _byte(text, at)
            if char == 44:
                at = _space(text, at + 1)
                if kinds & 1:
                    if _byte(text, at) != 34:
                        return _FAILED
                    at = _string(text, at + 1)
                    if at < 0:
                        return _FAILED
                    at = _colon(text, at)
                    if at < 0:
                        return _FAILED
                break
            if char != (125 if kinds & 1 else 93):
                return _FAILED
            at += 1
            kinds, depth = kinds >> 1, depth - 1


@njit(cache=True, nogil=True, forceinline=True)
def _skip_of_hit(text, at):
    """Past a value that is likely a whole number or a list of such."""
    char = _byte(text, at)
    if 49 <= char <= 57:
        end = _number_stop(text, at)
        after = _byte(text, end)
        if after == 44 or after == 125:
            return end
    elif char == 91:
        end = at
        while 49 <= _byte(text, end + 1) <= 57:
            end = _number_stop(text, end + 1)
            after = _byte(text, end)
            if after == 93:
                return end + 1
            if after != 44:
                break
    return _skip(text, at)


@njit(cache=True, nogil=True, forceinline=True)
def _is_same(text, at, other, length):
    """Whether the bytes at two places are the same; ``length`` is 1 or more."""
    while length > 8:
        if _eight(text, at) != _eight(text, other):
            return False
        at, other, length = at + 8, other + 8, length - 8
    different = _eight(text, at) ^ _eight(text, other)
    return different << np.uint64(64 - 8 * length) == _ZERO


@njit(cache=True, nogil=True, forceinline=True)
def _kind_of_key(text, at, end):
    """What the key of a hit between two places says."""
    length, word, tail = end - at, _eight(text, at), _eight(text, at + 8)
    if length == 9 and word == _TIMESTAM and tail & _ONE_BYTE == _TIMESTAMP_END:
        return _TIME
    if length == 6 and word & _SIX_BYTES == _DAMAGE:
        return _DAMAGE_OF_HIT
    if length == 4 and word & _FOUR_BYTES == _CRIT:
        return 1
    if length == 10 and word == _BACK_ATT and tail & _TWO_BYTES == _BACK_END:
        return 2
    if length == 11 and word == _FRONT_AT and tail & _THREE_BYTES == _FRONT_END:
        return 4
    return 0


@njit(cache=True, nogil=True, forceinline=True)
def _known_key(text, at, keys, place):
    """Bytes from ``at`` to the value of the key that was seen last at this place, 0 if it is another one.

    Objects of a kind have the same keys in the same order, nearly always. The same bytes say the same.
    """
    if place >= _MAX_KEYS:
        return 0
    length = keys[place, _TO_VALUE]
    return length if length and _is_same(text, at, keys[place, _BEGAN], length) else 0


@njit(cache=True, nogil=True, forceinline=True)
def _keep_key(keys, place, began, length, says):
    if place < _MAX_KEYS:
        keys[place, _BEGAN] = began
        keys[place, _TO_VALUE] = length
        keys[place, _SAYS] = says
        keys[place, _LIST_ENDED] = 0


@njit(cache=True, nogil=True, forceinline=True)
def _known_list(text, at, keys, place, began):
    """Past a list, which often is the one that the key had before: buffs stay from hit to hit."""
    if place >= _MAX_KEYS:
        return _skip_of_hit(text, at)
    known = keys[place, _BEGAN] + keys[place, _TO_VALUE]
    length = keys[place, _LIST_ENDED] - known
    if length > 0 and _is_same(text, at, known, length):
        return at + length
    at = _skip_of_hit(text, at)
    keys[place, _BEGAN] = began
    keys[place, _LIST_ENDED] = at
    return at


@njit(cache=True, nogil=True)
def _hit(text, at, keys):
    """The end of one hit whose opening brace is before ``at``, its time, damage and flags."""
    seen, kinds, at_ms, damage, place = 0, 0, 0, 0, 0
    failed = (_FAILED, 0, 0, 0)
    at = _space(text, at)
    if _byte(text, at) == 125:
        return failed
    while True:
        began = at
        length = _known_key(text, at, keys, place)
        if length:
            at, kind = at + length, keys[place, _SAYS]
        else:
            if _byte(text, at) != 34:
                return failed
            end = _text_stop(text, at + 1)
            if _byte(text, end) != 34:
                return failed
            kind = _kind_of_key(text, at + 1, end)
            at = _colon(text, end + 1)
            if at < 0:
                return failed
            _keep_key(keys, place, began, at - began, kind)
        if kind == 0:
            at = (
                _known_list(text, at, keys, place, began) if _byte(text, at) == 91 else _skip_of_hit(text, at)
            )
        elif kind == _TIME:
            at_ms, at = _integer(text, at)
            seen |= 1
        elif kind == _DAMAGE_OF_HIT:
            damage, at = _integer(text, at)
            seen |= 2
        else:
            is_true, at = _literal(text, at)
            if is_true == NULL:
                return failed
            kinds = kinds & ~kind | (kind if is_true == 1 else 0)
        if at < 0:
            return failed
        place += 1
        at = _space(text, at)
        if _byte(text, at) == 44:
            at = _space(text, at + 1)
        elif _byte(text, at) == 125:
            break
        else:
            return failed
    return (at + 1, at_ms, damage, kinds) if seen == 3 else failed


@njit(cache=True, nogil=True)
def _hits(text, at, count, places):
    """A list of hits or null, and how many hits there are now."""
    if _byte(text, at) != 91:
        value, at = _literal(text, at)
        return (at if value == NULL else _FAILED), count
    at = _space(text, at + 1)
    if _byte(text, at) == 93:
        return at + 1, count
    while True:
        if _byte(text, at) != 123 or count == len(places.at_ms):
            return _FAILED, count
        at, at_ms, damage, flags = _hit(text, at + 1, places.keys_of_hit)
        if at < 0:
            return _FAILED, count
        places.at_ms[count] = at_ms
        places.damage[count] = damage
        places.flags[count] = flags
        count += 1
        at = _space(text, at)
        if _byte(text, at) == 44:
            at = _space(text, at + 1)
        elif _byte(text, at) == 93:
            return at + 1, count
        else:
            return _FAILED, count


@njit(cache=True, nogil=True)
def _casts(text, at, count, places):
    """A list of casts or null, and how many hits there are now."""
    if _byte(text, at) != 91:
        value, at = _literal(text, at)
        return (at if value == NULL else _FAILED), count
    at = _space(text, at + 1)
    if _byte(text, at) == 93:
        return at + 1, count
    while True:
        if _byte(text, at) != 123:
            return _FAILED, count
        at = _space(text, at + 1)
        is_seen = False
        if _byte(text, at) == 125:
            at += 1
        else:
            while True:
                if _byte(text, at) != 34:
                    return _FAILED, count
                at += 1
                word = _eight(text, at)
                end = _text_stop(text, at)
                if _byte(text, end) != 34:
                    return _FAILED, count
                is_hits = end - at == 4 and word & _FOUR_BYTES == _HITS
                at = _colon(text, end + 1)
                if at < 0 or (is_hits and is_seen):
                    return _FAILED, count
                if is_hits:
                    is_seen = True
                    at, count = _hits(text, at, count, places)
                else:
                    at = _skip(text, at)
                if at < 0:
                    return _FAILED, count
                at = _space(text, at)
                if _byte(text, at) == 44:
                    at = _space(text, at + 1)
                elif _byte(text, at) == 125:
                    at += 1
                    break
                else:
                    return _FAILED, count
        at = _space(text, at)
        if _byte(text, at) == 44:
            at = _space(text, at + 1)
        elif _byte(text, at) == 93:
            return at + 1, count
        else:
            return _FAILED, count


@njit(cache=True, nogil=True)
def _find_field(text, at, length, places):
    """Which field has the name at ``at``; the number of names if none."""
    for place in range(len(_FIELDS)):
        if places.lengths[place] == length:
            same = 0
            while same < length and places.names[place, same] == text[at + same]:
                same += 1
            if same == length:
                return place
    return len(_FIELDS)


@njit(cache=True, nogil=True)
def _value(text, at, which, row):
    """Past a number, flag, name or rate; ``row`` records what or where it is."""
    char = _byte(text, at)
    if which >= _NAME and row[which] != NULL:
        # Only the place of the last one would be kept, and checked.
        return _FAILED
    if which < _NAME or char == 110:
        if which < _FIRST_FLAG and char != 110:
            value, at = _integer(text, at)
        else:
            value, at = _literal(text, at)
        row[which] = value
        return _FAILED if which == _TOTAL_DAMAGE and char == 110 else at
    if which == _NAME and char != 34:
        return _FAILED
    if which == _ADJUSTED and (char == 34 or char == 91 or char == 123 or char == 116 or char == 102):
        return _FAILED
    row[which] = at
    at = _skip(text, at)
    row[which + _TO_END] = at
    return at


@njit(cache=True, nogil=True)
def _integers(text, at, count, places):
    """A list of whole numbers, which are casts, and how many there are now."""
    if _byte(text, at) != 91:
        return _FAILED, count
    at = _space(text, at + 1)
    if _byte(text, at) == 93:
        return at + 1, count
    while count < len(places.casts):
        value, at = _integer(text, at)
        if at < 0:
            return _FAILED, count
        places.casts[count] = value
        count += 1
        at = _space(text, at)
        if _byte(text, at) == 93:
            return at + 1, count
        if _byte(text, at) != 44:
            return _FAILED, count
        at = _space(text, at + 1)
    return _FAILED, count


@njit(cache=True, nogil=True)
def _skill(text, at, row, casts, count, places):
    """Past one skill whose opening brace is before ``at``, and how many casts and hits there are now."""
    for column in range(_KEY):
        row[column] = NULL
    row[_TOTAL_DAMAGE] = 0
    has_hits, place = False, 0
    failed = (_FAILED, casts, count)
    at = _space(text, at)
    if _byte(text, at) == 125:
        return at + 1, casts, count
    while True:
        length = _known_key(text, at, places.keys_of_skill, place)
        if length:
            at, which = at + length, places.keys_of_skill[place, _SAYS]
        else:
            began = at
            if _byte(text, at) != 34:
                return failed
            end = _text_stop(text, at + 1)
            if _byte(text, end) != 34:
                return failed
            which = _find_field(text, at + 1, end - at - 1, places)
            at = _colon(text, end + 1)
            if at < 0:
                return failed
            _keep_key(places.keys_of_skill, place, began, at - began, which)
        if (which == _SKILL_CAST_LOG and has_hits) or (which == _CAST_LOG and row[which] != NULL):
            return failed
        if which == _SKILL_CAST_LOG:
            has_hits = True
            at, count = _casts(text, at, count, places)
        elif which == _CAST_LOG and _byte(text, at) != 110:
            row[which] = 1
            at, casts = _integers(text, at, casts, places)
        elif which <= _CAST_LOG:
            at = _value(text, at, which, row)
        else:
            at = _skip(text, at)
        if at < 0:
            return failed
        place += 1
        at = _space(text, at)
        if _byte(text, at) == 125:
            return at + 1, casts, count
        if _byte(text, at) != 44:
            return failed
        at = _space(text, at + 1)


@njit(cache=True, nogil=True)
def _scan(text, places):
    """Past the whole document, and how many skills it has: one row each."""
    skills, casts, count = 0, 0, 0
    places.keys_of_skill[:] = 0
    places.keys_of_hit[:] = 0
    at = _space(text, np.int64(0))
    if _byte(text, at) != 123:
        return _FAILED, 0
    at = _space(text, at + 1)
    if _byte(text, at) == 125:
        return _space(text, at + 1), 0
    while skills < _MAX_SKILLS and _byte(text, at) == 34:
        row, key = places.rows[skills], at + 1
        at = _text_stop(text, key)
        if _byte(text, at) != 34:
            return _FAILED, 0
        row[_KEY] = key
        row[_KEY_END] = at
        is_number = 0 < at - key <= _MAX_DIGITS and _number_stop(text, key) == at
        row[_KEY_ID] = _value_of_digits(text, key, at) if is_number else NULL
        at = _colon(text, at + 1)
        if at < 0 or _byte(text, at) != 123:
            return _FAILED, 0
        casts_before, hits_before = casts, count
        at, casts, count = _skill(text, at + 1, row, casts, count, places)
        if at < 0:
            return _FAILED, 0
        row[_HIT_COUNT] = count - hits_before
        row[_CAST_COUNT] = casts - casts_before
        skills += 1
        at = _space(text, at)
        if _byte(text, at) == 125:
            return _space(text, at + 1), skills
        if _byte(text, at) != 44:
            return _FAILED, 0
        at = _space(text, at + 1)
    return _FAILED, 0

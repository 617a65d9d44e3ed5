"""Mutations of battle logs of every format, for tests that no odd input stops another."""

from __future__ import annotations

import gzip
import json
import random

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq


def mutate_bytes(content: bytes, rng: random.Random) -> bytes:
    """Flip, cut, repeat or replace bytes, or write the text in another encoding."""
    data, place = bytearray(content), rng.randrange(len(content))
    match rng.randrange(6):
        case 0:
            data[place] ^= 1 << rng.randrange(8)
        case 1:
            return content[:place]
        case 2:
            data[place:place] = data[place : place + rng.randrange(1, 200)]
        case 3:
            data[place : place + 8] = rng.randbytes(8)
        case 4:
            text, encoding = content.decode("utf-8", "replace"), rng.choice(["utf-16", "cp949", "utf-8-sig"])
            return text.encode(encoding, "replace")
        case _:
            for _ in range(20):
                data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


ODD_VALUES = [
    None, True, -1, 0, 1.5, 2**53 + 1, 2**63 - 1, 2**64, -(2**63), 1e308, 10**400, "", "x", "\u0000", "ㅂㄹ",
    "1e5", [], {}, [[]], {"a": {}}, "é" * 300,
]  # fmt: skip


def mutate_json(content: bytes, rng: random.Random) -> bytes:
    """Put an odd value somewhere into the document, or drop or rename a field."""
    document = json.loads(content)
    node, key = document, rng.choice(list(document))
    while rng.random() < 0.8:
        inner = node[key]
        if isinstance(inner, dict) and inner:
            node, key = inner, rng.choice(list(inner))
        elif isinstance(inner, list) and inner:
            node, key = inner, rng.randrange(len(inner))
        else:
            break
    if rng.random() < 0.2:
        del node[key]
    else:
        node[key] = rng.choice(ODD_VALUES)
    return json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass")


def mutate_upload(content: bytes, rng: random.Random) -> tuple[str, bytes]:
    mutated = (mutate_json if rng.random() < 0.6 else mutate_bytes)(content, rng)
    if rng.random() < 0.3:
        packed = gzip.compress(mutated)
        return ".json.gz", mutate_bytes(packed, rng) if rng.random() < 0.5 else packed
    return ".json", mutated


PLAYERS = {
    "id": ["1", "1"], "name": ["Bob", "Ann"], "spec": ["Mayhem", "Igniter"], "gearscore": [1670.0, 1660.0],
    "dps": [100, 90], "percent": [0.5, 0.5], "timestamp": [1_760_000_000_000] * 2, "duration": [60_000] * 2,
    "isDead": [False, True], "localPlayer": [True, False],
}  # fmt: skip


def mutate_table(_: bytes, rng: random.Random) -> tuple[str, bytes]:
    """A player table with a column of another type, doubled, missing or with odd values, or damaged bytes."""
    columns = {name: pa.array(values) for name, values in PLAYERS.items()}
    name = rng.choice(list(columns))
    match rng.randrange(6):
        case 0:
            columns[name] = columns[name].dictionary_encode()
        case 1:
            columns[name] = pa.array([str(value) for value in PLAYERS[name]]).cast(pa.large_string())
        case 2:
            columns[name] = pa.array([rng.choice([2**62, -(2**62), 2**53 + 1]), None])
        case 3:
            unit = rng.choice(["ns", "us", "ms"])
            columns[name] = pa.array([rng.choice([2**62, -1, 0]), 1]).cast(pa.timestamp(unit))
        case 4:
            columns[name] = pa.array([rng.choice([float("nan"), float("inf"), 1e300]), 1.0])
        case _:
            del columns[name]
    names = [*columns, name] if name in columns and rng.random() < 0.2 else list(columns)
    table = pa.table([columns[one] for one in names], names=names)
    sink, suffix = pa.BufferOutputStream(), rng.choice([".parquet", ".csv"])
    try:
        (pq.write_table if suffix == ".parquet" else pa_csv.write_csv)(table, sink)
    except pa.ArrowException:
        # Not every type can be written as text.
        sink, suffix = pa.BufferOutputStream(), ".parquet"
        pq.write_table(table, sink)
    content = sink.getvalue().to_pybytes()
    return suffix, mutate_bytes(content, rng) if rng.random() < 0.4 else content


def mutate_database(content: bytes, rng: random.Random) -> tuple[str, bytes]:
    return ".db", mutate_bytes(content, rng)

"""How fast hit statistics are: ours against a well-written pandas group-by and a bare segmented scan.

Ten million generated hits in Parquet (LZ4, BYTE_STREAM_SPLIT, dictionary ids), as the lake keeps them. Every
variant runs in a process of its own, warmed on a small file first, and the variants take turns; the figures
are CPU seconds (user and system, all threads) of reading and computing, medians over the rounds, and the peak
memory of the process.

Run: ``python tests/benchmarks/bench_hit_statistics.py [--hits 10000000] [--rounds 5]``. Ends with 1 if a goal
is missed.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from numba import njit

from lostark_assets.contracts.core import CORE_HITS
from lostark_assets.lake.files import split_groups
from lostark_assets.stats.hits import COLUMNS, stream_hit_figures

IDS = ["encounter_id", "player_name"]
BATCH_ROWS = 1 << 18
GOALS = {
    "pandas / ours": (8.0, "at least"),
    "ours / bare scan": (2.5, "at most"),
    "ours, peak MB": (700.0, "under"),
}


def write_hits(path: Path, hits: int, seed: int = 1) -> None:
    """Write ``hits`` hits or a few more, in fights shaped like real ones; fight lengths beside, in JSON."""
    random = np.random.default_rng(seed)
    types = {name: CORE_HITS.schema.field(name).type for name in COLUMNS}
    types.update({name: pa.dictionary(pa.int32(), pa.string()) for name in IDS})
    schema = pa.schema([pa.field(name, dtype, nullable=False) for name, dtype in types.items()])
    split = dict.fromkeys(("hit_at_ms", "damage"), "BYTE_STREAM_SPLIT")
    lengths: dict[str, int] = {}
    with pq.ParquetWriter(
        path,
        schema,
        compression="lz4",
        use_dictionary=[*IDS, "skill_id"],
        column_encoding=split,
        write_statistics=False,
    ) as writer:
        written = 0
        while written < hits:
            table = _fights(random, lengths, min(BATCH_ROWS, hits - written))
            writer.write_table(table.cast(schema), row_group_size=table.num_rows)
            written += table.num_rows
    path.with_suffix(".json").write_text(json.dumps(lengths))


def _fights(random: np.random.Generator, lengths: dict[str, int], hits: int) -> pa.Table:
    """Whole fights with at least ``hits`` hits, sorted by encounter, player, skill, time."""
    encounters, players, counts, fight_ms = [], [], [], []
    while sum(counts) < hits:
        name = f"{len(lengths):016x}"
        length = int(np.clip(random.lognormal(np.log(330_000), 0.4), 60_000, 900_000))
        lengths[name] = length
        for player in range(random.choice([4, 8, 16], p=[0.6, 0.35, 0.05])):
            encounters.append(name)
            players.append(f"player{player + 16 * random.integers(400)}")
            counts.append(int(np.clip(random.normal(1374, 500), 300, 3000)))
            fight_ms.append(length)
    owner = np.repeat(np.arange(len(counts)), counts)
    skill = random.integers(0, np.repeat(random.integers(10, 17, len(counts)), counts))
    at = (random.random(len(owner)) * np.repeat(fight_ms, counts)).astype(np.int64)
    key = np.sort((owner * 16 + skill) << 20 | at)
    owner, skill, at = key >> 24, key >> 20 & 15, key & (1 << 20) - 1
    flags = [random.random(len(owner)) < share for share in (0.6, 0.4, 0.2)]
    return pa.table(
        {
            "encounter_id": pa.array(encounters).dictionary_encode().take(pa.array(owner)),
            "player_name": pa.array(players).dictionary_encode().take(pa.array(owner)),
            "skill_id": 20_000 + 10 * skill,
            "hit_at_ms": at.astype(np.int32),
            "damage": random.lognormal(14, 1, len(owner)).astype(np.int64),
            **dict(zip(COLUMNS[5:], flags, strict=True)),
        }
    )


def _batches(path: Path):
    file = pq.ParquetFile(path, read_dictionary=IDS, pre_buffer=False)
    for group in range(file.num_row_groups):
        yield file.read_row_group(group, columns=list(COLUMNS), use_threads=False)


def ours(path: Path, lengths: dict[str, int]) -> list[int]:
    """Stream the file as the lake reads it through the platform's own function; all outputs are made."""
    rows, damage = [0, 0, 0], 0
    options = ds.ParquetReadOptions(dictionary_columns=set(IDS))
    dataset = ds.dataset(path, format=ds.ParquetFileFormat(options, pre_buffer=False))
    [fragment] = dataset.get_fragments()
    wanted = pa.array(sorted(lengths), pa.string())
    groups = split_groups(fragment, dataset.schema, "encounter_id", wanted, COLUMNS, path)
    for figures in stream_hit_figures((batch for _, batch in groups), lengths):
        for place, table in enumerate(figures):
            rows[place] += table.num_rows
        damage += sum(figures.players["damage"].to_numpy().tolist())
    return [*rows, damage]


def pandas_groups(path: Path, lengths: dict[str, int]) -> list[int]:
    """Good pandas: categorical keys, observed groups, no sort, columns made before they are summed."""
    frame = pq.read_table(path, read_dictionary=IDS, columns=list(COLUMNS)).to_pandas()
    for flag in ("crit", "back_attack", "front_attack"):
        frame[f"{flag}_damage"] = frame["damage"] * frame[f"is_{flag}"]
    sums = ["is_crit", "is_back_attack", "is_front_attack", "damage"]
    sums += ["crit_damage", "back_attack_damage", "front_attack_damage"]
    by_skill = frame.groupby([*IDS, "skill_id"], observed=True, sort=False)
    skills = by_skill[sums].sum()
    skills["max_hit_damage"] = by_skill["damage"].max()
    skills["hits"] = by_skill.size()
    by_player = skills.groupby(level=IDS, observed=True, sort=False)
    players = by_player[[*sums, "hits"]].sum()
    players["max_hit_damage"] = by_player["max_hit_damage"].max()
    frame["second"] = frame["hit_at_ms"] // 1000
    seconds = frame.groupby([*IDS, "second"], observed=True, sort=False)["damage"].sum()
    _, rolling = _dense(seconds, players.index, lengths)
    return [len(players), len(skills), len(rolling), int(players["damage"].sum())]


def _dense(seconds, index, lengths: dict[str, int]):
    """Every second of every player: cumulative damage and the damage of the centred 10 s window."""
    ids = index.get_level_values("encounter_id").astype(object)
    count = np.array([-(-lengths[name] // 1000) for name in ids])
    first = np.concatenate([[0], np.cumsum(count)])
    owner = index.get_indexer(seconds.index.droplevel("second"))
    dense = np.zeros(first[-1], np.int64)
    dense[first[owner] + seconds.index.get_level_values("second").to_numpy()] = seconds.to_numpy()
    cumulative = np.concatenate([[0], np.cumsum(dense)])
    row = np.arange(first[-1])
    start, end = np.repeat(first[:-1], count), np.repeat(first[1:], count)
    return cumulative, cumulative[np.minimum(row + 5, end)] - cumulative[np.maximum(row - 5, start)]


@njit(cache=True, nogil=True)
def _bare(encounter, player, skill, at, damage, crit, back, front, state, out):
    """Sum every run of one (encounter, player, skill); ``state`` carries the open run to the next batch."""
    rows = 0
    for i in range(len(damage)):
        if encounter[i] != state[0] or player[i] != state[1] or skill[i] != state[2]:
            for figure in range(8):
                out[rows, figure] = state[3 + figure]
                state[3 + figure] = 0
            rows += 1
            state[0], state[1], state[2] = encounter[i], player[i], skill[i]
        amount = damage[i]
        state[3] += 1
        state[4] += amount
        state[5] += crit[i]
        state[6] += back[i]
        state[7] += front[i]
        state[8] += amount * crit[i]
        state[9] = max(state[9], amount)
        state[10] = max(state[10], at[i])
    return rows


def bare_scan(path: Path, lengths: dict[str, int]) -> list[int]:
    """The least that can be done: read the same columns and sum the runs, no seconds, no tables."""
    state, out, runs, damage = np.full(11, -1, np.int64), np.empty((2 * BATCH_ROWS, 8), np.int64), 0, 0
    state[3:] = 0
    for batch in _batches(path):
        columns = [batch.column(name).chunk(0) for name in COLUMNS]
        codes = [column.indices.to_numpy() for column in columns[:2]]
        numbers = [column.to_numpy() for column in columns[2:5]]
        flags = [column.to_numpy(zero_copy_only=False) for column in columns[5:]]
        made = _bare(*codes, *numbers, *flags, state, out)
        runs += made
        damage += int(out[:made, 1].sum())
    return [0, runs, 0, damage + int(state[4])]


VARIANTS = {"ours": ours, "pandas": pandas_groups, "bare scan": bare_scan}


def run_variant(name: str, path: Path) -> dict[str, object]:
    """CPU seconds, peak MB and checksums of one variant in this process."""
    work = VARIANTS[name]
    for file in (path.with_name("warm.parquet"), path):
        lengths = json.loads(file.with_suffix(".json").read_text())
        before = time.process_time()
        result = work(file, lengths)
        spent = time.process_time() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"cpu_s": spent, "peak_mb": peak, "result": result}


def main(arguments: list[str] | None = None) -> int:
    """Print the ratios; 0 if all goals are met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hits", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--variant", choices=VARIANTS, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.variant:
        print(json.dumps(run_variant(options.variant, options.file)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hits.parquet"
        write_hits(path, options.hits)
        write_hits(path.with_name("warm.parquet"), 20_000, seed=2)
        runs: dict[str, list[dict]] = {name: [] for name in VARIANTS}
        for _ in range(options.rounds):
            for name in VARIANTS:
                command = [sys.executable, __file__, "--variant", name, "--file", str(path)]
                runs[name].append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
    return _report(runs, options.hits)


def _report(runs: dict[str, list[dict]], hits: int) -> int:
    cpu = {name: statistics.median(run["cpu_s"] for run in rounds) for name, rounds in runs.items()}
    peak = {name: max(run["peak_mb"] for run in rounds) for name, rounds in runs.items()}
    checks = {name: rounds[0]["result"] for name, rounds in runs.items()}
    for name in runs:
        rate = hits / cpu[name] / 1e6
        print(f"{name:10} {cpu[name]:7.3f} CPU s {rate:6.1f} M hits/s {peak[name]:5.0f} MB at most")
    if checks["ours"] != checks["pandas"] or checks["ours"][3] != checks["bare scan"][3]:
        print(f"the variants disagree: {checks}")
        return 1
    found = {
        "pandas / ours": cpu["pandas"] / cpu["ours"],
        "ours / bare scan": cpu["ours"] / cpu["bare scan"],
        "ours, peak MB": peak["ours"],
    }
    met = {
        name: found[name] >= goal if word == "at least" else found[name] <= goal
        for name, (goal, word) in GOALS.items()
    }
    for name, (goal, word) in GOALS.items():
        print(f"{name:17} {found[name]:8.2f}  (goal: {word} {goal:g}){'' if met[name] else '  MISSED'}")
    return 0 if all(met.values()) else 1


if __name__ == "__main__":
    sys.exit(main())

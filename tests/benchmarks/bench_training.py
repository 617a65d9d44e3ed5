"""What training costs on a million player rows, against a bare fit of the same trees on the same matrix.

Two child processes, one for each way, so that each has its own peak of memory. "Training" is
``training.fit`` whole: order, encoding, season, trees, calibration, domain. "Bare" is the fit of the same
estimator on the matrix that the trees get, with the same weights.

Run: ``python tests/benchmarks/bench_training.py [--rows 1000000]``.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from datetime import UTC, datetime

import numpy as np
import pandas as pd

from lostark_assets.contracts.ml import SUPPORT_COUNTS, UNKNOWN
from lostark_ml.features.columns import MODEL_FEATURES
from lostark_ml.features.training_set import WEEK_US, model_input
from lostark_ml.model.regressor import ModelConfig, build_pipeline
from lostark_ml.model.training import fit, select_training_rows, week_number

CUTOFF = datetime(2025, 1, 15, 10, tzinfo=UTC)
WEEKS, GATES, SPECS = 26, 12, 56
MAX_RATIO, MAX_GIB = 1.5, 3.0


def build_rows(count: int) -> pd.DataFrame:
    """Half a year of synthetic rows of ``ml_training_set``, as far as training reads them."""
    random = np.random.default_rng(7)
    week = WEEKS * random.random(count)
    at = (CUTOFF.timestamp() * 1e6 - week * WEEK_US).astype(np.int64)
    gate, spec = random.integers(0, GATES, count), (SPECS * random.random(count) ** 2).astype(int)
    frame = pd.DataFrame({name: random.random(count) for name in MODEL_FEATURES})
    frame["fought_at_week"] = at / WEEK_US
    frame["hours_since_reset"] = 168 * random.random(count)
    frame["item_level"] = 1660 + 60 * random.random(count)
    frame["combat_power"] = 1000 + 3000 * random.random(count)
    for name in ("player_count", "support_count", *SUPPORT_COUNTS.values()):
        frame[name] = random.integers(0, 3, count).astype(float)
    frame["support_seat_flag"] = (random.random(count) < 0.002).astype(float)
    frame["raid_name"], frame["gate_name"] = "Raid " + pd.Series(gate // 2).astype(str), "G1"
    frame["gate_difficulty"] = frame["raid_name"] + " G1 Hard"
    frame["spec_name"], frame["class_name"] = (pd.Series(spec // n).astype(str) for n in (1, 2))
    frame["region"] = frame["measurement_rules"] = UNKNOWN
    frame["exclusion_reason"] = pd.Series(pd.NA, index=frame.index, dtype="str")
    frame["fight_started_at"] = pd.to_datetime(at, unit="us", utc=True)
    frame["encounter_id"] = pd.Series(np.arange(count) // 6).astype(str)
    frame["fight_id"], frame["player_name"] = frame["encounter_id"], "p"
    level = 18 - 0.01 * week + 0.02 * gate + 0.01 * spec + 0.01 * (frame["item_level"] - 1660)
    frame["log_dps"] = level + 0.2 * random.standard_normal(count)
    return frame


def train(frame: pd.DataFrame) -> float:
    """Seconds of CPU of a whole training."""
    before = time.process_time()
    fit(frame, CUTOFF)
    return time.process_time() - before


def bare(frame: pd.DataFrame) -> float:
    """Seconds of CPU of the trees alone, on the matrix and target that training gives them."""
    rows = select_training_rows(frame, CUTOFF)
    pipeline = build_pipeline(ModelConfig(), week_number(CUTOFF))
    encoded = pipeline.named_steps["encode"].fit_transform(model_input(rows))
    problem = pipeline.named_steps["regress"].prepare(encoded, rows["log_dps"].to_numpy())
    del frame, rows, encoded
    matrix, target, weight = problem
    before = time.process_time()
    pipeline.named_steps["regress"].trees.fit(matrix, target, sample_weight=weight)
    return time.process_time() - before


def main(arguments: list[str] | None = None) -> int:
    """Print seconds, ratio and peak memory; 1 if a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--only", choices=("train", "bare"))
    options = parser.parse_args(arguments)
    if options.only:
        frame = build_rows(options.rows)
        seconds = {"train": train, "bare": bare}[options.only](frame)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"{seconds:.3f} {peak:.3f}")
        return 0
    found = {}
    for way in ("bare", "train"):
        command = [sys.executable, __file__, "--rows", str(options.rows), "--only", way]
        answer = subprocess.run(command, capture_output=True, text=True, check=True)
        found[way] = tuple(map(float, answer.stdout.split()))
        print(f"{way:6} {found[way][0]:8.1f} CPU s   peak {found[way][1]:5.2f} GiB", flush=True)
    ratio = found["train"][0] / found["bare"][0]
    print(f"train / bare {ratio:.2f}")
    return int(ratio > MAX_RATIO or found["train"][1] > MAX_GIB)


if __name__ == "__main__":
    sys.exit(main())

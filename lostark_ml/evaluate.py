"""``python -m lostark_ml.evaluate``: the model's metrics on a real player table, through the whole pipeline.

Ingestion, cleaning, statistics, features, training and tests at weekly resets run in a temporary data
folder. Tables go to stdout, progress to stderr.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from lostark_assets.core.clean_meter import Rules
from lostark_assets.core.pipeline import clean_days
from lostark_assets.errors import LostarkError, SourceMissing
from lostark_assets.lake.tables import Lake
from lostark_assets.sources.collect import collect
from lostark_assets.sources.detect import find_sources
from lostark_assets.stats.pipeline import compute_days
from lostark_ml.features.training_set import TrainingSet, build_training_set
from lostark_ml.model.evaluation import Evaluation, evaluate, list_weekly_resets, walk_forward
from lostark_ml.model.training import WEEK, fit

TABLE = "player_tables/Aegir_G1_Hard.parquet"
CUTOFF = datetime(2024, 12, 25, tzinfo=UTC)
FIRST_RESET = datetime(2024, 11, 13, 10, tzinfo=UTC)
LAST_RESET = datetime(2025, 1, 15, 10, tzinfo=UTC)
MEDIAN = "four-week median"
ENOUGH_OF_SPEC = 100
TARGETS = {"mape": 0.148, "gain": 0.023, "low": 0.88, "high": 0.92, "walk_mape": 0.153, "walk_bias": 0.04}


def get_data_folder() -> Path:
    """Where real battle logs are: ``LOSTARK_REAL_DATA``, or next to the project."""
    return Path(os.environ.get("LOSTARK_REAL_DATA") or Path(__file__).resolve().parents[2] / "shared/data")


def build_from_table(path: Path, home: Path) -> TrainingSet:
    """Bring in the table, clean it, compute statistics, and build features."""
    lake = Lake(str(home / "lake"))
    for found in find_sources(path):
        if found.source is None:
            raise SourceMissing(path)
        collect(found.source, lake, run_id="evaluate", earliest=date(2022, 1, 1))
    _report_progress("collected")
    clean_days(lake, None, Rules(), run_id="evaluate")
    _report_progress("cleaned")
    compute_days(lake, lake.days("core_encounters"), "polars", run_id="evaluate")
    _report_progress("statistics computed")
    training_set = build_training_set(lake)
    _report_progress("features built")
    return training_set


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables; 0 if every target is reached, 1 if not, 2 without data."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", nargs="?", type=Path, help="a player table; by default the shared one")
    options = parser.parse_args(arguments)
    path = options.table or get_data_folder() / TABLE
    try:
        if not path.is_file():
            raise SourceMissing(path)
        with tempfile.TemporaryDirectory(prefix="lostark-evaluate-") as home:
            training_set = build_from_table(path, Path(home))
            one = evaluate(fit(training_set.frame, CUTOFF), training_set.frame, CUTOFF + WEEK)
            _report_progress("first test done")
            weeks = walk_forward(training_set.frame, list_weekly_resets(FIRST_RESET, LAST_RESET))
    except LostarkError as error:
        _report_progress(f"error: {error}")
        return 2
    return print_report(training_set, one, weeks)


def print_report(training_set: TrainingSet, one: Evaluation, weeks: list[Evaluation]) -> int:
    """Population, first test, slices, walk-forward and targets; 1 if a target is missed."""
    out = Console(width=132)
    excluded = ", ".join(f"{n:,} {reason}" for reason, n in sorted(training_set.exclusions.items()))
    out.print(f"{len(training_set.population):,} of {len(training_set.frame):,} player rows; not: {excluded}")
    out.print(_build_predictor_table(one))
    out.print(f"refused of the test week: {dict(one.refused) or 'none'}")
    for name in one.slices["slice"].unique():
        out.print(_build_slice_table(one.slices[one.slices["slice"] == name], name))
    out.print(_build_walk_table(weeks))
    return _print_targets(out, one, weeks)


def _build_predictor_table(one: Evaluation) -> Table:
    title = f"Trained before {one.cutoff:%Y-%m-%d}, tested to {one.until:%Y-%m-%d}"
    table = _create_table(title, ["", *_HEADS])
    for name, metrics in one.overall.items():
        table.add_row(name, *_format_metrics(vars(metrics)))
    return table


def _build_slice_table(rows: pd.DataFrame, name: str) -> Table:
    table = _create_table(f"By {name}", ["", *_HEADS])
    for row in rows.to_dict("records"):
        table.add_row(str(row["value"]), *_format_metrics(row))
    return table


def _build_walk_table(weeks: list[Evaluation]) -> Table:
    names = list(weeks[0].overall)
    table = _create_table(
        "Retrained at each weekly reset, tested on the week after",
        ["reset", "rows", "refused", *(f"MAPE {n}" for n in names), "bias", "R² log", "coverage", "width"],
    )
    for week in weeks:
        m = week.model
        table.add_row(
            f"{week.cutoff:%Y-%m-%d}",
            f"{m.rows:,}",
            str(sum(week.refused.values())),
            *(f"{100 * week.overall[n].mape:.2f} %" for n in names),
            f"{100 * m.bias_log:+.2f} %",
            f"{m.r2_log:.2f}",
            f"{m.coverage:.3f}",
            f"{m.width:.2f}",
        )
    return table


def _print_targets(out: Console, one: Evaluation, weeks: list[Evaluation]) -> int:
    gain = one.overall[MEDIAN].mape - one.model.mape
    mape = float(np.mean([w.model.mape for w in weeks]))
    bias = float(np.mean([abs(w.model.bias_log) for w in weeks]))
    specs = one.slices[(one.slices["slice"] == "spec_name") & (one.slices["rows"] >= ENOUGH_OF_SPEC)]
    reached = [
        ("MAPE, first test", one.model.mape, "<= 14.8 %", one.model.mape <= TARGETS["mape"]),
        ("below the four-week median", gain, ">= 2.3 points", gain >= TARGETS["gain"]),
        (
            "coverage of the 90 % interval",
            one.model.coverage,
            "88 % to 92 %",
            TARGETS["low"] <= one.model.coverage <= TARGETS["high"],
        ),
        (
            "lowest coverage of a spec, 100 rows",
            specs["coverage"].min(),
            ">= 85 %",
            specs["coverage"].min() >= 0.85,
        ),
        ("mean MAPE, walk-forward", mape, "<= 15.3 %", mape <= TARGETS["walk_mape"]),
        ("mean absolute bias (log)", bias, "<= 4 %", bias <= TARGETS["walk_bias"]),
    ]
    table = _create_table("Targets", ["", "measured", "target", "reached"])
    for name, value, target, is_reached in reached:
        table.add_row(name, f"{100 * value:.2f} %", target, "yes" if is_reached else "NO")
    out.print(table)
    return 0 if all(is_reached for *_, is_reached in reached) else 1


_HEADS = ["rows", "MAPE", "median APE", "MAE", "R² log", "bias", "coverage", "width"]


def _format_metrics(metrics: Mapping[Any, Any]) -> list[str]:
    m = metrics
    return [
        f"{m['rows']:,}",
        f"{100 * m['mape']:.2f} %",
        f"{100 * m['median_ape']:.2f} %",
        f"{m['mae'] / 1e6:.2f}M",
        f"{m['r2_log']:.3f}",
        f"{100 * m['bias_log']:+.2f} %",
        "" if np.isnan(m["coverage"]) else f"{m['coverage']:.3f}",
        "" if np.isnan(m["width"]) else f"{m['width']:.2f}",
    ]


def _create_table(title: str, heads: list[str]) -> Table:
    table = Table(title=title, title_justify="left")
    for place, head in enumerate(heads):
        table.add_column(head, justify="left" if place == 0 else "right")
    return table


_STARTED = time.monotonic()


def _report_progress(text: str) -> None:
    sys.stderr.write(f"{time.monotonic() - _STARTED:6.0f} s  {text}\n")


if __name__ == "__main__":
    sys.exit(main())

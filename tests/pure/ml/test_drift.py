"""Drift is found where a spec changed, and only there: whatever n, whichever players share a raid."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from lostark_ml.monitoring.drift import Change, DriftPolicy, measure_drift

WEEK = datetime(2024, 12, 4, 10, tzinfo=UTC)
SPREAD, ICC = 0.18, 0.3
SPECS = [f"Spec {n:02}" for n in range(24)]


def residuals(random, fights_a_week=400, specs=SPECS, gates=("Aegir G1 Hard", "Aegir G2 Hard"), seats=6):
    """Five weeks of fights with a raid effect; popular specs have twenty times the rows of rare ones."""
    weights = np.geomspace(1, 20, len(specs))
    weights /= weights.sum()
    parts = []
    for back in range(5):
        fights = np.repeat(np.arange(fights_a_week), seats)
        raid = np.repeat(random.normal(0, SPREAD * np.sqrt(ICC), fights_a_week), seats)
        parts.append(
            pd.DataFrame(
                {
                    "week_started_at": WEEK - timedelta(weeks=back),
                    "fight_id": back * 10**6 + fights,
                    "gate_difficulty": np.repeat(random.choice(gates, fights_a_week), seats),
                    "spec_name": random.choice(specs, len(fights), p=weights),
                    "residual_log": raid + random.normal(0, SPREAD * np.sqrt(1 - ICC), len(fights)),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def moved(rows, specs, share):
    """``rows`` with the damage of ``specs`` changed by ``share`` in the judged week."""
    is_moved = (rows["week_started_at"] == WEEK) & rows["spec_name"].isin(specs)
    return rows.assign(residual_log=rows["residual_log"] + np.log1p(share) * is_moved)


def named(drift):
    return {spec for (spec, _), change in drift.cells.items() if change.is_drifting}


def test_without_drift_at_most_one_week_in_twenty_names_any_cell():
    random = np.random.default_rng(7)

    alarms = [bool(named(measure_drift(residuals(random), WEEK))) for _ in range(60)]

    assert np.mean(alarms) <= 0.05


def test_the_test_alone_holds_its_promise_also_without_a_smallest_change():
    random = np.random.default_rng(8)
    bare = DriftPolicy(smallest_change=1e-9, usual_change=0.0)

    alarms = [bool(named(measure_drift(residuals(random), WEEK, bare))) for _ in range(120)]

    # 5 % and two standard errors of 120 draws.
    assert np.mean(alarms) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 120)


def test_a_trivial_shift_is_not_drift_at_any_n():
    random = np.random.default_rng(1)
    rows = residuals(random, fights_a_week=50_000, specs=SPECS[:6], gates=("Aegir G1 Hard",), seats=6)

    drift = measure_drift(moved(rows, SPECS[:1], 0.01), WEEK)

    assert named(drift) == set()
    assert drift.cells[SPECS[0], "Aegir G1 Hard"].share == pytest.approx(0.01, abs=0.005)


@pytest.mark.parametrize("seed", range(5))
def test_a_nerf_of_three_specs_names_those_three_and_no_other(seed):
    random = np.random.default_rng(seed)
    rows = residuals(random, fights_a_week=1500)
    nerfed = {SPECS[12], SPECS[17], SPECS[23]}

    drift = measure_drift(moved(rows, nerfed, -0.129), WEEK)

    assert named(drift) == nerfed
    shares = [c.share for (spec, _), c in drift.cells.items() if spec in nerfed]
    assert np.mean(shares) == pytest.approx(-0.129, abs=0.02)
    assert drift.overall.is_drifting is False


def test_a_common_change_is_a_level_shift_and_no_cell_drift():
    rows = residuals(np.random.default_rng(3))

    drift = measure_drift(moved(rows, SPECS, 0.12), WEEK)

    assert named(drift) == set()
    assert drift.overall.is_drifting is True
    assert drift.overall.share == pytest.approx(0.12, abs=0.02)


def test_more_players_of_one_spec_are_no_drift():
    random = np.random.default_rng(5)
    rows = residuals(random)
    is_now = rows["week_started_at"] == WEEK
    swapped = is_now & (random.random(len(rows)) < 0.5)
    rows["spec_name"] = rows["spec_name"].where(~swapped, SPECS[0])

    assert named(measure_drift(rows, WEEK)) == set()


def test_a_cell_that_comes_back_to_the_expected_is_mended_and_not_drifting():
    rows = residuals(np.random.default_rng(2), fights_a_week=1500)
    before = (rows["week_started_at"] < WEEK) & (rows["spec_name"] == SPECS[20])
    rows["residual_log"] += np.log1p(-0.129) * before

    drift = measure_drift(rows, WEEK)

    assert named(drift) == set()
    assert drift.cells[SPECS[20], "Aegir G1 Hard"].share > 0.1


def test_too_few_fights_are_not_judged():
    rows = residuals(np.random.default_rng(2), fights_a_week=1500)
    rare = (rows["spec_name"] == SPECS[23]) & (rows["week_started_at"] == WEEK)
    few = rows[~rare | (rare.cumsum() <= 9)]

    drift = measure_drift(moved(few, [SPECS[23]], -0.5), WEEK)

    changes = [c for (spec, _), c in drift.cells.items() if spec == SPECS[23]]
    assert {c.is_drifting for c in changes} == {None}
    assert sum(c.fights for c in changes) <= 9


def test_a_new_cell_and_a_lone_one_are_not_judged():
    rows = residuals(np.random.default_rng(2), specs=SPECS[:2], gates=("Aegir G1 Hard",))
    rows.loc[(rows["week_started_at"] < WEEK), "spec_name"] = SPECS[0]

    drift = measure_drift(rows, WEEK)

    assert {c.is_drifting for c in drift.cells.values()} == {None}
    assert drift.overall.is_drifting is None
    assert drift.cells[SPECS[1], "Aegir G1 Hard"].reference_fights == 0


def test_the_order_of_rows_does_not_matter():
    rows = moved(residuals(np.random.default_rng(4)), SPECS[20:22], 0.2)

    first, second = measure_drift(rows, WEEK), measure_drift(rows.sample(frac=1, random_state=1), WEEK)

    assert named(first) == named(second) == set(SPECS[20:22])
    for key, change in first.cells.items():
        assert change.log == pytest.approx(second.cells[key].log, abs=1e-12, nan_ok=True)


def test_no_rows_are_no_drift():
    drift = measure_drift(residuals(np.random.default_rng(4)), WEEK + timedelta(weeks=9))

    assert drift.cells == {}
    assert drift.overall.is_drifting is None


def test_a_change_is_a_share_of_dps_too():
    assert Change(np.log(0.871), 0.001, 50, 200, True).share == pytest.approx(-0.129)

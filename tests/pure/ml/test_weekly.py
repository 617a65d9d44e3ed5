"""Weeks are measured on fights that no model knew, and a problem is named when it is one, with its n."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from lostark_assets.contracts.expectations import examine
from lostark_assets.contracts.ml import ML_DPS_MONITORING, ML_EXPECTED_DPS
from lostark_assets.ledger import Ledger
from lostark_ml.monitoring.weekly import (
    RULES,
    SLICES,
    EvaluatedChampion,
    ModelProblem,
    MonitoringPolicy,
    build_findings,
    build_reports,
    find_problems,
    game_week,
    measure_weeks,
)
from lostark_platform.alerts.problems import KINDS

WEEK = datetime(2024, 12, 4, 10, tzinfo=UTC)
KOREAN = datetime(2024, 12, 3, 21, tzinfo=UTC)
PROMISED = EvaluatedChampion(3, 0.13)
SPREAD = 0.16
HALF = 1.645 * SPREAD
SPECS = [f"Spec {n:02}" for n in range(12)]


def scored(seed=1, weeks=5, fights=250, seats=6, icc=0.14):
    """Weeks up to ``WEEK`` scored by a model that is right: errors of 16 %, a 90 % interval."""
    random = np.random.default_rng(seed)
    n = weeks * fights * seats
    fight = np.repeat(np.arange(weeks * fights), seats)
    week = fight // fights
    raid = np.repeat(random.normal(0, SPREAD * np.sqrt(icc), weeks * fights), seats)
    error = raid + random.normal(0, SPREAD * np.sqrt(1 - icc), n)
    expected = np.exp(18 + random.normal(0, 0.2, n))
    week_started = pd.to_datetime([WEEK - timedelta(weeks=weeks - 1 - int(w)) for w in week], utc=True)
    return pd.DataFrame(
        {
            "encounter_id": fight.astype(str),
            "fight_id": fight,
            "player_name": np.arange(n).astype(str),
            "week_started_at": week_started,
            "gate_difficulty": np.repeat(
                random.choice(["Aegir G1 Hard", "Aegir G2 Hard"], weeks * fights), seats
            ),
            "spec_name": random.choice(SPECS, n),
            "item_level_bracket": random.choice(["1680-1689", "1690-1699"], n),
            "is_uploader": np.arange(n) % seats == 0,
            "is_population": True,
            "model_version": 3,
            "is_seen_in_training": False,
            "refusal_reason": None,
            "dps": np.exp(np.log(expected) + error).astype(int),
            "expected_dps": expected.astype(int),
            "expected_dps_low": (expected * np.exp(-HALF)).astype(int),
            "expected_dps_high": (expected * np.exp(HALF)).astype(int),
        }
    )


def in_newest(rows):
    return rows["week_started_at"] == WEEK


def dealing(rows, mask, share):
    """``rows`` with the damage of ``mask`` changed by ``share``."""
    return rows.assign(dps=(rows["dps"] * np.where(mask, 1 + share, 1.0)).astype(int))


def refused(rows, mask, reason="spec_unknown"):
    empty = dict.fromkeys(("expected_dps", "expected_dps_low", "expected_dps_high"), np.nan)
    changed = rows.astype(dict.fromkeys(empty, float))
    changed.loc[mask, list(empty)] = np.nan
    return changed.assign(refusal_reason=np.where(mask, reason, None))


def kinds(rows, promised=PROMISED, policy=None):
    return [p.kind for p in find_problems(measure_weeks(rows, policy=policy), promised, policy)]


@pytest.fixture(scope="module")
def rows():
    return scored()


@pytest.fixture(scope="module")
def table(rows):
    return measure_weeks(rows).to_pandas()


def test_every_week_and_slice_is_measured_and_slices_add_up(rows, table):
    weeks = table[table["slice"] == "overall"]

    assert len(weeks) == 5
    assert (weeks["rows"] == 1500).all()
    assert set(table["slice"]) == set(SLICES)
    for name in SLICES:
        assert table[table["slice"] == name].groupby("week_started_at")["rows"].sum().eq(1500).all()


def test_figures_are_those_of_the_rows(rows, table):
    newest = rows[in_newest(rows)]
    found = table[(table["slice"] == "overall") & (table["week_started_at"] == WEEK)].iloc[0]
    error = newest["expected_dps"] / newest["dps"]

    assert found["mape"] == pytest.approx((error - 1).abs().mean())
    assert found["bias_log"] == pytest.approx(np.log(error).mean())
    assert found["coverage"] == pytest.approx(0.9, abs=0.03)
    assert found["refused"] == 0


def test_the_table_keeps_its_contract(rows):
    table = measure_weeks(rows)

    assert (table.column_names, table.schema.types) == (
        ML_DPS_MONITORING.names,
        ML_DPS_MONITORING.schema.types,
    )
    assert [str(f) for f in examine(ML_DPS_MONITORING, table) if not f.passed] == []


def test_standard_errors_are_those_of_resampled_fights(rows, table):
    newest = rows[in_newest(rows)]
    ape = (newest["expected_dps"] / newest["dps"] - 1).abs().to_numpy().reshape(-1, 6)
    random = np.random.default_rng(5)
    draws = [ape[random.integers(0, len(ape), len(ape))].mean() for _ in range(2000)]

    found = table[(table["slice"] == "overall") & (table["week_started_at"] == WEEK)].iloc[0]

    assert found["mape_se"] == pytest.approx(np.std(draws), rel=0.1)


def test_what_was_learnt_from_and_who_is_not_of_the_population_is_not_measured(rows):
    changed = rows.assign(
        is_seen_in_training=rows["player_name"].astype(int) % 6 == 1,
        is_population=rows["player_name"].astype(int) % 6 != 2,
    )

    overall = measure_weeks(changed).to_pandas().query("slice == 'overall'")

    assert (overall["rows"] == 1000).all()


def test_refused_rows_are_counted_and_rows_without_a_model_are_not(rows):
    is_new = rows["spec_name"] == "Spec 00"
    changed = refused(rows, is_new)
    changed.loc[rows["spec_name"] == "Spec 01", "refusal_reason"] = "no_champion"

    newest = (
        measure_weeks(changed).to_pandas().query("week_started_at == @WEEK").set_index(["slice", "value"])
    )
    mine = rows[in_newest(rows)]["spec_name"]

    assert newest.loc[("overall", "overall"), "refused"] == (mine == "Spec 00").sum()
    assert newest.loc[("spec_name", "Spec 00"), "rows"] == 0
    assert ("spec_name", "Spec 01") not in newest.index


def test_regions_reset_at_their_own_hours_and_share_a_week(rows):
    korean = rows.assign(
        week_started_at=rows["week_started_at"].where(
            rows.index % 2 == 0, rows["week_started_at"] - (WEEK - KOREAN)
        )
    )

    overall = measure_weeks(korean).to_pandas().query("slice == 'overall'")

    assert len(overall) == 5
    assert (game_week(korean["week_started_at"]) == rows["week_started_at"]).all()


def test_a_version_is_judged_by_its_own_predictions(rows):
    changed = rows.assign(model_version=np.where(in_newest(rows) & (rows["fight_id"] % 2 == 0), 4, 3))
    worse = dealing(changed, changed["model_version"] == 4, 0.4)

    newest = measure_weeks(worse, [WEEK], model_version=3)

    assert newest.to_pandas().query("slice == 'overall'")["rows"].item() == 750
    assert find_problems(newest, PROMISED) == []
    assert "degraded" in [
        p.kind for p in find_problems(measure_weeks(worse, [WEEK], model_version=4), PROMISED)
    ]


def test_a_model_that_is_right_has_no_problem(table):
    assert find_problems(table, PROMISED) == []


def test_a_model_that_is_right_is_blamed_in_few_weeks_of_many():
    seasons = (scored(seed, weeks=2, fights=120) for seed in range(100, 140))
    blamed = [bool(find_problems(measure_weeks(season, [WEEK]), PROMISED)) for season in seasons]

    assert np.mean(blamed) <= 0.05


def test_an_error_clearly_above_what_was_promised_is_named_with_n(rows):
    random = np.random.default_rng(1)
    noisy = rows.assign(dps=(rows["dps"] * np.exp(random.normal(0, 0.15, len(rows)))).astype(int))

    problems = find_problems(measure_weeks(noisy), PROMISED)

    assert problems[0].kind == "degraded"
    assert "1,500 players in 250 fights" in problems[0].what
    assert "promised 13.0 %" in problems[0].what.replace("%", " %")
    assert problems[0].since == WEEK
    assert "degraded" not in kinds(noisy, promised=None)


def test_a_few_fights_do_not_prove_an_error():
    rows = scored(fights=32)
    random = np.random.default_rng(1)
    noisy = rows.assign(dps=(rows["dps"] * np.exp(random.normal(0, 0.06, len(rows)))).astype(int))

    assert "degraded" not in kinds(noisy)
    assert kinds(dealing(scored(fights=29), True, 1.0)) == []


def test_a_level_that_is_off_is_named_with_its_direction(rows):
    problems = find_problems(measure_weeks(dealing(rows, in_newest(rows), 0.12)), PROMISED)

    bias = next(p for p in problems if p.kind == "bias")
    assert "below" in bias.what
    assert "bias" not in kinds(dealing(rows, in_newest(rows), 0.04))


def test_a_lost_interval_is_named_overall_and_by_slice(rows):
    narrow = rows.assign(
        expected_dps_low=(rows["expected_dps"] * np.exp(-HALF / 2)).astype(int),
        expected_dps_high=(rows["expected_dps"] * np.exp(HALF / 2)).astype(int),
    )
    one_spec = rows.assign(
        expected_dps_high=np.where(
            rows["spec_name"] == "Spec 03", rows["expected_dps"] * 1.02, rows["expected_dps_high"]
        ).astype(int)
    )

    lost = find_problems(measure_weeks(narrow), PROMISED)
    of_one = [
        p.subject for p in find_problems(measure_weeks(one_spec), PROMISED) if p.kind == "coverage_lost"
    ]

    assert lost[0].kind == "coverage_lost"
    assert "expected 90% ± 2%" in lost[0].what
    assert "Spec 03" in of_one
    assert not set(of_one) & (set(SPECS) - {"Spec 03"})


def test_wide_intervals_are_no_interval_of_90_percent_either(rows):
    wide = rows.assign(expected_dps_low=1, expected_dps_high=rows["expected_dps"] * 100)

    assert kinds(wide) == ["coverage_lost"]


def test_a_nerfed_spec_is_one_problem_that_names_its_gates(rows):
    nerfed = dealing(rows, in_newest(rows) & (rows["spec_name"] == "Spec 05"), -0.129)

    found = [p for p in find_problems(measure_weeks(nerfed), PROMISED) if p.kind == "drift"]

    assert [p.subject for p in found] == ["Spec 05"]
    assert "Aegir G1 Hard -1" in found[0].what
    assert "Aegir G2 Hard -1" in found[0].what


def test_a_jump_of_refusals_is_named_against_what_was_usual(rows):
    is_new = in_newest(rows) & (rows["spec_name"].isin(SPECS[:2]))
    always = rows["spec_name"] == SPECS[0]

    problems = find_problems(measure_weeks(refused(rows, is_new)), PROMISED)

    assert [p.kind for p in problems] == ["refusals"]
    assert "before: 0.0% of 6,000" in problems[0].what
    assert kinds(refused(rows, always)) == []


def test_refusing_nearly_everybody_is_named_without_a_past():
    rows = scored(weeks=1)

    assert kinds(refused(rows, rows.index % 10 != 0)) == ["refusals"]
    assert kinds(refused(rows, rows.index % 10 == 0)) == []


def test_findings_say_of_each_rule_whether_it_holds(rows, table):
    problems = find_problems(measure_weeks(dealing(rows, in_newest(rows), 0.12)), PROMISED)

    broken = {f.rule: f.failed for f in build_findings(problems, table) if not f.passed}
    holding = build_findings([], table)

    assert broken[RULES["bias"]] == 1
    assert all(f.passed for f in holding)
    assert [f.rule for f in holding] == list(RULES.values())
    assert (
        "below"
        in next(f for f in build_findings(problems, table) if f.rule == RULES["bias"]).worst[0]["what"]
    )


def test_problems_reach_the_ledger_under_the_kinds_that_alerts_know(tmp_path):
    kinds_of_problems = [("degraded", "overall"), ("bias", "overall"), ("coverage_lost", "overall")]
    kinds_of_problems += [("coverage_lost", "Igniter"), ("refusals", "overall"), ("drift", "Igniter")]
    problems = [ModelProblem(kind, subject, "what", "why", WEEK) for kind, subject in kinds_of_problems]
    ledger = Ledger(tmp_path / "operations.db")

    for kind, found in build_reports(problems).items():
        ledger.report(kind, found)

    assert [(p.kind, p.subject) for p in ledger.reported_problems()] == [
        ("model_degraded", "error"),
        ("model_degraded", "interval"),
        ("model_degraded", "interval of Igniter"),
        ("model_degraded", "level"),
        ("model_degraded", "refusals"),
        ("model_drift", "Igniter"),
    ]
    assert build_reports([]) == {"model_degraded": [], "model_drift": []}
    assert set(build_reports([])) <= set(KINDS)


def test_nothing_scored_is_an_empty_table_without_problems():
    table = measure_weeks(ML_EXPECTED_DPS.empty())

    assert table.num_rows == 0
    assert find_problems(table, PROMISED) == []


def test_the_policy_decides(rows):
    off = dealing(rows, in_newest(rows), 0.12)

    assert "bias" not in kinds(off, policy=MonitoringPolicy(bias_limit=0.2))

"""What a champion says of later fights: rows, refusals, who was in force, intervals, causes and drift."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from lostark_assets.contracts.ml import CONTEXT_PARTS, GAP_PARTS
from lostark_assets.errors import ContractViolated
from lostark_assets.ledger import Ledger
from lostark_ml.model.decomposition import logarithmic_mean
from lostark_ml.monitoring.refresh import refresh_monitoring
from lostark_ml.monitoring.weekly import OVERALL, SPEC_ON_GATE, find_problems, measure_weeks
from lostark_ml.registry.aliases import read_history, roll_back, set_alias
from lostark_ml.serving import score_days as scoring
from lostark_ml.serving.score_days import NoChampion, find_champion_of_day, find_days_to_score, score_days
from tests.model_lake import (
    FIRST_WEEKS,
    PLAYED,
    WEEK,
    World,
    few_specs,
    season_players,
    spoiled,
    write_statistics,
)
from tests.pure.ml.simulated_season import RESET, simulated_players

NERFED = ("Igniter", "Punisher", "Wind Fury")
NERF = 0.871
KEY = ["encounter_id", "player_name"]


@pytest.fixture(scope="module")
def later(lake_with_champion: World, tmp_path_factory) -> World:
    """Two weeks later, and every day scored. Not to be changed."""
    world = lake_with_champion.copy(tmp_path_factory.mktemp("later") / "home")
    world.play(2)
    score_days(world.lake, world.registry, world.lake.days("stats_player_dps"), datetime.now(UTC))
    return world


@pytest.fixture
def spoilt(later: World, tmp_path) -> World:
    """The same, of the test's own."""
    return later.copy(tmp_path / "later")


def get_expected(world: World) -> pd.DataFrame:
    return world.lake.read("ml_expected_dps").to_pandas()


# Scoring ---------------------------------------------------------------------------------------------


def test_every_player_has_one_row_and_parts_sum_exactly(later: World) -> None:
    found, stats = get_expected(later), later.players()
    answered = found[found["expected_dps"].notna()]
    gap, context = (answered[[c.name for c in parts]].fillna(0) for parts in (GAP_PARTS, CONTEXT_PARTS))

    assert set(map(tuple, found[KEY].to_numpy())) == set(map(tuple, stats[KEY].to_numpy()))
    assert len(found) == len(stats)
    assert (gap.sum(axis=1) == answered["dps"] - answered["expected_dps"]).all()
    assert (context.sum(axis=1) == answered["expected_dps"] - answered["typical_dps"]).all()
    assert found["refusal_reason"].isna().equals(found["expected_dps"].notna())
    assert len(answered) > 0.7 * len(found)


def test_what_was_before_the_cutoff_is_marked_as_seen_and_nothing_else(later: World) -> None:
    found = get_expected(later)
    cutoff = RESET + (FIRST_WEEKS - 1) * WEEK

    assert found["is_seen_in_training"].equals(found["fight_started_at"] < cutoff)
    assert set(found["model_version"]) == {1}


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"spec_name": "Reflux"}, "spec_unknown"),
        ({"gate_name": "G9"}, "gate_unknown"),
        ({"difficulty": "Nightmare"}, "difficulty_unknown"),
        ({"class_name": "Gunlancer"}, "class_unknown"),
        ({"is_support": True}, "support"),
        ({"item_level": 1850.0}, "item_level_outside_training"),
        ({"combat_power": 9e6}, "combat_power_outside_training"),
        ({"dps": 0}, "no_dps"),
    ],
)
def test_what_the_champion_cannot_know_is_refused_with_the_reason(
    spoilt: World, changed: dict, reason: str
) -> None:
    rows = spoilt.players()
    day = max(rows["fight_date"])
    players = rows[rows["fight_date"] == day].drop(columns=["computed_at"])
    dealer = players.index[~players["is_support"] & ~players["is_dead"]][0]
    for name, value in changed.items():
        players.loc[dealer, name] = value
    write_statistics(spoilt.lake, players.assign(is_ark_passive_active=True))

    score_days(spoilt.lake, spoilt.registry, [day], datetime.now(UTC))

    found = get_expected(spoilt).set_index(KEY)
    row = found.loc[tuple(players.loc[dealer, KEY])]
    assert row["refusal_reason"] == reason
    assert row[["expected_dps", "typical_dps", "gap_dps", *(c.name for c in GAP_PARTS)]].isna().all()
    assert found["refusal_reason"].isna().sum() > 0


def test_a_day_is_due_again_only_when_its_statistics_changed(spoilt: World) -> None:
    lake = spoilt.lake
    days = lake.days("stats_player_dps")
    assert find_days_to_score(lake) == {}
    late = season_players(1, first_week=1, fights=(3,)).assign(fight_date=days[5])
    late["encounter_id"] = "late" + late["encounter_id"]
    before = spoilt.players()
    day = before[before["fight_date"] == days[5]].drop(columns=["computed_at"])
    write_statistics(lake, pd.concat([day.assign(is_ark_passive_active=True), late], ignore_index=True))

    due = find_days_to_score(lake)
    others = lake.read("ml_expected_dps", where=pc.field("fight_date") != days[5])
    score_days(lake, spoilt.registry, due, datetime.now(UTC))

    assert set(due) == {days[5]}
    assert due[days[5]].startswith(f"{len(day) + len(late)} players")
    assert find_days_to_score(lake) == {}
    assert lake.read("ml_expected_dps", where=pc.field("fight_date") != days[5]).equals(others)


def test_days_before_any_champion_are_scored_by_the_first(lake_with_champion: World) -> None:
    history = read_history(lake_with_champion.lake, "lostark_dps")

    assert find_champion_of_day(history, RESET.date()) == 1
    assert find_champion_of_day([c for c in history if c.alias != "champion"], RESET.date()) is None


def test_each_day_is_scored_by_the_champion_active_at_its_end_also_after_a_rollback(spoilt: World) -> None:
    registry, lake = spoilt.registry, spoilt.lake
    days = lake.days("stats_player_dps")
    before = get_expected(spoilt).set_index(KEY)
    noon = [datetime.combine(day, time(12), UTC) for day in days]
    spoilt.now = noon[-4]
    spoilt.submit(spoiled(registry.load(1), by_log=0.2))
    set_alias(registry, lake, "champion", 2, by="ann", why="a try", action="promote", now=noon[-4])
    roll_back(registry, lake, by="ann", why="no good", now=noon[-2])

    run = score_days(lake, registry, days[-5:], datetime.now(UTC))

    assert [run.versions[day] for day in days[-5:]] == [1, 2, 2, 1, 1]
    both = get_expected(spoilt).set_index(KEY).join(before["expected_dps"].rename("by_1"))
    ratio = both["expected_dps"].astype(float) / both["by_1"].astype(float)
    assert ratio.groupby(both["model_version"]).median().to_dict() == pytest.approx(
        {1: 1.0, 2: np.exp(0.2)}, rel=1e-6
    )


def test_without_a_champion_nothing_is_scored(season: World) -> None:
    with pytest.raises(NoChampion, match="No fight was scored"):
        score_days(season.lake, season.registry, season.lake.days("stats_player_dps"), season.now)


def test_a_day_without_fights_is_scored_as_no_rows(spoilt: World) -> None:
    empty = min(spoilt.lake.days("stats_player_dps")) - timedelta(days=30)

    run = score_days(spoilt.lake, spoilt.registry, [empty], datetime.now(UTC))

    assert (run.rows, run.refused) == (0, 0)


def test_scores_that_break_a_rule_leave_the_day_as_it_was(spoilt: World, monkeypatch) -> None:
    before = spoilt.lake.read("ml_expected_dps")
    score = scoring.score_rows
    monkeypatch.setattr(scoring, "score_rows", lambda *a, **o: pa.concat_tables([score(*a, **o)] * 2))

    with pytest.raises(ContractViolated):
        score_days(spoilt.lake, spoilt.registry, spoilt.lake.days("stats_player_dps")[:1], spoilt.now)

    assert spoilt.lake.read("ml_expected_dps").equals(before)


# Intervals, causes, drift ----------------------------------------------------------------------------


def test_the_interval_holds_later_weeks(later: World) -> None:
    rows = get_expected(later)
    rows = rows[
        rows["is_population"] & ~rows["is_seen_in_training"].astype(bool) & rows["expected_dps"].notna()
    ]
    inside = rows["dps"].between(rows["expected_dps_low"], rows["expected_dps_high"])

    assert len(rows) > 1500
    assert 0.86 <= inside.mean() <= 0.94
    assert 40 < rows["expected_percentile"].median() < 60


def test_gap_parts_recover_deaths_and_a_doctored_crit_rate(spoilt: World) -> None:
    """The simulator's deaths are the truth of the one; of the other, what was added by hand."""
    truth = season_players(FIRST_WEEKS + 2)
    random = np.random.default_rng(8)
    luck = random.normal(0, 0.08, len(truth))
    doctored = truth.assign(
        crit_rate=np.clip(truth["crit_rate"] + luck, 0, 1),
        dps=(truth["dps"] * np.exp(0.9 * luck)).astype("int64"),
        luck=luck,
    )
    write_statistics(spoilt.lake, doctored)
    spoilt.now = cutoff = RESET + (FIRST_WEEKS + 1) * WEEK
    spoilt.train()
    assert spoilt.registry.load(2).cutoff == cutoff
    set_alias(spoilt.registry, spoilt.lake, "champion", 2, by="ann", why="x", action="promote", now=cutoff)
    days = sorted(set(doctored.loc[doctored["fight_started_at"] >= cutoff, "fight_date"]))
    score_days(spoilt.lake, spoilt.registry, days[1:], datetime.now(UTC))

    rows = get_expected(spoilt).merge(doctored, on=KEY, suffixes=("", "_true"))
    rows = rows[(rows["model_version"] == 2) & rows["expected_dps"].notna()]
    scale = logarithmic_mean(rows["dps"].astype(float), rows["expected_dps"].astype(float))
    crit = rows["gap_crit_dps"].astype(float) / scale
    dead = rows["gap_dead_dps"].astype(float) / scale
    lives_half = (rows["dead_s"] < 250).to_numpy()
    assert np.polyfit(rows["luck"], crit, 1)[0] == pytest.approx(0.9, abs=0.3)
    assert np.polyfit(rows["log_death"][lives_half], dead[lives_half], 1)[0] == pytest.approx(1, abs=0.25)
    assert abs(np.corrcoef(rows["luck"], dead)[0, 1]) < 0.1


def test_a_nerf_of_three_specs_raises_drift_for_those_three_and_no_other(spoilt: World) -> None:
    gate, week = next(iter(PLAYED.values())), RESET + (FIRST_WEEKS + 2) * WEEK
    played = simulated_players(260, 1, seed=77, gate=gate, first_week=FIRST_WEEKS + 2, population=few_specs())
    is_nerfed = played["spec_name"].isin(NERFED)
    ledgers = {}
    for name, factor in (("before", 1.0), ("nerfed", NERF)):
        changed = played.assign(dps=(played["dps"] * np.where(is_nerfed, factor, 1.0)).astype("int64"))
        days = sorted(set(changed["fight_date"]))
        write_statistics(spoilt.lake, changed[changed["fight_date"] != days[0]])
        score_days(spoilt.lake, spoilt.registry, days[1:], datetime.now(UTC))
        table = measure_weeks(spoilt.lake.read("ml_expected_dps"), [week], model_version=1).to_pandas()
        ledger = Ledger(spoilt.home / f"{name}.db")
        run = refresh_monitoring(spoilt.lake, spoilt.registry, ledger, week + WEEK)
        ledgers[name] = (table, run, ledger)

    def drifting(table: pd.DataFrame) -> set[str]:
        cells = table[(table["slice"] == SPEC_ON_GATE) & table["is_drifting"].eq(other=True)]
        return {value.split(" · ")[0] for value in cells["value"]}

    assert drifting(ledgers["before"][0]) == set()
    assert drifting(ledgers["nerfed"][0]) == set(NERFED)
    assert {p.subject for p in find_problems(ledgers["nerfed"][0]) if p.kind == "drift"} == set(NERFED)
    drift = ledgers["nerfed"][0].set_index(["slice", "value"])["drift_log"]
    assert drift.loc[(OVERALL, OVERALL)] == pytest.approx(0, abs=0.05)
    for name, expected in (("before", set()), ("nerfed", set(NERFED))):
        _, run, ledger = ledgers[name]
        reported = {p.subject for p in ledger.reported_problems() if p.kind == "model_drift"}
        assert reported == expected
        assert run.rows.num_rows == spoilt.lake.count("ml_dps_monitoring") or name == "before"


def test_reports_disappear_when_the_champion_recovers(spoilt: World) -> None:
    ledger = Ledger(spoilt.home / "operations.db")
    end, early = spoilt.now, RESET + (FIRST_WEEKS + 1) * WEEK
    spoilt.now = early
    spoilt.submit(spoiled(spoilt.registry.load(1), by_log=0.4), mape=0.18)
    newest = [day for day in spoilt.lake.days("stats_player_dps") if day >= early.date()]
    set_alias(spoilt.registry, spoilt.lake, "champion", 2, by="ann", why="x", action="promote", now=early)
    score_days(spoilt.lake, spoilt.registry, newest, datetime.now(UTC))
    ill = refresh_monitoring(spoilt.lake, spoilt.registry, ledger, end)
    subjects = {p.subject for p in ledger.reported_problems()}

    roll_back(spoilt.registry, spoilt.lake, by="ann", why="x", now=end)
    well = refresh_monitoring(spoilt.lake, spoilt.registry, ledger, end)

    assert {"degraded", "bias"} <= {p.kind for p in ill.problems}
    assert {"error", "level"} <= subjects
    assert well.problems == []
    assert ledger.reported_problems() == []


def test_unchanged_weeks_keep_their_figures_and_new_ones_are_added(spoilt: World) -> None:
    ledger = Ledger(spoilt.home / "operations.db")
    first = refresh_monitoring(spoilt.lake, spoilt.registry, ledger, spoilt.now).rows
    again = refresh_monitoring(spoilt.lake, spoilt.registry, ledger, spoilt.now).rows
    much_later = refresh_monitoring(spoilt.lake, spoilt.registry, ledger, spoilt.now + 10 * WEEK)
    key = [("week_started_at", "ascending"), ("slice", "ascending"), ("value", "ascending")]

    assert again.sort_by(key).equals(first.sort_by(key))
    assert much_later.rows.sort_by(key).equals(first.sort_by(key))
    assert much_later.problems == []

"""From the lake to a champion and back: training set, challenger, evaluation, decision, alias, scores."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date, timedelta
from functools import partial

import pandas as pd
import pytest

from lostark_assets.contracts.ml import ML_DPS_EVALUATION
from lostark_assets.core import pipeline
from lostark_assets.core.clean_meter import build_rules
from lostark_assets.errors import ContractViolated
from lostark_assets.lake.tables import open_lake
from lostark_assets.settings import get_settings
from lostark_assets.sources.collect import collect
from lostark_assets.sources.loa_logs_db import LoaLogsDb
from lostark_assets.stats.pipeline import compute_days
from lostark_ml.features import training_set as features
from lostark_ml.features.training_set import build_training_set, model_input
from lostark_ml.model.leakage import measure_leakage
from lostark_ml.model.training import TooFewRows, fit
from lostark_ml.registry import lifecycle, model_file
from lostark_ml.registry.aliases import (
    AliasUnchanged,
    read_history,
    record_outside_changes,
    roll_back,
    set_alias,
)
from lostark_ml.registry.lifecycle import (
    ChallengerNotReady,
    apply_decision,
    choose_cutoff,
    evaluate_challenger,
    read_training_set,
    refresh_training_set,
    train_challenger,
)
from lostark_ml.registry.promotion import PromotionPolicy
from lostark_simulator.loa_logs_db import write_encounters_db
from lostark_simulator.season import SeasonConfig, generate_fights
from lostark_simulator.truth import read_truth
from tests.model_lake import FIRST_WEEKS, POLICY, SPECS, WEEK, spoiled
from tests.pure.ml.simulated_season import RESET

CLEAN = {"leak_shuffled_r2": 0.0, "leak_id_gain": 0.0}


def digest(model, frame, folder):
    model_file.save(model, folder, model_input(frame[frame["exclusion_reason"].isna()].tail(5)))
    return model_file.compute_digest(folder)


# Training set ---------------------------------------------------------------------------------------


def test_rows_and_exclusions_of_real_logs_are_the_true_ones(tmp_path):
    settings = get_settings(home=tmp_path / "home", sources=())
    path = tmp_path / "season.db"
    config = SeasonConfig(
        encounters=36,
        seed=4,
        days=3,
        hits_per_player=8,
        raids=("Serca", "Act 4: Armoche"),
        duplicate_share=0.2,
        start=date(2026, 9, 2),
    )
    write_encounters_db(path, generate_fights(config))
    lake = open_lake(settings)
    collect(LoaLogsDb(path), lake, run_id="test", earliest=settings.earliest_fight_date)
    days = set(lake.read("raw_battle_logs", columns=["fight_date"])["fight_date"].to_pylist())
    cleaned = pipeline.clean_days(lake, days, build_rules(settings), run_id="test")
    compute_days(lake, cleaned.days, "polars", run_id="test")

    made = refresh_training_set(lake)

    truth = read_truth(path)
    logs = truth.encounters[truth.encounters["expected_outcome"] == "kept"]
    true = truth.players.merge(logs, on="encounter_id")
    encounters = lake.read("core_encounters").to_pandas()
    counted = set(encounters.loc[encounters["is_counted"], "source_log_id"].astype(int))
    true["is_counted"] = true["encounter_id"].isin(counted)
    reasons = Counter(_true_reason(row) for row in true.to_dict("records"))
    population = reasons.pop(None)
    assert made.rows == len(true) == lake.count("ml_training_set")
    assert made.exclusions == reasons
    assert {"not_counted", "not_cleared", "support", "dead"} <= set(reasons)
    assert made.population == population
    assert logs.loc[logs["encounter_id"].isin(counted), "fight_number"].is_unique
    assert sum(lake.read("ml_training_set", columns=["dps"])["dps"].to_pylist()) == true["dps"].sum()
    assert lake.commit_metadata("ml_training_set", made.version) == {
        name: str(v) for name, v in made.sources.items()
    }


def _true_reason(row):
    if not row["is_counted"]:
        return "not_counted"
    if not row["is_cleared"]:
        return "not_cleared"
    if not row["difficulty_logged"]:
        return "difficulty_unknown"
    if row["spec_name"] is None:
        return "spec_unknown"
    if row["is_support"]:
        return "support"
    return "dead" if row["is_dead"] else None


def test_after_more_data_came_the_named_snapshot_gives_the_same_rows_and_the_same_model(world, tmp_path):
    champion = world.registry.champion()
    first = world.lake.read("ml_training_set")
    sources = {name: int(v) for name, v in world.lake.commit_metadata("ml_training_set", 0).items()}
    world.play()
    assert refresh_training_set(world.lake).rows > first.num_rows

    frame = read_training_set(world.lake, champion.training_set_version)
    built = build_training_set(world.lake, versions=sources)
    model = fit(frame, choose_cutoff(frame, POLICY), POLICY.training, execution=_execution(world, sources))

    assert world.lake.read("ml_training_set", version=0).equals(first)
    assert built.table().sort_by("encounter_id").equals(first.sort_by("encounter_id"))
    assert digest(model, frame, tmp_path / "again") == champion.tags["model_sha256"]
    from_memory = fit(built.frame, model.cutoff, POLICY.training, execution=_execution(world, sources))
    assert digest(from_memory, frame, tmp_path / "memory") == champion.tags["model_sha256"]
    newest = read_training_set(world.lake, 1)
    other = fit(newest, choose_cutoff(newest, POLICY), POLICY.training)
    assert other.cutoff == model.cutoff + WEEK
    assert digest(other, frame, tmp_path / "other") != champion.tags["model_sha256"]


def _execution(world, sources):
    columns = [*lifecycle.KEY, *lifecycle.EXECUTION]
    version = sources["stats_player_dps"]
    return world.lake.read("stats_player_dps", columns=columns, version=version).to_pandas()


def test_a_training_set_that_breaks_a_rule_leaves_the_old_one(world, monkeypatch):
    build = lifecycle.build_training_set

    def broken(lake):
        made = build(lake)
        return replace(made, frame=made.frame.assign(item_level=-5.0))

    monkeypatch.setattr(lifecycle, "build_training_set", broken)
    with pytest.raises(ContractViolated, match="item_level"):
        refresh_training_set(world.lake)

    assert world.lake.version("ml_training_set") == 0


def test_the_cutoff_is_the_newest_reset_with_enough_on_both_sides(world):
    frame = read_training_set(world.lake, 0)

    assert choose_cutoff(frame, POLICY) == RESET + (FIRST_WEEKS - 1) * WEEK
    assert choose_cutoff(frame, replace(POLICY, holdout_fights=200)) == RESET + (FIRST_WEEKS - 2) * WEEK
    with pytest.raises(TooFewRows, match="No model was trained"):
        choose_cutoff(frame, replace(POLICY, holdout_fights=5000))


# The first champion ----------------------------------------------------------------------------------


def test_the_first_challenger_is_promoted_because_it_beats_every_baseline(lake_with_champion):
    decision, champion = lake_with_champion.evaluated.decision, lake_with_champion.registry.champion()
    figures = lake_with_champion.registry.metrics(champion)

    assert [reason.code for reason in decision.reasons] == ["first_champion"]
    assert {c.against for c in decision.comparisons} == {"constant", "four-week median", "ridge"}
    assert all(c.gain_low > 0 for c in decision.comparisons)
    assert lake_with_champion.outcome.change.to_version == champion.version == 1
    assert champion.aliases == ("challenger", "champion")
    assert champion.tags["promote"] == "yes"
    assert champion.tags["decided_against_version"] == "none"
    assert champion.tags["because"] == "no model yet"
    assert champion.tags["cutoff_at"] == (RESET + (FIRST_WEEKS - 1) * WEEK).isoformat()
    assert int(champion.tags["population_fights"]) == lake_with_champion.made.fights
    assert figures["mape"] == lake_with_champion.evaluated.evaluation.model.mape
    assert lake_with_champion.history() == [
        ("challenger", None, 1, "submit"),
        ("champion", None, 1, "promote"),
    ]


def test_evaluation_rows_are_the_figures_of_the_run_and_their_slices_add_up(lake_with_champion):
    rows = lake_with_champion.lake.read("ml_dps_evaluation").to_pandas()
    overall = rows[rows["slice"] == "overall"].set_index("predictor")
    specs = rows[(rows["slice"] == "spec_name") & (rows["predictor"] == "challenger")]

    assert set(overall.index) == {"challenger", "constant", "four-week median", "ridge"}
    assert overall.loc["challenger", "mape"] == lake_with_champion.evaluated.evaluation.model.mape
    assert (overall["rows"] == overall.loc["challenger", "rows"]).all()
    assert sorted(specs["value"]) == sorted(SPECS)
    assert specs["rows"].sum() == overall.loc["challenger", "rows"]
    weighted = (specs["mape"] * specs["rows"]).sum() / specs["rows"].sum()
    assert weighted == pytest.approx(overall.loc["challenger", "mape"])


def test_the_card_contains_what_a_reviewer_needs(lake_with_champion):
    card = lake_with_champion.registry.champion().description
    mape = lake_with_champion.evaluated.evaluation.model.mape

    for expected in (
        f"{100 * mape:.1f}",
        "ridge",
        "because: no model yet",
        "stats_player_dps",
        "dead",
        "support",
    ):
        assert expected in card, expected


def test_a_challenger_that_beats_no_baseline_is_not_the_first_champion(season, tmp_path):
    world = season.copy(tmp_path / "world")
    refresh_training_set(world.lake)
    frame = read_training_set(world.lake, 0)
    poor = spoiled(fit(frame, choose_cutoff(frame, POLICY), POLICY.training), by_log=0.3)
    world.submit(poor, **CLEAN)

    outcome = world.decide()

    assert outcome.change is None
    assert {r.code for r in world.evaluated.decision.reasons} == {"baseline_not_beaten"}
    assert world.registry.aliases() == {"challenger": 1}
    assert world.registry.version(1).tags["promote"] == "no"


def test_nothing_is_decided_without_a_challenger_or_without_its_test(season, tmp_path):
    world = season.copy(tmp_path / "world")
    for call in (
        lambda: evaluate_challenger(world.lake, world.registry, POLICY, world.now),
        lambda: apply_decision(world.lake, world.registry, world.now),
    ):
        with pytest.raises(ChallengerNotReady, match="ml_dps_challenger first"):
            call()
    with pytest.raises(TooFewRows, match="Materialise it first"):
        train_challenger(world.lake, world.registry, POLICY, {}, world.now)


# The second ------------------------------------------------------------------------------------------


def test_a_retrain_on_the_same_data_is_the_same_model_and_a_tie_keeps_the_champion(world):
    made = world.train()

    outcome = world.decide()

    assert made.tags["model_sha256"] == world.registry.version(1).tags["model_sha256"]
    assert outcome.change is None
    assert [r.code for r in world.evaluated.decision.reasons] == ["not_better"]
    assert world.registry.aliases() == {"champion": 1, "challenger": 2}
    assert world.registry.version(2).tags["decided_against_version"] == "1"
    rows = world.lake.read("ml_dps_evaluation").to_pandas()
    mine = rows[(rows["model_version"] == 2) & (rows["slice"] == "overall")].set_index("predictor")
    assert mine.loc["champion", "predictor_version"] == 1
    assert mine.loc["champion", "mape"] == mine.loc["challenger", "mape"]
    assert apply_decision(world.lake, world.registry, world.now).change is None


@pytest.fixture
def poor_champion(world):
    """Version 2, made champion by hand, expects a sixth too much of everybody; and the good model."""
    good = world.registry.load(1)
    world.submit(spoiled(good, by_log=0.16), **CLEAN)
    set_alias(
        world.registry, world.lake, "champion", 2, by="ann", why="a mistake", action="promote", now=world.now
    )
    return good


def test_a_better_challenger_becomes_champion_and_the_numbers_stay_on_its_version(world, poor_champion):
    world.submit(poor_champion, **CLEAN)

    outcome = world.decide()

    assert [r.code for r in world.evaluated.decision.reasons] == ["better"]
    assert (outcome.change.from_version, outcome.change.to_version) == (2, 3)
    assert outcome.change.changed_by == "promotion gate"
    assert world.registry.aliases()["champion"] == 3
    tags = world.registry.version(3).tags
    assert tags["decided_against_version"] == "2"
    [against] = [c for c in world.evaluated.decision.comparisons if c.against == "champion"]
    assert f"{100 * against.gain:.2f} points" in tags["decision"]
    assert str(against.gain_low) in tags["decision_numbers"]


def test_a_planted_regression_of_one_spec_is_refused_though_the_whole_gets_better(world, poor_champion):
    world.submit(spoiled(poor_champion, by_log=0.5, spec="Igniter"), **CLEAN)

    outcome = world.decide()

    decision = world.evaluated.decision
    [against] = [c for c in decision.comparisons if c.against == "champion"]
    assert against.gain > 0
    assert "slice_worse" in [r.code for r in decision.reasons]
    assert (decision.slices[0].slice, decision.slices[0].value) == ("spec_name", "Igniter")
    assert [s.value for s in decision.slices if s.exceeds_limit] == ["Igniter"]
    assert outcome.change is None
    assert "Igniter" in world.registry.version(3).tags["decision"]
    assert world.registry.aliases()["champion"] == 2


def test_a_planted_leak_is_caught_by_the_leak_tests_and_refused(world, monkeypatch):
    """A feature is made of the fight's own DPS, in the one builder: every test looks brilliant."""
    honest = features.build_features

    def leaking(players):
        frame = honest(players)
        return frame.assign(history_residual=frame["log_dps"] - 18.0)

    monkeypatch.setattr(features, "build_features", leaking)
    monkeypatch.setattr(lifecycle, "measure_leakage", partial(measure_leakage, build=leaking))
    made = world.train()

    outcome = world.decide()

    figures = world.registry.metrics(made)
    assert figures["leak_shuffled_r2"] > 0.5
    assert figures["mape"] < 0.1
    assert [r.code for r in world.evaluated.decision.reasons] == ["leak"]
    assert outcome.change is None
    assert world.registry.aliases()["champion"] == 1


def test_a_challenger_without_leakage_tests_is_not_promoted(world, poor_champion):
    world.submit(poor_champion)

    outcome = world.decide()

    assert "leak" in [r.code for r in world.evaluated.decision.reasons]
    assert outcome.change is None


def test_a_champion_that_moved_since_the_test_is_not_replaced_before_another_test(world, poor_champion):
    world.submit(poor_champion, **CLEAN)
    evaluate_challenger(world.lake, world.registry, world.policy, world.now)
    set_alias(
        world.registry, world.lake, "champion", 1, by="ann", why="back", action="promote", now=world.now
    )

    outcome = apply_decision(world.lake, world.registry, world.now)

    assert outcome.change is None
    assert "tested against version 2, and the champion is version 1 by now" in outcome.why
    assert world.registry.aliases()["champion"] == 1
    assert world.decide().change is None
    assert world.registry.version(3).tags["decided_against_version"] == "1"


def test_a_reviewers_move_in_mlflow_is_respected_and_recorded(world, poor_champion):
    world.registry.move_alias("champion", 1)

    world.submit(poor_champion, **CLEAN)
    outcome = world.decide()

    assert outcome.change is None
    assert world.registry.version(3).tags["decided_against_version"] == "1"
    assert ("champion", 2, 1, "outside") in world.history()
    assert record_outside_changes(world.registry, world.lake, world.now) == []
    assert world.registry.aliases()["champion"] == 1


def test_a_champion_that_is_the_challenger_is_not_compared_with_itself(world):
    with pytest.raises(ChallengerNotReady, match="champion already"):
        evaluate_challenger(world.lake, world.registry, world.policy, world.now)

    assert apply_decision(world.lake, world.registry, world.now).why == "version 1 is champion already"


def test_a_rollback_restores_the_previous_champion_and_records_author_and_reason(world, poor_champion):
    later = world.now + timedelta(hours=1)
    change = roll_back(world.registry, world.lake, by="ann", why="too high", now=later)

    assert (change.from_version, change.to_version, change.action) == (2, 1, "rollback")
    assert read_history(world.lake, "lostark_dps")[-1] == change
    assert world.registry.champion().version == 1
    with pytest.raises(AliasUnchanged):
        set_alias(world.registry, world.lake, "champion", 1, by="ann", why="x", action="promote", now=later)


def test_too_few_fights_to_test_on_keep_the_champion(world, poor_champion):
    world.policy = replace(POLICY, promotion=PromotionPolicy(min_fights=1000))
    world.submit(poor_champion, **CLEAN)

    assert world.decide().change is None
    assert [r.code for r in world.evaluated.decision.reasons] == ["too_few_fights"]


def test_an_evaluation_that_is_repeated_replaces_its_own_rows_only(world):
    world.submit(spoiled(world.registry.load(1), by_log=0.02), **CLEAN)
    counts = []
    for _ in range(2):
        evaluate_challenger(world.lake, world.registry, world.policy, world.now)
        rows = world.lake.read("ml_dps_evaluation").to_pandas()
        counts.append(rows["model_version"].value_counts().to_dict())

    assert counts[0] == counts[1]
    assert set(counts[0]) == {1, 2}
    assert not rows.duplicated(list(ML_DPS_EVALUATION.key)).any()
    assert pd.notna(rows["mape"]).all()

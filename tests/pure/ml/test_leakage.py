"""The leak tests pass an honest builder and catch a planted leak."""

from __future__ import annotations

from datetime import timedelta

from lostark_ml.features.training_set import build_features
from lostark_ml.model.leakage import measure_leakage, shuffle_dps
from tests.pure.ml.season_factory import CUTOFF, SMALL

UNTIL = CUTOFF + timedelta(weeks=1)


def builder_with_a_leak(players):
    frame = build_features(players)
    return frame.assign(combat_power=frame["dps"].astype(float))


def builder_whose_history_holds_the_fight_itself(players):
    """An all-rows mean of the character: the leak that no split detects."""
    frame = build_features(players)
    residual = frame["log_dps"] - frame.groupby(["spec_name", "week_started_at"])["log_dps"].transform("mean")
    return frame.assign(history_residual=residual.groupby(frame["player_name"]).transform("mean"))


def test_the_builder_is_clean(season_players):
    found = measure_leakage(season_players, CUTOFF, UNTIL, SMALL)

    assert found.is_clean, found


def test_a_feature_made_of_the_fights_own_dps_is_caught(season_players):
    found = measure_leakage(season_players, CUTOFF, UNTIL, SMALL, build=builder_with_a_leak)

    assert found.shuffled_r2 > 0.5
    assert not found.is_clean


def test_a_characters_mean_over_all_rows_is_caught(season_players):
    build = builder_whose_history_holds_the_fight_itself

    assert measure_leakage(season_players, CUTOFF, UNTIL, SMALL, build=build).shuffled_r2 > 0.1


def test_shuffling_moves_dps_inside_its_cell_only(season_players):
    mixed = shuffle_dps(season_players, 0)

    cell = ["spec_name", "week_started_at"]
    before, after = (p.groupby(cell)["dps"].agg(["sum", "min", "max"]) for p in (season_players, mixed))
    assert before.equals(after)
    assert (season_players["dps"] != mixed["dps"]).mean() > 0.9

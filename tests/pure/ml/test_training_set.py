"""Features know what was known before and around the fight, and nothing of what it made."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from lostark_assets.contracts.expectations import examine
from lostark_assets.contracts.ml import ML_TRAINING_SET
from lostark_assets.contracts.registry import CONTRACTS
from lostark_ml.features.columns import MODEL_FEATURES
from lostark_ml.features.training_set import TrainingSet, build_features, model_input

MADE_BY_THE_FIGHT = {
    "dps", "log_dps", "damage", "damage_share", "duration_s", "is_dead", "deaths", "active_dps",
    "spec_percentile", "rdps", "ndps",
}  # fmt: skip
KEYS = ["encounter_id", "player_name"]


def indexed(frame):
    return frame.set_index(KEYS).sort_index()


def changed(players, where, **values):
    players = players.copy()
    for name, value in values.items():
        players.loc[where, name] = value
    return players


def test_nothing_that_the_fight_made_is_a_feature():
    assert MADE_BY_THE_FIGHT.isdisjoint(MODEL_FEATURES)


def test_a_fight_changes_no_feature_of_its_own(season_players):
    fight = season_players["fight_id"] == "f05010"
    other = changed(season_players, fight, dps=season_players["dps"] * 3, duration_s=900)

    before, after = build_features(season_players), build_features(other)

    is_it = (before["fight_id"] == "f05010").to_numpy()
    pd.testing.assert_frame_equal(model_input(before[is_it]), model_input(after[is_it]))


def test_what_came_later_changes_no_earlier_feature(season_players):
    until = season_players["fight_started_at"].quantile(0.6)
    early = build_features(season_players[season_players["fight_started_at"] <= until])
    whole = build_features(season_players)

    whole = whole[whole["fight_started_at"] <= until]
    pd.testing.assert_frame_equal(indexed(early), indexed(whole))
    assert early["history_residual"].notna().sum() > 100


def test_the_order_of_the_rows_does_not_matter(season_players, season_frame):
    mixed = build_features(season_players.sample(frac=1, random_state=3))

    pd.testing.assert_frame_equal(season_frame, mixed)


def test_history_counts_fights_that_ended_before_and_no_running_one(season_players):
    dealer = season_players[~season_players["is_support"]].iloc[0]
    one = season_players[season_players["encounter_id"] == dealer["encounter_id"]]
    copies = []
    for number, start in enumerate([0, 499, 500.000001]):
        moment = one["fight_started_at"] + timedelta(seconds=start)
        copies.append(one.assign(fight_started_at=moment, encounter_id=f"x{number}", fight_id=f"x{number}"))

    frame = build_features(pd.concat(copies, ignore_index=True))

    fights = frame[frame["player_name"] == dealer["player_name"]]["history_fights"]
    assert fights.tolist() == [0, 0, 1]


def test_an_earlier_fight_is_measured_against_its_own_week(season_players, season_frame):
    rows = season_frame[season_frame["history_fights"] == 1]
    row = rows[rows["week_started_at"] > rows["week_started_at"].min()].iloc[0]
    past = season_frame[
        (season_frame["player_name"] == row["player_name"])
        & (season_frame["fight_started_at"] < row["fight_started_at"])
    ].iloc[0]
    assert past["week_started_at"] < row["week_started_at"]

    peers = season_frame[
        (season_frame["spec_name"] == past["spec_name"])
        & (season_frame["week_started_at"] == past["week_started_at"])
    ]
    assert row["history_residual"] == pytest.approx(past["log_dps"] - peers["log_dps"].median())


def test_the_number_of_an_anonymous_player_reaches_no_feature(season_players):
    """Exports number anonymous players by damage: "Reaper #4" came fourth, a result of the fight."""
    strangers = season_players.assign(is_name_known=False)
    ranked = strangers.groupby("encounter_id")["dps"].rank(ascending=False)
    numbered = [f"Reaper #{n:.0f}" for n in ranked], [f"Reaper #{9 - n:.0f}" for n in ranked]

    one, other = (build_features(strangers.assign(player_name=names)) for names in numbered)

    order = ["encounter_id", "dps"]
    one, other = (f.sort_values(order, ignore_index=True) for f in (one, other))
    pd.testing.assert_frame_equal(model_input(one), model_input(other))


def test_mock_server_names_have_no_history(season_players):
    frame = build_features(season_players.assign(is_name_known=False))

    assert frame[["history_fights", "history_residual", "history_age_days"]].isna().all(axis=None)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"is_counted": False}, "not_counted"),
        ({"is_cleared": None}, "not_cleared"),
        ({"gate_name": None}, "gate_unknown"),
        ({"difficulty": None}, "difficulty_unknown"),
        ({"spec_name": None}, "spec_unknown"),
        ({"is_support": True}, "support"),
        ({"is_dead": True}, "dead"),
        ({"dps": 0}, "no_dps"),
        ({"dps": 0, "is_dead": True}, "dead"),
    ],
)
def test_each_row_left_out_has_its_reason(season_players, values, reason):
    players = season_players.head(80).astype({"is_cleared": object, "is_counted": object})
    first = players.index == players.index[~players["is_support"]][0]

    found = TrainingSet(build_features(changed(players, first, **values)), {}).exclusions
    before = TrainingSet(build_features(players), {}).exclusions

    assert found - before == {reason: 1}


def test_population_and_exclusions_are_all_rows(season_frame):
    training_set = TrainingSet(season_frame, {})

    assert len(training_set.population) + training_set.exclusions.total() == len(season_frame)
    assert training_set.exclusions == {"support": 2 * 8 * 60}


def test_a_bard_of_a_dealer_spec_has_the_open_support_seat(season_players):
    fight = season_players[season_players["encounter_id"] == "e00000"]
    bard = changed(fight, fight.index[6], spec_name="True Courage", is_support=False)

    frame = build_features(bard)
    full = build_features(changed(fight, fight.index[0], class_name="Bard", spec_name="True Courage"))

    assert frame.set_index("spec_name")["support_seat_flag"].to_dict()["True Courage"] == 1
    assert full["support_seat_flag"].sum() == 0


def test_ark_passive_without_any_value_is_not_measured(season_players):
    fight = season_players[season_players["encounter_id"] == "e00000"]

    off = build_features(fight.assign(is_ark_passive_active=False))
    some = build_features(changed(fight, fight.index[0], is_ark_passive_active=False))

    assert off["ark_passive_flag"].isna().all()
    assert sorted(some["ark_passive_flag"]) == [0] + [1] * 7
    assert sorted(np.round(some["others_ark_passive_share"], 3)) == [0.857] * 7 + [1]


def test_the_frame_keeps_its_contract(season_frame, monkeypatch):
    monkeypatch.setitem(CONTRACTS, ML_TRAINING_SET.name, ML_TRAINING_SET)
    table = TrainingSet(season_frame, {}).table()

    broken = [str(f) for f in examine(ML_TRAINING_SET, table) if f.severity == "error" and not f.passed]
    assert broken == []
    assert table.schema.names == ML_TRAINING_SET.names

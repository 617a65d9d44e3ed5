"""Every move of an alias is one row of the history, by whichever process, and wherever it was interrupted."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lostark_assets.lake.tables import Lake
from lostark_ml.registry import aliases
from lostark_ml.registry.aliases import (
    AliasChange,
    AliasUnchanged,
    NoPreviousChampion,
    find_champion,
    find_previous_champion,
    read_history,
    record_outside_changes,
    roll_back,
    set_alias,
)
from lostark_ml.registry.model_registry import ModelVersion, UnknownModelVersion

NOW = datetime(2026, 9, 9, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)


class RegistryInMemory:
    """What the history needs of a registry, with ten versions; ``fails_at`` cuts it off there."""

    model_name = "lostark_dps"

    def __init__(self):
        self.pointers = {}
        self.tags = {number: {"ml_training_set_version": str(100 + number)} for number in range(1, 11)}
        self.texts = {}
        self.fails_at = None

    def version(self, number):
        if number not in self.tags:
            raise UnknownModelVersion(f"no version {number}")
        return ModelVersion(self.model_name, number, "run", NOW, (), dict(self.tags[number]), "")

    def aliases(self):
        return dict(self.pointers)

    def model_tags(self):
        return dict(self.texts)

    def set_model_tag(self, key, text):
        self._maybe_fail("tag")
        self.texts[key] = text

    def move_alias(self, alias, number):
        self._maybe_fail("before move")
        self.pointers[alias] = number
        self._maybe_fail("after move")

    def _maybe_fail(self, where):
        if self.fails_at == where:
            raise KeyboardInterrupt


@pytest.fixture
def registry():
    return RegistryInMemory()


@pytest.fixture
def lake(tmp_path):
    return Lake(str(tmp_path / "lake"))


def promote(registry, lake, version, now=NOW, action="promote"):
    return set_alias(registry, lake, "champion", version, by="gate", why="better", action=action, now=now)


def rows(lake):
    return [(c.alias, c.from_version, c.to_version, c.action) for c in read_history(lake, "lostark_dps")]


def change(to_version, hours=0, action="promote", alias="champion"):
    return AliasChange(
        NOW + hours * HOUR, "lostark_dps", alias, None, to_version, action, "alice", "why", None
    )


def test_set_alias_records_author_reason_and_training_set(registry, lake):
    promote(registry, lake, 1)
    done = promote(registry, lake, 2, NOW + HOUR)

    assert registry.pointers == {"champion": 2}
    assert read_history(lake, "lostark_dps")[-1] == done
    assert done == AliasChange(
        NOW + HOUR, "lostark_dps", "champion", 1, 2, "promote", "gate", "better", training_set_version=102
    )


def test_models_have_histories_of_their_own(registry, lake):
    promote(registry, lake, 1)

    assert read_history(lake, "lostark_play_styles") == []


def test_a_version_that_is_not_there_moves_nothing(registry, lake):
    with pytest.raises(UnknownModelVersion):
        promote(registry, lake, 99)

    assert (registry.pointers, rows(lake)) == ({}, [])


def test_moving_an_alias_to_where_it_is_is_refused(registry, lake):
    promote(registry, lake, 3)

    with pytest.raises(AliasUnchanged, match="version 3 already"):
        promote(registry, lake, 3, NOW + HOUR)
    assert len(rows(lake)) == 1


def test_the_action_outside_is_rejected(registry, lake):
    with pytest.raises(ValueError, match="outside"):
        promote(registry, lake, 1, action="outside")


def test_a_reviewers_move_is_respected_and_noticed_once(registry, lake):
    promote(registry, lake, 1)
    registry.pointers["champion"] = 4

    (found,) = record_outside_changes(registry, lake, NOW + HOUR)

    assert (found.from_version, found.to_version, found.action, found.changed_by) == (
        1,
        4,
        "outside",
        "unknown",
    )
    assert (found.changed_at, found.training_set_version) == (NOW + HOUR, 104)
    assert record_outside_changes(registry, lake, NOW + 2 * HOUR) == []
    assert registry.pointers == {"champion": 4}


def test_an_alias_that_was_removed_is_noticed(registry, lake):
    promote(registry, lake, 1)
    registry.pointers.clear()

    (found,) = record_outside_changes(registry, lake, NOW + HOUR)

    assert (found.from_version, found.to_version, found.action) == (1, None, "outside")
    assert find_champion(read_history(lake, "lostark_dps"), NOW + HOUR) is None
    assert find_previous_champion(read_history(lake, "lostark_dps")) == 1


def test_set_alias_first_records_earlier_outside_changes(registry, lake):
    promote(registry, lake, 1)
    registry.pointers["champion"] = 4

    promote(registry, lake, 5, NOW + HOUR)

    assert [row[1:] for row in rows(lake)] == [(None, 1, "promote"), (1, 4, "outside"), (4, 5, "promote")]


@pytest.mark.parametrize("place", ["tag", "before move", "after move", "write"])
def test_a_crash_anywhere_in_a_move_loses_nothing(registry, lake, monkeypatch, place):
    promote(registry, lake, 1)
    registry.fails_at = place
    with monkeypatch.context() as patched:
        if place == "write":
            patched.setattr(aliases, "_append_history", interrupt_if_anything)
        with pytest.raises(KeyboardInterrupt):
            promote(registry, lake, 2, NOW + HOUR)
    registry.fails_at = None

    recorded = record_outside_changes(registry, lake, NOW + 2 * HOUR)

    if place in ("tag", "before move"):
        assert (recorded, registry.pointers["champion"]) == ([], 1)
    else:
        (found,) = recorded
        assert registry.pointers["champion"] == 2
        assert (found.changed_at, found.action, found.changed_by) == (NOW + HOUR, "promote", "gate")
        assert found.reason == f"better ({aliases.RECORDED_LATE})"
    assert rows(lake)[-1][2] == registry.pointers["champion"]


def interrupt_if_anything(_lake, changes):
    if changes:
        raise KeyboardInterrupt


def test_an_old_intent_does_not_explain_a_reviewers_move(registry, lake):
    for hour, version in enumerate((1, 2, 3)):
        promote(registry, lake, version, NOW + hour * HOUR)
    registry.pointers["champion"] = 2

    (found,) = record_outside_changes(registry, lake, NOW + 5 * HOUR)

    assert (found.from_version, found.action) == (3, "outside")


def test_a_clock_that_was_put_back_does_not_reorder_the_history(registry, lake):
    promote(registry, lake, 1, NOW)
    promote(registry, lake, 2, NOW - HOUR)

    history = read_history(lake, "lostark_dps")
    assert [c.to_version for c in history] == [1, 2]
    assert history[0].changed_at < history[1].changed_at


def test_the_champion_of_a_moment_is_the_last_one_made_before_it():
    history = [change(1, 0), change(2, 2), change(9, 3, alias="challenger")]

    found = [find_champion(history, NOW + hours * HOUR) for hours in (-1, 0, 1, 2, 4)]
    assert found == [None, 1, 1, 2, 2]


def test_each_rollback_goes_one_champion_further_back(registry, lake):
    for hour, version in enumerate((1, 2, 3)):
        promote(registry, lake, version, NOW + hour * HOUR)

    back = [
        roll_back(registry, lake, by="me", why="worse", now=NOW + hour * HOUR).to_version for hour in (5, 6)
    ]

    assert (back, registry.pointers["champion"]) == ([2, 1], 1)
    with pytest.raises(NoPreviousChampion, match="Nothing was changed"):
        roll_back(registry, lake, by="me", why="worse", now=NOW + 9 * HOUR)
    promote(registry, lake, 7, NOW + 10 * HOUR)
    assert find_previous_champion(read_history(lake, "lostark_dps")) == 1


def test_without_any_champion_there_is_nothing_to_roll_back_to(registry, lake):
    with pytest.raises(NoPreviousChampion):
        roll_back(registry, lake, by="me", why="worse", now=NOW)
    promote(registry, lake, 1)
    with pytest.raises(NoPreviousChampion):
        roll_back(registry, lake, by="me", why="worse", now=NOW + HOUR)


def test_a_rollback_takes_back_what_a_reviewer_did(registry, lake):
    promote(registry, lake, 1)
    registry.pointers["champion"] = 4

    assert roll_back(registry, lake, by="me", why="worse", now=NOW + HOUR).to_version == 1
    assert [row[3] for row in rows(lake)] == ["promote", "outside", "rollback"]


MOVES = st.lists(
    st.tuples(st.sampled_from(["point", "outside", "crash", "look"]), st.integers(1, 10)), max_size=12
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=MOVES)
def test_after_any_moves_the_history_ends_where_the_registry_stands_and_has_no_gap(tmp_path_factory, moves):
    registry, lake = RegistryInMemory(), Lake(str(tmp_path_factory.mktemp("lake")))
    for hour, (kind, version) in enumerate(moves):
        now = NOW + hour * HOUR
        registry.fails_at = "after move" if kind == "crash" else None
        try:
            if kind == "outside":
                registry.pointers["champion"] = version
            elif kind == "look":
                record_outside_changes(registry, lake, now)
            else:
                promote(registry, lake, version, now)
        except (AliasUnchanged, KeyboardInterrupt):
            pass
    record_outside_changes(registry, lake, NOW + 99 * HOUR)

    history = read_history(lake, "lostark_dps")
    assert (history[-1].to_version if history else None) == registry.pointers.get("champion")
    assert all(b.from_version == a.to_version for a, b in itertools.pairwise(history))
    assert len({c.changed_at for c in history}) == len(history)

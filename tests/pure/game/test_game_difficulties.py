"""One canonical word per mode, whatever the language and the version of the meter."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lostark_assets.game.difficulties import DIFFICULTIES, korean_difficulty, resolve_difficulty
from lostark_assets.game.raid_table import RAIDS


@pytest.mark.parametrize("entry", DIFFICULTIES, ids=lambda d: d.name)
def test_every_word_of_a_difficulty_leads_to_it_and_back(entry):
    words = [word for word in (entry.name, entry.korean, *entry.aliases) if word]

    assert [resolve_difficulty(word) for word in words] == [entry.name] * len(words)
    assert [resolve_difficulty(f" {word.upper()} ") for word in words] == [entry.name] * len(words)
    assert korean_difficulty(entry.name) == entry.korean


@pytest.mark.parametrize(
    ("word", "version", "raid", "expected"),
    [
        ("Special", None, None, "Solo"),
        ("싱글", None, "Aegir", "Solo"),
        ("Inferno", "1.30.0", "Valtan", "Inferno"),
        ("Nightmare", "1.48.4", "Valtan", "Inferno"),
        ("Nightmare", None, "일리아칸", "Inferno"),
        ("Inferno", "1.41.0", "Serca", "Nightmare"),
        ("Nightmare", "1.42.0", "Serca", "Nightmare"),
        ("나메", None, "세르카", "Nightmare"),
        ("Inferno", "1.41.9", None, "Nightmare"),
        ("Inferno", "1.42.0", None, "Inferno"),
        ("Inferno", None, None, "Inferno"),
        ("Inferno", "1.41.9", "no such raid", "Nightmare"),
        ("Extreme", "1.6.0", "Thaemine", "The First"),
        ("The First", "1.20.0", "Thaemine", "The First"),
        ("Extreme", "1.48.0", "Final Act: Kazeros", "The First"),
        ("The First", "1.30.0", "Aegir", "Extreme"),
        ("Extreme", "1.48.0", "Aegir", "Extreme"),
        ("The First", "1.20.0", None, "The First"),
        ("Extreme", "1.7.0", None, "Extreme"),
        ("extreme hard", "1.38.0", "Thaemine", "Extreme Hard"),
        ("Extreme Nightmare", None, "Valtan", "Extreme Nightmare"),
        ("Hard", "1.2.33", "Thaemine", "Hard"),
        ("level 2", None, "Horizon Cathedral", "Level 2"),
        ("2단계", None, None, "Level 2"),
        ("", None, "Aegir", None),
        (None, "1.48.0", "Aegir", None),
        ("Mythic", None, "Aegir", None),
    ],
)
def test_a_word_that_drifted_becomes_the_word_of_its_raid(word, version, raid, expected):
    assert resolve_difficulty(word, meter_version=version, raid_name=raid) == expected


@given(
    st.sampled_from([d.name for d in DIFFICULTIES]),
    st.sampled_from([r.name for r in RAIDS]),
    st.none() | st.sampled_from(["1.2.33", "1.41.0", "1.42.0", "1.48.0"]),
)
def test_resolving_a_resolved_word_changes_nothing(word, raid, version):
    once = resolve_difficulty(word, raid_name=raid, meter_version=version)

    assert resolve_difficulty(once, raid_name=raid, meter_version=version) == once


def test_the_raid_table_uses_canonical_words_only():
    used = {word for raid in RAIDS for word in (*raid.difficulties, *raid.min_item_level)}

    assert used <= {entry.name for entry in DIFFICULTIES}

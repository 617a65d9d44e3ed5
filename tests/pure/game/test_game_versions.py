"""Meter versions are read leniently, and every change of rules begins a new era."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lostark_assets.game.versions import VERSIONS_WITH_OTHER_RULES, measurement_rules, parse_meter_version

NUMBERS = st.tuples(*[st.integers(0, 9999)] * 3)


@given(NUMBERS, st.sampled_from(["", "-sync", "-beta.13", "+build.7"]), st.sampled_from(["", "v"]))
def test_a_version_is_read_with_any_suffix(numbers, suffix, prefix):
    assert parse_meter_version(prefix + ".".join(map(str, numbers)) + suffix) == numbers


@pytest.mark.parametrize(
    "text", [None, "", "sync", "1", "1.2.3.4", "1.x.3", "1.48.4 beta", "١.٢.٣", "-1.2.3"]
)
def test_a_bad_version_is_none_and_its_rules_are_unknown(text):
    assert parse_meter_version(text) is None
    assert measurement_rules(text) == "unknown"


@pytest.mark.parametrize("change", VERSIONS_WITH_OTHER_RULES, ids=lambda c: c.label)
def test_an_era_begins_at_its_version_and_not_before(change):
    major, minor, patch = change.version
    before = f"{major}.{minor}.{patch - 1}" if patch else f"{major}.{minor - 1}.99"

    assert measurement_rules(f"{major}.{minor}.{patch}") == change.label
    assert measurement_rules(before) != change.label


@pytest.mark.parametrize(
    ("version", "figure", "rules"),
    [
        ("1.8.0", None, "before 1.13.5"),
        ("1.18.1", None, "since 1.13.5"),
        ("1.16.5-sync", None, "since 1.13.5"),
        ("1.48.4", None, "since 1.45.0"),
        ("1.36.5", "dps", "since 1.27.0"),
        ("1.36.6", "dps", "since 1.36.6"),
        ("1.48.4", "dps", "since 1.36.6"),
        ("1.26.1", "dps", "before 1.27.0"),
        ("1.39.0", "encounter", "since 1.38.0"),
        ("1.44.9", "contribution", "since 1.33.4"),
    ],
)
def test_a_figure_is_separated_only_where_its_own_rules_changed(version, figure, rules):
    assert measurement_rules(version, figure=figure) == rules


def test_changes_are_in_order_of_version():
    versions = [change.version for change in VERSIONS_WITH_OTHER_RULES]

    assert versions == sorted(set(versions))

"""Specs are LOA Logs' spelling, and support is decided by spec before class."""

from __future__ import annotations

from collections import Counter

import pytest

from lostark_assets.game.classes import CLASSES, resolve_class
from lostark_assets.game.specs import SPECS, SUPPORT_SPECS, is_support, resolve_spec


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: s.name)
def test_every_name_of_a_spec_leads_to_it_and_back(spec):
    names = [name for name in (spec.name, spec.korean, *spec.aliases) if name]

    assert [resolve_spec(name) for name in names] == [spec] * len(names)
    assert [resolve_spec(name.upper(), spec.class_name) for name in names] == [spec] * len(names)
    assert resolve_class(spec.class_name) == spec.class_name


def test_each_class_has_two_specs_and_the_gunlancer_a_third():
    counts = Counter(spec.class_name for spec in SPECS)

    assert counts.pop("Gunlancer") == 3
    assert set(counts.values()) == {2}
    assert len(counts) == 29


@pytest.mark.parametrize("entry", CLASSES, ids=lambda c: c.name)
def test_a_class_name_is_no_spec(entry):
    assert resolve_spec(entry.name) is None
    assert resolve_spec(entry.korean, entry.name) is None


@pytest.mark.parametrize("text", ["Unknown", "", None, "unknown", " ", "Sonavel"])
def test_an_unknown_spec_is_none_even_with_a_class(text):
    assert resolve_spec(text) is None
    assert resolve_spec(text, "Bard") is None


@pytest.mark.parametrize(
    ("text", "class_name", "name"),
    [
        ("Judgement", "Paladin", "Judgment"),
        ("Judgment", None, "Judgment"),
        ("Princess Maker", "Gunlancer", "Princess"),
        ("절실한 구원", "바드", "Desperate Salvation"),
        ("Judgment", "no such class", "Judgment"),
        ("Judgment", "Bard", None),
    ],
)
def test_a_spec_is_found_unless_its_class_contradicts_it(text, class_name, name):
    found = resolve_spec(text, class_name)

    assert (found.name if found else None) == name


@pytest.mark.parametrize(
    ("spec_name", "class_name", "expected"),
    [
        *((name, None, True) for name in SUPPORT_SPECS),
        ("Judgment", "Paladin", False),
        ("Judgement", "Paladin", False),
        ("True Courage", "Bard", False),
        ("Shining Knight", "Valkyrie", False),
        ("Recurrence", "Artist", False),
        ("Unknown", "Paladin", True),
        (None, "Valkyrie", True),
        ("", "Artist", True),
        ("Bard", "Bard", True),
        (None, "Berserker", False),
        ("Princess", "Gunlancer", False),
        ("Princess Maker", None, False),
        (None, "Gunlancer", False),
        (None, None, None),
        ("Unknown", "", None),
    ],
)
def test_support_is_decided_by_spec_and_by_class_only_without_one(spec_name, class_name, expected):
    assert is_support(spec_name, class_name) is expected

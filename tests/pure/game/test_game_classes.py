"""Classes are recognised by id and by every name a source uses."""

from __future__ import annotations

import pytest

from lostark_assets.game.classes import CLASSES, class_name_of_id, korean_class, resolve_class


@pytest.mark.parametrize("entry", CLASSES, ids=lambda c: c.name)
def test_every_name_of_a_class_leads_to_it_and_back(entry):
    assert [resolve_class(name) for name in (entry.name, entry.korean, *entry.aliases)] == (
        [entry.name] * (2 + len(entry.aliases))
    )
    assert korean_class(entry.name) == entry.korean
    assert [class_name_of_id(i) for i in entry.ids] == [entry.name] * len(entry.ids)


@pytest.mark.parametrize(
    ("class_id", "name"),
    [
        (102, "Berserker"),
        (204, "Bard"),
        (604, "Wildsoul"),
        (701, "Guardianknight"),
        (702, "Guardianknight"),
        (101, "Warrior (Male)"),
        (0, None),
        (None, None),
        (999, None),
        (-1, None),
    ],
)
def test_an_id_names_one_class_and_an_unknown_id_none(class_id, name):
    assert class_name_of_id(class_id) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Guardian Knight", "Guardianknight"),
        ("guardian_knight", "Guardianknight"),
        ("dragon_knight", "Guardianknight"),
        ("Shadow Hunter", "Shadowhunter"),
        ("Alchemist", "Wildsoul"),
        ("berserker_female", "Slayer"),
        ("infighter", "Scrapper"),
        ("infighter_male", "Breaker"),
        ("홀리나이트", "Paladin"),
        ("차원술사", "Dimensionmaster"),
        ("Dimension master", "Dimensionmaster"),
        ("  SOUL-EATER ", "Souleater"),
        ("전사(여)", "Female Warrior"),
        ("Judgment", None),
        ("Unknown", None),
        ("---", None),
        ("", None),
        (None, None),
    ],
)
def test_a_class_is_found_in_any_spelling_and_nothing_else_is_a_class(text, name):
    assert resolve_class(text) == name


def test_no_two_classes_share_an_id():
    ids = [class_id for entry in CLASSES for class_id in entry.ids]

    assert len(ids) == len(set(ids)) == 39
    assert sum(not entry.is_base for entry in CLASSES) == 30

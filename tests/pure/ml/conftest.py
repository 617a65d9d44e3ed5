"""The synthetic season, built once."""

from __future__ import annotations

import pytest

from lostark_ml.features.training_set import build_features
from tests.pure.ml.season_factory import make_players


@pytest.fixture(scope="session")
def season_players():
    return make_players()


@pytest.fixture(scope="session")
def season_frame(season_players):
    return build_features(season_players)

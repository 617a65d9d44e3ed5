"""The season is plausible: group make-up, damage levels, and fights generated one at a time."""

import tracemalloc
from itertools import islice

import numpy as np
import pytest

from lostark_simulator.model import PARTS
from lostark_simulator.season import SeasonConfig, generate_fights


@pytest.fixture(scope="module")
def fights():
    return list(generate_fights(SeasonConfig(encounters=90, seed=2, hits_per_player=60, dirt=False)))


def test_groups_have_at_most_one_support_per_party(fights):
    for fight in fights:
        for party in {player.party for player in fight.players}:
            members = [player for player in fight.players if player.party == party]
            assert sum(player.spec.is_support for player in members) <= 1
            assert len(members) <= 4


def test_hits_lie_inside_the_fight_and_fill_it(fights):
    for fight in fights:
        times = np.concatenate([player.hits.at_ms for player in fight.players])
        assert times.min() == 0
        assert times.max() == fight.wall_ms


def test_no_player_hits_while_dead(fights):
    for fight in fights:
        for player in fight.players:
            for at, dead_for in player.deaths:
                end = fight.wall_ms - 1 if dead_for is None else at + dead_for - 1
                assert not ((player.hits.at_ms > at) & (player.hits.at_ms < end)).any()


def test_damage_follows_the_parts_of_log_dps(fights):
    dealers = [(fight, one) for fight in fights for one in fight.players if not one.spec.is_support]
    expected = np.array([sum(one.parts[part] for part in PARTS) for _, one in dealers])
    seconds = np.array(
        [(fight.wall_ms - np.ptp(fight.intermission_ms or (0, 0))) / 1000 for fight, _ in dealers]
    )
    real = np.log(np.array([one.hits.damage.sum() for _, one in dealers]) / seconds)

    assert np.median(np.abs(real - expected)) < 0.02


def test_supports_deal_little(fights):
    shares = [
        sum(one.hits.damage.sum() for one in fight.players if one.spec.is_support)
        / sum(one.hits.damage.sum() for one in fight.players)
        for fight in fights
    ]

    assert 0.005 < float(np.median(shares)) < 0.03


def test_back_attack_specs_hit_from_behind(fights):
    rates = {"back": [], "none": []}
    for fight in fights:
        for player in fight.players:
            if player.spec.position in rates:
                rates[player.spec.position].append(player.hits.back.mean())

    assert 0.45 < np.mean(rates["back"]) < 0.9
    assert np.mean(rates["none"]) < 0.05


def test_fights_stream_in_bounded_memory():
    config = SeasonConfig(encounters=100_000, hits_per_player=200)
    stream = generate_fights(config)
    next(stream)
    tracemalloc.start()
    for _ in islice(stream, 30):
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 20_000_000

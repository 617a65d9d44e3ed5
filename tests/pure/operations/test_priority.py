"""The CPU priority of runs."""

import multiprocessing
import os

import pytest

from lostark_assets.dagster.priority import BACKGROUND, BULK, give_way


def lower(levels, results):
    for level in levels:
        give_way(level)
        results.put(os.nice(0))


@pytest.mark.parametrize(
    ("levels", "expected"),
    [([BULK], [BULK]), ([BACKGROUND, BACKGROUND], [BACKGROUND] * 2), ([BACKGROUND, BULK], [BACKGROUND] * 2)],
)
def test_a_run_gives_way_once_and_never_takes_it_back(levels, expected):
    context = multiprocessing.get_context("spawn")
    before, results = os.nice(0), context.Queue()
    process = context.Process(target=lower, args=(levels, results))
    process.start()
    found = [results.get(timeout=60) for _ in levels]
    process.join(60)

    assert found == [max(before, level) for level in expected]


def test_a_command_keeps_its_priority():
    before = os.nice(0)

    give_way(BACKGROUND)

    assert os.nice(0) == before

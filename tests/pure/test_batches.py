"""Days are cut into batches in order, none of them lost, none too large."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lostark_assets.lake.batching import find_culprits, split_batches

FIRST = date(2026, 1, 1)
ROWS = st.dictionaries(st.integers(0, 60).map(lambda n: FIRST + timedelta(days=n)), st.integers(0, 50))


@given(ROWS, st.integers(1, 100))
def test_batches_hold_every_day_once_in_order_and_fit(rows, max_rows):
    batches = split_batches(rows, rows, max_rows)

    assert [day for part in batches for day in sorted(part)] == sorted(rows)
    assert all(len(part) == 1 or sum(rows[day] for day in part) <= max_rows for part in batches)


@given(ROWS, st.integers(1, 100))
def test_no_two_neighbouring_batches_fit_into_one(rows, max_rows):
    sums = [sum(rows[day] for day in part) for part in split_batches(rows, rows, max_rows)]
    firsts = [rows[min(part)] for part in split_batches(rows, rows, max_rows)]

    assert all(before + first > max_rows for before, first in zip(sums, firsts[1:], strict=False))


def test_days_without_rows_and_no_days_at_all():
    assert split_batches([FIRST], {}, 1) == [{FIRST}]
    assert split_batches([], {}, 1) == []


def find_failing(ids: list[str], fails: Callable[[set[str]], bool]) -> tuple[list[str], int]:
    tried = []

    def try_together(some: list[str]) -> Exception | None:
        tried.append(some)
        return ValueError(" ".join(some)) if fails(set(some)) else None

    return sorted(find_culprits(ids, try_together)), len(tried)


def test_ids_that_fail_are_found_in_few_trials():
    ids = [f"{number:04}" for number in range(1024)]
    assert find_failing(ids, lambda some: "0700" in some) == (["0700"], 22)
    assert find_failing(ids, lambda some: bool({"0003", "0700"} & some))[0] == ["0003", "0700"]


def test_of_two_ids_that_fail_only_together_the_later_one_is_found():
    assert find_failing(list("abcdefg"), lambda some: {"b", "e"} <= some)[0] == ["e"]


@pytest.mark.parametrize("ids", ["a", "abcde"])
def test_no_id_is_found_if_nothing_passes_or_everything_does(ids):
    assert find_failing(list(ids), lambda _: True)[0] == []
    assert find_failing(list(ids), lambda _: False)[0] == []


def test_a_single_id_that_fails_is_found_and_each_of_several_is_not():
    assert find_failing(["a"], bool)[0] == ["a"]
    assert find_failing(["a", "b"], bool)[0] == []

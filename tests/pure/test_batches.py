"""Days are cut into batches in order, none of them lost, none too large."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from lostark_assets.lake.batching import split_batches

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

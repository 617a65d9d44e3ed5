"""Days are cut into passes in order, none of them lost, none too large."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from lostark_assets.lake.batching import split_batches

FIRST = date(2026, 1, 1)
ROWS = st.dictionaries(st.integers(0, 60).map(lambda n: FIRST + timedelta(days=n)), st.integers(0, 50))


@given(ROWS, st.integers(1, 100))
def test_passes_hold_every_day_once_in_order_and_fit(rows, most):
    passes = split_batches(rows, rows, most)

    assert [day for part in passes for day in sorted(part)] == sorted(rows)
    assert all(len(part) == 1 or sum(rows[day] for day in part) <= most for part in passes)


@given(ROWS, st.integers(1, 100))
def test_no_two_neighbouring_passes_fit_into_one(rows, most):
    sums = [sum(rows[day] for day in part) for part in split_batches(rows, rows, most)]
    firsts = [rows[min(part)] for part in split_batches(rows, rows, most)]

    assert all(before + first > most for before, first in zip(sums, firsts[1:], strict=False))


def test_days_without_rows_and_no_days_at_all():
    assert split_batches([FIRST], {}, 1) == [{FIRST}]
    assert split_batches([], {}, 1) == []

"""Charts can be drawn from any rows, and show their numbers."""

from __future__ import annotations

import pyarrow as pa
import pytest

from lostark_assets import charts
from lostark_assets.markdown import chart_image

DEALERS = pa.table(
    {
        "class_name": ["Berserker", "Berserker", "Berserker", "Bard", "Sorceress"],
        "spec_name": ["Mayhem", "Mayhem", "Mayhem", "Blessed Aura", None],
        "dps": [1_000_000, 3_000_000, 2_000_000, 9_000_000, 4_000_000],
        "is_support": [False, False, False, True, None],
        "is_dead": [False, False, False, False, None],
        "is_cleared": [True, True, True, True, True],
    }
)


def test_boxes_of_dps_hold_the_quantiles_of_living_dealers():
    chart = charts.dps_by_spec(DEALERS).to_dict()

    [boxes] = chart["datasets"].values()
    shown = {box["spec"]: (box["p5"], box["p25"], box["p50"], box["p75"], box["p95"]) for box in boxes}
    assert shown == {
        "Sorceress (1)": (4.0, 4.0, 4.0, 4.0, 4.0),
        "Mayhem (3)": pytest.approx((1.1, 1.5, 2.0, 2.5, 2.9)),
    }


@pytest.mark.parametrize("rows", ["wipes", "none"])
def test_a_day_without_clears_has_a_chart_without_boxes(rows):
    wipes = DEALERS.set_column(5, "is_cleared", pa.array([False, None, False, False, None]))

    chart = charts.dps_by_spec(wipes if rows == "wipes" else wipes.slice(0, 0))

    assert all(not data for data in chart.to_dict()["datasets"].values())
    assert chart_image(chart, "DPS").startswith("![DPS](data:image/svg+xml;base64,")

"""Files of `GET /v1/export`: what a spreadsheet makes of their values."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from typing import get_args

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lostark_api.queries.export import Dataset, get_mart
from lostark_api.routes.export import _encode
from lostark_assets.marts.tables import Mart

AT = datetime(2026, 11, 30, 10, 0, 0, 123456, tzinfo=UTC)
MART = Mart(
    "players",
    (
        ("player_name", pa.string()),
        ("tags", pa.list_(pa.string())),
        ("dps", pa.float64()),
        ("fight_started_at", pa.timestamp("us", "UTC")),
    ),
    (),
)


def read_csv(*rows: dict) -> list[list[str]]:
    return list(csv.reader(io.StringIO(_encode(MART, list(rows), "csv").decode())))[1:]


def make_row(name: str | None, tags: list[str] | None = None) -> dict:
    return {"player_name": name, "tags": tags, "dps": 1.5, "fight_started_at": AT}


@pytest.mark.parametrize("start", "=+-@\t\r")
def test_no_text_of_a_csv_is_taken_for_a_formula(start) -> None:
    [[name, tags, *_]] = read_csv(make_row(f"{start}1", [f"{start}2", "b"]))
    assert name == f"'{start}1"
    assert tags == f"'{start}2;b"


def test_a_csv_keeps_korean_quotes_missing_values_and_microseconds() -> None:
    assert read_csv(make_row('도화가 "A", B', []), make_row(None)) == [
        ['도화가 "A", B', "", "1.5", "2026-11-30T10:00:00.123456Z"],
        ["", "", "1.5", "2026-11-30T10:00:00.123456Z"],
    ]


def test_the_other_formats_keep_texts_as_they_are() -> None:
    row = make_row("=1", ["=2"])
    assert pq.read_table(io.BytesIO(_encode(MART, [row], "parquet"))).to_pylist() == [row]
    [read] = json.loads(_encode(MART, [row], "json"))
    assert (read["player_name"], read["tags"]) == ("=1", ["=2"])


@pytest.mark.parametrize("dataset", get_args(Dataset))
def test_every_data_set_can_be_exported_without_rows(dataset) -> None:
    mart = get_mart(dataset)
    assert _encode(mart, [], "csv").decode().strip() == ",".join(f'"{name}"' for name in mart.names)


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
@pytest.mark.parametrize("dataset", get_args(Dataset))
def test_every_data_set_is_exported_in_every_format(client, dataset, kind) -> None:
    response = client.get(f"/v1/export/{dataset}?format={kind}")
    assert response.status_code == 200
    assert len(response.content) > 1000

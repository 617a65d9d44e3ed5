"""Bulk export: filtered rows of one data set, up to a limit."""

from __future__ import annotations

from typing import Literal, LiteralString, get_args

from psycopg import sql

from lostark_api.database import MartsSnapshot, Row, Where, compose_columns
from lostark_assets.errors import NotFound
from lostark_assets.marts.tables import DISTRIBUTIONS, ENCOUNTERS, PLAYERS, PROGRESSION, Mart

Dataset = Literal["players", "fights", "distributions", "progression"]
DATASETS: tuple[Dataset, ...] = get_args(Dataset)
_MARTS: dict[str, Mart] = {
    "players": PLAYERS,
    "fights": ENCOUNTERS,
    "distributions": DISTRIBUTIONS,
    "progression": PROGRESSION,
}
_ORDER: dict[str, LiteralString] = {
    "players": "fight_started_at DESC, encounter_id, player_name",
    "fights": "fight_started_at DESC, encounter_id",
    "distributions": "week_started_at DESC, gate_id, spec_name, item_level_bracket, measurement_rules",
    "progression": "last_fought_at DESC, player_name, gate_id",
}


def get_mart(dataset: str) -> Mart:
    """The mart behind a data set.

    Raises:
        NotFound: there is no such data set.
    """
    if dataset not in _MARTS:
        raise NotFound(f"There is no such data set; there are {', '.join(DATASETS)}.")
    return _MARTS[dataset]


async def export_rows(snapshot: MartsSnapshot, dataset: Dataset, where: Where, *, limit: int) -> list[Row]:
    """At most ``limit`` rows of ``dataset``, of counted logs where it has logs."""
    mart = get_mart(dataset)
    if dataset in ("players", "fights"):
        where.add("is_counted")
    query = where.into(
        "SELECT {columns} FROM {table} WHERE {where} ORDER BY {order} LIMIT %(limit)s",
        order=sql.SQL(_ORDER[dataset]),
        columns=compose_columns(mart.names),
        table=compose_columns([mart.name], "marts"),
    )
    return await snapshot.fetch_all(query, where.values | {"limit": limit})

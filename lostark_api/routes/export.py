"""Filtered rows for other tools, as CSV, JSON or Parquet."""

from __future__ import annotations

import io
from typing import Annotated, Any, Literal

import polars as pl
import pyarrow as pa
from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from lostark_api.database import Marts, Row, Where
from lostark_api.http.parameters import ClassFilter, GateFilter, RegionFilter, SpecFilter
from lostark_api.http.responses import reply
from lostark_api.queries.export import Dataset, export_rows, get_columns
from lostark_api.routes import PREFIX
from lostark_assets.marts.tables import Mart

MAX_ROWS = 50_000
router = APIRouter(prefix=PREFIX, tags=["export"])
Format = Literal["csv", "json", "parquet"]
_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "parquet": "application/vnd.apache.parquet",
}


@router.get(
    "/export/{dataset}",
    response_class=Response,
    responses={200: {"content": {media: {} for media in _TYPES.values()}}},
)
async def export(
    request: Request,
    dataset: Dataset,
    format: Annotated[Format, Query(description="Format of the file.")] = "csv",  # noqa: A002 - the public name
    gate_id: GateFilter = None,
    class_name: ClassFilter = None,
    spec_name: SpecFilter = None,
    region: RegionFilter = None,
    limit: Annotated[int, Query(ge=1, le=MAX_ROWS, description="Most rows, newest first.")] = 10_000,
) -> Response:
    """Rows of one data set, newest first, columns as in the lake. Filters on other columns don't count."""
    mart = get_columns(dataset)
    wanted = {"gate_id": gate_id, "class_name": class_name, "spec_name": spec_name, "region": region}
    where = Where()
    for name, value in wanted.items():
        if name in mart.names:
            where.add(f"{name} = %({name})s", **{name: value})
    marts: Marts = request.app.state.marts
    async with marts.snapshot() as now:
        rows = await export_rows(now, dataset, where, limit=limit)
    body = await run_in_threadpool(_encoded, mart, rows, format)
    answer = reply(body, _TYPES[format], version=now.version)
    answer.headers["Content-Disposition"] = f'attachment; filename="lostark-{dataset}.{format}"'
    return answer


def _encoded(mart: Mart, rows: list[Row], kind: Format) -> bytes:
    table = pa.Table.from_pylist(rows, pa.schema(list(mart.columns)))
    frame: Any = pl.from_arrow(table)
    out = io.BytesIO()
    if kind == "parquet":
        frame.write_parquet(out)
    elif kind == "json":
        frame.write_json(out)
    else:
        lists = [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.List)]
        flat = frame.with_columns(
            pl.col(name).list.eval(pl.element().cast(pl.String)).list.join(";") for name in lists
        )
        # A spreadsheet takes such a text for a formula.
        texts = [name for name, dtype in flat.schema.items() if dtype == pl.String]
        flat.with_columns(
            pl.when(pl.col(name).str.contains(r"^[=+\-@\t\r]"))
            .then(pl.concat_str(pl.lit("'"), pl.col(name)))
            .otherwise(pl.col(name))
            .alias(name)
            for name in texts
        ).write_csv(out)
    return out.getvalue()

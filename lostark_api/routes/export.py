"""Filtered rows for other tools, as CSV, JSON or Parquet."""

from __future__ import annotations

import io
from typing import Annotated, Any, Literal

import polars as pl
import pyarrow as pa
from fastapi import APIRouter, Query
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from lostark_api.database import Row, Where
from lostark_api.dependencies import MartsDep
from lostark_api.http.parameters import ClassFilter, GateFilter, RegionFilter, SpecFilter
from lostark_api.http.responses import cacheable_response
from lostark_api.queries.export import Dataset, export_rows, get_mart
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
    marts: MartsDep,
    dataset: Dataset,
    format: Annotated[Format, Query(description="Format of the file.")] = "csv",  # noqa: A002 - the public name
    gate_id: GateFilter = None,
    class_name: ClassFilter = None,
    spec_name: SpecFilter = None,
    region: RegionFilter = None,
    limit: Annotated[int, Query(ge=1, le=MAX_ROWS, description="Maximum number of rows.")] = 10_000,
) -> Response:
    """Rows of one data set, newest first, columns as in the lake. Filters on columns it lacks are ignored."""
    mart = get_mart(dataset)
    filters = {"gate_id": gate_id, "class_name": class_name, "spec_name": spec_name, "region": region}
    where = Where()
    for name, value in filters.items():
        if name in mart.names:
            where.add_equal(name, value)
    async with marts.snapshot() as snapshot:
        rows = await export_rows(snapshot, dataset, where, limit=limit)
    body = await run_in_threadpool(_encode, mart, rows, format)
    response = cacheable_response(body, _TYPES[format], version=snapshot.version)
    response.headers["Content-Disposition"] = f'attachment; filename="lostark-{dataset}.{format}"'
    return response


def _encode(mart: Mart, rows: list[Row], kind: Format) -> bytes:
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
        # A spreadsheet would read such a text as a formula.
        texts = [name for name, dtype in flat.schema.items() if dtype == pl.String]
        flat.with_columns(
            pl.when(pl.col(name).str.contains(r"^[=+\-@\t\r]"))
            .then(pl.concat_str(pl.lit("'"), pl.col(name)))
            .otherwise(pl.col(name))
            .alias(name)
            for name in texts
        ).write_csv(out)
    return out.getvalue()

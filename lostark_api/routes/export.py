"""Filtered rows for other tools, as CSV, JSON or Parquet."""

from __future__ import annotations

import io
from typing import Annotated, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from fastapi import APIRouter, Query
from pyarrow import csv
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from lostark_api.database import Row, Where
from lostark_api.dependencies import MartsDep
from lostark_api.http.parameters import ClassFilter, GateFilter, RegionFilter, SpecFilter
from lostark_api.http.responses import cacheable_response, encode_json
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
    if kind == "json":
        return encode_json(rows)
    table = pa.Table.from_pylist(rows, pa.schema(list(mart.columns)))
    out = io.BytesIO()
    if kind == "parquet":
        pq.write_table(table, out, compression="zstd")
    else:
        csv.write_csv(pa.table({f.name: _as_csv(table[f.name]) for f in table.schema}), out)
    return out.getvalue()


def _as_csv(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """``column`` as spreadsheets read it: instants in ISO 8601, and no text that is taken for a formula."""
    kind = column.type
    if pa.types.is_list(kind):
        texts = [None if one is None else ";".join(map(str, one)) for one in column.to_pylist()]
        column = pa.chunked_array([pa.array(texts, pa.string())])
    elif pa.types.is_timestamp(kind):
        return pc.strftime(column, "%Y-%m-%dT%H:%M:%SZ")
    if not pa.types.is_string(column.type):
        return column
    is_formula = pc.match_substring_regex(column, r"^[=+\-@\t\r]")
    return pc.if_else(is_formula, pc.binary_join_element_wise("'", column, ""), column)

"""The Parquet files of the lake's tables: write options, partitioning, and fast reads."""

from __future__ import annotations

import json
import os
import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import date
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.fs as pa_fs
import pyarrow.parquet as pq
from deltalake.transaction import AddAction

from lostark_assets.contracts.table import Contract, Storage

_SAMPLES, _SAMPLE_BYTES, _WORTH_PACKING = 16, 1 << 12, 0.9
_GROUPS_AT_ONCE = 16
"""Row groups in memory for filtering, of all threads together."""
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


def write_rows(fs: pa_fs.FileSystem, contract: Contract, rows: pa.Table) -> Iterator[AddAction]:
    """Write ``rows`` as new files, one per partition, in their order; yields the actions to commit."""
    for values, part in _by_partition(contract, rows) if rows.num_rows else ():
        yield write_file(fs, contract, values, [part])


def write_file(
    fs: pa_fs.FileSystem, contract: Contract, values: Mapping[str, str | None], parts: Iterable[pa.Table]
) -> AddAction:
    """Write one new file of the partition with ``values`` from its rows, which are shaped, part by part."""
    folders = [f"{name}={_UNSAFE.sub('_', str(value))}" for name, value in values.items()]
    fs.create_dir("/".join(folders) or ".")
    path = "/".join([*folders, f"{uuid.uuid4()}.parquet"])
    writer, rows = None, 0
    try:
        with fs.open_output_stream(path) as file:
            try:
                for part in parts:
                    writer = writer or pq.ParquetWriter(file, part.schema, **_options(contract, part))
                    writer.write_table(part, group_rows(contract.storage, part.num_rows, part.nbytes))
                    rows += part.num_rows
            finally:
                if writer:
                    writer.close()
            size = file.tell()
    except BaseException:
        with suppress(OSError):
            fs.delete_file(path)
        raise
    stats = json.dumps({"numRecords": rows})
    return AddAction(path, size, dict(values), int(time.time() * 1000), True, stats)  # noqa: FBT003


def _options(contract: Contract, part: pa.Table) -> dict[str, Any]:
    """Writer options of a file that begins with ``part``."""
    storage = contract.storage
    options: dict[str, Any] = {
        "compression": storage.compression,
        "compression_level": storage.compression_level,
        "use_dictionary": list(storage.dictionary) or False,
        # Column statistics serve none of our reads (ids are hashes), and every row group would have them.
        "write_statistics": storage.statistics,
        # Delta's schema defines how a column is read, not the Arrow type it was written from.
        "store_schema": False,
    }
    if storage.byte_stream_split:
        options["column_encoding"] = dict.fromkeys(storage.byte_stream_split, "BYTE_STREAM_SPLIT")
    compressed = storage.compressed_column
    if compressed and _are_packed(part[compressed]):
        options["compression"] = {**dict.fromkeys(part.column_names, storage.compression), compressed: "none"}
    return options


def _are_packed(payloads: pa.ChunkedArray) -> bool:
    """Whether compression gains too little: most payloads mainly consist of the meter's gzip streams."""
    chosen = range(0, len(payloads), -(-len(payloads) // _SAMPLES) or 1)
    sample = b"".join(memoryview(payloads[place].as_buffer())[:_SAMPLE_BYTES] for place in chosen)
    packed = pa.compress(sample, codec="lz4", asbytes=True)
    return len(sample) >= _SAMPLE_BYTES and len(packed) > _WORTH_PACKING * len(sample)


def group_rows(storage: Storage, rows: int, size: int) -> int | None:
    """Rows per row group of a table, of which ``rows`` rows have ``size`` bytes; None: Arrow's default.

    At most the storage's maximum, and fewer if rows are large.
    """
    most, most_bytes = storage.row_group_rows, storage.row_group_bytes
    if most is None or most_bytes is None or not size:
        return most
    return min(most, max(rows * most_bytes // size, 1))


def build_schema(contract: Contract, rows: pa.Table) -> pa.Schema:
    """The contract's schema, restricted to the columns of ``rows``."""
    nullable = {field.name: field.nullable for field in rows.schema}
    return pa.schema(
        [pa.field(f.name, f.type, nullable[f.name]) for f in contract.schema if f.name in nullable]
    )


def shaped(contract: Contract, rows: pa.Table) -> pa.Table:
    """The columns as they are stored, without the partition's; dictionary-encoded columns stay so."""
    encoded = {field.name: field for field in rows.schema if pa.types.is_dictionary(field.type)}
    schema = pa.schema(
        [
            encoded.get(field.name, field)
            for field in build_schema(contract, rows)
            if field.name not in contract.partition_by
        ]
    )
    return rows if rows.schema == schema else rows.select(schema.names).cast(schema)


def _by_partition(contract: Contract, rows: pa.Table) -> Iterator[tuple[dict[str, str | None], pa.Table]]:
    """The partition values with their rows, in order."""
    body = shaped(contract, rows)
    if not contract.partition_by:
        yield {}, body
        return
    [name] = contract.partition_by
    column = rows[name] if pa.types.is_dictionary(rows[name].type) else rows[name].dictionary_encode()
    column = column.unify_dictionaries().combine_chunks()
    codes = column.indices.to_numpy()
    if (np.diff(codes) < 0).any():
        order = np.argsort(codes, kind="stable")
        codes, body = codes[order], body.take(pa.array(order))
    edges = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)]
    values = column.dictionary.to_pylist()
    for begin, end in pairwise(edges):
        yield {name: format_text(values[codes[begin]])}, body.slice(begin, end - begin)


def format_text(value: object) -> str:
    """A partition value as Delta writes it."""
    return value.isoformat() if isinstance(value, date) else str(value)


def covers_all(schema: pa.Schema, where: pc.Expression) -> bool:
    """Whether ``where`` only uses columns of ``schema``; an expression does not list its columns."""
    try:
        schema.empty_table().filter(where)
    except pa.ArrowInvalid:
        return False
    return True


def read_files(
    dataset: ds.FileSystemDataset,
    schema: pa.Schema,
    where: pc.Expression | None,
    partition_by: Sequence[str],
) -> pa.Table:
    """The columns of ``schema`` of the dataset's rows, in the files' order.

    Arrow's dataset gives the same rows, but its overhead per row group exceeds the cost of reading a few
    columns. A column that a file lacks is null, or the partition's value.
    """
    threads = os.cpu_count() or 1

    def read_fragments(fragments: Sequence[ds.ParquetFileFragment]) -> list[pa.Table]:
        at_once = None if where is None else max(_GROUPS_AT_ONCE // threads, 1)
        parts = chain.from_iterable(_parts(f, schema, partition_by, at_once) for f in fragments)
        return list(parts) if where is None else [rows.filter(where) for rows in parts]

    fragments = list(dataset.get_fragments(filter=where))
    # A contiguous part of the files per thread: threads that alternate between files wait for each other.
    stretch = -(-len(fragments) // threads) or 1
    with ThreadPoolExecutor(threads) as pool:
        parts = pool.map(
            read_fragments, (fragments[i : i + stretch] for i in range(0, len(fragments), stretch))
        )
        return pa.concat_tables([schema.empty_table(), *chain.from_iterable(parts)])


def _parts(
    fragment: ds.ParquetFileFragment, schema: pa.Schema, partition_by: Sequence[str], at_once: int | None
) -> Iterator[pa.Table]:
    """A file's rows, ``at_once`` row groups at a time (None: all)."""
    keys = ds.get_partition_keys(fragment.partition_expression)
    known = {name: keys.get(name) for name in partition_by}
    with fragment.open() as file, pq.ParquetFile(file, pre_buffer=False) as parquet:
        there = set(parquet.schema_arrow.names)
        columns = [c for c in schema.names if c in there]
        groups = parquet.num_row_groups
        step = at_once or groups or 1
        for first in range(0, groups, step):
            run = range(first, min(first + step, groups))
            rows = parquet.read_row_groups(run, columns, use_threads=False)
            yield _completed(rows, schema, known)


def _completed(rows: pa.Table, schema: pa.Schema, known: Mapping[str, Any]) -> pa.Table:
    """The columns of ``schema``: of ``rows``, else the partition's value (``known``), else null."""
    there = set(rows.column_names)
    for field in schema:
        if field.name not in there:
            value = pa.scalar(known.get(field.name), field.type)
            rows = rows.append_column(field.name, pa.repeat(value, rows.num_rows))
    rows = rows.select(schema.names)
    if rows.schema.types != schema.types:
        rows = rows.cast(pa.schema([pa.field(f.name, f.type) for f in schema]))
    # Not cast: a column that is required now may be null in older files.
    return pa.Table.from_arrays(rows.columns, schema=schema)


def split_groups(
    fragment: ds.ParquetFileFragment,
    schema: pa.Schema,
    id_column: str,
    wanted: pa.Array,
    columns: Sequence[str],
    path: Path | None,
) -> Iterator[tuple[pa.ChunkedArray, pa.Table]]:
    """The ids and rows of ``wanted``, row group by row group; groups without any are skipped.

    ``path``: of the local file, which is read directly, faster than through the fragment's row groups.
    """
    read = _by_fragment(fragment, schema) if path is None else _by_file(fragment, schema, path)
    for group in range(fragment.num_row_groups):
        ids_here = read(group, [id_column])[id_column]
        hit = _is_wanted(ids_here, wanted)
        if not len(ids_here):
            continue
        if hit is None:
            yield ids_here, read(group, columns)
        elif pc.any(hit).as_py():
            yield ids_here.filter(hit), read(group, columns).filter(hit)


def _is_wanted(ids: pa.ChunkedArray, wanted: pa.Array) -> pa.ChunkedArray | None:
    """Which of the ids are wanted; None for all of them."""
    if not pa.types.is_dictionary(ids.type):
        hit = pc.is_in(ids, wanted)
        return None if pc.all(hit).as_py() else hit
    known = [pc.is_in(chunk.dictionary, wanted) for chunk in ids.chunks]
    if all(pc.all(values).as_py() for values in known):
        return None
    hits = [values.take(chunk.indices) for values, chunk in zip(known, ids.chunks, strict=True)]
    return pa.chunked_array(hits, pa.bool_())


_Read = Callable[[int, Sequence[str]], pa.Table]


def _by_fragment(fragment: ds.ParquetFileFragment, schema: pa.Schema) -> _Read:
    groups = fragment.split_by_row_group()
    return lambda group, columns: groups[group].to_table(schema=schema, columns=list(columns))


def _by_file(fragment: ds.ParquetFileFragment, schema: pa.Schema, path: Path) -> _Read:
    keys = ds.get_partition_keys(fragment.partition_expression)
    encoded = [field.name for field in schema if pa.types.is_dictionary(field.type)]
    parquet = pq.ParquetFile(path, metadata=fragment.metadata, read_dictionary=encoded, pre_buffer=False)
    there = set(parquet.schema_arrow.names)
    starts = np.cumsum([0, *(group.num_rows for group in fragment.row_groups)])
    bits: dict[str, pa.ChunkedArray] = {}

    def read(group: int, columns: Sequence[str]) -> pa.Table:
        wanted = pa.schema([schema.field(name) for name in columns])
        flags = [f.name for f in wanted if pa.types.is_boolean(f.type) and f.name in there]
        others = [name for name in columns if name in there and name not in flags]
        rows = parquet.read_row_group(group, others, use_threads=False)
        if flags and not bits.keys() >= set(flags):
            bits.update(_flags(path, flags))
        start, end = starts[group], starts[group + 1]
        for name in flags:
            rows = rows.append_column(schema.field(name), bits[name].slice(start, end - start))
        return _completed(rows, wanted, keys)

    return read


def _flags(path: Path, names: Sequence[str]) -> dict[str, pa.ChunkedArray]:
    """Boolean columns of a whole file: Polars copies the bits, Arrow decodes them one by one."""
    import polars as pl  # noqa: PLC0415 - takes half a second to import

    with path.open("rb") as file:
        table = pl.read_parquet(file, columns=list(names)).to_arrow().combine_chunks()
    return dict(zip(table.column_names, table.columns, strict=True))

"""One Great Expectations suite per contract, over the real columns, with Data Docs.

Importing Great Expectations takes seconds and a hundred megabytes: only the job that validates stored tables
imports this module. The rules are those that Arrow judges on every commit (``rules``).
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")  # read while it is imported: nothing is sent anywhere

import great_expectations as gx
import great_expectations.expectations as gxe
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from great_expectations.core.run_identifier import RunIdentifier
from great_expectations.execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation import MulticolumnMapExpectation
from great_expectations.expectations.metrics.map_metric_provider import (
    ColumnMapMetricProvider,
    MulticolumnMapMetricProvider,
    column_condition_partial,
)
from great_expectations.expectations.metrics.map_metric_provider.multicolumn_condition_partial import (
    multicolumn_condition_partial,
)

from lostark_assets.arrow import decode
from lostark_assets.contracts.expectations import WORST_ROWS, Finding, merge
from lostark_assets.contracts.rules import Rule, get_family, get_rules
from lostark_assets.contracts.table import Contract

_PYTHON_TYPES = {"text": "str", "integer": "int", "float": "float", "flag": "bool", "bytes": "bytes"}
_INSTANT = pa.timestamp("us", tz="UTC")
_RESULTS = {"result_format": "SUMMARY", "partial_unexpected_count": WORST_ROWS}


class ColumnValuesInBounds(ColumnMapMetricProvider):
    """Numbers within bounds, compared at once: the built-in metric compares Arrow columns value by value."""

    condition_metric_name = "column_values.in_bounds"
    condition_value_keys = ("min_value", "max_value")

    @column_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column: Any, min_value: float, max_value: float, **_: Any) -> Any:  # noqa: N805
        return ((column >= min_value) & (column <= max_value)).fillna(value=False).astype(bool)


class ColumnListItemsInBounds(ColumnMapMetricProvider):
    """Lists of which every item is within bounds."""

    condition_metric_name = "column_values.items_in_bounds"
    condition_value_keys = ("min_value", "max_value")

    @column_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column: Any, min_value: float, max_value: float, **_: Any) -> Any:  # noqa: N805
        return column.map(lambda items: all(x is None or min_value <= x <= max_value for x in items)).astype(
            bool
        )


class ColumnsSumToColumn(MulticolumnMapMetricProvider):
    """Rows whose first column is the sum of the others; of the last ``optional`` ones a null counts as 0."""

    condition_metric_name = "multicolumn_values.sum_to_first"
    condition_value_keys = ("optional",)
    condition_domain_keys = (
        "batch_id",
        "table",
        "column_list",
        "row_condition",
        "condition_parser",
        "ignore_row_if",
    )

    @multicolumn_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column_list: Any, optional: int, **_: Any) -> Any:  # noqa: N805
        needed = column_list.iloc[:, : column_list.shape[1] - optional]
        is_exempt = needed.isna().any(axis=1)
        parts = column_list.iloc[:, 1:].fillna(0).sum(axis=1)
        return (is_exempt | (parts == column_list.iloc[:, 0].fillna(0))).astype(bool)


class ExpectNumbersToBeBetween(gxe.ExpectColumnValuesToBeBetween):
    """Numbers lie between two values; NaN and infinity do not."""

    map_metric = "column_values.in_bounds"


class ExpectListItemsToBeBetween(gxe.ExpectColumnValuesToBeBetween):
    """Every item of every list lies between two values; NaN and infinity do not."""

    map_metric = "column_values.items_in_bounds"


class ExpectColumnsToSumToColumn(MulticolumnMapExpectation):
    """The first column is the sum of the others."""

    optional: int = 0
    map_metric = "multicolumn_values.sum_to_first"
    success_keys = ("mostly", "optional")
    args_keys = ("column_list", "optional")


def build_suite(contract: Contract, columns: Sequence[str]) -> gx.ExpectationSuite:
    """The contract's rules as expectations, as far as ``columns`` are there."""
    rules = [rule for rule in get_rules(contract) if set(rule.all_columns) <= set(columns)]
    return gx.ExpectationSuite(
        name=contract.name,
        expectations=[_build_expectation(rule, contract) for rule in rules],
        notes=f"One row is {contract.row}. {contract.notes}".strip(),
    )


def _build_expectation(rule: Rule, contract: Contract) -> Any:
    shared: dict[str, Any] = {
        "meta": {"rule": rule.name},
        "description": rule.name,
        "severity": "critical" if rule.severity == "error" else "warning",
    }
    column, *others = rule.columns
    kind: Any
    arguments: dict[str, Any] = {"column": column}
    match rule.kind:
        case "type":
            kind = gxe.ExpectColumnValuesToBeOfType
            arguments |= {"type_": _get_type_name(rule.dtype)}
        case "not_null":
            kind = gxe.ExpectColumnValuesToNotBeNull
        case "in_set":
            kind = gxe.ExpectColumnValuesToBeInSet
            arguments |= {"value_set": list(rule.allowed)}
        case "between":
            is_list = pa.types.is_list(contract.by_name[column].dtype)
            kind = ExpectListItemsToBeBetween if is_list else ExpectNumbersToBeBetween
            arguments |= {"min_value": rule.minimum, "max_value": rule.maximum}
        case "ordered":
            kind = gxe.ExpectColumnPairValuesAToBeGreaterThanB
            arguments = {"column_A": others[0], "column_B": column, "or_equal": True}
            arguments |= {"ignore_row_if": "either_value_is_missing"}
        case "sum":
            kind = ExpectColumnsToSumToColumn
            arguments = {"column_list": list(rule.all_columns), "optional": len(rule.optional)}
            arguments |= {"ignore_row_if": "never"}
        case "unique" if others:
            kind = gxe.ExpectCompoundColumnsToBeUnique
            arguments = {"column_list": list(rule.columns), "ignore_row_if": "never"}
        case "unique":
            kind = gxe.ExpectColumnValuesToBeUnique
    return kind(**arguments, **shared)


def _get_type_name(dtype: pa.DataType | None) -> str:
    family = "" if dtype is None else get_family(dtype)
    return "list" if family.startswith("list") else _PYTHON_TYPES.get(family, "Timestamp")


def build_frame(contract: Contract, table: pa.Table) -> pd.DataFrame:
    """The table as Great Expectations judges it.

    pandas takes NaN for null, so NaN goes in as infinity, which no bound allows. Personal columns go in as
    numbers, since Data Docs show values that break a rule and no erasure reaches them.
    """
    for place, name in enumerate(table.column_names):
        column, known = decode(table[name]), contract.by_name.get(name)
        family = get_family(column.type)
        if family in ("date", "instant"):
            column = column.cast(_INSTANT)
        elif family == "float":
            column = pc.if_else(pc.is_nan(column), pa.scalar(float("inf")), column)
        elif family == "text" and known is not None and known.personal:
            codes = pc.dictionary_encode(column).combine_chunks().indices
            column = pc.binary_join_element_wise(f"{name} ", codes.cast(pa.string()), "")
        table = table.set_column(place, name, column)
    frame = table.to_pandas(types_mapper=pd.ArrowDtype)
    for name, dtype in zip(table.column_names, table.schema.types, strict=True):
        if dtype == _INSTANT:
            frame[name] = frame[name].astype(pd.DatetimeTZDtype("us", "UTC"))
    return frame


def judge(contract: Contract, table: pa.Table) -> list[Finding]:
    """Findings of the contract's suite about one table; nothing is stored.

    Raises:
        RuntimeError: an expectation could not run, which is a bug and no broken data.
    """
    context = gx.get_context(mode="ephemeral")
    _silence(context)
    batch = context.data_sources.add_pandas("tables").add_dataframe_asset(contract.name)
    whole = batch.add_batch_definition_whole_dataframe("whole")
    frame = build_frame(contract, table)
    suite = build_suite(contract, table.column_names)
    result = whole.get_batch({"dataframe": frame}).validate(suite, result_format=_RESULTS)
    return list(_find(contract, result, table.num_rows))


class DataDocs:
    """Suites, validation results and the pages made from them, in two folders.

    ``store`` keeps what Great Expectations needs to render the pages of tables that did not change; ``site``
    is what people open.
    """

    def __init__(self, store: Path, site: Path) -> None:
        self.store, self.site = store, site
        store.mkdir(parents=True, exist_ok=True)
        self._context = gx.get_context(mode="file", project_root_dir=store)
        _silence(self._context)
        config: Any = {  # the type of the argument leaves show_how_to_buttons out
            "class_name": "SiteBuilder",
            "show_how_to_buttons": False,
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
            "store_backend": {
                "class_name": "TupleFilesystemStoreBackend",
                "base_directory": str(site.absolute()),
            },
        }
        self._context.update_data_docs_site("local_site", config)

    def validate(
        self, contract: Contract, version: int, parts: Iterable[tuple[str, pa.Table]], columns: Sequence[str]
    ) -> tuple[int, list[Finding]]:
        """Judge the named parts of a table: rows and findings. Earlier results of the table are deleted.

        Raises:
            RuntimeError: an expectation could not run, which is a bug and no broken data.
        """
        name = contract.name
        for folder in (self.store / "gx/uncommitted/validations" / name, self.site / "validations" / name):
            shutil.rmtree(folder, ignore_errors=True)
        suite = self._context.suites.add_or_update(build_suite(contract, columns))
        source = self._context.data_sources.add_or_update_pandas(name=name)
        batch = source.add_dataframe_asset(name=name).add_batch_definition_whole_dataframe("whole")
        definition = self._context.validation_definitions.add_or_update(
            gx.ValidationDefinition(name=name, data=batch, suite=suite)
        )
        rows, found = 0, list[Finding]()
        for part, table in parts:
            result = definition.run(
                batch_parameters={"dataframe": build_frame(contract, table)},
                run_id=RunIdentifier(run_name=f"version {version}, {part}"),
                result_format=_RESULTS,
            )
            rows += table.num_rows
            found = merge([*found, *_find(contract, result, table.num_rows)])
        return rows, found

    def build(self) -> None:
        """Render the pages of all stored results."""
        self._context.build_data_docs()


def _silence(context: Any) -> None:
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    context.variables.progress_bars = {"globally": False, "metric_calculations": False}


def _find(contract: Contract, result: Any, rows: int) -> Iterator[Finding]:
    rules = {rule.name: rule for rule in get_rules(contract)}
    judged = [(rules[one.expectation_config.meta["rule"]], one) for one in result.results]
    of_wrong_type = {rule.columns[0] for rule, one in judged if rule.kind == "type" and not one.success}
    for rule, one in judged:
        raised = _get_exception(one.exception_info)
        if raised and of_wrong_type & set(rule.all_columns):
            continue  # the rule about its type says so
        if raised:
            raise RuntimeError(f"{contract.name}: {rule.name} could not run: {raised}")
        failed = 0 if one.success else max(int(one.result.get("unexpected_count", rows)), 1)
        worst = [] if one.success else one.result.get("partial_unexpected_list", [])[:WORST_ROWS]
        yield Finding(rule.name, rule.severity, rows, failed, [{"value": str(value)} for value in worst])


def _get_exception(info: Any) -> str | None:
    if not info:
        return None
    parts = [info] if "raised_exception" in info else list(info.values())
    return next((p.get("exception_message") for p in parts if p.get("raised_exception")), None)

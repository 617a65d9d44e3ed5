"""Tables and chart images as Markdown, for Dagster metadata and reports."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    import altair as alt

    from lostark_assets.contracts.expectations import Finding
    from lostark_assets.contracts.table import Contract

PREVIEW_ROWS = 8


def markdown_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None) -> str:
    """Rows as a Markdown table; empty text for no rows."""
    if not rows:
        return ""
    names = list(columns or rows[0])
    lines = [f"| {' | '.join(names)} |", f"|{' --- |' * len(names)}"]
    lines += [f"| {' | '.join(cell(row.get(name)) for name in names)} |" for row in rows]
    return "\n".join(lines)


def cell(value: Any) -> str:
    """One value formatted for a table."""
    match value:
        case None:
            text = ""
        case bool():
            text = "yes" if value else "no"
        case int():
            text = f"{value:,}"
        case float():
            text = f"{value:,.3f}".rstrip("0").rstrip(".")
        case datetime():
            text = f"{value:%Y-%m-%d %H:%M:%S}"
        case list() | tuple():
            text = f"{len(value)} values"
        case _:
            text = str(value).replace("|", "\\|").replace("\n", " ")
    return text.encode("utf-8", "backslashreplace").decode()[:80]


def preview(table: pa.Table, columns: Sequence[str] | None = None, rows: int = PREVIEW_ROWS) -> str:
    """The first rows of a table."""
    names = [c for c in columns or table.column_names if c in table.column_names]
    return markdown_table(table.select(names).slice(0, rows).to_pylist(), names)


def findings_table(findings: Iterable[Finding]) -> str:
    """The findings of a check, broken rules first, with their worst rows."""
    ordered = sorted(findings, key=lambda f: (f.passed, f.severity))
    rows = [
        {
            "rule": f.rule,
            "severity": f.severity,
            "rows checked": f.checked,
            "rows that break it": f.failed,
            "worst rows": "; ".join(
                ", ".join(f"{k}={cell(v)}" for k, v in row.items()) for row in f.worst[:3]
            ),
        }
        for f in ordered
    ]
    return "\n".join(line[:600] for line in markdown_table(rows).splitlines())


def dictionary_table(contract: Contract) -> str:
    """The data dictionary of one table."""
    rows = [
        {
            "column": c.name,
            "type": str(c.dtype),
            "unit": c.unit,
            "null": "yes" if c.nullable else "never",
            "description": c.description,
        }
        for c in contract.columns
    ]
    return markdown_table(rows)


def chart_image(chart: alt.Chart, alternative: str) -> str:
    """A chart as a Markdown image (SVG, so that text in any script renders)."""
    import vl_convert  # noqa: PLC0415 - a JavaScript engine, loaded only to render a chart

    svg = vl_convert.vegalite_to_svg(chart.to_json())
    encoded = base64.b64encode(svg.encode()).decode()
    return f"![{alternative}](data:image/svg+xml;base64,{encoded})"

"""Write the pages of the docs site that come from code: data dictionary, API reference, the notebook."""

from __future__ import annotations

import json
from pathlib import Path

from lostark_assets.contracts.registry import CONTRACTS
from lostark_assets.contracts.table import Column, Contract

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
OUT = DOCS / "generated"
PACKAGES = {
    "lostark": "Read the lake, standardize and compute on data frames.",
    "lostark_assets": "Collection, cleaning, statistics and marts.",
    "lostark_ml": "The expected-DPS model and play styles.",
    "lostark_api": "The HTTP API and the pages.",
    "lostark_platform": "Command line, services, alerts, erasure.",
    "lostark_simulator": "Synthetic fights and the mock server.",
}


def main() -> None:
    """Write every generated page; one whose text is the same keeps its file."""
    pages = {"data-dictionary.md": _data_dictionary(), "notebook.md": _notebook()}
    for package, summary in PACKAGES.items():
        pages[f"reference/{package}.md"] = _reference(package, summary)
    for name, text in pages.items():
        path = OUT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def _data_dictionary() -> str:
    intro = "# Data dictionary\n\nEvery table of the lake, from its contract in `lostark_assets/contracts`.\n"
    return "\n".join([intro, *map(_table, CONTRACTS.values())])


def _table(contract: Contract) -> str:
    key = ", ".join(f"`{name}`" for name in contract.key)
    partitions = ", ".join(f"`{name}`" for name in contract.partition_by) or "none"
    lines = [
        f"## {contract.name}\n",
        f"One row is {contract.row}.{' ' + contract.notes if contract.notes else ''}\n",
        f"Key: {key}. Partitions: {partitions}.\n",
        "| Column | Type | Unit | Values | Meaning |",
        "| --- | --- | --- | --- | --- |",
    ]
    for c in contract.columns:
        required = "" if c.nullable else ", never null"
        cells = (f"`{c.name}`", f"`{c.dtype}`{required}", c.unit, _values(c), c.description)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join([*lines, ""])


def _values(column: Column) -> str:
    if column.allowed:
        shown = ", ".join(column.allowed[:8])
        return shown if len(column.allowed) <= 8 else f"{shown}, … ({len(column.allowed)} values)"
    if column.minimum is None and column.maximum is None:
        return ""
    low = "" if column.minimum is None else f"{column.minimum:,g}"
    high = "" if column.maximum is None else f"{column.maximum:,g}"
    return f"{low} … {high}".strip()


def _reference(package: str, summary: str) -> str:
    modules = sorted(
        path.relative_to(ROOT).with_suffix("")
        for path in (ROOT / package).rglob("*.py")
        if path.name != "__init__.py" and "migrations" not in str(path)
    )
    lines = [f"# {package}\n", f"{summary}\n"]
    for module in modules:
        name = ".".join(module.parts)
        lines += [f"## {name}\n", f"::: {name}\n"]
    return "\n".join(lines)


def _notebook() -> str:
    """The analyst's notebook as Markdown; its outputs are left out."""
    notebook = json.loads((DOCS / "notebooks/analyst.ipynb").read_text(encoding="utf-8"))
    parts = []
    for cell in notebook["cells"]:
        text = "".join(cell["source"])
        parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    main()

"""The analyst's notebook runs from top to bottom, and shows what it says."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "docs/notebooks/analyst.ipynb"


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("TMPDIR", str(tmp_path_factory.mktemp("notebook")))
        patch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
        notebook = nbformat.read(NOTEBOOK, as_version=4)
        NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    return notebook


def find_output(notebook, code):
    cell = next(c for c in notebook.cells if c.cell_type == "code" and code in c.source)
    return "\n".join(output["data"]["text/plain"] for output in cell.outputs if "data" in output)


def test_the_stored_notebook_holds_no_outputs():
    cells = nbformat.read(NOTEBOOK, as_version=4).cells

    assert [c.id for c in cells if c.cell_type == "code" and (c.outputs or c.execution_count)] == []


def test_every_cell_runs_and_shows_rows(executed):
    assert "stats_player_dps" in find_output(executed, "lostark.tables()")
    assert "median" in find_output(executed, 'groupby("spec_name")')
    assert "shape: (10, 3)" in find_output(executed, "lostark.scan")
    assert "damage_share" in find_output(executed, "lostark.player_statistics")
    assert "p50" in find_output(executed, "lostark.distribution(figures)")


def test_the_player_table_is_standardized_and_two_rows_are_refused(executed):
    players = find_output(executed, "lostark.standardize")
    refused = find_output(executed, "found.refused")

    assert "Judgment" in players
    assert "Eve" not in players
    assert "duplicate_player" in refused
    assert "impossible_duration" in refused
    assert "Hard" in find_output(executed, "found.encounters[")

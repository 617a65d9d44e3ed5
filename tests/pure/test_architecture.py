"""The import rules of the house hold, and the rule that looks for dagster really finds it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """
[tool.importlinter]
root_packages = ["sample"]
include_external_packages = true
contract_types = ["pure: tests.import_contracts.PureContract"]
[[tool.importlinter.contracts]]
name = "pure"
type = "pure"
forbidden_modules = ["dagster"]
wiring_modules = ["sample.assets", "sample.nowhere.*"]
"""


def lint_imports(config: Path, *folders: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(str(folder) for folder in folders)
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()"]
    return subprocess.run(
        [*command, "--config", str(config), "--no-cache"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def write_sample(folder: Path, pure: str) -> Path:
    (folder / "sample").mkdir()
    (folder / "sample/__init__.py").write_text("")
    (folder / "sample/assets.py").write_text("import dagster\n")
    (folder / "sample/pure.py").write_text(pure)
    config = folder / "contracts.toml"
    config.write_text(CONFIG)
    return config


def test_the_import_contracts_of_the_project_are_kept():
    outcome = lint_imports(ROOT / "pyproject.toml", ROOT)

    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def test_wiring_may_import_dagster(tmp_path):
    outcome = lint_imports(write_sample(tmp_path, "import json\n"), ROOT, tmp_path)

    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def test_a_pure_module_that_reaches_dagster_through_another_breaks_the_contract(tmp_path):
    outcome = lint_imports(write_sample(tmp_path, "def f():\n    import sample.assets\n"), ROOT, tmp_path)

    assert outcome.returncode == 1
    assert "sample.pure -> sample.assets -> dagster" in outcome.stdout

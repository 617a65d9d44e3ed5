"""Collecting log lines: the filter's rules are those of the platform, and the configurations fit together."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from lostark_assets.observability.redact import Redactor
from lostark_assets.settings import project_root
from tests.pure.test_prometheus import GENERATOR

ROOT = project_root()
FOLDER = ROOT / "deploy/logs"
LUA = shutil.which("lua5.1") or shutil.which("luajit")
needs_lua = pytest.mark.skipif(LUA is None, reason="needs lua5.1 or luajit, as Fluent Bit runs it")
_LABELS = {"job", "service", "level"}
_SERVICES = (
    "api", "code-lostark_assets", "code-lostark_ml", "dagster-webserver", "dagster-daemon", "mlflow",
    "metrics", "mock-server", "cli",
)  # fmt: skip
_DRIVER = """
dofile(arg[1])
local function encode(value)
  if type(value) == "string" then
    return '"' .. value:gsub('[%c"\\\\]', function(c) return ("\\\\u%04x"):format(c:byte()) end) .. '"'
  elseif type(value) ~= "table" then return tostring(value) end
  local parts, is_list = {}, value[1] ~= nil
  for name, item in pairs(value) do
    parts[#parts + 1] = is_list and encode(item) or encode(tostring(name)) .. ":" .. encode(item)
  end
  local text = table.concat(parts, ",")
  return is_list and "[" .. text .. "]" or "{" .. text .. "}"
end
for _, record in ipairs(RECORDS) do
  local code, timestamp, changed = prepare("containers", 12.5, record)
  print(encode({code = code, timestamp = timestamp, record = changed}))
end
"""


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


CONFIG = load(FOLDER / "fluent-bit.yaml")


def write_lua(value: Any) -> str:
    """``value`` as a Lua literal; null is missing, as in Fluent Bit's records."""
    if isinstance(value, dict):
        items = (f"[{write_lua(k)}] = {write_lua(v)}" for k, v in value.items() if v is not None)
        return f"{{{', '.join(items)}}}"
    if isinstance(value, list):
        return f"{{{', '.join(map(write_lua, value))}}}"
    if isinstance(value, str):
        return '"' + "".join(f"\\{byte:03d}" for byte in value.encode()) + '"'
    return json.dumps(value)


def prepare(tmp_path: Path, *records: dict[str, Any]) -> list[dict[str, Any]]:
    """What the filter makes of ``records``."""
    driver = tmp_path / "driver.lua"
    driver.write_text(f"RECORDS = {write_lua(list(records))}\n{_DRIVER}")
    command = [LUA or "", str(driver), str(FOLDER / "lines.lua")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert all((one["code"], one["timestamp"]) == (2, 12.5) for one in found)
    return [one["record"] for one in found]


# The filter --------------------------------------------------------------------------------------------


@needs_lua
def test_a_line_of_the_platform_is_left_as_it_is(tmp_path):
    line = {
        "time": "2026-12-01T15:49:35.693285Z", "level": "error", "event": "request", "service": "api",
        "route": "/v1/characters/{region}/{player_name}", "status": 503, "request_id": "a-1", "pid": 7,
    }  # fmt: skip
    docker = {"stream": "stdout", "attrs": {"com.docker.compose.service": "api"}}

    assert prepare(tmp_path, line | docker) == [line]


@needs_lua
def test_what_is_no_event_becomes_a_message_of_its_service(tmp_path):
    of_database = {"attrs": {"com.docker.compose.service": "postgres"}, "stream": "stderr"}
    text, json_line, unknown = prepare(
        tmp_path,
        of_database | {"log": 'LOG:  "checkpoint"\tstarting\n'},
        {"message": "json of others", "level": "TRACE", "service": "stranger"},
        {"log": "no attributes\n"},
    )

    message = 'LOG:  "checkpoint"\tstarting'
    assert text == {"event": "output", "message": message, "service": "postgres", "level": "info"}
    others = {"event": "output", "message": "json of others", "service": "other", "level": "info"}
    assert json_line == others
    assert unknown == others | {"message": "no attributes"}


@needs_lua
@pytest.mark.parametrize("service", _SERVICES)
def test_every_service_is_a_label_and_is_documented(tmp_path, service):
    assert prepare(tmp_path, {"event": "started", "service": service})[0]["service"] == service
    assert f"`{service}`" in (ROOT / "docs/monitoring.md").read_text(encoding="utf-8")


@needs_lua
@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer eyJhbGciOi.J9.sig",
        "{'authorization': 'bearer abcdef123456'}",
        "AUTHORIZATION=S3CRETS3CRET, and more",
        'the header "Authorization":"S3CRETS3CRET"; basic dXNlcjpwYXNz',
        "POST https://discord.com/api/webhooks/123456/S3CRET-S3CRET failed",
        "https://discord.com/api/v10/webhooks/123456/S3CRET~S3CRET",
        "https://Hooks.Slack.com/services/T0/B0/S3CRETS3CRET",
        "smtp://me:S3CRETS3CRET@mail.example:587, postgresql+psycopg2://u:p@host/db",
        "key lak_abcdefghijklmnopqrstuvwxyz was revoked",
    ],
)
def test_what_the_platform_takes_for_a_secret_the_filter_removes_as_well(tmp_path, text):
    [found] = prepare(tmp_path, {"event": "failed", "service": "api", "level": "info", "message": text})

    assert "[removed]" in found["message"]
    assert found["message"] == Redactor().text(text)


@needs_lua
@pytest.mark.parametrize(
    "text",
    [
        "basic rules of 1 bear",
        "a bearer of news",
        "https://host/path?query=1 mail@host",
        "lak_short, flak_abcdefghijklmnopqrstuvwxyz",
        "/api/hooks/1 한국어 100%",
        "slack.com/archives/C0",
    ],
)
def test_ordinary_text_is_left_alone(tmp_path, text):
    [found] = prepare(tmp_path, {"event": "failed", "service": "api", "level": "info", "message": text})

    assert found["message"] == text
    assert text == Redactor().text(text)


@needs_lua
def test_fields_named_like_secrets_are_removed_at_any_depth(tmp_path):
    record = {
        "event": "failed", "service": "api", "level": "info", "token": "abc", "tokens": 3,
        "headers": {"X-Api-Key": "abc", "Cookie": {"session": "abc"}, "list": ["fine", "ftp://a:b@c"]},
    }  # fmt: skip
    [found] = prepare(tmp_path, record)

    assert found == Redactor().value(record) | {"headers": found["headers"]}
    assert found["headers"]["list"] == ["fine", "ftp://[removed]@c"]
    assert found["headers"]["Cookie"] == "[removed]"
    assert found["token"] == "[removed]"
    assert found["tokens"] == 3


# The configurations ------------------------------------------------------------------------------------


def test_what_fluent_bit_refers_to_exists():
    inputs, filters, outputs = (CONFIG["pipeline"][kind] for kind in ("inputs", "filters", "outputs"))
    parsers = {parser["name"] for parser in CONFIG["parsers"]}

    assert [one["name"] for one in filters] == ["parser", "lua"]
    assert filters[0]["parser"] in parsers
    script = (FOLDER / filters[1]["script"]).read_text(encoding="utf-8")
    assert f"function {filters[1]['call']}(" in script
    assert {one["match"] for one in [*filters, *outputs]} == {inputs[0]["tag"]}
    assert "labels: com.docker.compose.service" in (ROOT / "docs/monitoring.md").read_text(encoding="utf-8")


def test_only_closed_sets_are_labels():
    [output] = CONFIG["pipeline"]["outputs"]
    labels = dict(pair.strip().split("=") for pair in output["labels"].split(","))
    metadata = dict(pair.strip().split("=") for pair in output["structured_metadata"].split(","))

    assert labels == {"job": "lostark", "service": "$service", "level": "$level"}
    assert metadata == {"request_id": "$request_id", "run_id": "$run_id"}


def test_loki_keeps_lines_for_thirty_days_and_metadata_with_them():
    config = load(FOLDER / "loki.yaml")

    assert config["limits_config"]["retention_period"] == f"{30 * 24}h"
    assert config["compactor"]["retention_enabled"] is True
    assert config["limits_config"]["allow_structured_metadata"] is True
    # What structured metadata and retention need.
    [schema] = config["schema_config"]["configs"]
    assert (schema["store"], schema["schema"], schema["index"]["period"]) == ("tsdb", "v13", "24h")
    assert config["common"]["storage"].keys() == {schema["object_store"]}


def test_the_panels_of_lines_select_by_labels_only():
    [dashboard] = [one for one in GENERATOR.DASHBOARDS if one.source == GENERATOR.LOKI]
    built = GENERATOR.build_dashboard(dashboard)

    assert {panel["datasource"]["type"] for panel in built["panels"]} == {"loki"}
    queries = [query for panel in dashboard.panels for query in panel.queries.values()]
    selectors = [selector for query in queries for selector in re.findall(r"\{(.*?)\}", query)]
    assert len(selectors) == len(queries)
    assert {name for one in selectors for name in re.findall(r"(\w+)=", one)} <= _LABELS
    [source] = load(ROOT / "deploy/grafana/provisioning/datasources/loki.yml")["datasources"]
    assert (source["type"], source["isDefault"]) == ("loki", False)


def test_every_service_of_compose_has_its_label() -> None:
    services = set(yaml.safe_load((FOLDER.parent / "compose.yaml").read_text())["services"])
    known = set(re.findall(r'\["([\w-]+)"\] = true', (FOLDER / "lines.lua").read_text()))
    # Code servers name themselves after their code location.
    renamed = {"code-assets": "code-lostark_assets", "code-ml": "code-lostark_ml"}
    assert {renamed.get(name, name) for name in services} <= known

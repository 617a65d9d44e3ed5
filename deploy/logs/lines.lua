-- Fluent Bit's filter of each line: fields that it lacks, labels from closed sets, secrets removed once more.
-- The same rules as lostark_assets/observability/redact.py; tests/pure/test_deploy_logs.py compares them.

local REMOVED = "[removed]"
local MAX_DEPTH = 8
local LEVELS = { info = true, warning = true, error = true, critical = true }
local SERVICES = {
  ["api"] = true, ["code-lostark_assets"] = true, ["code-lostark_ml"] = true, ["dagster-webserver"] = true,
  ["dagster-daemon"] = true, ["mlflow"] = true, ["metrics"] = true, ["mock-server"] = true, ["cli"] = true,
  -- Other software, by its service in compose.yaml.
  ["gateway"] = true, ["acme"] = true, ["migrate"] = true, ["postgres"] = true, ["valkey"] = true,
  ["prometheus"] = true, ["alertmanager"] = true, ["grafana"] = true, ["loki"] = true, ["fluent-bit"] = true,
  ["node-exporter"] = true, ["postgres-exporter"] = true, ["redis-exporter"] = true,
}
local SECRET_NAMES = {
  "authorization", "password", "passwd", "secret", "token", "apikey", "api_key", "webhook", "credential", "cookie",
}

-- A pattern for `word` in any case.
local function any_case(word)
  return (word:gsub("%a", function(letter) return "[" .. letter:upper() .. letter:lower() .. "]" end))
end

local SCHEMES = { any_case("bearer"), any_case("basic") }
local AUTHORIZATION = "(" .. any_case("authorization") .. "['\"]?%s*[:=]%s*['\"]?)([^%s'\",;}]+)"
local WEBHOOKS = {
  "(" .. any_case("/api/webhooks/") .. ")[%w_./~-]+",
  "(" .. any_case("/api/v") .. "%d+" .. any_case("/webhooks/") .. ")[%w_./~-]+",
  "(" .. any_case("hooks.slack.com/"):gsub("%.", "%%.") .. ")[%w_./~-]+",
}

local function remove_secrets(text)
  for _, scheme in ipairs(SCHEMES) do
    text = text:gsub("%f[%w_](" .. scheme .. ")%s+([%w._~+/=-]+)", function(word, value)
      if #value >= 6 then return word .. " " .. REMOVED end
    end)
  end
  text = text:gsub(AUTHORIZATION, function(name, value)
    local word = value:lower()
    if not (word:find("^bearer") or word:find("^basic")) then return name .. REMOVED end
  end)
  text = text:gsub("(%a[%w+.-]*://)[^/%s@'\"]+@", "%1" .. REMOVED .. "@")
  for _, pattern in ipairs(WEBHOOKS) do text = text:gsub(pattern, "%1" .. REMOVED) end
  return (text:gsub("%f[%w_]lak_([%w_-]+)", function(key)
    if #key >= 20 then return REMOVED end
  end))
end

local function is_secret_name(name)
  local lower = tostring(name):lower()
  for _, word in ipairs(SECRET_NAMES) do
    if lower:find(word, 1, true) then return true end
  end
  return false
end

local function clean(value, depth)
  if type(value) == "string" then return remove_secrets(value) end
  if type(value) ~= "table" then return value end
  if depth > MAX_DEPTH then return REMOVED end
  local cleaned = {}
  for name, item in pairs(value) do
    local holds_text = type(item) == "string" or type(item) == "table"
    if type(name) == "string" and is_secret_name(name) and holds_text then
      cleaned[name] = REMOVED
    else
      cleaned[name] = clean(item, depth + 1)
    end
  end
  return cleaned
end

-- Called by Fluent Bit. 2: the record was changed, its time was not.
function prepare(_, timestamp, record)
  local attributes = record["attrs"]
  if record["event"] == nil then
    record["event"] = "output"
    record["message"] = (record["message"] or record["log"] or ""):gsub("%s+$", "")
  end
  record["log"], record["attrs"], record["stream"] = nil, nil, nil
  if record["service"] == nil and type(attributes) == "table" then
    record["service"] = attributes["com.docker.compose.service"]
  end
  if not SERVICES[record["service"]] then record["service"] = "other" end
  if not LEVELS[record["level"]] then record["level"] = "info" end
  return 2, timestamp, clean(record, 1)
end

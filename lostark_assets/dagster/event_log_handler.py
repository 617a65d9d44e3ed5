"""Forwards the events of Dagster runs to the platform's own event log.

``dagster.yaml`` configures the handler, so that each run passes it its events and ``context.log`` messages.
While a run is under way in this process, every other event and library line has its ids too. The handler only
relies on the shape of Dagster's log records and does not import Dagster.
"""

from __future__ import annotations

import logging
from typing import Any

from lostark_assets.automation.requests import REQUEST_ID_TAG
from lostark_assets.observability.logs import get_logger, set_run_ids

_RUN_EVENTS = {
    "PIPELINE_START": "run_started",
    "PIPELINE_SUCCESS": "run_succeeded",
    "PIPELINE_FAILURE": "run_failed",
    "PIPELINE_CANCELED": "run_canceled",
    "STEP_START": "step_started",
    "STEP_SUCCESS": "step_succeeded",
    "STEP_FAILURE": "step_failed",
    "STEP_UP_FOR_RETRY": "step_waits_for_retry",
    "ASSET_MATERIALIZATION": "asset_materialized",
    "ASSET_CHECK_EVALUATION": "check_failed",
}
_RUN_ENDS = ("PIPELINE_SUCCESS", "PIPELINE_FAILURE", "PIPELINE_CANCELED")
_DEEPEST_CAUSE = 10


class DagsterEventsHandler(logging.Handler):
    """Writes the events of a run; an asset materialised for a range of days gets one line per run."""

    def __init__(self, level: int = logging.DEBUG) -> None:
        super().__init__(level)
        self._log = get_logger()
        self._materialized: set[tuple[Any, str]] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Write ``record`` if it is a relevant event. Errors in here never reach the run."""
        try:
            self._emit(record)
        except Exception:  # noqa: BLE001 - a log line never fails a run
            self.handleError(record)

    def _emit(self, record: logging.LogRecord) -> None:
        meta = getattr(record, "dagster_meta", None)
        if meta is None:
            return
        request_id = (meta.get("job_tags") or {}).get(REQUEST_ID_TAG)
        ids = {"run_id": meta["run_id"], "job": meta["job_name"], "step": meta["step_key"]}
        ids |= {"request_id": request_id}
        ids = {name: value for name, value in ids.items() if value is not None}
        event = meta["dagster_event"]
        if event is not None and event.event_type_value == "PIPELINE_START":
            set_run_ids(run_id=meta["run_id"], request_id=request_id)
        if event is None:
            if record.levelno < logging.INFO:
                return
            self._write(record.levelno, "run_message", ids | {"message": meta["orig_message"]})
            return
        facts = self._facts(event, meta["run_id"])
        if facts is not None:
            self._write(record.levelno, _RUN_EVENTS[event.event_type_value], ids | facts)
        if event.event_type_value in _RUN_ENDS:
            set_run_ids()

    def _facts(self, event: Any, run_id: str | None) -> dict[str, Any] | None:
        """The event's fields; None for an event that is not logged."""
        kind, data = event.event_type_value, event.event_specific_data
        if kind not in _RUN_EVENTS:
            return None
        if kind == "ASSET_MATERIALIZATION":
            asset = event.asset_key.to_user_string()
            if (run_id, asset) in self._materialized:
                return None
            self._materialized.add((run_id, asset))
            return {"asset": asset}
        if kind == "ASSET_CHECK_EVALUATION":
            if data.passed:
                return None
            return {
                "asset": data.asset_key.to_user_string(),
                "check": data.check_name,
                "severity": data.severity.value,
                "detail": data.description,
            }
        facts: dict[str, Any] = {}
        if kind == "STEP_SUCCESS":
            facts["duration_s"] = round(data.duration_ms / 1000, 3)
        if getattr(data, "error", None) is not None:
            facts["error"] = _root_cause(data.error)
        return facts

    def _write(self, level: int, event: str, facts: dict[str, Any]) -> None:
        if level >= logging.ERROR:
            self._log.error(event, **facts)
        elif level >= logging.WARNING or event == "check_failed":
            self._log.warning(event, **facts)
        else:
            self._log.info(event, **facts)


def _root_cause(error: Any) -> str:
    """The message of the innermost error, below Dagster's own wrappers."""
    for _ in range(_DEEPEST_CAUSE):
        if error.cause is None:
            break
        error = error.cause
    return str(error.message).strip()

"""Cleaning raw rows into core rows or quarantine entries. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from lostark_assets.contracts.code_versions import CLEAN_VERSION
from lostark_assets.contracts.core import CORE_ENCOUNTERS, CORE_PLAYERS
from lostark_assets.core.clean_meter import CleanLog, Rules, clean_meter_log
from lostark_assets.core.clean_table import clean_table_log
from lostark_assets.core.fights import single_log_fight
from lostark_assets.core.limits import CONTROL, GIVEN, check_rows, check_skills
from lostark_assets.core.parse import UNREADABLE, UnpackBudget, parse_db_log, parse_table, parse_upload
from lostark_assets.core.rows import Cleaned
from lostark_assets.errors import LogRejected
from lostark_assets.observability.logs import report_unexpected
from lostark_assets.sources.protocol import compute_encounter_id


@dataclass(frozen=True)
class Stamp:
    """Provenance columns of every cleaned row. ``version``: of the code that refuses; None: of cleaning."""

    run_id: str
    at: datetime
    version: str | None = None


def clean_log(
    log_format: str, payload: bytes | memoryview, rules: Rules
) -> tuple[CleanLog, list[tuple[str, LogRejected]]]:
    """The rows of one raw log, and its player rows that were refused.

    Raises:
        LogRejected: the log as a whole is refused.
    """
    try:
        log, refused = _rows(log_format, payload, rules)
        _check_rows(log)
    except UNREADABLE as error:
        raise LogRejected("invalid_json", f"expected a log of format {log_format}, found: {error}") from error
    except OverflowError as error:
        raise LogRejected("impossible_value", f"expected numbers of 64 bits, found more: {error}") from error
    return log, refused


def _rows(
    log_format: str, payload: bytes | memoryview, rules: Rules
) -> tuple[CleanLog, list[tuple[str, LogRejected]]]:
    if log_format == "player_table":
        return clean_table_log(parse_table(payload), rules)
    parse = parse_db_log if log_format == "loa_logs_db" else parse_upload
    budget = UnpackBudget(rules.max_part_bytes, rules.max_log_bytes)
    return clean_meter_log(parse(payload, budget), rules), []


def _check_rows(log: CleanLog) -> None:
    """Every value fits the tables' contracts, so that no log can stop its day."""
    check_rows(CORE_ENCOUNTERS, [log.encounter], given=GIVEN)
    check_rows(CORE_PLAYERS, log.players, given=GIVEN)
    # Hits only have names and ids of these rows, and numbers that were checked when they were gathered.
    check_skills(log.skills)


def clean_into(cleaned: Cleaned, raw: Mapping[str, Any], rules: Rules, stamp: Stamp) -> None:
    """Clean one raw row; it ends up among the encounters or in quarantine.

    ``raw`` has log_id, source, source_log_id, log_format, fight_date, fetched_at, payload.
    """
    try:
        log, refused = clean_log(raw["log_format"], raw["payload"], rules)
    except LogRejected as error:
        cleaned.quarantine.add(quarantine_row(raw, error, "log", stamp))
    except Exception as error:  # noqa: BLE001 - a log may hold anything: it alone is refused
        cleaned.quarantine.add(quarantine_row(raw, reject_unexpected(raw, "cleaning", error), "log", stamp))
    else:
        _add(cleaned, raw, log, stamp)
        for place, (_, refusal) in enumerate(refused):
            cleaned.quarantine.add(quarantine_row(raw, refusal, "player", stamp, place))


def reject_unexpected(raw: Mapping[str, Any], step: str, error: Exception, locator: str = "") -> LogRejected:
    """The refusal of a log that made ``step`` raise what no rule foresees, after reporting it."""
    unexpected = report_unexpected(f"{step} log {raw['log_id']}", error)
    detail = f"{unexpected.error_id}: {type(error).__name__}: {error}"
    return LogRejected("unexpected_error", detail, locator)


def _add(cleaned: Cleaned, raw: Mapping[str, Any], log: CleanLog, stamp: Stamp) -> None:
    keys = {
        "log_id": raw["log_id"],
        "encounter_id": compute_encounter_id(raw["log_id"]),
        "fight_date": log.encounter["fight_date"],
    }
    made = {"clean_version": CLEAN_VERSION, "cleaned_at": stamp.at, "clean_run_id": stamp.run_id}
    origin = {k: raw[k] for k in ("source", "source_log_id", "log_format", "fetched_at")}
    cleaned.encounters.add(
        log.encounter | keys | origin | asdict(single_log_fight(keys["encounter_id"])) | made
    )
    cleaned.players.add(*[row | keys for row in log.players])
    cleaned.skills.add(keys["log_id"], keys["encounter_id"], keys["fight_date"], log.skills)
    cleaned.hits.add(keys["encounter_id"], keys["fight_date"], log.hits)


def quarantine_row(
    raw: Mapping[str, Any], error: LogRejected, scope: str, stamp: Stamp, place: int = 0
) -> dict[str, Any]:
    """One quarantine entry; ``place`` distinguishes rows of one log that are refused for the same reason."""
    identity = "\x00".join((raw["log_id"], scope, str(place), error.reason_code, error.locator, error.detail))
    return {
        "quarantine_id": hashlib.sha256(identity.encode("utf-8", "backslashreplace")).hexdigest()[:16],
        "log_id": raw["log_id"],
        "fight_date": raw["fight_date"],
        "scope": scope,
        "reason_code": error.reason_code,
        "detail": _printable(error.detail),
        "locator": _printable(error.locator) or None,
        "source": raw["source"],
        "source_log_id": raw["source_log_id"],
        "clean_version": stamp.version or CLEAN_VERSION,
        "quarantined_at": stamp.at,
        "clean_run_id": stamp.run_id,
    }


def _printable(text: str) -> str:
    text = CONTROL.sub(lambda found: f"\\x{ord(found.group()):02x}", text)
    return text.encode("utf-8", "backslashreplace").decode()[:500]

"""Cleaning the due raw logs of fight days in batches, validated before they are committed.

A log is due if it is new or was cleaned by another version. A batch's tables are committed in an order that
ends with the encounters: after a crash the batch is still due, and its rows are replaced, not duplicated.
"""

from __future__ import annotations

import gc
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field, fields, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from lostark_assets.contracts.code_versions import CLEAN_VERSION, LATER_STEPS
from lostark_assets.contracts.core import CORE_ENCOUNTERS, CORE_QUARANTINE
from lostark_assets.contracts.expectations import Finding, merge, raise_if_broken
from lostark_assets.contracts.registry import CONTRACTS
from lostark_assets.core.armory import with_profiles
from lostark_assets.core.clean import Stamp, clean_into, quarantine_row, reject_unexpected
from lostark_assets.core.clean_meter import Rules
from lostark_assets.core.fights import (
    FIGHT_COLUMNS,
    PLAYER_COLUMNS,
    Assignment,
    assign_fights,
    near_in_time,
    single_log_fight,
)
from lostark_assets.core.rows import Cleaned
from lostark_assets.core.validate import Tables, build_tables, examine_core
from lostark_assets.errors import MACHINE_ERRORS, LogRejected
from lostark_assets.lake.batching import split_batches
from lostark_assets.lake.tables import Lake
from lostark_assets.settings import BATCH_BYTES
from lostark_assets.sources.protocol import compute_encounter_id

_BEING_CLEANED = "being cleaned"
COMMIT_ORDER = ("core_hits", "core_skills", "core_players", "core_quarantine", "core_encounters")
_RAW_COLUMNS = ["log_id", "source", "source_log_id", "log_format", "fight_date", "fetched_at", "payload"]
ENCOUNTERS_PER_BATCH = 10_000
"""Encounters whose fights are resolved at once; a longer range of days takes several batches and commits."""
FEW_LOGS = 20
_YIELD_LOCK_S = 0.1
"""Processes that wait for the lock poll it every 50 ms."""
_ASSIGNMENT_COLUMNS = tuple(f.name for f in fields(Assignment))
Progress = Callable[[int, int], None]
"""Called with logs cleaned and logs due."""


@dataclass
class CoreRun:
    """Result of one cleaning run. ``days`` are the fight days whose rows changed or were checked.

    ``raw_version`` is the version of the raw table at the start: logs that arrive later are not included.
    """

    days: set[date] = field(default_factory=set)
    raw_version: int | None = None
    due: int = 0
    encounters: int = 0
    hits: int = 0
    quarantined: Counter[str] = field(default_factory=Counter)
    changed_fights: int = 0
    findings: dict[str, list[Finding]] = field(default_factory=dict)


def clean_days(
    lake: Lake,
    days: Iterable[date] | None,
    rules: Rules,
    *,
    run_id: str,
    batch_bytes: int = BATCH_BYTES,
    only: set[str] | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> CoreRun:
    """Clean the due logs of ``days`` (None: of every day), then resolve which logs are one fight.

    ``only`` restricts it to these log ids; ``force`` cleans logs whether due or not.

    Raises:
        ContractViolated: a blocking rule is broken; the current batch was not written.
    """
    days = None if days is None else set(days)
    run = CoreRun(days=set(days or ()))
    todo = only
    while True:
        # Locked batch by batch: a single log need not wait for an import of thousands.
        with lake.lock("core"):
            is_first = todo is only
            if is_first:
                run.raw_version = lake.version("raw_battle_logs")
            due, seen, since = due_logs(lake, days, only=todo, force=force)
            if is_first:
                run.due = len(due)
            part = _first_logs(lake, due, batch_bytes)
            raw_rows = read_raw(lake, part, since)
            for cleaned in _cleaned_batches(raw_rows, seen, rules, run_id, batch_bytes):
                for valid in _valid_parts(lake, cleaned, rules):
                    _record(run, valid.tables, valid.findings)
                    _commit(lake, valid.tables, valid.batch)
                if progress:
                    progress(run.encounters + sum(run.quarantined.values()), run.due)
            todo = due - part
            if not todo:
                _resolve_days(lake, run, days)
                return run
        time.sleep(_YIELD_LOCK_S)


def _first_logs(lake: Lake, due: set[str], most_bytes: int) -> set[str]:
    """The earliest of the ``due`` logs, up to ``most_bytes`` of payload; at least one."""
    if len(due) <= FEW_LOGS:
        return due
    columns = ["log_id", "fight_date", "payload_bytes"]
    rows = lake.read("raw_battle_logs", columns=columns, where=pc.field("log_id").isin(sorted(due)))
    rows = rows.sort_by([("fight_date", "ascending"), ("log_id", "ascending")])
    before = np.cumsum(rows["payload_bytes"].to_numpy()) - rows["payload_bytes"].to_numpy()
    return set(rows["log_id"].to_numpy()[before < most_bytes])


def _resolve_days(lake: Lake, run: CoreRun, days: set[date] | None) -> None:
    # All days if all were requested: a run that died after its last batch resolved none of its fights.
    unresolved = run.days if days is not None else lake.days("core_encounters")
    for some_days in split_batches(unresolved, lake.rows_by_day("core_encounters"), ENCOUNTERS_PER_BATCH):
        changed, changed_days = resolve_fights(lake, some_days)
        run.changed_fights += changed
        run.days |= changed_days


def due_logs(
    lake: Lake, days: set[date] | None, *, only: set[str] | None = None, force: bool = False
) -> tuple[set[str], set[str], datetime | None]:
    """Log ids to clean, the subset that already has rows in some table, and the oldest fetch time."""
    where = None if days is None else pc.field("fight_date").isin(sorted(days))
    raw = lake.read(
        "raw_battle_logs", columns=["log_id", "fight_started_at", "fight_date", "fetched_at"], where=where
    )
    fetched = dict(zip(raw["log_id"].to_pylist(), raw["fetched_at"].to_pylist(), strict=True))
    there = set(fetched)
    if only is not None:
        there &= only
    core_days = None if _has_undated(raw) else days
    done: dict[str, str | None] = {}
    for name in ("core_encounters", "core_quarantine"):
        scope = pc.field("scope") == "log" if name == "core_quarantine" else None
        rows = lake.read(name, columns=["log_id", "clean_version"], days=core_days, where=scope)
        for log_id, version in zip(
            rows["log_id"].to_pylist(), rows["clean_version"].to_pylist(), strict=True
        ):
            # In both tables: a run died between the two commits.
            done[log_id] = version if log_id not in done else None
    current = _current_versions()
    due = there if force else {log_id for log_id in there if done.get(log_id) not in current}
    since = min((fetched[log_id] for log_id in due), default=None)
    raw = raw.filter(pc.is_in(raw["log_id"], pa.array(sorted(due), pa.string())))
    days_of_due = None if _has_undated(raw) else set(raw["fight_date"].to_pylist())
    return due, due & (done.keys() | _half_committed(lake, due, days_of_due)), since


def _current_versions() -> set[str]:
    """Versions of rows that are not due: cleaned, or refused by a later step, with the current code."""
    return {CLEAN_VERSION, *map(_refusing_version, LATER_STEPS)}


def _refusing_version(step: str) -> str:
    return f"{CLEAN_VERSION}, {step} {LATER_STEPS[step]}"


def _has_undated(raw: pa.Table) -> bool:
    """Whether a raw row's day differs from its fight's: cleaning by other rules may have used either."""
    started = raw["fight_started_at"].cast(pa.date32())
    return bool(pc.any(pc.fill_null(pc.not_equal(started, raw["fight_date"]), fill_value=True)).as_py())


def _half_committed(lake: Lake, due: set[str], days: set[date] | None) -> set[str]:
    """Due logs whose encounter is missing after a crash: tables are committed one after the other."""
    by_encounter = {compute_encounter_id(log_id): log_id for log_id in due}
    key = "encounter_id"
    found: set[str] = set()
    for name in ("core_hits", "core_skills", "core_players"):
        for rows in lake.groups_with(name, key, by_encounter, [key], days=days, dictionary=[key]):
            found.update(pc.unique(rows[key].cast(pa.string())).to_pylist())
    return {by_encounter[e] for e in found}


@dataclass
class _Batch:
    """Logs that are cleaned but not committed yet; ``is_seen``: they have rows already."""

    is_seen: bool
    stamp: Stamp
    cleaned: Cleaned = field(default_factory=Cleaned)
    log_ids: list[str] = field(default_factory=list)
    days: set[date] = field(default_factory=set)
    payload_bytes: int = 0

    def add(self, raw: Mapping[str, Any], rules: Rules) -> None:
        """Clean one raw row."""
        clean_into(self.cleaned, raw, rules, self.stamp)
        self._count(raw)

    def refuse(self, raw: Mapping[str, Any], error: LogRejected) -> None:
        """Put one raw row into quarantine."""
        self.cleaned.quarantine.add(quarantine_row(raw, error, "log", self.stamp))
        self._count(raw)

    def _count(self, raw: Mapping[str, Any]) -> None:
        self.log_ids.append(raw["log_id"])
        self.days.add(raw["fight_date"])
        self.payload_bytes += len(raw["payload"])


def _cleaned_batches(
    raw_rows: Iterable[dict[str, Any]], seen: set[str], rules: Rules, run_id: str, batch_bytes: int
) -> Iterator[_Batch]:
    """Clean raw rows into batches of ``batch_bytes``; new logs and logs that have rows are kept apart."""
    pending: dict[bool, _Batch] = {}
    with _garbage_collection_paused():
        for row in raw_rows:
            is_seen = row["log_id"] in seen
            batch = pending.setdefault(is_seen, _Batch(is_seen, Stamp(run_id, datetime.now(UTC))))
            batch.add(row, rules)
            if batch.payload_bytes >= batch_bytes:
                yield pending.pop(is_seen)
                # Validation and commit do leave reference cycles behind.
                gc.collect(1)
        yield from pending.values()


@dataclass
class _Part:
    """A batch, or what is left of one, that fits the contracts; ``refused``: it is one log in quarantine."""

    batch: _Batch
    tables: Tables
    findings: dict[str, list[Finding]]
    refused: bool = False


def _valid_parts(lake: Lake, batch: _Batch, rules: Rules) -> list[_Part]:
    """``batch`` as one part; or, where single logs break it, the rest, and those in quarantine.

    Raises:
        Exception: what the batch raised, if none of several logs passes: the rules are at fault then.
    """
    whole = _try_to_validate(lake, batch, rules)
    if isinstance(whole, _Part):
        return [whole]
    rows = list(read_raw(lake, set(batch.log_ids)))
    parts = _divide(lake, batch, rows, rules, whole)
    refused = sum(part.refused for part in parts)
    if refused > 1 and not any(part.tables["core_encounters"].num_rows for part in parts):
        raise whole
    return parts


def _divide(
    lake: Lake, batch: _Batch, rows: Sequence[dict[str, Any]], rules: Rules, error: Exception
) -> list[_Part]:
    """Halve ``rows`` until the logs that raise are alone; every log has passed its own checks before."""
    if len(rows) == 1:
        refused = _Batch(batch.is_seen, batch.stamp)
        refused.refuse(rows[0], reject_unexpected(rows[0], "validating", error))
        return [replace(_validate_batch(lake, refused, rules), refused=True)]
    parts = []
    for half in (rows[: len(rows) // 2], rows[len(rows) // 2 :]):
        part = _Batch(batch.is_seen, batch.stamp)
        for row in half:
            part.add(row, rules)
        found = _try_to_validate(lake, part, rules)
        parts += [found] if isinstance(found, _Part) else _divide(lake, part, half, rules, found)
    return parts


def _try_to_validate(lake: Lake, batch: _Batch, rules: Rules) -> _Part | Exception:
    """The validated batch, or what its logs made a rule raise; what the machine raises is raised."""
    try:
        return _validate_batch(lake, batch, rules)
    except MACHINE_ERRORS:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a log makes a rule raise, it alone is refused
        return error


def _validate_batch(lake: Lake, batch: _Batch, rules: Rules) -> _Part:
    tables = _build_batch(lake, batch, rules)
    findings = examine_core(tables, len(batch.log_ids))
    raise_if_broken("core", findings, findings)
    return _Part(batch, tables, findings)


def _build_batch(lake: Lake, batch: _Batch, rules: Rules) -> Tables:
    tables = build_tables(batch.cleaned)
    # Most logs of one fight arrive together: resolving them now saves writing them twice.
    players = tables["core_players"]
    encounters = tables["core_encounters"] = resolve_within_batch(tables["core_encounters"], players)
    tables["core_players"] = with_profiles(lake, players, encounters, rules.profiles)
    return tables


@contextmanager
def _garbage_collection_paused() -> Iterator[None]:
    """Cleaning creates millions of objects without reference cycles: collecting garbage costs 6 %."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def read_raw(lake: Lake, log_ids: set[str], since: datetime | None = None) -> Iterator[dict[str, Any]]:
    """Raw rows fetched at or after ``since``; payloads are not copied."""
    for rows in lake.groups_with(
        "raw_battle_logs", "log_id", log_ids, _RAW_COLUMNS, since=since, all_there=True
    ):
        others = rows.drop_columns("payload").to_pylist()
        for row, payload in zip(others, rows["payload"], strict=True):
            yield row | {"payload": memoryview(payload.as_buffer())}


def _record(run: CoreRun, tables: Tables, findings: dict[str, list[Finding]]) -> None:
    for name, found in findings.items():
        run.findings[name] = merge([*run.findings.get(name, []), *found])
    raise_if_broken("core", findings, run.findings)
    run.encounters += tables["core_encounters"].num_rows
    run.hits += tables["core_hits"].num_rows
    run.days |= set(tables["core_encounters"]["fight_date"].unique().to_pylist())
    run.quarantined.update(
        tables["core_quarantine"].filter(pc.field("scope") == "log")["reason_code"].to_pylist()
    )


def _commit(lake: Lake, tables: Tables, batch: _Batch) -> None:
    """Write one batch; existing rows of its logs are replaced in the same commit."""
    seen = batch.log_ids if batch.is_seen else []
    encounters = [compute_encounter_id(log_id) for log_id in seen]
    days = batch.days | set(tables["core_encounters"]["fight_date"].to_pylist()) | _find_days(lake, seen)
    if seen:
        _mark_as_due(lake, seen, days)
    for name in COMMIT_ORDER:
        contract, rows = CONTRACTS[name], tables[name]
        if not seen:
            lake.append(contract, rows)
        else:
            ids = {"log_id": seen} if name == "core_quarantine" else {"encounter_id": encounters}
            lake.replace_rows(contract, rows, {"fight_date": days, **ids})


def _mark_as_due(lake: Lake, log_ids: Sequence[str], days: set[date]) -> None:
    """Mark logs as due before their rows change: if this run dies, the next one cleans them."""
    for contract in (CORE_ENCOUNTERS, CORE_QUARANTINE):
        where = pc.field("log_id").isin(log_ids)
        rows = lake.read(contract.name, days=days, where=where)
        versions = rows["clean_version"]
        if pc.any(pc.is_in(versions, pa.array(sorted(_current_versions())))).as_py():
            place = rows.schema.get_field_index("clean_version")
            marks = pa.repeat(pa.scalar(_BEING_CLEANED, pa.string()), rows.num_rows)
            rows = contract.conform(rows.set_column(place, "clean_version", marks))
            lake.replace_rows(contract, rows, {"fight_date": days, "log_id": log_ids})


def _find_days(lake: Lake, log_ids: Sequence[str]) -> set[date]:
    """Days on which the logs' encounters are stored: other rules may have put them on another day."""
    if not log_ids:
        return set()
    stored = lake.read("core_encounters", columns=["log_id", "fight_date"])
    return set(stored.filter(pc.is_in(stored["log_id"], pa.array(log_ids)))["fight_date"].to_pylist())


def refuse_logs(lake: Lake, errors: Mapping[str, Exception], step: str, *, run_id: str) -> set[date]:
    """Move cleaned logs to quarantine, since ``step`` of ``LATER_STEPS`` raised ``errors`` (by log id).

    They are due again when the version of cleaning or of that step changes. Returns the days that changed.
    """
    with lake.lock("core"):
        batch = _Batch(is_seen=True, stamp=Stamp(run_id, datetime.now(UTC), _refusing_version(step)))
        for raw in read_raw(lake, set(errors)):
            batch.refuse(raw, reject_unexpected(raw, f"{step} of", errors[raw["log_id"]], step))
        days = batch.days | _find_days(lake, batch.log_ids)
        tables = build_tables(batch.cleaned)
        findings = examine_core(tables, len(batch.log_ids))
        raise_if_broken("core", findings, findings)
        _commit(lake, tables, batch)
        # Another log of the same fight may count now.
        _, changed = resolve_fights(lake, days)
    return days | changed


def resolve_fights(lake: Lake, days: Iterable[date]) -> tuple[int, set[date]]:
    """Assign every log of ``days`` to its fight; returns how many encounters changed, and on which days.

    Logs of the neighbouring days may change too, since the logs of one fight may start on both sides of
    midnight; these are compared with their own neighbours.
    """
    may_change = {d + timedelta(days=n) for d in days for n in (-1, 0, 1)}
    around = {d + timedelta(days=n) for d in may_change for n in (-1, 0, 1)}
    stored = lake.read(
        "core_encounters",
        columns=[*FIGHT_COLUMNS, "fight_date", *_ASSIGNMENT_COLUMNS],
        days=around,
    )
    if not stored.num_rows:
        return 0, set()
    encounters = stored.to_pandas(types_mapper=pd.ArrowDtype)
    near = near_in_time(encounters)
    players = lake.read(
        "core_players",
        columns=PLAYER_COLUMNS,
        days=around if near else [],
        where=pc.field("encounter_id").isin(sorted(near)),
    )
    assigned = assign_fights(encounters, players.to_pandas(types_mapper=pd.ArrowDtype))
    current = [_assignment_values(e, assigned) for e in encounters["encounter_id"].tolist()]
    before = zip(*(encounters[name].tolist() for name in _ASSIGNMENT_COLUMNS), strict=True)
    changed = np.array([one != other for one, other in zip(before, current, strict=True)])
    changed &= encounters["fight_date"].isin(may_change).to_numpy(dtype=bool)
    if not changed.any():
        return 0, set()
    changed_days = set(encounters.loc[changed, "fight_date"])
    rows = _with_assignments(lake.read("core_encounters", days=changed_days), assigned)
    lake.replace_days(CORE_ENCOUNTERS, CORE_ENCOUNTERS.conform(rows), changed_days)
    return int(changed.sum()), changed_days


def resolve_within_batch(encounters: pa.Table, players: pa.Table) -> pa.Table:
    """The rows with their fights, as far as the logs of this batch determine them."""
    narrow = encounters.select(FIGHT_COLUMNS).to_pandas(types_mapper=pd.ArrowDtype)
    assigned = assign_fights(narrow, players.select(PLAYER_COLUMNS).to_pandas(types_mapper=pd.ArrowDtype))
    return _with_assignments(encounters, assigned) if assigned else encounters


def _assignment_values(encounter_id: str, assigned: Mapping[str, Assignment]) -> tuple[str, bool, bool]:
    """Values of ``_ASSIGNMENT_COLUMNS``."""
    return astuple(assigned.get(encounter_id) or single_log_fight(encounter_id))


def _with_assignments(encounters: pa.Table, assigned: Mapping[str, Assignment]) -> pa.Table:
    parts = [_assignment_values(e, assigned) for e in encounters["encounter_id"].to_pylist()]
    for name, values in zip(_ASSIGNMENT_COLUMNS, zip(*parts, strict=True), strict=True):
        field = CORE_ENCOUNTERS.schema.field(name)
        place = encounters.schema.get_field_index(name)
        encounters = encounters.set_column(place, name, pa.array(values, field.type))
    return encounters

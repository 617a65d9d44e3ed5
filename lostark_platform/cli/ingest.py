"""``lostark ingest``: collect new logs from paths and addresses into the raw table, and report the result.

A failing source does not stop the others. Without ``--run`` the new logs are cleaned in a dry run, to count
what cleaning will refuse.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lostark_assets.core.clean import clean_log
from lostark_assets.core.clean_meter import build_rules
from lostark_assets.core.pipeline import read_raw
from lostark_assets.errors import LogRejected, LostarkError, SettingsError
from lostark_assets.game.difficulties import DIFFICULTIES, resolve_difficulty
from lostark_assets.game.raids import RAIDS, resolve_named_gate
from lostark_assets.lake.tables import Lake, open_lake
from lostark_assets.ledger import open_ledger
from lostark_assets.settings import Settings
from lostark_assets.sources.collect import collect_all
from lostark_assets.sources.collector import Collected, CollectOptions
from lostark_assets.sources.configured import FolderOrigin, Origin, is_address, service_at, sources_at
from lostark_assets.sources.detect import ImportArguments
from lostark_assets.sources.probe import fingerprint_folder, record_collected
from lostark_assets.sources.protocol import Source
from lostark_platform.services.fight_days import ProcessedDays, find_running_platform, process_on_platform
from lostark_platform.terminal import Say, print_table, progress, shown_path

FORMATS = {
    "loa_logs_db": "LOA Logs encounters.db",
    "upload_json": "LOA Logs upload JSON",
    "player_table": "player table",
}
_ROUNDS = 2
_LISTED = 50
"""Files that are told one by one."""
_REGION = re.compile("[A-Z]{2,4}")


@dataclass
class Ingested:
    """One file of an import. ``error``: it can't be read; ``skipped``: why it is not a battle log."""

    path: str
    log_format: str | None = None
    source: str | None = None
    found: int = 0
    new: int = 0
    known: int = 0
    quarantined: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    error: str | None = None
    skipped: str | None = None
    new_log_ids: list[str] = field(default_factory=list, repr=False)
    log_ids: list[str] = field(default_factory=list, repr=False)
    days: set[date] = field(default_factory=set)

    @property
    def is_complete(self) -> bool:
        """Whether all logs of the file were collected and none was refused."""
        return not (self.error or self.problems or self.quarantined)

    def document(self) -> dict[str, Any]:
        """The file's part of ``--json``."""
        return {
            "path": self.path,
            "format": self.log_format,
            "source": self.source,
            "found": self.found,
            "new": self.new,
            "known": self.known,
            "quarantined": dict(sorted(self.quarantined.items())),
            "problems": self.problems,
            "error": self.error,
            "skipped": self.skipped,
        }


@dataclass
class RunDone:
    """The result of ``--run``. ``publish_version`` is that of the last publish to API and pages, if any."""

    success: bool = True
    days: set[date] = field(default_factory=set)
    run_ids: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    publish_version: int | None = None

    def document(self) -> dict[str, Any]:
        """The run's part of ``--json``."""
        return {
            "success": self.success,
            "days": sorted(self.days),
            "run_ids": self.run_ids,
            "failed": self.failed,
            "publish_version": self.publish_version,
        }


@dataclass
class Import:
    """The result of one ``lostark ingest``."""

    files: list[Ingested] = field(default_factory=list)
    run: RunDone | None = None

    @property
    def is_complete(self) -> bool:
        """Whether everything was collected, nothing was refused and no run failed."""
        return all(file.is_complete for file in self.files) and (self.run is None or self.run.success)

    def document(self) -> dict[str, Any]:
        """``--json``."""
        quarantined: Counter[str] = Counter()
        for file in self.files:
            quarantined.update(file.quarantined)
        totals = {
            "found": sum(file.found for file in self.files),
            "new": sum(file.new for file in self.files),
            "known": sum(file.known for file in self.files),
            "quarantined": dict(sorted(quarantined.items())),
            "problems": sum(len(file.problems) for file in self.files),
            "errors": sum(file.error is not None for file in self.files),
            "skipped": sum(file.skipped is not None for file in self.files),
        }
        return {
            "paths": [file.document() for file in self.files],
            "totals": totals,
            "run": None if self.run is None else self.run.document(),
        }


def ingest(
    settings: Settings,
    paths: Sequence[Path | str],
    say: Say,
    arguments: ImportArguments | None = None,
    *,
    run: bool = False,
    check: bool = True,
) -> Import:
    """Ingest paths and addresses one by one; with ``run`` also compute and publish the fight days touched.

    With neither ``run`` nor ``check``, refused logs are not counted.
    """
    lake, started_at = open_lake(settings), datetime.now(UTC)
    run_id = command_run_id("ingest", started_at)
    done = Import(ingest_paths(settings, paths, say, arguments, run_id=run_id))
    if arguments and arguments.given_names():
        for file in done.files:
            if file.log_format not in (None, "player_table"):
                options = ", ".join(f"--{name}" for name in arguments.given_names())
                say(f"{file.path}: {options} ignored: the file is not a player table")
    if run:
        done.run = _process(settings, lake, done.files, say)
        _count_quarantined(lake, done.files, started_at)
    elif check:
        _count_refusals(settings, lake, done.files, started_at)
    return done


def wrong_argument(arguments: ImportArguments) -> str | None:
    """An error text if an argument is invalid: the rows themselves could not reveal it later."""
    raid, gate, word, region = arguments.raid, arguments.gate, arguments.difficulty, arguments.region
    if raid is not None and not resolve_named_gate(raid, None).candidates:
        return f"--raid: expected the name of a raid, English or Korean, found {raid!r}.{_nearest_raid(raid)}"
    if gate is not None and raid is None:
        return f"--gate: expected --raid beside it, found {gate!r} alone."
    if gate is not None and not resolve_named_gate(raid, gate).candidates:
        there = resolve_named_gate(raid, None).candidates
        gates = ", ".join(f"{raid} {gate}" for raid, gate in there)
        return f"--gate: expected a gate of --raid {raid!r}, which means {gates}; found {gate!r}."
    if word is not None and resolve_difficulty(word) is None:
        known = ", ".join(difficulty.name for difficulty in DIFFICULTIES)
        return f"--difficulty: expected one of {known}, or its Korean; found {word!r}."
    if region is not None and not _REGION.fullmatch(region):
        return f"--region: expected capitals such as KR, NAE, NAW or EUC, found {region!r}."
    return None


def _nearest_raid(raid: str) -> str:
    near = difflib.get_close_matches(raid, [one.name for one in RAIDS], 3, 0.4)
    return f" Nearest: {', '.join(near)}." if near else ""


def command_run_id(command: str, at: datetime) -> str:
    """The run id recorded in raw and core rows by a command instead of a Dagster run."""
    return f"{command}-{at:%Y%m%dT%H%M%S.%f}"


def ingest_paths(
    settings: Settings,
    paths: Sequence[Path | str],
    say: Say,
    arguments: ImportArguments | None = None,
    *,
    run_id: str,
) -> list[Ingested]:
    """Collect new logs from paths and addresses into the raw table; one result per file, failed or not."""
    files: list[Ingested] = []
    for path in paths:
        here: list[Ingested] = []
        try:
            origin = _origin(path, arguments or ImportArguments())
            fingerprint = _fingerprint(origin)
            _ingest_origin(settings, origin, here, say, run_id)
            if here and not any(file.error for file in here):
                record_collected(origin, settings, fingerprint)
        except SettingsError as error:
            here.append(_failed(Ingested("an address"), str(error), say))
        except OSError as error:
            here.append(_failed(Ingested(shown_path(path)), f"{path}: can't be read: {error}", say))
        if all(file.skipped for file in here):
            empty = f"{path}: expected battle logs, found a folder without any. Check the path."
            here.append(_failed(Ingested(shown_path(path)), empty, say))
        files += here
    return files


def _origin(path: Path | str, arguments: ImportArguments) -> Origin:
    if isinstance(path, str) and is_address(path):
        named = f"{arguments.source}={path}" if arguments.source else path
        return service_at(named)
    # Absolute, so that the source path in raw rows is valid from any working directory.
    return FolderOrigin(Path(path).expanduser().absolute(), arguments)


def _fingerprint(origin: Origin) -> str | None:
    try:
        return fingerprint_folder(origin)
    except LostarkError:
        # Errors are reported file by file.
        return None


def _ingest_origin(settings: Settings, origin: Origin, files: list[Ingested], say: Say, run_id: str) -> None:
    """Add one result per file of ``origin`` to ``files``."""
    file_of: dict[int, Ingested] = {}

    def find_readable() -> Iterator[Source]:
        for found in sources_at(origin, settings):
            file = Ingested(shown_path(found.path), skipped=found.skipped or None)
            files.append(file)
            if found.error is not None:
                _failed(file, str(found.error), say)
            elif found.source is not None:
                file.log_format, file.source = found.source.log_format, found.source.name
                file_of[id(found.source)] = file
                if len(files) <= _LISTED:
                    say(f"{found.path}: {FORMATS.get(file.log_format, file.log_format)}")
                yield found.source

    def on_result(source: Source, done: Collected, error: Exception | None) -> None:
        file = file_of[id(source)]
        _record(file, done)
        if error is not None:
            _failed(file, str(error), say)

    with progress(Path(origin.where).name) as step:
        options = CollectOptions(run_id, settings.earliest_fight_date, int(settings.batch_bytes), step)
        collect_all(find_readable(), open_lake(settings), open_ledger(settings), on_result, options)


def _failed(file: Ingested, error: str, say: Say) -> Ingested:
    file.error = shown_path(error)
    say(file.error)
    return file


def _record(file: Ingested, done: Collected) -> None:
    file.found, file.new, file.known = done.found, done.new, done.known
    file.new_log_ids, file.log_ids, file.days = done.new_log_ids, done.log_ids, done.days
    file.problems = _texts(done.problems)


def _texts(problems: Iterable[Any]) -> list[str]:
    return [shown_path(f"{problem.where}: {problem.reason}") for problem in problems]


def _count_refusals(settings: Settings, lake: Lake, files: list[Ingested], started_at: datetime) -> None:
    """Clean the new logs in a dry run, to count refusals by reason."""
    file_of = {log_id: file for file in files for log_id in file.new_log_ids}
    rules = build_rules(settings)
    raw_rows = read_raw(lake, set(file_of), started_at)
    with progress("checking the new logs", len(file_of)) as step:
        for count, raw in enumerate(raw_rows, start=1):
            reasons = file_of[raw["log_id"]].quarantined
            try:
                _, refused = clean_log(raw["log_format"], raw["payload"], rules)
            except LogRejected as error:
                reasons[error.reason_code] += 1
            else:
                reasons.update(error.reason_code for _, error in refused)
            step(count, len(file_of))


def _count_quarantined(lake: Lake, files: list[Ingested], started_at: datetime) -> None:
    """Count refusals since ``started_at``, also of logs that an earlier import left to be cleaned."""
    file_of = {log_id: file for file in reversed(files) for log_id in file.log_ids}
    rows = lake.read(
        "core_quarantine",
        columns=["log_id", "reason_code", "quarantined_at"],
        where=pc.field("quarantined_at") >= started_at,
    )
    rows = rows.filter(pc.is_in(rows["log_id"], pa.array(sorted(file_of), pa.string())))
    for log_id, reason in zip(rows["log_id"].to_pylist(), rows["reason_code"].to_pylist(), strict=True):
        file_of[log_id].quarantined[reason] += 1


def _process(settings: Settings, lake: Lake, files: list[Ingested], say: Say) -> RunDone:
    """Process the new logs: in runs of the platform that is running, which sees to earlier ones by itself.

    Otherwise in this process, pending days of an earlier import without ``--run`` too; a second round covers
    days that only cleaning found: a log's day can differ from the source's listing.
    """
    done, sources = RunDone(), {file.source for file in files if file.source}
    if find_running_platform(settings) is not None:
        if days := {day for file in files for day in file.days}:
            run_days(settings, days, say, done)
    else:
        from lostark_assets.automation.pending import pending_days  # noqa: PLC0415 - pandas and Numba

        for _ in range(_ROUNDS):
            days = pending_days(lake, sources) if sources else set()
            if not days or not done.success:
                break
            run_days(settings, days, say, done)
    if not done.days:
        say("nothing to compute: everything is up to date")
    return done


def run_days(settings: Settings, days: set[date], say: Say, done: RunDone) -> None:
    """Process ``days`` and add the result to ``done``, failures included."""

    def process() -> ProcessedDays:
        if (ui := find_running_platform(settings)) is not None:
            return process_on_platform(ui, days, say)
        from lostark_platform.services.materialize import materialize_days  # noqa: PLC0415 - Dagster takes seconds

        return materialize_days(settings, days, say)

    say(f"computing {len(days)} fight days")
    done.days |= days
    try:
        result = process()
    except LostarkError as error:
        failed = [str(error)]
    else:
        done.run_ids += result.run_ids
        done.publish_version = result.publish_version or done.publish_version
        failed = result.failed
    done.failed += failed
    done.success = not done.failed
    for text in failed:
        say(f"failed: {text}")
    if done.publish_version is not None:
        say(f"published as version {done.publish_version}: running APIs and pages show it immediately")


def show_import(done: Import) -> None:
    """Print one row per file; of many files those with problems, and the sum of the others."""
    columns = ("path", "format", "found", "new", "known", "quarantined", "problems")
    files = [file for file in done.files if not file.skipped]
    is_long = len(files) > _LISTED
    shown = [file for file in files if not (is_long and file.is_complete)]
    rows = [_row(file) for file in shown]
    if is_long:
        others = [file for file in files if file.is_complete]
        sums = (sum(getattr(file, name) for file in others) for name in ("found", "new", "known"))
        rows.append((f"{len(others):,} files without problems", "", *sums, "none", "none"))
    print_table(columns, rows)
    skipped = [file for file in done.files if file.skipped]
    if skipped:
        print_table(("skipped", "because"), [(file.path, file.skipped) for file in skipped])


def _row(file: Ingested) -> tuple[Any, ...]:
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(file.quarantined.items()))
    problems = "\n".join([*file.problems, *([file.error] if file.error else [])])
    return (
        file.path,
        FORMATS.get(file.log_format or "", file.log_format),
        file.found,
        file.new,
        file.known,
        reasons or "none",
        problems or "none",
    )

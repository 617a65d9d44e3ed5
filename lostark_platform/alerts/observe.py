"""Observations from the lake, the ledger and the disks.

Lake tables are read only when they have a new version, and at most once every few minutes.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from lostark_assets.automation.backlog import Backlog, read_backlog
from lostark_assets.automation.pending import pending_days
from lostark_assets.contracts.registry import CONTRACTS
from lostark_assets.lake.tables import Lake
from lostark_assets.ledger import CollectionRecord, Ledger
from lostark_assets.settings import Settings
from lostark_assets.sources.configured import ServiceOrigin, watched_origins
from lostark_platform.alerts.detect import OPEN_API
from lostark_platform.alerts.observations import Disk, Refusals
from lostark_platform.alerts.silence import HISTORY, Activity, Window

LAKE_EVERY = timedelta(minutes=5)
LEDGER_LOOKBACK = timedelta(days=2)
_RECENT = timedelta(hours=24)
_BEFORE = timedelta(days=28)
_EVENTS = "core_game_events"


class LakeObserver:
    """Observations about sources from the lake, cached within the process."""

    def __init__(self, lake: Lake, places: Sequence[str]) -> None:
        """``places`` are the configured paths and addresses; other sources are not monitored."""
        self._lake = lake
        self._places = tuple(places)
        self._refreshed_at: datetime | None = None
        self._versions: dict[str, int | None] = {}
        self._due_at: datetime | None = None
        self._due: set[str] = set()
        self.activities: dict[str, Activity] = {}
        self.refusals: list[Refusals] = []
        self.closed: list[Window] = []

    def refresh(self, now: datetime) -> None:
        """Read the tables that changed, unless the last refresh is too recent."""
        if self._refreshed_at is not None and now - self._refreshed_at < LAKE_EVERY:
            return
        if self._has_changed("raw_battle_logs"):
            self.activities = self._read_activities(now)
        if self._has_changed("core_encounters", "core_quarantine") or self.refusals:
            self.refusals = self._read_refusals(now)
        if _EVENTS in CONTRACTS and self._has_changed(_EVENTS):
            self.closed = self._read_closed(now)
        self._refreshed_at = now

    def due_days(self, now: datetime) -> tuple[datetime | None, set[str]]:
        """Fight days that wait for work, and when they were determined."""
        if self._due_at is None or now - self._due_at >= LAKE_EVERY:
            self._due = {day.isoformat() for day in pending_days(self._lake)}
            self._due_at = now
        return self._due_at, self._due

    def _has_changed(self, *tables: str) -> bool:
        changed = False
        for table in tables:
            known = table in self._versions
            if not known or not self._lake.is_at(table, self._versions[table]):
                self._versions[table] = self._lake.version(table)
                changed = True
        return changed

    def _read_activities(self, now: datetime) -> dict[str, Activity]:
        """Fight starts and log arrivals of each configured source."""
        recent = pc.field("fetched_at") >= now - HISTORY
        columns = ["source", "source_path", "fight_started_at", "fetched_at"]
        rows = self._lake.read("raw_battle_logs", columns=columns, where=recent)
        newest = self._lake.read("raw_battle_logs", columns=["source", "fetched_at"])
        last = newest.group_by("source").aggregate([("fetched_at", "max")])
        last_arrival = dict(zip(last["source"].to_pylist(), last["fetched_at_max"].to_pylist(), strict=True))
        activities = {}
        for source in self._monitored(rows):
            mine = rows.filter(pc.equal(rows["source"], source))
            fights = pc.drop_null(mine["fight_started_at"]).to_pylist()
            # Arrivals of one batch differ by fractions of a second: rounding to minutes merges them.
            minutes = pc.unique(pc.floor_temporal(mine["fetched_at"], unit="minute")).to_pylist()
            activities[source] = Activity(fights, [*minutes, last_arrival[source]])
        return activities

    def _monitored(self, rows: pa.Table) -> list[str]:
        pairs = rows.group_by(["source", "source_path"]).aggregate([])
        return sorted(
            {
                source
                for source, path in zip(
                    pairs["source"].to_pylist(), pairs["source_path"].to_pylist(), strict=True
                )
                if path is not None and path.startswith(self._places)
            }
        )

    def _read_refusals(self, now: datetime) -> list[Refusals]:
        """Logs cleaned in the last day, and in the 28 days before, by source."""
        start, edge = now - _BEFORE, now - _RECENT
        kept = self._lake.read(
            "core_encounters", columns=["source", "cleaned_at"], where=pc.field("cleaned_at") >= start
        )
        refused = self._lake.read(
            "core_quarantine",
            columns=["source", "quarantined_at", "reason_code", "log_id"],
            where=(pc.field("quarantined_at") >= start) & (pc.field("scope") == "log"),
        )
        found = []
        kept_counts = _counts(kept["source"].to_pylist(), kept["cleaned_at"].to_pylist(), edge)
        entries = list(
            zip(
                refused["source"].to_pylist(),
                refused["quarantined_at"].to_pylist(),
                refused["reason_code"].to_pylist(),
                strict=True,
            )
        )
        refused_counts = _counts([e[0] for e in entries], [e[1] for e in entries], edge)
        for source in sorted({key[0] for key in (*kept_counts, *refused_counts)}):
            recent = [(at, reason) for name, at, reason in entries if name == source and at >= edge]
            reasons = Counter(reason for _, reason in recent)
            found.append(
                Refusals(
                    source,
                    recent_refused=len(recent),
                    recent_cleaned=len(recent) + kept_counts[source, True],
                    before_refused=refused_counts[source, False],
                    before_cleaned=refused_counts[source, False] + kept_counts[source, False],
                    since=min((at for at, _ in recent), default=now),
                    most_common_reason=reasons.most_common(1)[0][0] if reasons else "",
                )
            )
        return found

    def _read_closed(self, now: datetime) -> list[Window]:
        """Announced maintenance windows, past and future."""
        is_maintenance = (pc.field("kind") == "maintenance") & (pc.field("ends_at") >= now - HISTORY)
        rows = self._lake.read(_EVENTS, columns=["starts_at", "ends_at"], where=is_maintenance)
        pairs = zip(rows["starts_at"].to_pylist(), rows["ends_at"].to_pylist(), strict=True)
        return [(begin, end) for begin, end in pairs if begin is not None and end is not None]


def _counts(sources: list[str], times: list[datetime], edge: datetime) -> Counter[tuple[str, bool]]:
    """Number of entries by (source, is recent)."""
    return Counter((source, at >= edge) for source, at in zip(sources, times, strict=True))


def configured_places(settings: Settings) -> list[str]:
    """Path and address prefixes of all configured sources; uploads are none."""
    return [str(origin.where) for origin in watched_origins(settings)]


def read_collections(
    ledger: Ledger, settings: Settings, names: Iterable[str], now: datetime
) -> list[CollectionRecord]:
    """Collections of configured sources in the last two days.

    ``names`` are the sources whose logs came from configured paths; manual imports are not monitored.
    """
    origins = watched_origins(settings)
    monitored = {OPEN_API, *names, *(str(origin.where) for origin in origins)}
    monitored |= {origin.name for origin in origins if isinstance(origin, ServiceOrigin)}
    return [record for record in ledger.collections(now - LEDGER_LOOKBACK) if record.source in monitored]


def read_known_backlog(ledger: Ledger, now: datetime) -> Backlog | None:
    """The backlog; None if it was not observed lately."""
    backlog = read_backlog(ledger, now)
    return None if backlog.state == "unknown" else backlog


def read_disks(settings: Settings) -> list[Disk]:
    """Free space on the disks of data folder and lake, each disk once; not for object stores."""
    places = {"data folder": settings.home}
    if "://" not in settings.lake_url:
        places["lake"] = Path(settings.lake_url)
    disks, devices = [], set()
    for name, path in places.items():
        there = next(folder for folder in (path, *path.parents) if folder.exists())
        device = there.stat().st_dev
        if device not in devices:
            devices.add(device)
            usage = shutil.disk_usage(there)
            disks.append(Disk(name, usage.free, usage.total))
    return disks

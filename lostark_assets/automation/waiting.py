"""What waits to be on the pages: uploads that are not collected, raw logs that are not published. Reads only.

While nothing was collected and nothing waits, an observation costs one listing of the landing folder and two
file probes. Otherwise the logs that were written since the oldest one that waits are compared with the marts.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow.compute as pc

from lostark_assets.automation.backlog import Backlog, compute_backlog, follow
from lostark_assets.database.postgres import marts_url
from lostark_assets.lake.tables import Lake
from lostark_assets.ledger import BacklogSample, open_ledger
from lostark_assets.marts.publish import published_among
from lostark_assets.settings import Settings
from lostark_assets.sources.configured import open_landing
from lostark_assets.sources.protocol import compute_encounter_id

_RAW, _QUARANTINE = "raw_battle_logs", "core_quarantine"
_SLACK = timedelta(minutes=15)
"""A log is committed less than this after it was fetched."""
_EVER = datetime(1970, 1, 1, tzinfo=UTC)


class WaitingLogs:
    """The raw logs that are not on the pages, remembered between observations of one process.

    The first observation compares all raw logs: another process may have been stopped while some waited, and
    the database may have been replaced.
    """

    def __init__(self, lake: Lake, settings: Settings) -> None:
        """Nothing is read yet."""
        self._lake, self._settings = lake, settings
        self._version: int | None = None
        self._complete_until = _EVER
        self.collected = 0
        self.fetched_at: list[datetime] = []

    def refresh(self, now: datetime) -> None:
        """Bring ``collected`` (raw logs, ever) and ``fetched_at`` of each waiting log up to date.

        Raises:
            DatabaseUnavailable: the marts can't be read.
        """
        lake = self._lake
        is_unchanged = lake.is_at(_RAW, self._version)
        if is_unchanged and not self.fetched_at:
            return
        # Before anything is read: what is committed meanwhile is found next time.
        version = self._version if is_unchanged else lake.version(_RAW)
        if version is None or (self._version is not None and version < self._version):
            self._complete_until = _EVER
        waiting = {} if version is None else self._find_waiting(now)
        self.collected = 0 if version is None else lake.count(_RAW)
        self.fetched_at, self._version = sorted(waiting.values()), version
        self._complete_until = min(waiting.values(), default=now)

    def _find_waiting(self, now: datetime) -> dict[str, datetime]:
        """When each waiting log was fetched. A fight dated tomorrow, by a wrong clock, waits for its day."""
        since = max(self._complete_until - _SLACK, _EVER)
        rows = self._lake.rows_written(_RAW, ["log_id", "fetched_at", "fight_date"], since)
        rows = rows.filter((pc.field("fetched_at") >= since) & (pc.field("fight_date") <= now.date()))
        waiting = dict(zip(rows["log_id"].to_pylist(), rows["fetched_at"].to_pylist(), strict=True))
        if waiting:
            encounters = {compute_encounter_id(log_id): log_id for log_id in waiting}
            with marts_url(self._settings) as url:
                for encounter_id in published_among(url, encounters):
                    del waiting[encounters[encounter_id]]
        if waiting:
            is_refused = (pc.field("scope") == "log") & pc.field("log_id").isin(sorted(waiting))
            refused = self._lake.read(_QUARANTINE, columns=["log_id"], where=is_refused)
            for log_id in set(refused["log_id"].to_pylist()):
                del waiting[log_id]
        return waiting


def record_backlog(logs: WaitingLogs, settings: Settings, runs_queued: int, now: datetime) -> Backlog:
    """Observe what waits, add a sample to the ledger, and return the figure.

    Raises:
        DatabaseUnavailable: the marts can't be read; no sample was added.
    """
    logs.refresh(now)
    uploads = open_landing(settings).pending()
    began = [*(one.received_at for one in uploads[:1]), *logs.fetched_at[:1]]
    ledger = open_ledger(settings)
    before = ledger.backlog_samples()
    sample = BacklogSample(
        at=now,
        online_since=now,
        uploads=len(uploads),
        logs=len(logs.fetched_at),
        oldest_since=min(began, default=None),
        runs_queued=runs_queued,
        collected=logs.collected,
    )
    sample = follow(before, sample, timedelta(seconds=settings.alert_waiting_s))
    ledger.record_backlog(sample)
    return compute_backlog([*before, sample], now)

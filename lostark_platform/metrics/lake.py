"""Metrics of the lake's tables and of what the tables say: sizes and ages, quarantine, the model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from prometheus_client.core import Metric

from lostark_assets.contracts.core import CORE_QUARANTINE
from lostark_assets.contracts.ml import ML_CHAMPION_HISTORY, ML_DPS_MONITORING
from lostark_assets.contracts.registry import CONTRACTS
from lostark_assets.lake.tables import Lake
from lostark_ml.monitoring.weekly import OVERALL
from lostark_ml.registry.aliases import find_champion, read_history
from lostark_ml.registry.names import CHAMPION, DPS_MODEL
from lostark_platform.metrics.families import counter, gauge, gauges, single


class _TableState(NamedTuple):
    """The newest version of a table. ``written_at``: epoch seconds."""

    rows: float
    bytes: float
    files: float
    version: float
    written_at: float


class LakeMetrics:
    """Metrics of all tables; one is read again when it has a new version."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._versions: dict[str, int | None] = {}
        self._tables: dict[str, _TableState] = {}
        self._derived: dict[str, list[Metric]] = {}

    def read(self, _now: float) -> Iterator[Metric]:
        """The metrics now."""
        derive: dict[str, Callable[[], Iterator[Metric]]] = {
            CORE_QUARANTINE.name: self._read_quarantine,
            ML_CHAMPION_HISTORY.name: self._read_champion,
            ML_DPS_MONITORING.name: self._read_monitoring,
        }
        for name in CONTRACTS:
            if name in self._versions and self._lake.is_at(name, self._versions[name]):
                continue
            version = self._lake.version(name)
            if version is not None:
                self._tables[name] = self._read_table(name)
            if name in derive:
                self._derived[name] = list(derive[name]())
            # Last: what could not be read is read again.
            self._versions[name] = version
        yield from self._describe_tables()
        for metrics in self._derived.values():
            yield from metrics

    def _read_table(self, name: str) -> _TableState:
        table = self._lake.open(name)
        if table is None:
            raise LookupError(f"{name} was deleted while its metrics were read")
        files = table.get_add_actions(flatten=True)
        sizes, rows = (files.column(column).to_pylist() for column in ("size_bytes", "num_records"))
        written_ms = table.history(1)[0]["timestamp"]
        return _TableState(
            float(sum(rows)), float(sum(sizes)), float(len(sizes)), float(table.version()), written_ms / 1000
        )

    def _describe_tables(self) -> Iterator[Metric]:
        described: dict[str, tuple[str, Callable[[_TableState], float]]] = {
            "rows": ("Rows of a table of the lake.", lambda state: state.rows),
            "bytes": ("Bytes of its newest version's files.", lambda state: state.bytes),
            "files": ("Files of its newest version.", lambda state: state.files),
            "version": ("Its newest version.", lambda state: state.version),
            "written_timestamp_seconds": ("When that was written.", lambda state: state.written_at),
        }
        states = {(name, name.split("_", 1)[0]): state for name, state in self._tables.items()}
        yield from gauges("lostark_table_", ["table", "layer"], described, states)

    def _read_quarantine(self) -> Iterator[Metric]:
        rows = self._lake.read(CORE_QUARANTINE.name, columns=["reason_code", "scope"])
        counts = Counter(zip(rows["reason_code"].to_pylist(), rows["scope"].to_pylist(), strict=True))
        yield gauge(
            "lostark_quarantine_rows",
            "What is in quarantine, by reason and by what was refused.",
            ["reason", "scope"],
            {key: float(count) for key, count in counts.items()},
        )

    def _read_champion(self) -> Iterator[Metric]:
        history = read_history(self._lake, DPS_MODEL)
        moves = [change for change in history if change.alias == CHAMPION]
        yield single(
            "lostark_model_champion_version", "Version of the champion; none: 0.", find_champion(history) or 0
        )
        yield single(
            "lostark_model_champion_timestamp_seconds",
            "Since when it is the champion.",
            moves[-1].changed_at if moves else None,
        )
        yield counter(
            "lostark_model_alias_changes",
            "Changes of the model's aliases by alias and action.",
            ["alias", "action"],
            {key: float(n) for key, n in Counter((c.alias, c.action) for c in history).items()},
        )

    def _read_monitoring(self) -> Iterator[Metric]:
        rows = self._lake.read(ML_DPS_MONITORING.name).to_pylist()
        newest = max((row["week_started_at"] for row in rows), default=datetime.min.replace(tzinfo=UTC))
        week = [row for row in rows if row["week_started_at"] == newest]
        whole: dict[str, Any] = next((row for row in week if row["slice"] == OVERALL), {})
        described = {
            "mape": "Mean absolute error of expected DPS in the newest monitored week, as a fraction.",
            "bias_log": "Mean of log(reached / expected) in that week.",
            "coverage": "Share of that week's players within the 90 % interval.",
            "refused": "Players of that week without an expectation.",
        }
        for name, description in described.items():
            yield single(f"lostark_model_{name}", description, whole.get(name))
        drifting = Counter(row["slice"] for row in week if row["is_drifting"])
        slices = sorted({row["slice"] for row in week})
        yield gauge(
            "lostark_model_drifting_cells",
            "Cells of that week whose residuals drift, by slice.",
            ["slice"],
            {(name,): float(drifting[name]) for name in slices},
        )

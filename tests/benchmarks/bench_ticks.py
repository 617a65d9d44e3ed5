"""What one tick of each sensor costs with a year of history, in milliseconds of one process.

A source of battle logs is a mock server without any, so that a probe is one request.

The lake gets a year of rows that are as the pipeline leaves them, without the pipeline: only the columns that
decisions read have values. What Dagster's daemon adds to a tick, about 20 ms of PostgreSQL and gRPC, is not
measured.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pyarrow as pa
from pydantic import SecretStr

from lostark_assets.database.postgres import embedded_postgres
from lostark_assets.marts.publish import find_pending, publish
from lostark_assets.settings import get_settings
from lostark_simulator.mock_server.config import MockServerConfig
from lostark_simulator.mock_server.running import mock_server_process

GOAL_MS = 50
FIRST = date.today() - timedelta(days=365)  # noqa: DTZ011 - any year will do
PLAYERS = 8


def main() -> None:
    """Print milliseconds of idle ticks, of a tick after a late log, while a run works, and of a full look."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--logs-a-day", type=int, default=40)
    parser.add_argument("--ticks", type=int, default=30)
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        instance = stack.enter_context(dg.DagsterInstance.local_temp())
        service = MockServerConfig(history=0, new_fight_every_s=0, tiny_logs=True)
        database = stack.enter_context(embedded_postgres(get_settings(home=folder / "database"))).lostark
        bench = Bench(folder, instance, stack.enter_context(mock_server_process(service)), database)
        bench.write_history(arguments.days, arguments.logs_a_day)
        print(f"{arguments.days} days, {arguments.days * arguments.logs_a_day:,} logs")
        for name in bench.sensors:
            print(f"{name}: first look {bench.timed(name):.0f} ms")
            while bench.is_checking_all_days(name):
                print(f"{name}: the full look goes on {bench.timed(name):.0f} ms")
            bench.succeed(name)
            idle = [bench.timed(name) for _ in range(arguments.ticks)]
            print(f"{name}: idle {_spread(idle)}  (goal: below {GOAL_MS} ms)")
        bench.add_log(FIRST + timedelta(days=100))
        print(f"due_fight_days: after a late log {bench.timed('due_fight_days'):.0f} ms")
        working = [bench.timed("due_fight_days") for _ in range(arguments.ticks)]
        print(f"due_fight_days: while its run works {_spread(working)}")


class Bench:
    """A lake with history, and the sensors on it."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance, url: str, database: str) -> None:
        from lostark_assets.automation import due
        from lostark_assets.dagster.sensors import automation_sensors
        from lostark_assets.definitions import build_defs
        from lostark_assets.lake.tables import open_lake

        # The year was written a moment ago; in a real lake only the newest files are as young as this.
        due._SLACK_S = 0.0
        self.instance, self.database = instance, database
        self.settings = get_settings(
            home=folder, battle_log_urls=(f"bench={url}",), postgres_url=SecretStr(database)
        )
        self.lake = open_lake(self.settings)
        self.sensors = {s.name: s for s in automation_sensors()}
        self.defs = build_defs(settings=self.settings)
        self.cursors: dict[str, str | None] = {}

    def write_history(self, days: int, logs_a_day: int) -> None:
        """A day a commit; published, so that nothing waits."""
        for number in range(days):
            self._write_day(FIRST + timedelta(days=number), logs_a_day)
        pending = find_pending(self.lake, self.database)
        publish(self.lake, self.database, pending.days, pending.tables)

    def add_log(self, day: date) -> None:
        """One raw log that is not cleaned."""
        self._append("raw_battle_logs", [_raw_row(uuid.uuid4().hex, day)])

    def timed(self, name: str) -> float:
        """Milliseconds of one tick."""
        started = time.perf_counter()
        with self._context(name) as context:
            data = self.sensors[name].evaluate_tick(context)
        taken = (time.perf_counter() - started) * 1000
        self.cursors[name] = data.cursor
        for request in data.run_requests or []:
            self._run(name, request, dg.DagsterRunStatus.STARTED)
        return taken

    def is_checking_all_days(self, name: str) -> bool:
        """Whether the sensor is still checking the whole history."""
        return bool(json.loads(self.cursors[name] or "{}").get("seen", {}).get("unchecked"))

    def succeed(self, name: str) -> None:
        """Let what was requested succeed, and the sensor find it."""
        for record in self.instance.get_run_records(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
            job = self.defs.resolve_job_def(record.dagster_run.job_name)
            run = record.dagster_run
            self.instance.create_run_for_job(
                job, status=dg.DagsterRunStatus.SUCCESS, run_config=run.run_config, tags=run.tags
            )
            self.instance.delete_run(record.dagster_run.run_id)
        self.timed(name)

    def _run(self, sensor: str, request: dg.RunRequest, status: dg.DagsterRunStatus) -> None:
        job = self.defs.resolve_job_def(request.job_name or self.sensors[sensor].job_name)
        tags = {**request.tags, "dagster/run_key": request.run_key}
        self.instance.create_run_for_job(job, status=status, run_config=request.run_config, tags=tags)

    @contextmanager
    def _context(self, name: str) -> Iterator[dg.SensorEvaluationContext]:
        resources = {"lake": self.lake, "settings": self.settings}
        with dg.build_sensor_context(
            instance=self.instance, cursor=self.cursors.get(name), resources=resources
        ) as context:
            yield context

    def _write_day(self, day: date, logs: int) -> None:
        ids = [uuid.uuid4().hex for _ in range(logs)]
        self._append("raw_battle_logs", [_raw_row(log_id, day) for log_id in ids])
        self._append("core_encounters", [_core_row(log_id, day) for log_id in ids])
        rows = [_stats_row(log_id, day, player) for log_id in ids for player in range(PLAYERS)]
        self._append("stats_player_dps", rows)

    def _append(self, name: str, rows: list[dict]) -> None:
        from lostark_assets.contracts.registry import CONTRACTS

        contract = CONTRACTS[name]
        columns = [
            pa.array([row.get(c.name, None if c.nullable else _filler(c.dtype)) for row in rows], c.dtype)
            for c in contract.columns
        ]
        self.lake.append(contract, pa.table(columns, schema=contract.schema))


def _raw_row(log_id: str, day: date) -> dict:
    started = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    return {"log_id": log_id, "fight_date": day, "fight_started_at": started, "fetched_at": started}


def _core_row(log_id: str, day: date) -> dict:
    from lostark_assets.contracts.code_versions import CLEAN_VERSION

    return {
        "log_id": log_id,
        "encounter_id": log_id[:16],
        "fight_id": log_id[:16],
        "is_counted": True,
        "fight_date": day,
        "clean_version": CLEAN_VERSION,
        "cleaned_at": datetime(day.year, day.month, day.day, 13, tzinfo=UTC),
    }


def _stats_row(log_id: str, day: date, player: int) -> dict:
    from lostark_assets.contracts.code_versions import STATS_VERSION

    return {
        "encounter_id": log_id[:16],
        "fight_id": log_id[:16],
        "is_counted": True,
        "fight_date": day,
        "player_name": f"player {player}",
        "stats_version": STATS_VERSION,
        "computed_at": datetime(day.year, day.month, day.day, 14, tzinfo=UTC),
    }


def _filler(dtype: pa.DataType) -> object:
    """A value for a column that must have one."""
    fillers: list[tuple[Callable[[pa.DataType], bool], object]] = [
        (pa.types.is_string, "bench"),
        (pa.types.is_large_binary, b""),
        (pa.types.is_boolean, False),
        (pa.types.is_timestamp, datetime(2026, 1, 1, tzinfo=UTC)),
        (pa.types.is_date, date(2026, 1, 1)),
    ]
    return next((value for holds, value in fillers if holds(dtype)), 0)


def _spread(taken: list[float]) -> str:
    return f"{statistics.median(taken):.1f} ms, at most {max(taken):.1f} ms"


if __name__ == "__main__":
    main()

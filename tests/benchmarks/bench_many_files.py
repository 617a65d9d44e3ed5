"""Many small files against the same logs in one file: CPU seconds from the files to committed statistics.

Three ways into new lakes: one NDJSON file, a folder with a file for each log, and as many uploads in the
landing folder. Each is collected, cleaned and computed in this process, as the job ``ingest`` does it.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

from lostark_assets.core.clean_meter import build_rules
from lostark_assets.core.pipeline import clean_days
from lostark_assets.dagster.raw_assets import collect_origins
from lostark_assets.lake.tables import open_lake
from lostark_assets.settings import Settings, get_settings
from lostark_assets.sources.configured import FolderOrigin, Origin, list_uploads, open_landing
from lostark_assets.sources.landing import Ticket
from lostark_assets.stats.pipeline import compute_days
from lostark_simulator.season import SeasonConfig, generate_fights
from lostark_simulator.upload_json import write_upload_json

GOAL_RATIO = 3.0
_LARGE = 8 << 30
"""Bytes: the one file of 10,000 logs is larger than a file may be by default."""
Place = Callable[[Path, Settings, Sequence[bytes]], Callable[[], Iterable[Origin]]]
"""Puts documents into a folder; what it returns finds them again, which is measured too."""


def main() -> None:
    """Print CPU seconds of the three ways, of collecting alone and altogether, and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--hits-per-player", type=int, default=15)
    arguments = parser.parse_args()
    season = SeasonConfig(
        encounters=arguments.files,
        seed=29,
        days=28,
        start=date(2026, 10, 1),
        hits_per_player=arguments.hits_per_player,
        dirt=False,
    )
    documents = _generate_documents(season)
    _measure(_one_file, documents[:50])  # imports and compiles
    one = _measure(_one_file, documents)
    size_mb = sum(map(len, documents)) / 1e6
    print(f"{len(documents):,} logs, {size_mb:.0f} MB; goal {GOAL_RATIO:g} times one file")
    print(f"one NDJSON file: collect {one[0]:.1f} CPU s, altogether {one[1]:.1f}")
    for name, place in (("a file each", _folder), ("an upload each", _uploads)):
        collect_s, total_s = _measure(place, documents)
        ratios = f"{collect_s / one[0]:.2f} and {total_s / one[1]:.2f} times"
        print(f"{name}: collect {collect_s:.1f} CPU s, altogether {total_s:.1f}: {ratios} one file")


def _generate_documents(season: SeasonConfig) -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.json"
        return [write_upload_json(path, fight).read_bytes() for fight in generate_fights(season)]


def _measure(place: Place, documents: Sequence[bytes]) -> tuple[float, float]:
    """CPU seconds of collecting, and of everything."""
    with tempfile.TemporaryDirectory() as folder:
        settings = get_settings(home=Path(folder) / "home", max_log_bytes=_LARGE, max_part_bytes=_LARGE)
        lake = open_lake(settings)
        find_origins = place(Path(folder), settings, documents)
        started = time.process_time()
        done, failed = collect_origins(logging.getLogger(__name__), find_origins(), lake, settings, "bench")
        collected = time.process_time()
        days = {day for one in done for day in one.days}
        clean_days(lake, days, build_rules(settings), run_id="bench")
        compute_days(lake, days, settings.engine, run_id="bench")
        ended = time.process_time()
        assert not failed, failed
        assert sum(one.new for one in done) == len(set(documents)) == lake.count("core_encounters")
        return collected - started, ended - started


def _one_file(folder: Path, _: Settings, documents: Sequence[bytes]) -> Callable[[], Iterable[Origin]]:
    path = folder / "all.json"
    path.write_bytes(b"\n".join(documents))
    return lambda: [FolderOrigin(path)]


def _folder(folder: Path, _: Settings, documents: Sequence[bytes]) -> Callable[[], Iterable[Origin]]:
    (folder / "logs").mkdir()
    for number, document in enumerate(documents):
        (folder / "logs" / f"{number}.json").write_bytes(document)
    return lambda: [FolderOrigin(folder / "logs")]


def _uploads(_: Path, settings: Settings, documents: Sequence[bytes]) -> Callable[[], Iterable[Origin]]:
    landing = open_landing(settings)
    for document in documents:
        ticket, path = landing.begin("log.json")
        path.write_bytes(document)
        landing.accept(
            Ticket(ticket, "log.json", "upload:json", "upload_json", len(document), "", datetime.now(UTC))
        )
    return lambda: list_uploads(settings)


if __name__ == "__main__":
    main()

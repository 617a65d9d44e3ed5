"""The work of a process that ``test_kill_dash_nine`` kills: collect, clean, compute, in small commits."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from lostark_assets.core.clean_meter import Rules
from lostark_assets.core.pipeline import clean_days
from lostark_assets.lake.tables import Lake
from lostark_assets.ledger import open_ledger
from lostark_assets.settings import get_settings
from lostark_assets.sources.collect import collect_and_record
from lostark_assets.sources.configured import service_at, service_source
from lostark_assets.stats.pipeline import compute_days, due_stats_days


def work(url: str, folder: Path) -> None:
    """Bring the lake in ``folder`` up to what the service at ``url`` has."""
    settings = get_settings(home=folder, lake_url=str(folder / "lake"))
    lake = Lake(settings.lake_url)
    source = service_source(service_at(f"svc={url}"), settings)
    source.page_size = 4
    collect_and_record(
        source, lake, open_ledger(settings), run_id="r", earliest=date(2022, 1, 1), batch_bytes=60_000
    )
    clean_days(lake, None, Rules(), run_id="r", batch_bytes=120_000)
    compute_days(lake, due_stats_days(lake), "polars", run_id="r")

"""What a first start brings in: the configured sources, else demo data, materialised where work is left.

What does not belong here: starting services (``up``), and the work itself (``commands.ingest``).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from lostark_assets.commands.ingest import RunDone, command_run_id, ingest_paths, run_days
from lostark_assets.commands.pending import pending_days
from lostark_assets.resources import lake_of
from lostark_assets.settings import Settings
from lostark_assets.simulator.demo import write_demo
from lostark_assets.sources.configured import configured_arguments, configured_paths, demo_folder


def first_data(settings: Settings, say: Callable[[str], None]) -> None:
    """Ingest what is new at the configured sources and materialise what waits; does nothing twice.

    Without a configured source, demo data is made once and named as such.
    """
    if not settings.sources:
        _make_demo(settings, say)
    at = datetime.now(UTC)
    files = ingest_paths(
        settings,
        configured_paths(settings),
        lambda _: None,
        configured_arguments(settings),
        run_id=command_run_id("start", at),
    )
    for file in files:
        if file.error or file.problems:
            say(f"not read: {file.error or '; '.join(file.problems)}")
    new, known = sum(file.new for file in files), sum(file.known for file in files)
    say(f"battle logs: {new} new, {known} already known")
    days = pending_days(lake_of(settings))
    if days:
        run_days(settings, days, say, RunDone())
    else:
        say("nothing to materialise: every fight day is up to date")


def _make_demo(settings: Settings, say: Callable[[str], None]) -> None:
    folder = demo_folder(settings)
    if not (folder / "encounters.db").exists():
        say(f"no source is configured: making demo data, {settings.demo_encounters} made-up fights")
        # In a folder beside it, so that an interrupted writing never looks like finished data.
        draft = folder.with_name(f".{folder.name}.new")
        write_demo(draft, settings.demo_encounters, today=datetime.now(UTC).date())
        folder.mkdir(parents=True, exist_ok=True)
        # The database last: it is what tells that the demo is there.
        for file in sorted(draft.iterdir(), key=lambda file: file.suffix == ".db"):
            file.replace(folder / file.name)
        draft.rmdir()
    say("what you see is demo data; set LOSTARK_SOURCES, or `lostark ingest` your own encounters.db")

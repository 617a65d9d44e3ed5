"""Which paths the platform collects from: the configured ones, else the demo data.

What does not belong here: making demo data (``platform.first_data``).
"""

from __future__ import annotations

from pathlib import Path

from lostark_assets.settings import Settings
from lostark_assets.sources.detect import ImportArguments

DEMO_SOURCE = "demo"


def demo_folder(settings: Settings) -> Path:
    """Where demo data lies when no source is configured."""
    return settings.landing_dir / "demo"


def configured_paths(settings: Settings) -> list[Path]:
    """The files and folders to collect from."""
    return list(settings.sources) or [demo_folder(settings)]


def configured_arguments(settings: Settings) -> ImportArguments:
    """What to say about the configured paths: demo logs carry a source name of their own."""
    return ImportArguments() if settings.sources else ImportArguments(source=DEMO_SOURCE)

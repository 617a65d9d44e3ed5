"""``lostark model``: list model versions, and promote or roll back the champion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lostark_assets.errors import NotFound, PermanentError
from lostark_assets.lake.tables import Lake
from lostark_ml.registry.aliases import (
    AliasChange,
    find_previous_champion,
    read_history,
    roll_back,
    set_alias,
)
from lostark_ml.registry.model_registry import ModelRegistry, ModelVersion
from lostark_ml.registry.names import CHAMPION
from lostark_platform import terminal

Load = Callable[[ModelVersion], Any]
_SHOWN_METRICS = ("mape", "bias_log", "coverage")
_SHOWN_TAGS = ("trigger", "decision")


class NoRegisteredModel(NotFound):
    """No model is registered."""


@dataclass(frozen=True)
class VersionRow:
    """A version in ``list``."""

    version: ModelVersion
    metrics: dict[str, float]

    def document(self) -> dict[str, Any]:
        """Its ``--json`` entry."""
        version = self.version
        return {
            "version": version.version,
            "aliases": list(version.aliases),
            "created_at": version.created_at,
            "training_set_version": version.training_set_version,
            "metrics": self.metrics,
            "tags": dict(version.tags),
        }


@dataclass(frozen=True)
class VersionDetails:
    """A version in ``show``, with its alias history."""

    row: VersionRow
    changes: list[AliasChange]

    def document(self) -> dict[str, Any]:
        """The document of ``--json``."""
        return {
            "model": self.row.version.model_name,
            **self.row.document(),
            "run_id": self.row.version.run_id,
            "description": self.row.version.description,
            "history": [change_document(change) for change in self.changes],
        }


def change_document(change: AliasChange) -> dict[str, Any]:
    """An alias change for ``--json``."""
    return dict(vars(change))


def list_versions(registry: ModelRegistry, limit: int) -> list[VersionRow]:
    """The newest versions, and all versions with an alias."""
    versions = registry.versions()
    shown = [v for i, v in enumerate(versions) if i < limit or v.aliases]
    return [VersionRow(version, registry.metrics(version)) for version in shown]


def get_details(registry: ModelRegistry, lake: Lake, number: int | None) -> VersionDetails:
    """Read a version; by default the champion, or the newest if there is none.

    Raises:
        NoRegisteredModel: there is no version.
        UnknownModelVersion: there is no such version.
    """
    version = registry.version(number) if number is not None else registry.champion()
    if version is None:
        version = next(iter(registry.versions()), None)
    if version is None:
        raise NoRegisteredModel(
            f"{registry.model_name}: expected a registered version, found none. The first model is trained "
            "once there are enough fights."
        )
    changes = [
        change
        for change in read_history(lake, registry.model_name)
        if version.version in (change.from_version, change.to_version)
    ]
    return VersionDetails(VersionRow(version, registry.metrics(version)), changes)


def promote(
    registry: ModelRegistry, lake: Lake, number: int, *, by: str, why: str, now: datetime, load: Load
) -> AliasChange:
    """Promote a version to champion, if it can be loaded.

    Raises:
        UnknownModelVersion: there is no such version.
        ModelRefused: its files can't be loaded; the champion is unchanged.
    """
    _require_reason(why)
    load(registry.version(number))
    return set_alias(registry, lake, CHAMPION, number, by=by, why=why, action="promote", now=now)


def rollback(
    registry: ModelRegistry, lake: Lake, *, by: str, why: str, now: datetime, load: Load
) -> AliasChange:
    """Restore the previous champion, if it can be loaded.

    Raises:
        NoPreviousChampion: the history has none.
        ModelRefused: its files can't be loaded; the champion is unchanged.
    """
    _require_reason(why)
    before = find_previous_champion(read_history(lake, registry.model_name))
    if before is not None:
        load(registry.version(before))
    return roll_back(registry, lake, by=by, why=why, now=now)


def _require_reason(why: str) -> None:
    if not why.strip():
        raise PermanentError("--why: expected a reason, found none. Nothing was changed. Give a reason.")


def show_list(versions: list[VersionRow]) -> None:
    """Print versions as a table, newest first."""
    rows = [
        (
            one.version.version,
            " ".join(one.version.aliases),
            f"{one.version.created_at:%Y-%m-%d %H:%M}",
            one.version.training_set_version,
            *(one.metrics.get(name) for name in _SHOWN_METRICS),
            *(one.version.tags.get(name) for name in _SHOWN_TAGS),
        )
        for one in versions
    ]
    terminal.print_table(
        ("version", "aliases", "registered (UTC)", "training set", *_SHOWN_METRICS, *_SHOWN_TAGS), rows
    )


def show_details(found: VersionDetails) -> None:
    """Print card, metrics, tags and alias history of a version."""
    version = found.row.version
    out = terminal.console()
    aliases = f" ({', '.join(version.aliases)})" if version.aliases else ""
    out.print(f"{version.model_name} version {version.version}{aliases}", markup=False)
    out.print(version.description or "no model card", markup=False, soft_wrap=True)
    terminal.print_table(("metric", "value"), sorted(found.row.metrics.items()))
    terminal.print_table(("tag", "value"), sorted(version.tags.items()))
    if found.changes:
        columns = ("when (UTC)", "alias", "from", "to", "action", "by", "why")
        rows = [
            (
                f"{c.changed_at:%Y-%m-%d %H:%M:%S}",
                c.alias,
                c.from_version,
                c.to_version,
                c.action,
                c.changed_by,
                c.reason,
            )
            for c in found.changes
        ]
        terminal.print_table(columns, rows)


def show_change(change: AliasChange) -> None:
    """Print one line about the active version."""
    before = "none" if change.from_version is None else f"version {change.from_version}"
    terminal.say(
        f"{change.alias} of {change.model_name} is version {change.to_version} now; it was {before}. "
        f"Recorded in ml_champion_history: {change.action} by {change.changed_by}, {change.reason}"
    )

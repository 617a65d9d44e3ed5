"""Aliases of model versions and their history, the lake table ``ml_champion_history``.

:func:`set_alias` writes its intent to the registered model, moves the alias, then appends the history row:
after a crash at any point the next call knows what happened. Changes made in the MLflow UI are kept;
:func:`record_outside_changes` records them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from lostark_assets.contracts.ml import ML_CHAMPION_HISTORY
from lostark_assets.errors import PermanentError
from lostark_assets.lake.tables import Lake
from lostark_ml.registry.model_registry import ModelRegistry, UnknownModelVersion
from lostark_ml.registry.names import ALIASES, CHAMPION

OUTSIDE = "outside"
ACTIONS = tuple(a for a in ML_CHAMPION_HISTORY.by_name["action"].allowed or () if a != OUTSIDE)
RECORDED_LATE = "written later: the process ended before it could write this"
_MOMENT = timedelta(microseconds=1)
_MAX_REASON = 2000


class NoPreviousChampion(PermanentError):
    """The history has no champion before the active one."""


class AliasUnchanged(PermanentError):
    """The alias points to that version."""


@dataclass(frozen=True)
class AliasChange:
    """One row of the history."""

    changed_at: datetime
    model_name: str
    alias: str
    from_version: int | None
    to_version: int | None
    action: str
    changed_by: str
    reason: str
    training_set_version: int | None


def read_history(lake: Lake, model_name: str | None = None) -> list[AliasChange]:
    """All changes of the aliases of that model, or of all models, the oldest first."""
    where = None if model_name is None else pc.field("model_name") == model_name
    rows = lake.read(ML_CHAMPION_HISTORY.name, where=where)
    return [AliasChange(**row) for row in rows.sort_by("changed_at").to_pylist()]


def set_alias(
    registry: ModelRegistry,
    lake: Lake,
    alias: str,
    version: int,
    *,
    by: str,
    why: str,
    action: str,
    now: datetime,
) -> AliasChange:
    """Set ``alias`` to ``version``, and record who did it and why.

    Args:
        registry: where the alias is.
        lake: where the history is.
        alias: ``champion`` or ``challenger``.
        version: which version of the registered model.
        by: the gate, or a person.
        why: the reason, as text.
        action: ``submit``, ``promote`` or ``rollback``.
        now: UTC instant.

    Raises:
        UnknownModelVersion: there is no such version.
        AliasUnchanged: the alias already points to it.
        RegistryUnavailable: nothing was moved, or the next call records that it was.
    """
    if action not in ACTIONS or alias not in ALIASES:
        message = f"expected one of {ACTIONS} on one of {ALIASES}, found {action} on {alias}"
        raise ValueError(message)
    with lake.lock(ML_CHAMPION_HISTORY.name):
        _record_outside_changes(registry, lake, now)
        target = registry.version(version)
        current = registry.aliases().get(alias)
        if current == version:
            raise AliasUnchanged(
                f"{registry.model_name}: {alias} is version {version} already. Nothing was changed."
            )
        change = AliasChange(
            changed_at=_next_instant(read_history(lake), now),
            model_name=registry.model_name,
            alias=alias,
            from_version=current,
            to_version=version,
            action=action,
            changed_by=by,
            reason=why[:_MAX_REASON],
            training_set_version=target.training_set_version,
        )
        registry.set_model_tag(
            _get_intent_key(alias), json.dumps(asdict(change), default=str, ensure_ascii=False)
        )
        registry.move_alias(alias, version)
        _append_history(lake, [change])
    return change


def record_outside_changes(registry: ModelRegistry, lake: Lake, now: datetime) -> list[AliasChange]:
    """Record changes of the aliases since the last row; returns the new rows.

    A move by :func:`set_alias` that was interrupted before its row was written keeps its own action;
    anything else is ``outside``. Moves undone between two calls are not seen.
    """
    with lake.lock(ML_CHAMPION_HISTORY.name):
        return _record_outside_changes(registry, lake, now)


def find_champion(history: Sequence[AliasChange], at: datetime | None = None) -> int | None:
    """Version of the champion by the newest row, or of the one active ``at`` an instant; None: no champion.

    ``history``: the oldest first.
    """
    changes = [c for c in history if c.alias == CHAMPION and (at is None or c.changed_at <= at)]
    return changes[-1].to_version if changes else None


def find_previous_champion(history: Sequence[AliasChange]) -> int | None:
    """The champion before the active one; None if the history has none.

    A rollback undoes one promotion: a second one goes to the champion before that. Where the alias was
    removed, the result is the last version that had it.
    """
    stack: list[int] = []
    changes = [c for c in sorted(history, key=lambda c: c.changed_at) if c.alias == CHAMPION]
    for change in changes:
        if change.to_version is None:
            continue
        if change.action == "rollback" and change.to_version in stack:
            while stack[-1] != change.to_version:
                stack.pop()
        elif not stack or stack[-1] != change.to_version:
            stack.append(change.to_version)
    if changes and changes[-1].to_version is None:
        return stack[-1] if stack else None
    return stack[-2] if len(stack) > 1 else None


def roll_back(registry: ModelRegistry, lake: Lake, *, by: str, why: str, now: datetime) -> AliasChange:
    """Make the previous champion active again.

    Raises:
        NoPreviousChampion: the history has none.
    """
    record_outside_changes(registry, lake, now)
    version = find_previous_champion(read_history(lake, registry.model_name))
    if version is None:
        raise NoPreviousChampion(
            f"{registry.model_name}: expected a champion before the present one in ml_champion_history, "
            "found none. Nothing was changed. `lostark model promote VERSION` makes any version champion."
        )
    return set_alias(registry, lake, CHAMPION, version, by=by, why=why, action="rollback", now=now)


def _record_outside_changes(registry: ModelRegistry, lake: Lake, now: datetime) -> list[AliasChange]:
    history, aliases = read_history(lake, registry.model_name), registry.aliases()
    found: list[AliasChange] = []
    for alias in ALIASES:
        last = next((c for c in reversed(history) if c.alias == alias), None)
        before, current = (last.to_version if last else None), aliases.get(alias)
        if current == before:
            continue
        change = _find_interrupted_change(registry, alias, current, last) or AliasChange(
            changed_at=_next_instant([*read_history(lake), *found], now),
            model_name=registry.model_name,
            alias=alias,
            from_version=before,
            to_version=current,
            action=OUTSIDE,
            changed_by="unknown",
            reason="moved in the MLflow UI or by other software; noticed then",
            training_set_version=_read_training_set(registry, current),
        )
        found.append(change)
    _append_history(lake, found)
    return found


def _find_interrupted_change(
    registry: ModelRegistry, alias: str, current: int | None, last: AliasChange | None
) -> AliasChange | None:
    """The change that ``set_alias`` was making when it was cut off, if that is what happened."""
    text = None if current is None else registry.model_tags().get(_get_intent_key(alias))
    if text is None:
        return None
    intent = json.loads(text)
    change = AliasChange(**{**intent, "changed_at": datetime.fromisoformat(intent["changed_at"])})
    follows = last is None or change.changed_at > last.changed_at
    if (
        not follows
        or change.to_version != current
        or change.from_version != (last.to_version if last else None)
    ):
        return None
    return AliasChange(**{**asdict(change), "reason": f"{change.reason} ({RECORDED_LATE})"})


def _get_intent_key(alias: str) -> str:
    return f"last_move_of_{alias}"


def _read_training_set(registry: ModelRegistry, version: int | None) -> int | None:
    try:
        return None if version is None else registry.version(version).training_set_version
    except UnknownModelVersion:
        return None


def _next_instant(history: Sequence[AliasChange], now: datetime) -> datetime:
    """``now``, but after every row there is: a clock that was put back must not reorder the history."""
    return max([now, *(change.changed_at + _MOMENT for change in history)])


def _append_history(lake: Lake, changes: Sequence[AliasChange]) -> None:
    if changes:
        rows = pa.Table.from_pylist([asdict(c) for c in changes], schema=ML_CHAMPION_HISTORY.schema)
        lake.append(ML_CHAMPION_HISTORY, rows)

"""Response models with columns of the lake's contracts: type, unit and meaning are defined once.

Responses are not built from these models: they make the OpenAPI document, and tests validate responses.
Every ``*_name`` is English and stable; every ``*_label`` beside it is in the reader's language.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date
from types import GenericAlias
from typing import Any, TypeVar, cast

import pyarrow as pa
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, create_model

from lostark_api.http.language import LABELS
from lostark_assets.contracts.registry import CONTRACTS
from lostark_assets.contracts.table import BOOL, DAY, FLOAT, INSTANT, INT, SMALL, STRING, Column

_PYTHON = {INT: int, SMALL: int, FLOAT: float, BOOL: bool, STRING: str, INSTANT: AwareDatetime, DAY: date}
# Where a column is in several tables, the last one's description holds.
_COLUMNS: dict[str, Column] = {
    c.name: c
    for table in (
        "ml_dps_evaluation", "ml_champion_history", "ml_dps_monitoring", "ml_player_clusters",
        "stats_raid_progression", "stats_dps_distribution", "ml_expected_dps", "core_skills",
        "core_players", "core_encounters",
        "stats_player_dps",
    )
    for c in CONTRACTS[table].columns
}  # fmt: skip
_COMPUTED = {
    "gate_id": "raid gate and difficulty, as in addresses",
    "week_started_at": "weekly reset of the log's region before the fight",
}


class Body(BaseModel):
    """Base of all response models."""

    model_config = ConfigDict(extra="forbid")


Model = TypeVar("Model", bound=Body)


def with_columns(*columns: str) -> Callable[[type[Model]], type[Model]]:
    """Put ``columns`` before the fields of the decorated model, and a label behind every game term."""
    fields: dict[str, Any] = {}
    for column in columns:
        fields[column] = _make_field(column)
        if column in LABELS:
            label = Field(description=f"{column} in the reader's language")
            fields[LABELS[column]] = (str | None, label)

    def extend(model: type[Model]) -> type[Model]:
        own: dict[str, Any] = {name: (info.annotation, info) for name, info in model.model_fields.items()}
        made = create_model(model.__name__, __base__=Body, __doc__=model.__doc__, **fields, **own)
        return cast("type[Model]", made)

    return extend


def list_table_columns(table: str) -> Iterable[str]:
    """All columns of a contract."""
    return CONTRACTS[table].names


def _make_field(column: str) -> tuple[Any, Any]:
    known = _COLUMNS.get(column)
    if known is None:
        return str | None, Field(description=_COMPUTED.get(column, column))
    unit = f" [{known.unit}]" if known.unit else ""
    return _get_type(known.dtype) | None, Field(description=f"{known.description}{unit}")


def _get_type(dtype: pa.DataType) -> Any:
    if pa.types.is_list(dtype):
        return GenericAlias(list, (_get_type(dtype.value_type),))
    return _PYTHON[dtype]

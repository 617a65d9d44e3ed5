"""Parameters that several routes share, with limits that keep out what PostgreSQL would refuse."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from fastapi import Path, Query
from pydantic import AfterValidator

MAX_ROWS = 200
_MAX = 100


def check_storable(text: str) -> str:
    """``text``, if PostgreSQL can store it."""
    if "\x00" in text:
        raise ValueError("should not contain NUL characters")
    return text


_Storable = AfterValidator(check_storable)
_ID_PATTERN = r"^[A-Za-z0-9._~:-]{1,128}$"

GateId = Annotated[
    str,
    Path(
        description="Gate and difficulty, as /v1/gates lists them.",
        max_length=_MAX * 2,
        examples=["serca-g2-nightmare"],
    ),
    _Storable,
]
FightId = Annotated[str, Path(description="A fight, as /v1/fights lists them.", pattern=_ID_PATTERN)]
Region = Annotated[str, Path(description="Server region.", max_length=_MAX, examples=["EUC"]), _Storable]
PlayerName = Annotated[
    str, Path(description="Character name, as listed.", max_length=_MAX, examples=["Yorarel"]), _Storable
]


def _text(description: str, example: str) -> object:
    return Query(description=description, min_length=1, max_length=_MAX, examples=[example])


GateFilter = Annotated[str | None, _text("Only this gate, by its id.", "serca-g2-nightmare"), _Storable]
RegionFilter = Annotated[str | None, _text("Only this server region.", "EUC"), _Storable]
ClassFilter = Annotated[str | None, _text("Only this class, by its English name.", "Sorceress"), _Storable]
SpecFilter = Annotated[str | None, _text("Only this spec, by its English name.", "Reflux"), _Storable]
NameFilter = Annotated[str | None, _text("Only fights of this character.", "Yorarel"), _Storable]
NamePrefix = Annotated[
    str | None,
    Query(description="Beginning of the name, case-insensitive.", min_length=1, max_length=64),
    _Storable,
]
Cleared = Annotated[bool | None, Query(description="Only clears (true), or only wipes (false).")]
Since = Annotated[date | None, Query(description="First fight day, UTC.")]
Until = Annotated[date | None, Query(description="Last fight day, UTC.")]
Weeks = Annotated[int, Query(ge=1, le=104, description="Weeks back from the newest fight.")]
RoleFilter = Annotated[
    Literal["dealer", "support"],
    Query(description="Dealers are described by DPS, supports by their contribution to the party's damage."),
]
ItemLevel = Annotated[
    float | None, Query(ge=0, le=3000, allow_inf_nan=False, description="Item level limit.", examples=[1700])
]
Limit = Annotated[int, Query(ge=1, le=MAX_ROWS, description="Maximum number of rows.")]
After = Annotated[
    str | None,
    Query(max_length=2000, description="`next_cursor` of the previous page; without it the first page."),
]
Lang = Annotated[
    Literal["en", "ko"] | None,
    Query(description="Language of labels, for addresses that are shared; else `Accept-Language` decides."),
]

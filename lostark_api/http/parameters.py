"""Parameters that several routes take, with their limits: no query gets what PostgreSQL would refuse.

What does not belong here: what is done with them.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from fastapi import Path, Query
from pydantic import AfterValidator

MAX_ROWS = 200
_MAX = 100


def storable(text: str) -> str:
    """A text that PostgreSQL can be asked with."""
    if "\x00" in text:
        raise ValueError("should hold no NUL character")
    return text


_Storable = AfterValidator(storable)
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
Cleared = Annotated[bool | None, Query(description="Only won fights (true), or lost ones (false).")]
Since = Annotated[date | None, Query(description="First fight day, UTC.")]
Until = Annotated[date | None, Query(description="Last fight day, UTC.")]
Weeks = Annotated[int, Query(ge=1, le=104, description="Weeks back from the newest fight.")]
RoleOf = Annotated[
    Literal["dealer", "support"],
    Query(description="Dealers are described by DPS, supports by their contribution to the party's damage."),
]
ItemLevel = Annotated[
    float | None, Query(ge=0, le=3000, allow_inf_nan=False, description="Item level limit.", examples=[1700])
]
Limit = Annotated[int, Query(ge=1, le=MAX_ROWS, description="Most rows of a page.")]
After = Annotated[
    str | None,
    Query(max_length=2000, description="`next_cursor` of the page before; without it the first page."),
]
Lang = Annotated[
    Literal["en", "ko"] | None,
    Query(description="Language of labels, for addresses that are shared; else `Accept-Language` decides."),
]

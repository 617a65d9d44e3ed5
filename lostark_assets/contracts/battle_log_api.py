"""The battle-log HTTP contract: paths, query parameters, bodies. Servers and clients share this module.

* ``GET /v1/battle-logs?after=CURSOR&limit=N`` lists logs in the order of ``(updated_at, id)``: those after
  the cursor, oldest first; without ``after`` from the oldest on. ``next_cursor`` is never null: requested
  later, it returns the logs added since. An empty ``logs`` means nothing is new.
* A log that is uploaded again keeps its ``id``, gets another ``content_sha256`` and a later ``updated_at``,
  and so is listed again. A log that comes late has an old ``fight_started_at`` and a new ``updated_at``.
* A cursor is opaque. For one that the server no longer knows it returns 410: list from the beginning.
* ``GET /v1/battle-logs/{id}`` gives the newest upload JSON with ``Content-Encoding: gzip``.
* Errors are problem documents (RFC 9457). ``Authorization: Bearer TOKEN`` where the server asks for it, or
  401.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

LIST_PATH = "/v1/battle-logs"
LOG_PATH = "/v1/battle-logs/{id}"
AFTER = "after"
LIMIT = "limit"
DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
ID_PATTERN = r"^[A-Za-z0-9._~-]{1,128}$"
CURSOR_PATTERN = r"^[A-Za-z0-9._~-]{1,256}$"
JSON_TYPE = "application/json"
PROBLEM_TYPE = "application/problem+json"
CURSOR_FORGOTTEN_STATUS = 410


class _Body(BaseModel):
    # A later server may add fields; a client of today must not break on them.
    model_config = ConfigDict(frozen=True, extra="ignore")


class BattleLogEntry(_Body):
    """One battle log as the listing shows it; hash and size are those of the upload JSON before gzip."""

    id: Annotated[str, Field(pattern=ID_PATTERN, description="The log's own id; needs no escaping in a URL.")]
    content_sha256: Annotated[
        str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the upload JSON, lower hex.")
    ]
    fight_started_at: Annotated[AwareDatetime, Field(description="Start of the fight, UTC.")]
    updated_at: Annotated[
        AwareDatetime,
        Field(description="When this content came to the server, UTC; the order is by it."),
    ]
    size_bytes: Annotated[int, Field(ge=0, description="Size of the upload JSON before gzip.")]


class BattleLogPage(_Body):
    """One page of the listing; ``next_cursor`` continues after its last log."""

    logs: Annotated[list[BattleLogEntry], Field(description="By (updated_at, id); empty: nothing new now.")]
    next_cursor: Annotated[
        str, Field(pattern=CURSOR_PATTERN, description="Opaque; it needs no escaping in a URL. Never null.")
    ]


class Problem(_Body):
    """An error as RFC 9457 describes it."""

    type: Annotated[str, Field(description="Kind of the problem.")] = "about:blank"
    title: Annotated[str, Field(description="The kind in words.")]
    status: Annotated[int, Field(ge=400, le=599, description="The HTTP status.")]
    detail: Annotated[str, Field(description="What was asked, what is wrong with it, what to do.")] = ""

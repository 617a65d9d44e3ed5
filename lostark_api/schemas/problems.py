"""The schema of problem documents (RFC 9457), and how routes document theirs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ConfigDict

from lostark_api.schemas.base import Body
from lostark_assets.contracts.battle_log_api import PROBLEM_TYPE


class ProblemDetails(Body):
    """RFC 9457: what went wrong."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "type": "about:blank",
                    "title": "Not Found",
                    "status": 404,
                    "detail": "There is no such fight.",
                    "request_id": "5f0c7f4e0f0b4d5c9a3f3c1f7f0a9e11",
                }
            ]
        },
    )
    type: str
    title: str
    status: int
    detail: str
    errors: list[dict[str, str]] | None = None
    request_id: str | None = None


def document_problems(descriptions: Mapping[int, str]) -> dict[int | str, dict[str, Any]]:
    """The ``responses=`` of routes that may fail with these statuses."""
    return {
        status: {"model": ProblemDetails, "content": {PROBLEM_TYPE: {}}, "description": description}
        for status, description in descriptions.items()
    }

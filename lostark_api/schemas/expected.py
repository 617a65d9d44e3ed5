"""The response of ``POST /v1/expected-dps``."""

from __future__ import annotations

from pydantic import Field

from lostark_api.schemas.base import Body, with_columns
from lostark_assets.contracts.ml import CONTEXT_PARTS


@with_columns(
    "refusal_reason", "expected_dps", "expected_dps_low", "expected_dps_high", "typical_dps",
    *(c.name for c in CONTEXT_PARTS),
)  # fmt: skip
class BuildExpectation(Body):
    """Expected DPS of one build; null figures where it is refused."""


class Expectations(Body):
    """Expectations in the order of the builds."""

    model_version: int | None = Field(description="the champion that answered; null: there is none")
    expectations: list[BuildExpectation]

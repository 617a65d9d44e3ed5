"""The battle-log contract as an OpenAPI document, generated from the routes that serve it.

``python -m lostark_simulator.mock_server.contract`` prints it; ``make contract`` writes it to
``docs/battle-log-api.json``, and a test compares the two.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from fastapi import FastAPI

import lostark_assets.contracts.battle_log_api as contract
from lostark_simulator.mock_server import battle_logs

VERSION = "1.0.0"


def contract_document() -> dict[str, Any]:
    """The OpenAPI document of ``/v1/battle-logs``."""
    app = FastAPI(title="Battle logs", version=VERSION, description=_description())
    app.include_router(battle_logs.router)
    document = app.openapi()
    parts = document["components"]
    parts["schemas"]["Problem"] = contract.Problem.model_json_schema()
    parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    # Servers may go without a token.
    document["security"] = [{}, {"token": []}]
    return document


def contract_text() -> str:
    """The document as it is written to the file."""
    return json.dumps(contract_document(), ensure_ascii=False, indent=2) + "\n"


def _description() -> str:
    return "\n".join((contract.__doc__ or "").replace("``", "`").splitlines()[2:-2]).strip()


if __name__ == "__main__":
    sys.stdout.write(contract_text())

"""All contracts by table name, and lists of tables derived from them."""

from __future__ import annotations

from lostark_assets.contracts import core, ml, raw, stats
from lostark_assets.contracts.table import Contract, Grain

CONTRACTS: dict[str, Contract] = {
    contract.name: contract
    for module in (raw, core, stats, ml)
    for contract in vars(module).values()
    if isinstance(contract, Contract)
}


def list_tables(*layers: str, grain: Grain | None = None) -> list[str]:
    """Tables of ``layers`` (none: all), of one ``grain`` where given, in the order of the contracts."""
    return [
        name
        for name, contract in CONTRACTS.items()
        if (not layers or contract.layer in layers) and grain in (None, contract.grain)
    ]

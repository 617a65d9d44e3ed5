"""The import contract that import-linter lacks: everything is pure, except what is listed.

A list of pure modules would forget the new ones; this one names the exceptions. The contracts themselves
stand in ``pyproject.toml``; ``lint-imports`` and ``tests/pure/test_architecture.py`` run them.
"""

from __future__ import annotations

from grimp import ImportGraph
from importlinter.application import output
from importlinter.domain import fields
from importlinter.domain.contract import Contract, ContractCheck


class PureContract(Contract):
    """No module outside ``wiring_modules`` reaches a forbidden one, over any number of imports."""

    type_name = "pure"
    forbidden_modules = fields.SetField(subfield=fields.StringField())
    wiring_modules = fields.SetField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Look for the shortest way from every pure module to every forbidden one."""
        wiring = {name for pattern in self.wiring_modules for name in graph.find_matching_modules(pattern)}
        forbidden = sorted(self.forbidden_modules & graph.modules)
        pure = [name for name in sorted(graph.modules - wiring) if not graph.is_module_squashed(name)]
        ways = [graph.find_shortest_chain(name, target) for name in pure for target in forbidden]
        found = [way for way in ways if way]
        return ContractCheck(kept=not found, metadata={"ways": found})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """One line for each way that should not be there."""
        for way in check.metadata["ways"]:
            output.print_error(" -> ".join(way))

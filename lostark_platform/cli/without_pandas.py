"""Loading Arrow's dataset module without pandas, for commands that only read tables with Arrow.

``pyarrow.dataset`` imports pandas while it loads, if it can: most of the start-up time of a short command.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

_PROGRAM = "lostark"


class _NoPandas:
    """Import finder that reports pandas as not installed."""

    def find_spec(
        self, name: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name == "pandas":
            raise ModuleNotFoundError("No module named 'pandas'", name="pandas")
        return None


def load_datasets() -> None:
    """Import ``pyarrow.dataset`` without pandas, if this process is the command itself.

    Arrow remembers the failed import and no longer recognises pandas objects, which must not happen in a
    process that hosts other code, such as a test run.
    """
    if Path(sys.argv[0]).name != _PROGRAM or "pandas" in sys.modules:
        return
    finder = _NoPandas()
    sys.meta_path.insert(0, finder)
    try:
        import pyarrow.dataset  # noqa: F401, PLC0415 - this import is the purpose
    finally:
        sys.meta_path.remove(finder)

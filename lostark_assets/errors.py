"""The error tree of the platform.

::

    LostarkError
    ├── PermanentError            trying again changes nothing
    │   ├── SettingsError         a setting is missing or invalid
    │   ├── WrongUsage            a command was called with invalid arguments
    │   ├── SourceError           a source can't be read as what it claims to be
    │   │   ├── SourceMissing     no such path
    │   │   └── UnknownFormat     the content is none of the formats we read
    │   ├── SourceRefused         a service refuses: wrong key, no permission, no such resource
    │   ├── LogRejected           one log can't become core rows: carries a quarantine reason code
    │   ├── UnexpectedError       an exception of a class that no rule foresaw; carries an id
    │   ├── ContractViolated      a frame breaks its table's contract; nothing was written
    │   └── NotFound              the requested encounter, player or table is not in the lake
    └── TransientError            the same call may work later
        ├── SourceBusy            a source is locked or being replaced right now
        ├── SourceUnavailable     a service gave no valid response within the time limit
        │   └── CircuitOpen       it failed so often that no request is made for a while
        ├── LakeBusy              another writer committed first, too often
        └── DatabaseUnavailable   PostgreSQL can't be reached, or gave up a transaction
"""

from __future__ import annotations

import hashlib
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class LostarkError(Exception):
    """Base of every error that the platform raises on purpose."""


class PermanentError(LostarkError):
    """Trying again without a change gives the same error."""


class TransientError(LostarkError):
    """The same call may work later; nothing was left half done."""


MACHINE_ERRORS = (TransientError, OSError, MemoryError)
"""What the machine raises, whatever the data: no log is to blame."""


class SettingsError(PermanentError):
    """A setting is missing or invalid."""


class WrongUsage(PermanentError):
    """A command was called with invalid arguments, such as a value outside a closed list."""


class SourceError(PermanentError):
    """A source can't be read as what it claims to be. The source itself is never changed."""

    def __init__(self, path: object, found: str, expected: str, advice: str) -> None:
        """``found`` against ``expected`` at ``path``, and what to do about it."""
        self.path = str(path)
        self.found = found
        super().__init__(f"{path}: expected {expected}, found {found}. The file was left as it is. {advice}")


class SourceMissing(SourceError):
    """There is nothing at the path."""

    def __init__(self, path: object) -> None:
        """``path`` does not exist."""
        super().__init__(path, "nothing there", "a file or folder", "Check the path.")


class UnknownFormat(SourceError):
    """The content is none of the formats that the platform reads."""


class SourceBusy(TransientError):
    """A source is locked, can't be opened, or changed while it was being read."""


class SourceUnavailable(TransientError):
    """A service gave no valid response within the time limit; earlier responses were kept."""

    def __init__(self, message: str, *, kind: str = "") -> None:
        """``kind`` of the last failure, as ``gateway.classify`` names it."""
        self.kind = kind
        super().__init__(message)


class CircuitOpen(SourceUnavailable):
    """A service failed so often that no request is made until the circuit lets one through."""


class LakeBusy(TransientError):
    """Another writer committed to the same table first, more often than we tried."""


class DatabaseUnavailable(TransientError):
    """PostgreSQL can't be reached or aborted a transaction; earlier commits were kept."""


class NotFound(PermanentError):
    """What was requested is not in the lake."""


class SourceRefused(PermanentError):
    """A service refused a request: a wrong or missing key, no permission, or no such resource."""

    def __init__(self, message: str, *, kind: str = "", status: int | None = None) -> None:
        """``kind`` as ``gateway.classify`` names it, and the HTTP ``status``."""
        self.kind = kind
        self.status = status
        super().__init__(message)


class LogRejected(PermanentError):
    """One battle log can't become core rows; it goes to quarantine with ``reason_code``."""

    def __init__(self, reason_code: str, detail: str, locator: str = "") -> None:
        """``detail`` says expected against found; ``locator`` where in the log."""
        self.reason_code = reason_code
        self.detail = detail
        self.locator = locator
        super().__init__(f"{reason_code}: {detail}" + (f" (at {locator})" if locator else ""))


class UnexpectedError(PermanentError):
    """An input raised something that no rule foresaw. That input alone is refused."""

    def __init__(self, subject: str, error: BaseException) -> None:
        """``subject``: the input, and what was done with it. The id is the same for the same fault."""
        self.error_id = fault_id(error)
        found = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        super().__init__(
            f"{subject}: unexpected {found} (error {self.error_id}). Nothing of it was stored, the rest "
            "goes on. The event log has the traceback under this id: report it, try again after an update."
        )


def fault_id(error: BaseException) -> str:
    """Eight hex digits: the class of ``error`` and the functions it came through, but no line numbers."""
    frames = traceback.extract_tb(error.__traceback__)
    place = [
        type(error).__qualname__,
        *(f"{Path(frame.filename).name}:{frame.name}" for frame in frames[-5:]),
    ]
    return hashlib.sha256("\n".join(place).encode()).hexdigest()[:8]


class ContractViolated(PermanentError):
    """A frame breaks the contract of its table. Nothing was written; the last good rows stay."""

    def __init__(self, table: str, problems: list[str], findings: Mapping[str, Any] | None = None) -> None:
        """``problems`` name column, rule and examples; ``findings`` by table, to show them."""
        self.table = table
        self.findings: Mapping[str, Any] = findings or {}
        self.problems = problems
        listed = "; ".join(problems[:10])
        super().__init__(
            f"{table}: {len(problems)} contract rules broken: {listed}. Nothing was written, the rows "
            "committed before stay as they are. Fix the cleaning code or the contract, then run again."
        )

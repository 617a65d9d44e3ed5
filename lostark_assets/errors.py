"""The error tree of the platform.

::

    LostarkError
    ├── PermanentError            trying again changes nothing
    │   ├── SettingsError         a setting is missing or makes no sense
    │   ├── WrongUsage            a command was asked for what cannot be
    │   ├── SourceError           a source can't be read as what it claims to be
    │   │   ├── SourceMissing     no such path
    │   │   └── UnknownFormat     the content is none of the formats we read
    │   ├── SourceRefused         a service says no: wrong key, no right, no such thing
    │   ├── LogRejected           one log can't become core rows: carries a quarantine reason code
    │   ├── ContractViolated      a frame breaks its table's contract; nothing was written
    │   └── NotFound              asked for an encounter, player or table that is not in the lake
    └── TransientError            the same call may work later
        ├── SourceBusy            a source is locked or being replaced right now
        ├── SourceUnavailable     a service did not answer properly for as long as we tried
        │   └── CircuitOpen       it failed so often that it is left alone for a while
        ├── LakeBusy              another writer committed first, too often
        └── DatabaseUnavailable   PostgreSQL can't be reached, or gave up a transaction
"""

from __future__ import annotations


class LostarkError(Exception):
    """Base of every error that the platform raises on purpose."""


class PermanentError(LostarkError):
    """Trying again without a change gives the same error."""


class TransientError(LostarkError):
    """The same call may work later; nothing was left half done."""


class SettingsError(PermanentError):
    """A setting is missing or makes no sense."""


class WrongUsage(PermanentError):
    """A command was asked for what cannot be, such as a word that is none of a closed list."""


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
    """A source is locked, or changed while it was being read."""


class SourceUnavailable(TransientError):
    """A service did not answer as it should for as long as we tried; what came before stays."""

    def __init__(self, message: str, *, kind: str = "") -> None:
        """``kind`` of the last failure, as ``gateway.classify`` names it."""
        self.kind = kind
        super().__init__(message)


class CircuitOpen(SourceUnavailable):
    """A service failed so often that no request is made until the circuit lets one through."""


class LakeBusy(TransientError):
    """Another writer committed to the same table first, more often than we tried."""


class DatabaseUnavailable(TransientError):
    """PostgreSQL can't be reached or gave up a transaction; what was committed before stays."""


class NotFound(PermanentError):
    """What was asked for is not in the lake."""


class SourceRefused(PermanentError):
    """A service answered that it won't: a wrong or missing key, no right, or no such resource."""

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


class ContractViolated(PermanentError):
    """A frame breaks the contract of its table. Nothing was written; the last good rows stay."""

    def __init__(self, table: str, problems: list[str], findings: object = None) -> None:
        """``problems`` name column, rule and examples; ``findings`` by table, to show them."""
        self.table = table
        self.findings = findings or {}
        self.problems = problems
        listed = "; ".join(problems[:10])
        super().__init__(
            f"{table}: {len(problems)} contract rules broken: {listed}. Nothing was written, the rows "
            "committed before stay as they are. Fix the cleaning code or the contract, then run again."
        )

"""Creating databases on a PostgreSQL server that is not ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import URL, Connection, NullPool, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError, OperationalError

from lostark_assets.errors import LostarkError, PermanentError, TransientError

_MAINTENANCE_DATABASE = "postgres"
_TIMEOUT_S = 10


def create_database(address: str, setting: str) -> bool:
    """Create the database of ``address``, a setting's value, unless it exists; whether it was created.

    Raises:
        TransientError: the server can't be reached, or refuses the user.
        PermanentError: the user may not create it.
    """
    url = make_url(address)
    try:
        with _connect(url):
            return False
    except OperationalError as error:
        refused = error
    try:
        if not _is_absent(url):
            raise _explain(url, setting, refused) from refused
        with _connect(url.set(database=_MAINTENANCE_DATABASE)) as connection:
            name = connection.dialect.identifier_preparer.quote(url.database or "")
            connection.execute(text(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'"))
    except DBAPIError as error:
        raise _explain(url, setting, error) from error
    return True


def _is_absent(url: URL) -> bool:
    """Whether the server has no database of that name; asks the one that every server has."""
    with _connect(url.set(database=_MAINTENANCE_DATABASE)) as connection:
        query = text("SELECT 1 FROM pg_database WHERE datname = :name")
        return connection.execute(query, {"name": url.database}).first() is None


@contextmanager
def _connect(url: URL) -> Iterator[Connection]:
    engine = create_engine(
        url, isolation_level="AUTOCOMMIT", poolclass=NullPool, connect_args={"connect_timeout": _TIMEOUT_S}
    )
    with engine.connect() as connection:
        yield connection


def _explain(url: URL, setting: str, error: DBAPIError) -> LostarkError:
    kind = TransientError if isinstance(error, OperationalError) else PermanentError
    return kind(
        f"{setting}: expected a database at {url.render_as_string(hide_password=True)} that can be used or "
        f"created, found: {' '.join(str(error.orig).split())}. Nothing was changed there. Is PostgreSQL "
        "running, and are user, password and rights correct?"
    )

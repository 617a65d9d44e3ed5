"""Metrics of the marts: what is published, how old its newest fight is, how large the database is."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
from prometheus_client.core import Metric
from psycopg.errors import UndefinedTable

from lostark_assets.marts.migrate import libpq_url
from lostark_platform.metrics.families import single

_OPTIONS = "-c statement_timeout=5000 -c lock_timeout=500 -c default_transaction_read_only=on -c jit=off"
_PUBLISHED = "SELECT version, published_at FROM marts.publications ORDER BY version DESC LIMIT 1"
_NEWEST = "SELECT max(newest_fight_at) FROM marts.day_quality"


def read_marts(url: str) -> Iterator[Metric]:
    """The metrics of the database at ``url``.

    Raises:
        psycopg.Error: it can't be read; marts that nothing was published to yet are no error.
    """
    with psycopg.connect(libpq_url(url), options=_OPTIONS, connect_timeout=3, autocommit=True) as connection:
        try:
            published, newest = (connection.execute(query).fetchone() for query in (_PUBLISHED, _NEWEST))
        except UndefinedTable:
            published, newest = None, None
        [size] = connection.execute("SELECT pg_database_size(current_database())").fetchone() or (None,)
    version, published_at = published or (0, None)
    yield single("lostark_publish_version", "The newest publish; 0: nothing was published yet.", version)
    yield single("lostark_published_timestamp_seconds", "When that was.", published_at)
    yield single(
        "lostark_newest_fight_timestamp_seconds",
        "When the newest fight on the pages began.",
        newest[0] if newest else None,
    )
    yield single("lostark_database_bytes", "Size of the database of the marts.", size)

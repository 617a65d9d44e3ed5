"""``python -m lostark_api.serve``: the API as a process, configured by its environment."""

from __future__ import annotations

import argparse
import contextlib
import sys

import psycopg
import uvicorn

from lostark_api.app import create_app
from lostark_api.services.expected import open_champion_source
from lostark_assets.database.postgres import marts_url
from lostark_assets.errors import LostarkError
from lostark_assets.marts.migrate import require_known_revision
from lostark_assets.observability.logs import configure_logs, redacted
from lostark_assets.settings import Settings, get_settings


def serve(settings: Settings, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM. The embedded PostgreSQL runs meanwhile, unless another is configured."""
    configure_logs(settings, "api")
    with marts_url(settings) as url:
        # A database that is still starting is waited for; one of a newer version must not be read.
        with contextlib.suppress(psycopg.OperationalError):
            require_known_revision(url)
        config = uvicorn.Config(
            create_app(settings, url=url, champions=open_champion_source(settings)),
            host=host,
            port=port,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=5,
            lifespan="on",
        )
        uvicorn.Server(config).run()


def main() -> None:
    """Read the command line."""
    try:
        settings = get_settings()
        parser = argparse.ArgumentParser(description="The Lost Ark battle analysis API.")
        parser.add_argument("--host", default=settings.api_host)
        parser.add_argument("--port", type=int, default=settings.api_port)
        arguments = parser.parse_args()
        serve(settings, arguments.host, arguments.port)
    except LostarkError as error:
        sys.exit(f"error: {redacted(str(error))}")


if __name__ == "__main__":
    main()

"""``python -m lostark_api.serve``: the API as a process, by the settings of its environment.

What does not belong here: the app (``app``), and who keeps it running (``lostark up``).
"""

from __future__ import annotations

import argparse

import uvicorn

from lostark_api.app import create_app
from lostark_api.services.expected import open_champions
from lostark_assets.marts.publish import marts_url
from lostark_assets.observability.logs import configure_logs
from lostark_assets.settings import Settings, get_settings


def serve(settings: Settings, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM; the embedded PostgreSQL runs meanwhile, if none is configured."""
    configure_logs(settings, "api")
    with marts_url(settings) as url:
        config = uvicorn.Config(
            create_app(settings, url=url, registry=open_champions(settings)),
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
    settings = get_settings()
    parser = argparse.ArgumentParser(description="The Lost Ark battle analysis API.")
    parser.add_argument("--host", default=settings.api_host)
    parser.add_argument("--port", type=int, default=settings.api_port)
    arguments = parser.parse_args()
    serve(settings, arguments.host, arguments.port)


if __name__ == "__main__":
    main()

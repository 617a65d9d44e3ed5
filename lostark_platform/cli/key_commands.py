"""``lostark key …``: API keys, implemented by ``lostark_api.services.keys``."""

# ruff: noqa: PLC0415 - imports wait for their command, as in the packages below

from __future__ import annotations

from typing import Annotated

import typer

from lostark_platform.cli.options import AsJson

key = typer.Typer(no_args_is_help=True, help="API keys for uploads and raw logs.")

Name = Annotated[str, typer.Argument(help="Purpose or owner of the key.")]


@key.command()
def create(
    name: Name,
    *,
    scope: Annotated[list[str], typer.Option(help="Scope: upload or logs:read; repeatable.")],
    per_minute: Annotated[int, typer.Option(min=1, help="Maximum requests per minute.")] = 120,
    as_json: AsJson = False,
) -> None:
    """Create a key and print it once: only its hash is stored."""
    from lostark_api.services.keys import create_key
    from lostark_assets.database.postgres import marts_url
    from lostark_assets.settings import get_settings
    from lostark_platform import terminal

    with marts_url(get_settings()) as url:
        made = create_key(url, name, scope, per_minute)
    if as_json:
        terminal.print_json({"name": name, "scopes": sorted(set(scope)), "key": made})
        return
    typer.echo(made)
    terminal.say("keep it: it is not shown again. It goes into the header `Authorization: Bearer KEY`.")


@key.command("list")
def list_all(*, as_json: AsJson = False) -> None:
    """List keys with scopes, last use and revocation."""
    from dataclasses import asdict

    from lostark_api.services.keys import list_keys
    from lostark_assets.database.postgres import marts_url
    from lostark_assets.settings import get_settings
    from lostark_platform import terminal

    with marts_url(get_settings()) as url:
        found = [asdict(one) for one in list_keys(url)]
    if as_json:
        terminal.print_json(found)
    elif found:
        terminal.print_table(found[0], [[_shown(value) for value in one.values()] for one in found])
    else:
        terminal.say("there is no key yet: `lostark key create NAME --scope upload` creates one")


@key.command()
def revoke(name: Name) -> None:
    """Revoke an API key. It takes effect within ten seconds."""
    from lostark_api.services.keys import revoke_key
    from lostark_assets.database.postgres import marts_url
    from lostark_assets.settings import get_settings
    from lostark_platform import terminal

    with marts_url(get_settings()) as url:
        revoke_key(url, name)
    terminal.say(f"{name} is revoked")


def _shown(value: object) -> object:
    return ", ".join(value) if isinstance(value, list) else value

"""The ``lostark`` command, whole: the commands of ``lostark_ml.cli`` and ``lostark key …``.

The command's entry point is here, since the packages below know nothing of keys. What does not belong here:
what the commands do (``keys``).
"""

# ruff: noqa: PLC0415 - imports wait for their command, as in the packages below

from __future__ import annotations

from typing import Annotated

import typer

from lostark_assets.cli import AsJson
from lostark_ml.cli import app

key = typer.Typer(no_args_is_help=True, help="Keys of the API: for uploads, and for raw logs.")
app.add_typer(key, name="key")

Name = Annotated[str, typer.Argument(help="What the key is for, or whose it is.")]


@key.command()
def create(
    name: Name,
    *,
    scope: Annotated[list[str], typer.Option(help="What it opens: upload, logs:read; repeatable.")],
    per_minute: Annotated[int, typer.Option(min=1, help="Most requests in a minute.")] = 120,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it, for the only time: only its hash is kept."""
    from lostark_api.keys import create_key
    from lostark_assets.commands import output
    from lostark_assets.publish.publish import marts_url
    from lostark_assets.settings import get_settings

    with marts_url(get_settings()) as url:
        made = create_key(url, name, scope, per_minute)
    if as_json:
        output.print_json({"name": name, "scopes": sorted(set(scope)), "key": made})
        return
    typer.echo(made)
    output.say("keep it: it is not shown again. It goes into the header `Authorization: Bearer KEY`.")


@key.command("list")
def list_all(*, as_json: AsJson = False) -> None:
    """List the keys: what they open, when they were last used, which are revoked."""
    from dataclasses import asdict

    from lostark_api.keys import list_keys
    from lostark_assets.commands import output
    from lostark_assets.publish.publish import marts_url
    from lostark_assets.settings import get_settings

    with marts_url(get_settings()) as url:
        found = [asdict(one) for one in list_keys(url)]
    if as_json:
        output.print_json(found)
    elif found:
        output.print_table(found[0], [[_shown(value) for value in one.values()] for one in found])
    else:
        output.say("there is no key yet: `lostark key create NAME --scope upload` makes one")


@key.command()
def revoke(name: Name) -> None:
    """Let a key open nothing any more. The API notices within ten seconds."""
    from lostark_api.keys import revoke_key
    from lostark_assets.commands import output
    from lostark_assets.publish.publish import marts_url
    from lostark_assets.settings import get_settings

    with marts_url(get_settings()) as url:
        revoke_key(url, name)
    output.say(f"{name} is revoked")


def _shown(value: object) -> object:
    return ", ".join(value) if isinstance(value, list) else value

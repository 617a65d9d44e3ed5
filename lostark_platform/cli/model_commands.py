"""``lostark model …``: options of the commands, which ``cli.model`` implements.

It is imported when a command is called, since MLflow takes seconds.
"""

# ruff: noqa: PLC0415 - see above

from __future__ import annotations

import contextlib
import getpass
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from lostark_platform.cli.options import AsJson

if TYPE_CHECKING:
    from lostark_assets.lake.tables import Lake
    from lostark_ml.registry.aliases import AliasChange
    from lostark_ml.registry.model_registry import ModelRegistry

model = typer.Typer(no_args_is_help=True, help="Registered models of expected DPS, and the active champion.")

Why = Annotated[str, typer.Option("--why", help="The reason, which is recorded.")]
By = Annotated[str | None, typer.Option("--by", help="Who decided; by default the current user.")]


@model.command("list")
def list_versions(
    *,
    limit: Annotated[
        int,
        typer.Option(min=1, help="Number of versions, newest first; those with an alias always included."),
    ] = 20,
    as_json: AsJson = False,
) -> None:
    """List versions with metrics and aliases."""
    from lostark_platform import terminal
    from lostark_platform.cli import model as command

    with _registry() as (registry, _):
        versions = command.list_versions(registry, limit)
    if as_json:
        terminal.print_json([one.document() for one in versions])
    elif versions:
        command.show_list(versions)
    else:
        terminal.say("no model is registered yet: the first is trained once there are enough fights")


@model.command()
def show(
    version: Annotated[
        int | None, typer.Argument(metavar="[VERSION]", help="By default the champion.")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Show one version: model card, metrics, tags and alias history."""
    from lostark_platform import terminal
    from lostark_platform.cli import model as command

    with _registry() as (registry, lake):
        found = command.get_details(registry, lake, version)
    if as_json:
        terminal.print_json(found.document())
    else:
        command.show_details(found)


@model.command()
def promote(
    version: Annotated[int, typer.Argument(help="The version to promote.")],
    *,
    why: Why,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Promote a version to champion, regardless of the gate. It must be loadable."""
    from lostark_platform.cli import model as command

    with _registry() as (registry, lake):
        change = command.promote(
            registry, lake, version, by=by or _user(), why=why, now=datetime.now(UTC), load=registry.load
        )
    _show(change, as_json=as_json)


@model.command()
def rollback(*, why: Why, by: By = None, as_json: AsJson = False) -> None:
    """Restore the previous champion; repeat to go back further."""
    from lostark_platform.cli import model as command

    with _registry() as (registry, lake):
        change = command.rollback(
            registry, lake, by=by or _user(), why=why, now=datetime.now(UTC), load=registry.load
        )
    _show(change, as_json=as_json)


@contextlib.contextmanager
def _registry() -> Iterator[tuple[ModelRegistry, Lake]]:
    from lostark_assets.lake.tables import open_lake
    from lostark_assets.settings import get_settings
    from lostark_ml.registry.model_registry import open_registry

    settings = get_settings()
    with open_registry(settings) as registry:
        yield registry, open_lake(settings)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def _show(change: AliasChange, *, as_json: bool) -> None:
    from lostark_platform import terminal
    from lostark_platform.cli import model as command

    if as_json:
        terminal.print_json(command.change_document(change))
    else:
        command.show_change(change)

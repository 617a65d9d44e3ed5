"""``lostark …``: the platform at the terminal.

Exit codes: 0 success, 1 something was quarantined or failed (the rest succeeded), 2 wrong usage. Results go
to stdout, progress and messages to stderr. Commands import their modules when called, since pandas and
Dagster take seconds.
"""

# ruff: noqa: PLC0415 - see above

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core

from lostark_assets.errors import LostarkError, SettingsError, WrongUsage
from lostark_assets.settings import package_version
from lostark_platform.cli import key_commands, model_commands
from lostark_platform.cli.options import AsJson

if TYPE_CHECKING:
    from lostark_platform.backup.manifest import Manifest

_FAILED, _WRONG_USAGE = 1, 2
_ROWS_SHOWN = 200
_SERVE = "serve"
_MIN_ENCOUNTERS, _MAX_ENCOUNTERS = 20, 100_000


class _Boundary(typer.core.TyperGroup):
    """Prints our own errors as one line; a traceback means a bug."""

    def invoke(self, ctx: Any) -> Any:
        from lostark_platform.terminal import prepare_streams, say

        prepare_streams()
        try:
            _configure_logs()
            return super().invoke(ctx)
        except LostarkError as error:
            say(f"error: {error}")
            raise typer.Exit(_exit_code(error)) from None


def _configure_logs() -> None:
    from lostark_assets.observability.logs import configure_logs
    from lostark_assets.settings import get_settings

    # The command that needs the setting reports it, `doctor` above all.
    with contextlib.suppress(SettingsError):
        configure_logs(get_settings(), "cli")


def _exit_code(error: LostarkError) -> int:
    return _WRONG_USAGE if isinstance(error, SettingsError | WrongUsage) else _FAILED


app = typer.Typer(
    cls=_Boundary,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Lost Ark battle logs become DPS statistics. LOSTARK_HOME is the one data folder.",
)
app.add_typer(model_commands.model, name="model")
app.add_typer(key_commands.key, name="key")

Reason = Annotated[str | None, typer.Option(metavar="CODE", help="Only this reason code.")]


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - the signature that Typer calls
    if wanted:
        typer.echo(f"lostark-analytics {package_version()}")
        raise typer.Exit


@app.callback()
def main(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Lost Ark battle logs become DPS statistics. LOSTARK_HOME is the one data folder."""


@app.command()
def up() -> None:
    """Run the platform in the foreground until Ctrl-C: PostgreSQL, Dagster, and a demo without a source."""
    from lostark_assets.settings import get_settings
    from lostark_platform.services.up import up as run_platform

    raise typer.Exit(run_platform(get_settings()))


@app.command()
def ingest(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH...", help="Files or folders of battle logs, or http addresses."),
    ],
    *,
    run: Annotated[
        bool, typer.Option("--run", help="Also compute the fight days touched, and publish them.")
    ] = False,
    as_json: AsJson = False,
    source: Annotated[str | None, typer.Option(help="Name of the source that the logs belong to.")] = None,
    raid: Annotated[str | None, typer.Option(help="Raid of player tables without one.")] = None,
    gate: Annotated[str | None, typer.Option(help="Gate of player tables without one.")] = None,
    boss: Annotated[str | None, typer.Option(help="Boss of player tables without one.")] = None,
    difficulty: Annotated[str | None, typer.Option(help="Difficulty of player tables.")] = None,
    region: Annotated[str | None, typer.Option(help="Server region of player tables.")] = None,
    check: Annotated[bool, typer.Option(help="Count what cleaning will refuse.")] = True,
) -> None:
    """Collect battle logs: LOA Logs encounters.db, upload JSON, player tables (Parquet, CSV), or a service.

    A missing or broken path does not stop the others. Exit code 1: something was quarantined or failed.
    """
    from lostark_assets.settings import get_settings
    from lostark_assets.sources.detect import ImportArguments
    from lostark_platform import terminal
    from lostark_platform.cli.ingest import ingest as collect
    from lostark_platform.cli.ingest import show_import, wrong_argument

    arguments = ImportArguments(source, raid, gate, boss, difficulty, region)
    if wrong := wrong_argument(arguments):
        raise typer.BadParameter(f"{wrong} Nothing was read.")
    done = collect(get_settings(), paths, terminal.say, arguments, run=run, check=check)
    if as_json:
        terminal.print_json(done.document())
    else:
        show_import(done)
        if not run and any(file.new for file in done.files):
            terminal.say(
                "the new logs are not cleaned yet: add --run, or materialize their days in the Dagster UI"
            )
    _exit_unless(done.is_complete)


@app.command()
def quarantine(
    what: Annotated[
        str | None, typer.Argument(metavar="[reasons]", help="The closed list of reasons.")
    ] = None,
    *,
    reason: Reason = None,
    limit: Annotated[int, typer.Option(min=0, help="How many entries to show, newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Count and list what cleaning refused, and what to do about it."""
    from lostark_assets.contracts.reasons import REASONS
    from lostark_platform import terminal

    if what is not None:
        if what != "reasons":
            raise typer.BadParameter(f"expected nothing or 'reasons', found {what!r}")
        if as_json:
            terminal.print_json(REASONS)
        else:
            terminal.print_table(("reason", "what to do"), REASONS.items())
        return
    from lostark_assets.lake.tables import open_lake
    from lostark_assets.settings import get_settings
    from lostark_platform.cli.quarantine import read_quarantine, show_quarantine

    found = read_quarantine(open_lake(get_settings()), reason, limit)
    if as_json:
        terminal.print_json(found.document())
    else:
        show_quarantine(found)


@app.command()
def replay(
    log_ids: Annotated[
        list[str] | None, typer.Argument(metavar="[LOG_ID]...", help="Ids or their starts; none: all.")
    ] = None,
    *,
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    """Clean quarantined logs again after a fix; exit code 1 if some are still quarantined."""
    from lostark_assets.settings import get_settings
    from lostark_platform import terminal
    from lostark_platform.cli.replay import replay as run_replay
    from lostark_platform.cli.replay import show_replay

    result = run_replay(get_settings(), log_ids or [], terminal.say, reason=reason)
    if as_json:
        terminal.print_json(result.document())
    else:
        show_replay(result)
    _exit_unless(result.is_done)


@app.command()
def trace(
    encounter: Annotated[str, typer.Argument(help="Encounter, log or fight id, or the start of one.")],
    player: Annotated[str, typer.Argument(help="Character name.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Trace a player's number back to the raw row, its hash, its source file and the runs."""
    from lostark_assets.lake.tables import open_lake
    from lostark_assets.settings import get_settings
    from lostark_platform import terminal
    from lostark_platform.cli.trace import show_trace
    from lostark_platform.cli.trace import trace as run_trace

    found = run_trace(open_lake(get_settings()), encounter, player)
    if as_json:
        terminal.print_json(found.document())
    else:
        show_trace(found)
    _exit_unless(found.is_consistent)


@app.command()
def forget(
    player: Annotated[str, typer.Argument(help="Character name, as the game writes it.")],
    *,
    region: Annotated[str | None, typer.Option(help="Only of this server region.")] = None,
    prove: Annotated[bool, typer.Option("--prove", help="Only search for the name.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Skip the confirmation.")] = False,
    as_json: AsJson = False,
) -> None:
    """Erase a player's name from all data, permanently, and verify it. Exit code 1: the name remains."""
    from lostark_assets.settings import get_settings
    from lostark_platform import terminal
    from lostark_platform.erasure import forget as command

    settings = get_settings()
    if not prove:
        if not yes:
            typer.confirm(f"Erase {player} from all data? This can't be undone", abort=True, err=True)
        done = command.forget(settings, player, terminal.say, region=region)
        if as_json:
            terminal.print_json(done.document())
        else:
            terminal.print_table(("where", "rows changed"), sorted(done.changed.items()))
        terminal.say(
            "No list of erased names is kept: a log collected later may contain the name again. Repeat the "
            "erasure then; --prove only searches, and exits with 1 if the name is found."
        )
        if region is not None:
            terminal.say("other regions keep the name; --prove lists where")
            return
    found = command.prove(settings, player)
    if prove and as_json:
        terminal.print_json(found.document())
    elif found.found:
        terminal.print_table(("the name is still in", "times"), sorted(found.found.items()))
    else:
        terminal.say(
            f"the name was not found: {sum(found.searched.values()):,} rows, logs and files searched"
        )
    _exit_unless(found.is_gone)


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="One read-only query; lake tables are available by name.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="All rows as a JSON list of objects.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="All rows as CSV.")] = False,
) -> None:
    """Query the lake with DuckDB, read-only."""
    from lostark_platform.cli.without_pandas import load_datasets

    load_datasets()
    from lostark_assets.lake.tables import open_lake
    from lostark_assets.settings import get_settings
    from lostark_platform import terminal
    from lostark_platform.cli.sql import column_names, iterate_rows, run_query, write_csv, write_json

    if as_json and as_csv:
        raise typer.BadParameter("--json and --csv exclude each other")
    lake = open_lake(get_settings())
    rows = run_query(lake, query, limit=None if as_json or as_csv else _ROWS_SHOWN + 1)
    if as_json:
        write_json(rows, sys.stdout)
    elif as_csv:
        write_csv(rows, sys.stdout)
    else:
        terminal.print_rows(column_names(rows), iterate_rows(rows.slice(0, _ROWS_SHOWN)))
        if rows.num_rows > _ROWS_SHOWN:
            terminal.say(f"the first {_ROWS_SHOWN} rows; --json and --csv give all")


@app.command()
def doctor(*, as_json: AsJson = False) -> None:
    """Check the installation; exit code 1 if something is wrong."""
    from lostark_platform import terminal
    from lostark_platform.cli.doctor import examine, show_findings

    findings = examine()
    if as_json:
        terminal.print_json([finding.document() for finding in findings])
    else:
        show_findings(findings)
    _exit_unless(all(finding.status != "wrong" for finding in findings))


@app.command()
def backup(
    target: Annotated[Path, typer.Argument(help="A new folder.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Copy lake, databases, models, uploads and keys into a folder, while the platform runs or not."""
    from lostark_assets.settings import get_settings
    from lostark_platform import terminal
    from lostark_platform.backup.make import make_backup

    done = make_backup(get_settings(), target.expanduser().absolute(), terminal.say)
    _show_backup(done, as_json=as_json)


@app.command()
def restore(
    source: Annotated[Path, typer.Argument(help="The folder of a backup.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Restore a backup into a new data folder (`LOSTARK_HOME`) or empty databases."""
    from lostark_assets.settings import get_settings
    from lostark_platform import terminal
    from lostark_platform.backup.restore import restore_backup

    done = restore_backup(get_settings(), source.expanduser().absolute(), terminal.say)
    _show_backup(done, as_json=as_json)


def _show_backup(done: Manifest, *, as_json: bool) -> None:
    from lostark_platform import terminal

    what = {"files": len(done.files), "bytes": done.bytes, "databases": done.databases, "tables": done.tables}
    if as_json:
        terminal.print_json(what)
        return
    terminal.print_table(("table", "version"), sorted(done.tables.items()))
    terminal.say(f"{len(done.files):,} files, {done.bytes:,} bytes; databases: {', '.join(done.databases)}")


@app.command()
def metrics() -> None:
    """Serve Prometheus metrics of every layer until Ctrl-C; `lostark up` does so by itself."""
    from lostark_assets.observability.logs import configure_logs
    from lostark_assets.settings import get_settings
    from lostark_platform.cli.metrics import export_metrics

    settings = get_settings()
    configure_logs(settings, "metrics")
    export_metrics(settings)


@app.command()
def migrate() -> None:
    """Create or update databases and tables of a deployment; `lostark up` does so by itself."""
    from lostark_assets.settings import get_settings
    from lostark_platform import terminal
    from lostark_platform.services.migrations import migrate as run_migrations

    run_migrations(get_settings(), terminal.say)


@app.command()
def service(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="code-server, dagster-webserver, dagster-daemon or mlflow.",
            show_default=False,
        ),
    ],
    *,
    location: Annotated[str | None, typer.Option(help="code-server: the code location.")] = None,
    path_prefix: Annotated[str, typer.Option(help="Path of the UI behind a gateway, such as /dagster.")] = "",
) -> None:
    """Run one service in the foreground, for containers; databases and other services are elsewhere."""
    from lostark_assets.settings import get_settings
    from lostark_platform.services import foreground

    settings = get_settings()
    if (location is not None) != (name == "code-server"):
        raise typer.BadParameter("--location belongs to code-server, which needs it")
    if location is not None:
        foreground.run_code_server(settings, location)
    elif name == "dagster-webserver":
        foreground.run_dagster_webserver(settings, path_prefix)
    elif name == "dagster-daemon":
        foreground.run_dagster_daemon(settings)
    elif name == "mlflow":
        foreground.run_mlflow(settings, path_prefix)
    else:
        raise typer.BadParameter(
            f"expected code-server, dagster-webserver, dagster-daemon or mlflow, found {name!r}"
        )


@app.command()
def simulate(
    path: Annotated[
        Path,
        typer.Argument(metavar="PATH|serve", help="A new file, a folder for one, or 'serve'."),
    ],
    *,
    encounters: Annotated[
        int, typer.Option(min=_MIN_ENCOUNTERS, max=_MAX_ENCOUNTERS, help="How many fights to write.")
    ] = 60,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same fights.")] = 1,
    hits_per_player: Annotated[
        int | None, typer.Option(min=1, help="Mean hits of a player in a fight: 1400, serve: 300.")
    ] = None,
    days: Annotated[int, typer.Option(min=1, help="Days that the fights spread over, up to yesterday.")] = 28,
    dirt: Annotated[bool, typer.Option(help="Mix in broken logs, as they really occur.")] = True,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="serve: the port; 0: any.")] = None,
    history: Annotated[
        int | None, typer.Option(min=0, max=_MAX_ENCOUNTERS, help="serve: fights available at the start.")
    ] = None,
    every: Annotated[
        float | None, typer.Option(min=0, help="serve: seconds between new fights; 0: none automatically.")
    ] = None,
    faults: Annotated[float, typer.Option(min=0, max=1, help="serve: share of requests that fail.")] = 0.0,
    fault: Annotated[
        list[str] | None, typer.Option(metavar="KIND", help="serve: only this kind of fault; repeatable.")
    ] = None,
    maintenance: Annotated[
        bool, typer.Option("--maintenance", help="serve: weekly maintenance on Wednesdays, like the game.")
    ] = False,
) -> None:
    """Write an encounters.db of synthetic fights with ground truth, or serve them over HTTP."""
    from lostark_platform import terminal

    if str(path) == _SERVE:
        from lostark_assets.observability.logs import configure_logs
        from lostark_assets.settings import get_settings
        from lostark_platform.cli.serve_mock import build_mock_server_config, serve

        settings = get_settings()
        configure_logs(settings, "mock-server")
        config = build_mock_server_config(
            settings,
            seed=seed,
            hits_per_player=hits_per_player,
            days=days,
            dirt=dirt,
            history=history,
            every=every,
            faults=faults,
            fault_kinds=fault or [],
            maintenance=maintenance,
        )
        serve(
            config, settings.mock_server_port if port is None else port, terminal.say, takes_next=port is None
        )
        return
    if {port, history, every} != {None} or faults or fault or maintenance:
        raise typer.BadParameter("--port, --history, --every, --faults, --fault, --maintenance need 'serve'")
    from lostark_platform.cli.simulate import HITS_PER_PLAYER
    from lostark_platform.cli.simulate import simulate as write

    done = write(
        path,
        encounters=encounters,
        seed=seed,
        hits_per_player=hits_per_player or HITS_PER_PLAYER,
        days=days,
        dirt=dirt,
    )
    terminal.say(
        f"{done.path}: {done.fights:,} synthetic fights in {done.encounters:,} logs with {done.hits:,} hits; "
        f"{done.quarantined:,} logs are broken on purpose. Ground truth is written beside it."
    )


@app.command()
def alerts(
    what: Annotated[str, typer.Argument(metavar="[list|mute|test]", help="What to do.")] = "list",
    key: Annotated[
        str | None, typer.Argument(metavar="[KEY]", help="With mute: a problem or a kind, as listed.")
    ] = None,
    *,
    how_long: Annotated[
        str, typer.Option("--for", help="With mute: how long, such as 30min, 2h, 1d.")
    ] = "2h",
    as_json: AsJson = False,
) -> None:
    """List open problems, mute one for a time, or send a test message to every channel.

    Exit code 1: there are open problems, or a channel refused the test message.
    """
    from lostark_assets.settings import get_settings
    from lostark_platform import terminal
    from lostark_platform.cli import alerts as command

    if what not in ("list", "mute", "test") or (what == "mute") != (key is not None):
        raise typer.BadParameter(
            f"expected list, mute KEY or test, found {' '.join(filter(None, (what, key)))}"
        )
    settings = get_settings()
    if what == "mute":
        until = command.mute(settings, str(key), how_long)
        terminal.say(f"{key} is muted until {until:%Y-%m-%d %H:%M} UTC")
        return
    if what == "test":
        outcomes = command.send_test(settings)
        if as_json:
            terminal.print_json(outcomes)
        else:
            command.show_test(outcomes)
        _exit_unless(all(error is None for error in outcomes.values()))
        return
    found = command.read_alerts(settings)
    if as_json:
        terminal.print_json(found.document())
    else:
        command.show_alerts(found)
    _exit_unless(not found.problems)


def _exit_unless(success: bool) -> None:  # noqa: FBT001 - reads as a sentence
    if not success:
        raise typer.Exit(_FAILED)

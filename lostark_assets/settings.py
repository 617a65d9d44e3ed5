"""Typed settings of the platform, from ``LOSTARK_*`` environment variables and mounted secret files."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import re
from datetime import date
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ByteSize,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from lostark_assets.errors import SettingsError

PREFIX = "LOSTARK_"
SECRETS_DIR_VARIABLE = f"{PREFIX}SECRETS_DIR"
MIB = 1024 * 1024
BATCH_BYTES = 64 * MIB
"""Payload of one commit by default. Half as much takes a tenth more CPU, since every day of a batch is a file
of each table; twice as much takes no less, and more memory."""
_MIN_SALT = 16
_DRIVER = "postgresql+psycopg2://"
_EXPECTED = {"byte_size": "a size like 128MiB", "int_": "a whole number", "date_": "a date like 2022-01-01"}
_NAMED = re.compile(r"[A-Za-z0-9._-]{1,64}=")
_SPELLINGS_OF_POSTGRES = ("postgres://", "postgresql://", _DRIVER)


def source_checkout() -> Path | None:
    """The checkout that the code runs from, or None when it is installed from a wheel."""
    beside_package = Path(__file__).resolve().parents[1]
    return beside_package if (beside_package / "workspace.yaml").is_file() else None


@functools.cache
def package_version() -> str:
    """The version of the installed package; ``0`` where the code runs without being installed."""
    try:
        return importlib.metadata.version("lostark-analytics")
    except importlib.metadata.PackageNotFoundError:
        return "0"


def project_root() -> Path:
    """Where data goes by default and services run: the source checkout, else the working folder."""
    return source_checkout() or Path.cwd()


def _absolute(path: Path) -> Path:
    return path.expanduser().absolute()


def _split_paths(value: object) -> object:
    if isinstance(value, str):
        return [part.strip() for part in value.split(os.pathsep) if part.strip()]
    return value


def _split_words(value: object) -> object:
    if isinstance(value, str):
        return value.replace(",", " ").split()
    return value


def named_urls(values: tuple[str, ...]) -> tuple[str, ...]:
    """``name=URL`` each; a bare URL is named by its host and port."""
    named: dict[str, str] = {}
    for value in values:
        name, url = value.split("=", 1) if _NAMED.match(value) else ("", value)
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            port = -1
        if parts.scheme not in ("http", "https") or not parts.hostname or port == -1:
            raise ValueError("should be addresses like http://host:8750 or name=https://host")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("should be addresses without user, password, query or fragment; use the token")
        default_port = 443 if parts.scheme == "https" else 80
        name = name or f"http:{parts.hostname}:{port or default_port}"
        if name in named:
            raise ValueError(f"should be addresses of different names; {name} is there twice")
        named[name] = url.rstrip("/")
    return tuple(f"{name}={url}" for name, url in named.items())


def _split_keys(value: object) -> object:
    """Keys, also if they are written as in a header, after ``bearer``."""
    if not isinstance(value, str):
        return value
    return [word for word in value.replace(",", " ").split() if word.lower() != "bearer"]


def _printable_key(value: SecretStr) -> SecretStr:
    key = value.get_secret_value()
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError("should be keys of the Open API, separated by commas")
    return value


def _http_url(value: str) -> str:
    if not value.startswith(("http://", "https://")):
        raise ValueError("should be an http:// or https:// address")
    return value.rstrip("/")


def _local_or_url(value: str) -> str:
    return value if "://" in value else str(_absolute(Path(value)))


def _with_driver(value: SecretStr) -> SecretStr:
    # SQLAlchemy picks the driver by the scheme, and its choice for a bare one changes between versions.
    url = value.get_secret_value()
    for spelling in _SPELLINGS_OF_POSTGRES:
        if url.startswith(spelling):
            return SecretStr(_DRIVER + url.removeprefix(spelling))
    raise ValueError("should be a postgresql:// address")


def _mlflow_address(value: SecretStr) -> SecretStr:
    url = value.get_secret_value()
    if url.startswith(_SPELLINGS_OF_POSTGRES):
        return _with_driver(value)
    if url.startswith(("http://", "https://")):
        return SecretStr(url.rstrip("/"))
    raise ValueError("should be an address like http://host:5000, or postgresql://host/mlflow")


def _with_scheme(value: SecretStr, schemes: tuple[str, ...]) -> SecretStr:
    parts = urlsplit(value.get_secret_value())
    if parts.scheme not in schemes or not parts.hostname:
        raise ValueError(f"should be an address like {schemes[0]}://host")
    return value


def _salt_if_hidden(value: SecretStr | None, known: ValidationInfo) -> SecretStr | None:
    is_short = value is None or len(value.get_secret_value()) < _MIN_SALT
    if known.data.get("hide_names") and is_short:
        raise ValueError(f"should be a secret of at least {_MIN_SALT} characters, as names are hidden")
    return value


Folder = Annotated[Path, AfterValidator(_absolute)]
WebAddress = Annotated[SecretStr, AfterValidator(partial(_with_scheme, schemes=("https", "http")))]
MailAddress = Annotated[SecretStr, AfterValidator(partial(_with_scheme, schemes=("smtp", "smtps")))]
RedisUrl = Annotated[SecretStr, AfterValidator(partial(_with_scheme, schemes=("redis", "rediss")))]
WordList = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_words)]
PathList = Annotated[tuple[Folder, ...], NoDecode, BeforeValidator(_split_paths)]
UrlList = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_words), AfterValidator(named_urls)]
ApiKey = Annotated[SecretStr, AfterValidator(_printable_key)]
ApiKeys = Annotated[tuple[ApiKey, ...], NoDecode, BeforeValidator(_split_keys)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
PostgresUrl = Annotated[SecretStr, AfterValidator(_with_driver)]
MlflowAddress = Annotated[SecretStr, AfterValidator(_mlflow_address)]


class Settings(BaseSettings):
    """Every setting with its default. ``get_settings()`` makes one from the environment.

    Sizes take a unit (``LOSTARK_BATCH_BYTES=128MiB``), lists of paths are separated like ``PATH``, other
    lists by commas.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="forbid")

    home: Folder = Field(
        default_factory=lambda: project_root() / ".lostark", description="the one data folder"
    )
    lake_url: Annotated[str, AfterValidator(_local_or_url)] = Field(
        default_factory=lambda settings: str(settings["home"] / "lake") if "home" in settings else "lake",
        description="where the Delta tables are: a folder, or the URL of an object store",
    )
    logs: Literal["files", "stdout"] = Field(
        "files", description="log lines to files of the data folder, or those of every library too to stdout"
    )
    engine: Literal["polars", "pandas"] = Field("polars", description="what computes across fights")
    sources: PathList = Field((), description="files and folders that are watched")
    battle_log_urls: UrlList = Field((), description="services that offer the battle-log HTTP contract")
    battle_log_token: SecretStr | None = Field(None, description="bearer token of those services")
    battle_log_requests_per_minute: int = Field(0, ge=0, description="budget of each service; 0: no limit")
    http_concurrency: int = Field(16, ge=1, le=256, description="requests to one service at once")
    http_total_timeout_s: float = Field(60.0, gt=0, description="one request with all its tries")

    max_fight_s: int = Field(7200, gt=0, le=86_400, description="a longer fight is a broken one")
    max_part_bytes: ByteSize = Field(ByteSize(256 * MIB), gt=0, description="limit of one unpacked JSON part")
    max_log_bytes: ByteSize = Field(
        ByteSize(1024 * MIB), gt=0, description="limit of one unpacked battle log"
    )
    earliest_fight_date: date = Field(date(2022, 1, 1), description="a fight before it has a wrong clock")
    batch_bytes: ByteSize = Field(ByteSize(BATCH_BYTES), gt=0, description="payload of one lake commit")

    open_api_url: HttpUrl = Field(
        "https://developer-lostark.game.onstove.com", description="the Lost Ark Open API (Korea)"
    )
    open_api_keys: ApiKeys = Field((), description="keys of the Open API, each with its own budget")
    open_api_requests_per_minute: int = Field(95, gt=0, description="budget of one key; the API allows 100")
    open_api_regions: WordList = Field(
        ("KR", "unknown"), description="regions of logs whose characters the Open API knows"
    )
    profile_seen_days: float = Field(14, gt=0, description="profiles are fetched of players of these days")
    profile_freshness_h: float = Field(6, gt=0, description="a character is not requested again within it")
    profile_unknown_freshness_h: float = Field(24, gt=0, description="the same, for one unknown to the API")
    profile_max_age_days: float = Field(7, gt=0, description="an older profile says nothing about a fight")

    dagster_postgres_url: PostgresUrl | None = Field(None, description="Dagster's storage; unset: embedded")
    postgres_url: PostgresUrl | None = Field(None, description="published marts; unset: embedded")
    redis_url: RedisUrl | None = Field(None, description="cache that API processes share; unset: in memory")
    hide_names: bool = Field(default=False, description="publish salted hashes instead of player names")
    name_salt: Annotated[SecretStr | None, AfterValidator(_salt_if_hidden)] = Field(
        None, validate_default=True, description="secret that hidden names are hashed with"
    )
    api_host: str = Field("127.0.0.1", description="address that the API listens on")
    api_port: int = Field(8000, ge=1, le=65535, description="port of the API; the next free one is taken")
    public_url: HttpUrl | None = Field(
        None, description="address of API and pages for browsers, where a gateway is before them"
    )
    open_uploads: bool | None = Field(
        None, description="uploads without a key; unset: only where the API listens on this machine alone"
    )
    upload_max_bytes: ByteSize = Field(ByteSize(512 * MIB), gt=0, description="limit of one upload")
    uploads_per_minute: int = Field(30, ge=1, description="uploads without a key, of all clients together")

    metrics_host: str = Field("127.0.0.1", description="address that the metrics of the platform listen on")
    metrics_port: int = Field(
        9464, ge=1, le=65535, description="port of the metrics; `lostark up` takes the next free one"
    )

    dagster_host: str = Field("127.0.0.1", description="address that the Dagster UI listens on")
    dagster_port: int = Field(
        3000, ge=1, le=65535, description="port of the Dagster UI; the next free one is taken"
    )
    dagster_url: HttpUrl | None = Field(
        None,
        description="the Dagster UI, where the API requests a run for an upload at once; unset: it starts at "
        "the next poll. `lostark up` sets it",
    )
    code_servers: WordList = Field(
        (), description="name=host:port of each Dagster code server; only for `lostark service`"
    )
    mlflow_tracking_uri: MlflowAddress | None = Field(
        None, description="MLflow's server, or its database; unset: embedded"
    )
    mlflow_host: str = Field("127.0.0.1", description="address that the MLflow UI listens on")
    mlflow_port: int = Field(
        5000, ge=1, le=65535, description="port of the MLflow UI; the next free one is taken"
    )
    alert_discord_webhook: WebAddress | None = Field(None, description="Discord webhook that gets alerts")
    alert_slack_webhook: WebAddress | None = Field(None, description="Slack webhook that gets alerts")
    alert_smtp_url: MailAddress | None = Field(None, description="mail server that sends alerts")
    alert_mail_to: WordList = Field((), description="mail addresses that get alerts")
    alert_waiting_s: float = Field(
        600.0,
        gt=0,
        description="a log may wait this long for its page before an alert, unless the backlog shrinks",
    )
    holdout_fights: int = Field(150, ge=50, description="newest fights that a new model is tested on")
    promotion_confidence: float = Field(0.95, gt=0.5, lt=1, description="how sure a gain has to be")
    promotion_margin: float = Field(
        0.0015, ge=0, lt=1, description="MAPE that a new model has to gain at least, as a fraction"
    )
    retrain_first_fights: int = Field(300, ge=100, description="fights required for the first model")
    retrain_new_fights: int = Field(500, ge=1, description="new fights that are reason for a new model")
    retrain_pause_h: float = Field(6, ge=0, description="shortest time between two trainings")
    demo_encounters: int = Field(1800, ge=1, description="size of the demo data when there is no source")
    mock_server_port: int = Field(
        8750, ge=1, le=65535, description="port of the mock server; the next free one is taken"
    )
    mock_server_new_fight_every_s: float = Field(
        15.0, ge=0, description="seconds between synthetic fights of the mock server; 0: no new ones"
    )

    @property
    def dagster_home(self) -> Path:
        """Dagster's own folder: its configuration, compute logs and artifacts."""
        return self.home / "dagster"

    @property
    def state_dir(self) -> Path:
        """What outlives a process: the ledger of collections, request budgets, circuits."""
        return self.home / "state"

    @property
    def mlflow_artifacts_dir(self) -> Path:
        """Files of MLflow's runs and models, where no MLflow server keeps them elsewhere."""
        return self.home / "mlflow" / "artifacts"

    @property
    def landing_dir(self) -> Path:
        """Where uploaded files wait to be collected."""
        return self.home / "landing"

    @property
    def logs_dir(self) -> Path:
        """One log file per service."""
        return self.home / "logs"

    @property
    def data_docs_dir(self) -> Path:
        """The pages that Great Expectations writes about stored tables."""
        return self.home / "data_docs"

    @property
    def pages_url(self) -> str:
        """Address of API and pages in links."""
        return self.public_url or self.api_url

    @property
    def api_url(self) -> str:
        """Address of the API for a browser on this machine."""
        return local_url(self.api_host, self.api_port)

    @property
    def metrics_url(self) -> str:
        """Address of the platform's metrics for a browser on this machine."""
        return f"{local_url(self.metrics_host, self.metrics_port)}/metrics"

    @property
    def postgres_dir(self) -> Path:
        """Data folder of the embedded PostgreSQL."""
        return self.home / "postgres"


def local_url(host: str, port: int) -> str:
    """Address, for a browser on this machine, of what listens at ``host`` and ``port``."""
    every = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
    return f"http://{'127.0.0.1' if host in every else host}:{port}"


def get_settings(**overrides: Any) -> Settings:
    """Read the settings from the environment and secret files; ``overrides`` take precedence, then variables.

    Raises :class:`SettingsError` that names every wrong variable, what was found and what is expected.
    """
    try:
        return Settings(_secrets_dir=_find_secrets_dir(), **overrides)
    except ValidationError as error:
        message = "; ".join(_explain(problem) for problem in error.errors(include_url=False))
        raise SettingsError(f"{message}. Nothing was started or changed.") from None


def _find_secrets_dir() -> Path | None:
    """Where secret files are mounted, each named like its variable in lower case; None if nowhere."""
    named = os.environ.get(SECRETS_DIR_VARIABLE)
    folder = Path(named or "/run/secrets")
    if folder.is_dir():
        return folder
    if named:
        raise SettingsError(
            f"{SECRETS_DIR_VARIABLE}: expected a folder, found {named!r}. Nothing was started or changed."
        )
    return None


def _explain(problem: Any) -> str:
    field = str(problem["loc"][0]) if problem["loc"] else "settings"
    # A URL may contain a password, though it should not.
    is_secret = field.endswith(("_url", "_urls", "_uri", "_token", "_webhook", "_keys", "_salt"))
    found = "a hidden value" if is_secret else repr(problem["input"])
    kind = problem["type"]
    expected = next((text for start, text in _EXPECTED.items() if kind.startswith(start)), problem["msg"])
    expected = expected.removeprefix("Value error, ").removeprefix("Input ").removeprefix("should be ")
    return f"{PREFIX}{field.upper()}: expected {expected}, found {found}"

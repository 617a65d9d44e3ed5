"""MLflow runs, versions and aliases of one registered model.

MLflow's global state is not used, so that two registries can live in one process. MLflow is imported on
first use: it takes seconds. ``aliases.set_alias`` moves aliases and records who did it.
"""

from __future__ import annotations

import contextlib
import json
import math
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload
from urllib.parse import urlsplit

import pandas as pd

from lostark_assets.database.postgres import embedded_postgres
from lostark_assets.errors import LostarkError, NotFound, PermanentError, TransientError
from lostark_assets.settings import Settings, package_version, source_checkout
from lostark_ml.registry import model_file
from lostark_ml.registry.mlflow_database import (
    build_missing_address_error,
    is_database,
    prepare_database,
    set_mlflow_variables,
    strip_password,
    tracking_uri,
)
from lostark_ml.registry.names import (
    CHALLENGER,
    CHAMPION,
    DIGEST_TAG,
    DPS_MODEL,
    SNAPSHOT_TAG,
    STYLE_MODEL,
    TRAINING_SET_TAG,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from lostark_ml.model.training import FittedModel

_RUN_DESCRIPTION = "mlflow.note.content"
# Without it MLflow's pages take the runs for those of a language model.
_EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}
_CONNECT_TIMEOUT_S = 5
_MAX_VALUE = 5000
_MAX_PARAMETERS, _MAX_METRICS = 100, 1000
_DESCRIPTIONS = {
    DPS_MODEL: "Expected DPS of a dealer in a fight, from what is known before and around it. The version "
    "with the alias `champion` is in use; `challenger` is the newest that was trained.",
    STYLE_MODEL: "Play styles of characters, within their spec. The version with the alias `champion` is in "
    "use.",
}

Model = TypeVar("Model")


class RegistryUnavailable(TransientError):
    """MLflow, or its database, does not answer; nothing was registered or moved."""


class UnknownModelVersion(NotFound):
    """The registry has no such version, or no version under that alias."""


class RegistryRefused(PermanentError):
    """MLflow rejected the request."""


@dataclass(frozen=True)
class ModelVersion:
    """One version of a registered model."""

    model_name: str
    version: int
    run_id: str
    created_at: datetime
    aliases: tuple[str, ...]
    tags: Mapping[str, str]
    description: str

    @property
    def training_set_version(self) -> int | None:
        """Delta version of ``ml_training_set`` that it learnt from."""
        text = self.tags.get(TRAINING_SET_TAG, "")
        return int(text) if text.isdigit() else None


@dataclass(frozen=True)
class Submission:
    """What a run records besides the model; every part is shown in the MLflow UI.

    Non-finite ``metrics`` are skipped. ``tables``, ``figures`` (PNG bytes) and ``pages`` (Markdown)
    become files by their names, without an ending. ``snapshot`` names the data: Delta version by lake table.
    ``tags`` are of the run and of the version, such as ``trigger`` and ``cutoff_at``.
    """

    params: Mapping[str, object] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    figures: Mapping[str, bytes] = field(default_factory=dict)
    pages: Mapping[str, str] = field(default_factory=dict)
    snapshot: Mapping[str, int | None] = field(default_factory=dict)
    features: Sequence[str] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    run_name: str | None = None
    lake_url: str = ""


class ModelRegistry:
    """One registered model: its experiment, runs, versions and aliases."""

    def __init__(self, tracking_uri: str, artifact_root: Path, model_name: str = DPS_MODEL) -> None:
        """Connects to nothing yet.

        Args:
            tracking_uri: an MLflow server (``http://``), or its database in SQLAlchemy's spelling.
            artifact_root: folder for files of runs and models where it is a database; a server has its own.
            model_name: the registered model, and the experiment of its runs.
        """
        self._uri = tracking_uri
        self._artifact_root = artifact_root
        self.model_name = model_name

    def __repr__(self) -> str:
        return f"ModelRegistry({self.model_name!r} at {self.address})"

    @property
    def address(self) -> str:
        """Where it is, without a password."""
        return strip_password(self._uri)

    def for_model(self, model_name: str) -> ModelRegistry:
        """The registry of another registered model on the same MLflow."""
        return ModelRegistry(self._uri, self._artifact_root, model_name)

    def check(self) -> int:
        """Query the registry; returns the number of versions.

        Raises:
            RegistryUnavailable: it does not answer.
        """
        return len(self.versions())

    def submit(self, model: Any, submission: Submission, example: pd.DataFrame) -> ModelVersion:
        """Record a run with everything of ``submission`` and register ``model`` as a new version.

        No alias is moved: ``aliases.set_alias`` makes it ``challenger``. A run that fails half way is
        marked as failed and registers nothing.

        Args:
            model: a dataclass that :mod:`lostark_ml.registry.model_file` can save.
            submission: what the run records.
            example: a few rows of the model's input.

        Raises:
            RegistryUnavailable: MLflow does not answer.
            ModelRefused: the model does not survive a round trip through its files.
        """
        with self._translate_errors("register a model"):
            client = self._client
            experiment_id = self._experiment_id()
            run = client.create_run(
                experiment_id,
                run_name=submission.run_name,
                tags={**_source_tags(), **submission.tags, _RUN_DESCRIPTION: submission.description},
            )
            run_id = run.info.run_id
            try:
                version = self._record(experiment_id, run_id, model, submission, example)
            except BaseException:
                with contextlib.suppress(Exception):
                    client.set_terminated(run_id, "FAILED")
                raise
            client.set_terminated(run_id, "FINISHED")
            return self.version(version)

    def version(self, number: int) -> ModelVersion:
        """That version.

        Raises:
            UnknownModelVersion: there is none.
        """
        with self._translate_errors(f"look up version {number}"):
            found = self._client.get_model_version(self.model_name, str(number))
            return _as_version(found, self.aliases())

    def versions(self) -> list[ModelVersion]:
        """All versions, the newest first; none where nothing was ever registered."""
        with self._translate_errors("list the versions"):
            aliases, found, token = self.aliases(), [], None
            while True:
                page = self._client.search_model_versions(
                    f"name = '{self.model_name}'", max_results=200, page_token=token
                )
                found += [_as_version(version, aliases) for version in page]
                token = page.token
                if not token:
                    return sorted(found, key=lambda version: version.version, reverse=True)

    def aliases(self) -> dict[str, int]:
        """Version number by alias; empty where nothing was ever registered."""
        try:
            with self._translate_errors("read the aliases"):
                model = self._client.get_registered_model(self.model_name)
        except UnknownModelVersion:
            return {}
        return {alias: int(version) for alias, version in model.aliases.items()}

    def champion(self) -> ModelVersion | None:
        """The version in use."""
        return self._by_alias(CHAMPION)

    def challenger(self) -> ModelVersion | None:
        """The newest version that was trained."""
        return self._by_alias(CHALLENGER)

    def metrics(self, version: ModelVersion) -> dict[str, float]:
        """Metrics of the version's run; none where the run is gone."""
        try:
            with self._translate_errors(f"read the run of version {version.version}"):
                return dict(self._client.get_run(version.run_id).data.metrics) if version.run_id else {}
        except UnknownModelVersion:
            return {}

    @overload
    def load(self, version: int | ModelVersion) -> FittedModel: ...

    @overload
    def load(self, version: int | ModelVersion, kind: type[Model]) -> Model: ...

    def load(self, version: int | ModelVersion, kind: type[Any] | None = None) -> Any:
        """The model of that version; runs no code of its files.

        Args:
            version: which.
            kind: the dataclass that it is; by default ``training.FittedModel``.

        Raises:
            UnknownModelVersion: there is no such version, or its files are gone.
            ModelRefused: its files are not a model of ours.
        """
        if kind is None:
            from lostark_ml.model.training import FittedModel  # noqa: PLC0415 - scikit-learn

            kind = FittedModel
        wanted = version if isinstance(version, ModelVersion) else self.version(version)
        with (
            self._translate_errors(f"load version {wanted.version}"),
            tempfile.TemporaryDirectory(prefix="lostark-model-") as folder,
        ):
            from mlflow.artifacts import download_artifacts  # noqa: PLC0415 - seconds

            try:
                files = download_artifacts(
                    artifact_uri=self._get_files(wanted.version), dst_path=folder, tracking_uri=self._uri
                )
            except Exception as error:
                if getattr(error, "error_code", None) != "RESOURCE_DOES_NOT_EXIST":
                    raise
                raise UnknownModelVersion(
                    f"{self.model_name} version {wanted.version}: expected its files, found none at "
                    f"{self._get_files(wanted.version)}. Nothing was loaded. Restore them from a backup, or "
                    "roll back to another version."
                ) from error
            return model_file.load(Path(files), kind, digest=wanted.tags.get(DIGEST_TAG))

    def describe(self, version: int, markdown: str) -> None:
        """Set the description of the version and of its run to ``markdown``."""
        with self._translate_errors(f"describe version {version}"):
            found = self._client.update_model_version(self.model_name, str(version), description=markdown)
            if found.run_id:
                self._client.set_tag(found.run_id, _RUN_DESCRIPTION, markdown)

    def tag(self, version: int, tags: Mapping[str, object]) -> None:
        """Write tags on the version, such as the decision with its numbers."""
        with self._translate_errors(f"tag version {version}"):
            for key, value in tags.items():
                self._client.set_model_version_tag(self.model_name, str(version), key, _text(value))

    def model_tags(self) -> dict[str, str]:
        """Tags of the registered model itself."""
        with self._translate_errors("read the tags of the registered model"):
            return dict(self._client.get_registered_model(self.model_name).tags)

    def set_model_tag(self, key: str, text: str) -> None:
        """Set a tag of the registered model itself."""
        with self._translate_errors("tag the registered model"):
            self._client.set_registered_model_tag(self.model_name, key, text)

    def move_alias(self, alias: str, version: int) -> None:
        """Point ``alias`` to ``version`` without a history row; callers use ``aliases.set_alias``."""
        with self._translate_errors(f"move {alias} to version {version}"):
            self._client.get_model_version(self.model_name, str(version))
            self._client.set_registered_model_alias(self.model_name, alias, str(version))

    @cached_property
    def _client(self) -> MlflowClient:
        _probe(self._uri, self.address)
        set_mlflow_variables()
        if is_database(self._uri):
            prepare_database(self._uri, self._artifact_root)
        from mlflow import MlflowClient  # noqa: PLC0415 - 4 s

        return MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)

    def _by_alias(self, alias: str) -> ModelVersion | None:
        number = self.aliases().get(alias)
        return None if number is None else self.version(number)

    def _get_files(self, version: int) -> str:
        """Where the files are; not ``models:/…``, which MLflow looks up in its global registry."""
        place = self._client.get_model_version_download_uri(self.model_name, str(version))
        if place.startswith("models:/"):
            place = self._client.get_logged_model(place.removeprefix("models:/")).artifact_location
        return place

    @contextlib.contextmanager
    def _translate_errors(self, what: str) -> Iterator[None]:
        """Raise MLflow's errors as ours, without importing MLflow."""
        try:
            yield
        except LostarkError:
            raise
        except Exception as error:
            raise self._as_ours(error, what) from error

    def _as_ours(self, error: Exception, what: str) -> Exception:
        code = getattr(error, "error_code", None)
        message = " ".join(str(error).split())[:500].rstrip(".") + "."
        if code == "RESOURCE_DOES_NOT_EXIST":
            return UnknownModelVersion(
                f"{self.model_name} in the registry: tried to {what}, found {message} Nothing was changed. "
                "`lostark model list` shows what there is."
            )
        if code in ("TEMPORARILY_UNAVAILABLE", "INTERNAL_ERROR") or type(error).__name__ in (
            "OperationalError",
            "ConnectionError",
        ):
            return RegistryUnavailable(
                f"{self.address}: tried to {what}, found {message} Nothing of this step was kept. Is the "
                "registry running? See `lostark doctor`."
            )
        if code is not None:
            return RegistryRefused(
                f"{self.address}: tried to {what}, found {message} Nothing of this step was kept."
            )
        return error

    def _experiment_id(self) -> str:
        client = self._client
        found = client.get_experiment_by_name(self.model_name)
        if found is None:
            folder = self._artifact_root / self.model_name
            location = folder.as_uri() if is_database(self._uri) else None
            return client.create_experiment(
                self.model_name, artifact_location=location, tags=_EXPERIMENT_TAGS
            )
        if found.lifecycle_stage != "active":
            client.restore_experiment(found.experiment_id)
        return found.experiment_id

    def _record(
        self, experiment_id: str, run_id: str, model: Any, submission: Submission, example: pd.DataFrame
    ) -> int:
        client = self._client
        params = {name: _text(value) for name, value in submission.params.items()}
        logged = client.create_logged_model(
            experiment_id, name=self.model_name, source_run_id=run_id, params=params, model_type=_kind(model)
        )
        with tempfile.TemporaryDirectory(prefix="lostark-run-") as scratch:
            folder = Path(scratch) / "model"
            model_file.save(model, folder, example, run_id=run_id, model_id=logged.model_id)
            digest = model_file.compute_digest(folder)
            client.log_model_artifacts(logged.model_id, str(folder))
            files = Path(scratch) / "files"
            _write_files(files, submission)
            client.log_artifacts(run_id, str(files))
        self._log_figures(run_id, logged.model_id, params, submission)
        client.finalize_logged_model(logged.model_id, "READY")
        tags = {
            **submission.tags,
            **_snapshot_tags(submission.snapshot),
            DIGEST_TAG: digest,
            "code_version": get_code_version(),
        }
        self._ensure_registered_model()
        registered = client.create_model_version(
            self.model_name,
            # Not models:/<id>: the store of a database would look that up in MLflow's global place.
            source=logged.artifact_location,
            run_id=run_id,
            tags={key: _text(value) for key, value in tags.items()},
            description=submission.description,
            model_id=logged.model_id,
        )
        return int(registered.version)

    def _log_figures(
        self, run_id: str, model_id: str, params: Mapping[str, str], submission: Submission
    ) -> None:
        from mlflow.entities import (  # noqa: PLC0415 - seconds
            Dataset,
            DatasetInput,
            InputTag,
            LoggedModelOutput,
            Metric,
            Param,
        )

        client, now = self._client, int(time.time() * 1000)
        client.log_outputs(run_id, [LoggedModelOutput(model_id, step=0)])
        of_data: dict[str, str] = {}
        if (table := next(iter(submission.snapshot), None)) is not None:
            version = submission.snapshot[table]
            of_data = {"dataset_name": table, "dataset_digest": f"version {version}"}
            source = {"url": f"{submission.lake_url}/{table}", "delta_version": version}
            dataset = Dataset(table, of_data["dataset_digest"], "delta", json.dumps(source))
            client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])
        metrics = [
            Metric(name, float(value), now, 0, model_id=model_id, run_id=run_id, **of_data)
            for name, value in submission.metrics.items()
            if math.isfinite(value)
        ]
        for start in range(0, len(metrics), _MAX_METRICS):
            client.log_batch(run_id, metrics=metrics[start : start + _MAX_METRICS])
        listed = [Param(name, value) for name, value in params.items()]
        for start in range(0, len(listed), _MAX_PARAMETERS):
            client.log_batch(run_id, params=listed[start : start + _MAX_PARAMETERS])

    def _ensure_registered_model(self) -> None:
        from mlflow.exceptions import MlflowException  # noqa: PLC0415 - seconds

        try:
            self._client.create_registered_model(
                self.model_name, description=_DESCRIPTIONS.get(self.model_name, "")
            )
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise


@contextlib.contextmanager
def open_registry(settings: Settings, model_name: str = DPS_MODEL) -> Iterator[ModelRegistry]:
    """The registry that the settings name, with the embedded PostgreSQL running while it is held.

    Raises:
        SettingsError: both PostgreSQL addresses are configured, and no address of MLflow.
    """
    with embedded_postgres(settings) as databases:
        address = tracking_uri(settings, databases)
        if address is None:
            raise build_missing_address_error()
        if settings.mlflow_tracking_uri is None:
            prepare_database(address, settings.mlflow_artifacts_dir, upgrade=True)
        yield ModelRegistry(address, settings.mlflow_artifacts_dir, model_name)


def get_code_version() -> str:
    """The commit that runs, marked where files differ from it; the package's version without git."""
    # An installed wheel has no checkout: the working folder may be the repository of something else.
    if (checkout := source_checkout()) is not None:
        git = ["git", "-C", str(checkout), "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            done = subprocess.run(git, capture_output=True, text=True, timeout=10, check=True)
            return done.stdout.strip()
    return package_version()


def _source_tags() -> dict[str, str]:
    commit = get_code_version()
    return {"code_version": commit, "mlflow.source.name": "lostark_ml", "mlflow.source.git.commit": commit}


def _snapshot_tags(snapshot: Mapping[str, int | None]) -> dict[str, str]:
    """All versions in one tag, and that of the training set in one that the history reads."""
    version = snapshot.get("ml_training_set")
    return {
        **({SNAPSHOT_TAG: json.dumps(dict(snapshot))} if snapshot else {}),
        **({TRAINING_SET_TAG: str(version)} if version is not None else {}),
    }


def _write_files(folder: Path, submission: Submission) -> None:
    for name in ("tables", "figures", "pages"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name, table in submission.tables.items():
        table.to_csv(folder / "tables" / f"{name}.csv", index=False)
        table.to_json(
            folder / "tables" / f"{name}.json", orient="records", date_format="iso", force_ascii=False
        )
    for name, image in submission.figures.items():
        (folder / "figures" / f"{name}.png").write_bytes(image)
    for name, page in submission.pages.items():
        (folder / "pages" / f"{name}.md").write_text(page, encoding="utf-8")
    for part in ("tables", "figures", "pages"):
        with contextlib.suppress(OSError):
            (folder / part).rmdir()
    data = {"snapshot": dict(submission.snapshot), "lake_url": submission.lake_url}
    (folder / "data_snapshot.json").write_text(json.dumps(data, indent=2), encoding="utf-8")
    (folder / "features.json").write_text(json.dumps(list(submission.features), indent=2), encoding="utf-8")


def _as_version(found: Any, aliases: Mapping[str, int]) -> ModelVersion:
    number = int(found.version)
    return ModelVersion(
        model_name=found.name,
        version=number,
        run_id=found.run_id or "",
        created_at=datetime.fromtimestamp(found.creation_timestamp / 1000, UTC),
        aliases=tuple(sorted(alias for alias, of in aliases.items() if of == number)),
        tags=dict(found.tags),
        description=found.description or "",
    )


def _kind(model: object) -> str:
    return type(model).__name__


def _text(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return text[:_MAX_VALUE]


def _probe(uri: str, address: str) -> None:
    """Fail within seconds if the server is down; MLflow itself would retry for minutes."""
    try:
        if uri.startswith("postgresql"):
            import psycopg2  # noqa: PLC0415

            plain = uri.replace("postgresql+psycopg2://", "postgresql://", 1)
            try:
                psycopg2.connect(plain, connect_timeout=_CONNECT_TIMEOUT_S).close()
            except psycopg2.Error as error:
                raise OSError(str(error)) from None
        elif not is_database(uri):
            parts = urlsplit(uri)
            port = parts.port or (443 if parts.scheme == "https" else 80)
            socket.create_connection((parts.hostname or "", port), timeout=_CONNECT_TIMEOUT_S).close()
    except OSError as error:
        raise RegistryUnavailable(
            f"{address}: expected the model registry, found {' '.join(str(error).split())}. Nothing was "
            "registered or moved. Start it, or correct LOSTARK_MLFLOW_TRACKING_URI; see `lostark doctor`."
        ) from error

"""Saves a fitted model as a folder of files, and loads it: what the registry keeps of a version.

The folder is an MLflow model. A model is a frozen dataclass: ``model.skops`` is its field ``pipeline``, of
scikit-learn; ``fitted_model.json`` is everything else, made of JSON's types, arrays of numbers and
dataclasses. A model of plain numbers has no pipeline and no ``model.skops``; it has ``predict`` itself.
Loading runs no code of the file: skops builds only the types of a closed list of ours, and pickles are never
read.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import io
import json
import typing
import zipfile
from collections.abc import Callable
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
import pandas as pd

from lostark_assets.errors import PermanentError

PIPELINE_FILE = "model.skops"
FIELDS_FILE = "fitted_model.json"
FORMAT = 1
TRUSTED_TYPES = (
    "functools.partial",
    "lostark_ml.model.regressor.SeasonRegressor",
    "lostark_ml.model.season.SeasonLevel",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.utils.validation.check_array",
)
"""What a pipeline may be made of beside the types that skops trusts anyway.

A partial can only wrap a function that is trusted itself. Trees hold numbers of nodes that compiled code
follows, so the files' hash is kept with the version and compared before anything is built.
"""
FORMER_MODULES = {
    ("lostark_ml.model", "SeasonRegressor"): "lostark_ml.model.regressor",
    ("lostark_ml.season", "SeasonLevel"): "lostark_ml.model.season",
}
"""Modules that a class was in when models were saved, and where it is now: older versions must still load."""
LIBRARIES = ("scikit-learn", "skops", "numpy", "scipy", "pandas")
_TOLERANCE = 1e-9
_SCHEMA = "schema.json"

Model = TypeVar("Model")


class ModelRefused(PermanentError):
    """The files are not a model that we load; nothing of them was run."""


class _Example(msgspec.Struct, forbid_unknown_fields=True):
    """Rows of the model's input and what it said of them when it was saved, row by row."""

    columns: dict[str, list[str | float | None]]
    predicted: list[float | None]

    def frame(self) -> pd.DataFrame:
        return pd.DataFrame({name: _column(values) for name, values in self.columns.items()})


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    """``fitted_model.json``; ``fields`` are those of ``kind``."""

    format: int
    kind: str
    libraries: dict[str, str]
    example: _Example
    fields: dict[str, Any]


def save(
    model: Any, folder: Path, example: pd.DataFrame, *, run_id: str | None = None, model_id: str | None = None
) -> None:
    """Write ``model`` into the new ``folder``.

    Args:
        model: a frozen dataclass with a field ``pipeline``, or with a method ``predict``.
        folder: must not exist.
        example: a few rows of the model's input: each load predicts them again.
        run_id: the MLflow run, noted in the files.
        model_id: the MLflow logged model, noted in the files.

    Raises:
        ModelRefused: the model has a part that would not come back as it is.
    """
    from mlflow.models import Model as Card  # noqa: PLC0415 - 4 s

    kind: type = type(model)
    example = example.reset_index(drop=True)
    predicted = np.asarray(_speaker(model).predict(example), float)
    extra: dict[str, Any] = {"model_id": model_id} if model_id else {}
    card = Card(run_id=run_id, **extra)
    if _has_pipeline(kind):
        _write_pipeline(model.pipeline, folder, card, example, predicted)
    else:
        _write_card(folder, card, example, predicted)
    columns = {str(name): _values(example[name]) for name in example}
    document = _Document(
        format=FORMAT,
        kind=kind.__name__,
        libraries=_versions(),
        example=_Example(columns, _numbers(predicted.ravel())),
        fields={name: getattr(model, name) for name in _field_types(kind)},
    )
    (folder / FIELDS_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(document, enc_hook=_plain)))
    again: Any = load(folder, kind)
    changed = [name for name in _field_types(kind) if not _same(getattr(again, name), getattr(model, name))]
    if changed:
        raise ModelRefused(
            f"{kind.__name__}.{', '.join(changed)}: expected fields that JSON can hold, found some "
            "that come back changed. Nothing was registered. Make them of numbers, texts, lists, dataclasses."
        )


def load(folder: Path, kind: type[Model], *, digest: str | None = None) -> Model:
    """The model of ``folder``.

    Args:
        folder: as ``save`` wrote it.
        kind: the dataclass that it is.
        digest: what :func:`compute_digest` said when the version was registered.

    Raises:
        ModelRefused: another kind, a type that is not on the list, files that were changed, or a model that
            no longer says of its example what it said when it was saved.
    """
    needed = PIPELINE_FILE if _has_pipeline(kind) else FIELDS_FILE
    if not (folder / needed).is_file():
        others = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
        raise _refused(folder, needed, ", ".join(others) or "nothing", "Pickles are never read.")
    found = compute_digest(folder)
    if digest is not None and digest not in (found, _compute_former_digest(folder)):
        raise _refused(folder, f"files of SHA-256 {digest[:12]}…", f"{found[:12]}…", "They were changed.")
    document = _read_document(folder, kind)
    fields = _read_fields(folder, document, kind)
    if _has_pipeline(kind):
        fields["pipeline"] = _read_pipeline(folder / PIPELINE_FILE)
    model = kind(**fields)
    _check_example(folder, _speaker(model), document)
    return model


def compute_digest(folder: Path) -> str:
    """SHA-256 over what makes the model: the pipeline, where there is one, and the fields.

    The same model has the same digest: the memory addresses and the times that skops writes do not count.
    """
    pipeline, fields = folder / PIPELINE_FILE, folder / FIELDS_FILE
    digests = [_compute_pipeline_digest(pipeline)] if pipeline.is_file() else []
    if fields.is_file():
        digests.append(hashlib.sha256(fields.read_bytes()).digest())
    return hashlib.sha256(b"".join(digests)).hexdigest()


def _compute_pipeline_digest(path: Path) -> bytes:
    ids: dict[Any, int] = {}

    def normalize(node: dict[str, Any], parts: dict[str, bytes]) -> dict[str, Any]:
        if "__id__" in node:
            node["__id__"] = ids.setdefault(node["__id__"], len(ids))
        if node.get("file") in parts:
            node["file"] = hashlib.sha256(parts[node["file"]]).hexdigest()
        return node

    try:
        schema, _ = _read_archive(path, normalize)
    except ModelRefused:
        # No file of skops: loading refuses it, a comparison with a registered digest finds another file.
        return hashlib.sha256(path.read_bytes()).digest()
    return hashlib.sha256(json.dumps(schema).encode()).digest()


def _compute_former_digest(folder: Path) -> str:
    """What models were registered with before 2026-12: SHA-256 over the bytes of the files."""
    files = [folder / name for name in (PIPELINE_FILE, FIELDS_FILE)]
    digests = [hashlib.sha256(path.read_bytes()).digest() for path in files if path.is_file()]
    return hashlib.sha256(b"".join(digests)).hexdigest()


def _read_archive(
    path: Path, convert: Callable[[dict[str, Any], dict[str, bytes]], dict[str, Any]]
) -> tuple[Any, dict[str, bytes]]:
    """The schema of a file of skops, each object of it through ``convert``, and the arrays beside it."""
    # Whatever a damaged or malicious file raises, it is one refusal.
    try:
        with zipfile.ZipFile(path) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        return json.loads(parts.pop(_SCHEMA), object_hook=lambda node: convert(node, parts)), parts
    except Exception as error:
        raise _refused(path, "a pipeline saved by skops", repr(error), "Register the model again.") from error


def _rename_former_classes(path: Path) -> bytes:
    """The file with the classes of :data:`FORMER_MODULES` in the modules where they are now."""

    def rename(node: dict[str, Any], _parts: dict[str, bytes]) -> dict[str, Any]:
        former = node.get("__module__"), node.get("__class__")
        return node | {"__module__": FORMER_MODULES[former]} if former in FORMER_MODULES else node

    schema, parts = _read_archive(path, rename)
    renamed = io.BytesIO()
    with zipfile.ZipFile(renamed, "w") as archive:
        archive.writestr(_SCHEMA, json.dumps(schema))
        for name, content in parts.items():
            archive.writestr(name, content)
    return renamed.getvalue()


def _write_pipeline(
    pipeline: Any, folder: Path, card: Any, example: pd.DataFrame, predicted: np.ndarray
) -> None:
    import mlflow.sklearn  # noqa: PLC0415 - 4 s
    from mlflow.models import infer_signature  # noqa: PLC0415

    try:
        mlflow.sklearn.save_model(
            pipeline,
            str(folder),
            mlflow_model=card,
            serialization_format="skops",
            skops_trusted_types=list(TRUSTED_TYPES),
            signature=infer_signature(example, predicted),
            input_example=example,
            pip_requirements=[f"{name}=={version}" for name, version in _versions().items()],
        )
    except mlflow.exceptions.MlflowException as error:
        raise ModelRefused(f"the pipeline can't be saved: {error}. Nothing was registered.") from error


def _write_card(folder: Path, card: Any, example: pd.DataFrame, predicted: np.ndarray) -> None:
    """The MLflow model without a flavour: MLflow shows what goes in and out, and has nothing to run."""
    from mlflow.models import infer_signature  # noqa: PLC0415 - 4 s

    folder.mkdir(parents=True)
    card.signature = infer_signature(example, predicted)
    card.save(str(folder / "MLmodel"))


def _speaker(model: Any) -> Any:
    return model.pipeline if _has_pipeline(type(model)) else model


def _has_pipeline(kind: type) -> bool:
    return any(field.name == "pipeline" for field in dataclasses.fields(kind))


def _refused(place: Path, expected: str, found: str, advice: str) -> ModelRefused:
    return ModelRefused(f"{place}: expected {expected}, found {found}. Nothing was loaded. {advice}")


def _read_document(folder: Path, kind: type) -> _Document:
    path = folder / FIELDS_FILE
    try:
        document = msgspec.json.decode(path.read_bytes(), type=_Document)
    except (OSError, msgspec.DecodeError) as error:
        raise _refused(path, "the fields of a model", str(error), "Register the model again.") from error
    if (document.format, document.kind) != (FORMAT, kind.__name__):
        found = f"a {document.kind} of format {document.format}"
        raise _refused(path, f"a {kind.__name__} of format {FORMAT}", found, "Retrain, or change the code.")
    return document


def _read_fields(folder: Path, document: _Document, kind: type) -> dict[str, Any]:
    expected = _field_types(kind)
    unknown = sorted(document.fields.keys() - expected.keys())
    optional = {f.name for f in dataclasses.fields(kind) if not _is_required(f)}
    missing = sorted(expected.keys() - optional - document.fields.keys())
    if unknown or missing:
        found = f"unknown {unknown}, missing {missing}"
        raise _refused(folder, f"the fields of {kind.__name__}", found, "The code is of another version.")
    try:
        fields = {
            name: msgspec.convert(value, expected[name], dec_hook=_array)
            for name, value in document.fields.items()
        }
    except msgspec.ValidationError as error:
        raise _refused(folder, f"the fields of {kind.__name__}", str(error), "Retrain.") from error
    if strange := [name for name, value in fields.items() if not _holds(document.fields[name], value)]:
        found = f"parts of {', '.join(strange)} that the code does not know"
        raise _refused(folder, f"the fields of {kind.__name__}", found, "The code is of another version.")
    return fields


def _read_pipeline(path: Path) -> Any:
    import skops.io  # noqa: PLC0415 - 1 s
    from sklearn.base import BaseEstimator  # noqa: PLC0415

    content = _rename_former_classes(path)
    # Whatever a damaged or malicious file makes skops raise, it is one refusal.
    try:
        strange = sorted(set(skops.io.get_untrusted_types(data=content)) - set(TRUSTED_TYPES))
        pipeline = None if strange else skops.io.loads(content, trusted=list(TRUSTED_TYPES))
    except Exception as error:
        raise _refused(path, "a pipeline saved by skops", repr(error), "Register the model again.") from error
    if strange:
        found = f"also {', '.join(strange)}"
        raise _refused(path, "only types of the closed list", found, "Find out who put it there.")
    if not isinstance(pipeline, BaseEstimator):
        raise _refused(path, "an estimator", type(pipeline).__name__, "Register the model again.")
    return pipeline


def _check_example(folder: Path, speaker: Any, document: _Document) -> None:
    said = np.array(document.example.predicted, float)
    try:
        says = np.asarray(speaker.predict(document.example.frame()), float).ravel()
        is_same = says.shape == said.shape and np.allclose(
            says, said, rtol=_TOLERANCE, atol=_TOLERANCE, equal_nan=True
        )
        found = "others"
    # A model of other code or libraries can fail in any way.
    except Exception as error:  # noqa: BLE001
        is_same, found = False, repr(error)
    if not is_same:
        now = _versions()
        changed = [
            f"{name} {was} is now {now.get(name)}"
            for name, was in document.libraries.items()
            if now.get(name) != was
        ]
        why = f"{', '.join(changed)}." if changed else "The libraries are the same: the code changed."
        raise _refused(folder, "the predictions of its own example", found, f"{why} Retrain.")


@cache
def _field_types(kind: type) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind) if field.name != "pipeline"}


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in LIBRARIES}


def _plain(value: Any) -> Any:
    """What NumPy and pandas have of their own, in JSON's types; NaN in an array is null."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, pd.Timestamp):
        return value.to_pydatetime()
    raise ModelRefused(
        f"expected fields that JSON can hold, found a {type(value).__name__}. Nothing was registered."
    )


def _array(kind: type, value: Any) -> Any:
    """The way back of an array; always of floats. Raises ``ValueError`` where it is none."""
    if kind is not np.ndarray:
        message = f"the code can't read a {kind.__name__}"
        raise NotImplementedError(message)
    return np.array(value, dtype=float)


def _same(one: Any, other: Any) -> bool:
    if dataclasses.is_dataclass(one) and type(one) is type(other):
        return all(_same(getattr(one, f.name), getattr(other, f.name)) for f in dataclasses.fields(one))
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=True)
    if isinstance(one, datetime) and isinstance(other, datetime):
        return one == other and (one.tzinfo is None) == (other.tzinfo is None)
    return bool(one == other)


def _holds(raw: Any, value: Any) -> bool:
    """Whether every key of the document came into the value: an unknown one could change what is meant."""
    back = msgspec.to_builtins(value, str_keys=True, enc_hook=_plain)
    return _covers(back, raw)


def _covers(known: Any, raw: Any) -> bool:
    if isinstance(raw, dict):
        return isinstance(known, dict) and all(k in known and _covers(known[k], v) for k, v in raw.items())
    if isinstance(raw, list):
        return len(known) == len(raw) and all(map(_covers, known, raw))
    return True


def _values(column: pd.Series) -> list[Any]:
    if pd.api.types.is_numeric_dtype(column):
        return _numbers(column.astype(float).to_numpy())
    return [str(value) for value in column]


def _numbers(values: np.ndarray) -> list[Any]:
    return [None if np.isnan(value) else float(value) for value in values]


def _column(values: list[Any]) -> pd.Series:
    if all(isinstance(value, str) for value in values):
        return pd.Series(values, dtype="str")
    return pd.Series([np.nan if value is None else value for value in values], dtype=float)

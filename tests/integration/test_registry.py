"""What goes into the registry comes back the same, runs no code, and every failure is said clearly."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest

from lostark_ml.features.training_set import model_input
from lostark_ml.model.training import FittedModel
from lostark_ml.registry import model_file
from lostark_ml.registry.model_file import FIELDS_FILE, PIPELINE_FILE, ModelRefused
from lostark_ml.registry.model_registry import (
    ModelRegistry,
    RegistryUnavailable,
    Submission,
    UnknownModelVersion,
    get_code_version,
)
from lostark_ml.styles.clusters import StyleModel

SUBMISSION = Submission(
    params={"seed": 0, "model": {"leaves": 6}},
    metrics={"mape": 0.151, "coverage": 0.9, "width": float("nan")},
    tables={"slices": pd.DataFrame({"slice": ["spec_name"], "value": ["점화"], "mape": [0.2]})},
    figures={"calibration": b"\x89PNG chart"},
    pages={"style_1": "# Style 1"},
    snapshot={"ml_training_set": 3, "stats_player_dps": None},
    features=["item_level"],
    tags={"trigger": "first model"},
    description="# Model card",
    lake_url="/lake",
)


@pytest.fixture(scope="module")
def saved(fitted, tmp_path_factory):
    model, frame = fitted
    folder = tmp_path_factory.mktemp("model") / "files"
    model_file.save(model, folder, model_input(frame).head(5))
    return folder


@pytest.fixture
def files(saved, tmp_path):
    """A copy that a test may spoil."""
    return shutil.copytree(saved, tmp_path / "files")


def submit(registry, fitted, submission=SUBMISSION):
    model, frame = fitted
    return registry.submit(model, submission, model_input(frame).head(5))


def spoil_fields(folder, spoil):
    document = json.loads((folder / FIELDS_FILE).read_bytes())
    spoil(document)
    (folder / FIELDS_FILE).write_text(json.dumps(document))


def test_a_loaded_model_predicts_bit_for_bit_what_the_saved_one_did(fitted, saved):
    model, frame = fitted
    loaded = model_file.load(saved, FittedModel, digest=model_file.compute_digest(saved))

    pd.testing.assert_frame_equal(loaded.predict(frame), model.predict(frame), check_exact=True)
    assert loaded.domain == model.domain
    assert loaded.intervals == model.intervals
    assert (loaded.cutoff, loaded.config) == (model.cutoff, model.config)


FORMER_MODELS = Path(__file__).parent / "former_models"
"""Models saved by commit 922f1aa, before classes moved; written once, they can't be made again."""
FORMER_DIGESTS = {
    "dps": "ab43b4b04a687026ea6544888b01f1a15efd5223c3e12280ef3f234b5ddb5454",
    "styles": "a0835965db086ba9bc4ccb941f0f9a19ebdae0d3840ca663751420b41bb3df1b",
}


@pytest.mark.parametrize(("name", "kind"), [("dps", FittedModel), ("styles", StyleModel)])
def test_a_model_saved_before_its_classes_moved_is_loaded(name, kind):
    loaded = model_file.load(FORMER_MODELS / name, kind, digest=FORMER_DIGESTS[name])

    document = json.loads((FORMER_MODELS / name / FIELDS_FILE).read_bytes())
    example = pd.DataFrame(document["example"]["columns"])
    speaker = loaded.pipeline if name == "dps" else loaded
    np.testing.assert_allclose(np.ravel(speaker.predict(example)), document["example"]["predicted"])


def test_the_same_model_saved_twice_has_the_same_digest(fitted, saved, tmp_path):
    model, frame = fitted
    model_file.save(model, tmp_path / "again", model_input(frame).head(5))

    assert model_file.compute_digest(tmp_path / "again") == model_file.compute_digest(saved)
    assert (tmp_path / "again" / PIPELINE_FILE).read_bytes() != (saved / PIPELINE_FILE).read_bytes()


def test_an_array_of_the_pipeline_that_was_changed_is_refused(files):
    digest = model_file.compute_digest(files)
    with zipfile.ZipFile(files / PIPELINE_FILE) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    name = next(name for name in parts if name.endswith(".npy"))
    parts[name] = parts[name][:-1] + bytes([parts[name][-1] ^ 1])
    with zipfile.ZipFile(files / PIPELINE_FILE, "w") as archive:
        for part, content in parts.items():
            archive.writestr(part, content)

    with pytest.raises(ModelRefused, match="They were changed"):
        model_file.load(files, FittedModel, digest=digest)


def test_a_pickle_is_not_read(files):
    (files / PIPELINE_FILE).unlink()
    (files / "model.pkl").write_bytes(pickle.dumps(Trap()))

    with pytest.raises(ModelRefused, match=r"expected model.skops, found .*model.pkl.*never read"):
        model_file.load(files, FittedModel)


class Trap:
    """Unpickled, it would end the process."""

    def __reduce__(self):
        return os._exit, (3,)


def test_a_file_with_an_untrusted_type_is_refused_whatever_it_claims(files):
    import skops.io

    payload = io.BytesIO()
    skops.io.dump({"run": subprocess.Popen}, payload)
    (files / PIPELINE_FILE).write_bytes(payload.getvalue())
    (files / "MLmodel").write_text("flavors:\n  sklearn:\n    skops_trusted_types: [subprocess.Popen]\n")

    with pytest.raises(ModelRefused, match=r"only types of the closed list, found also subprocess\.Popen"):
        model_file.load(files, FittedModel)


def test_a_file_whose_types_were_swapped_for_a_function_that_runs_code_is_refused(files, tmp_path):
    """``os.system`` in place of the partial's function, in an otherwise sound file."""
    with zipfile.ZipFile(files / PIPELINE_FILE) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    schema = parts["schema.json"].decode()
    assert "check_array" in schema
    schema = schema.replace("sklearn.utils.validation", "os").replace("check_array", "system")
    with zipfile.ZipFile(files / PIPELINE_FILE, "w") as archive:
        for name, content in {**parts, "schema.json": schema.encode()}.items():
            archive.writestr(name, content)

    with pytest.raises(ModelRefused, match=r"found also os\.system"):
        model_file.load(files, FittedModel)


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x05\x06" + bytes(18)])
def test_a_broken_file_is_refused(files, content):
    (files / PIPELINE_FILE).write_bytes(content)

    with pytest.raises(ModelRefused, match="a pipeline saved by skops"):
        model_file.load(files, FittedModel)


def test_files_that_were_changed_since_they_were_registered_are_refused(files):
    digest = model_file.compute_digest(files)
    spoil_fields(files, lambda document: document["fields"].update(trained_rows=1))

    with pytest.raises(ModelRefused, match="They were changed"):
        model_file.load(files, FittedModel, digest=digest)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda d: d.update(format=99), "of format 99"),
        (lambda d: d.update(kind="Other"), "found a Other"),
        (lambda d: d["fields"].update(new_part=1), r"unknown \['new_part'\]"),
        (lambda d: d["fields"].pop("domain"), r"missing \['domain'\]"),
        (lambda d: d["fields"]["domain"].update(new_part=1), "parts of domain that the code does not know"),
        (lambda d: d["fields"].update(trained_rows="many"), "Expected `int`"),
        (lambda d: d.pop("example"), "missing required field"),
        (lambda d: d["example"]["predicted"].__setitem__(0, 1.0), "predictions of its own example"),
    ],
)
def test_fields_that_the_code_does_not_know_or_that_do_not_fit_are_refused(files, spoil, message):
    spoil_fields(files, spoil)

    with pytest.raises(ModelRefused, match=message):
        model_file.load(files, FittedModel)


@dataclass(frozen=True)
class OtherPart:
    """A part of a model as others will have it."""

    numbers: dict[str, tuple[float, float]]
    note: str | None = None


@dataclass(frozen=True)
class OtherModel:
    """A field more needs no further code."""

    pipeline: object
    part: OtherPart
    rows: int


def test_any_dataclass_with_a_pipeline_can_be_kept(fitted, tmp_path):
    model, frame = fitted
    other = OtherModel(model.pipeline, OtherPart({"a": (np.float64(0.1), 2.0)}), int(np.int64(7)))
    model_file.save(other, tmp_path / "files", model_input(frame).head(2))

    assert model_file.load(tmp_path / "files", OtherModel).part == other.part


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_model_that_would_not_come_back_as_it_is_can_not_be_saved(fitted, tmp_path, number):
    model, frame = fitted
    other = OtherModel(model.pipeline, OtherPart({"a": (number, 2.0)}), 7)

    with pytest.raises(ModelRefused):
        model_file.save(other, tmp_path / "files", model_input(frame).head(2))


def test_a_submission_is_recorded_whole(registry, fitted):
    done = submit(registry, fitted)
    client = registry._client
    run = client.get_run(done.run_id)

    assert (done.version, done.description, done.aliases) == (1, "# Model card", ())
    assert done.training_set_version == 3
    assert done.tags["trigger"] == "first model"
    assert json.loads(done.tags["data_snapshot"]) == {"ml_training_set": 3, "stats_player_dps": None}
    assert run.info.status == "FINISHED"
    assert run.data.params == {"seed": "0", "model": '{"leaves": 6}'}
    assert run.data.metrics == registry.metrics(done) == {"mape": 0.151, "coverage": 0.9}
    assert run.data.tags["mlflow.source.git.commit"] == get_code_version() == done.tags["code_version"]
    assert run.inputs.dataset_inputs[0].dataset.digest == "version 3"
    paths = {
        file.path
        for part in ("tables", "figures", "pages")
        for file in client.list_artifacts(run.info.run_id, part)
    }
    assert paths == {"tables/slices.csv", "tables/slices.json", "figures/calibration.png", "pages/style_1.md"}
    logged = client.get_logged_model(run.outputs.model_outputs[0].model_id)
    assert {metric.key for metric in logged.metrics} == {"mape", "coverage"}


def test_a_registered_model_comes_back_and_its_files_are_guarded_by_their_hash(
    registry, fitted, mlflow_folder
):
    model, frame = fitted
    done = submit(registry, fitted)
    pd.testing.assert_frame_equal(
        registry.load(done.version).predict(frame), model.predict(frame), check_exact=True
    )

    (fields,) = (mlflow_folder / "artifacts").rglob(FIELDS_FILE)
    fields.write_bytes(fields.read_bytes() + b" ")
    with pytest.raises(ModelRefused, match="They were changed"):
        registry.load(done)
    shutil.rmtree(fields.parent)
    with pytest.raises(UnknownModelVersion, match="expected its files"):
        registry.load(done)


def test_aliases_tags_and_cards_are_kept_by_version(registry, fitted):
    assert (registry.versions(), registry.aliases(), registry.champion()) == ([], {}, None)
    first, second = submit(registry, fitted), submit(registry, fitted)
    registry.move_alias("champion", first.version)
    registry.move_alias("challenger", second.version)
    registry.describe(2, "# Another card")
    registry.tag(2, {"decision": {"is_better": True}})
    registry.set_model_tag("last_move", "mine")

    assert [version.version for version in registry.versions()] == [2, 1]
    assert registry.champion().version == 1
    assert registry.challenger().aliases == ("challenger",)
    assert registry.version(2).description == "# Another card"
    assert registry.model_tags() == {"last_move": "mine"}
    assert registry._client.get_run(second.run_id).data.tags["mlflow.note.content"] == "# Another card"
    assert json.loads(registry.version(2).tags["decision"]) == {"is_better": True}


def test_registered_models_of_one_mlflow_do_not_mix(registry, fitted, mlflow_folder):
    styles = ModelRegistry(
        f"sqlite:///{mlflow_folder / 'mlflow.db'}", mlflow_folder / "artifacts", "lostark_play_styles"
    )
    submit(registry, fitted)

    assert styles.versions() == []
    assert submit(styles, fitted).model_name == "lostark_play_styles"
    assert len(registry.versions()) == 1


def test_an_unknown_version_raises_a_clear_error(registry, fitted):
    for call in (registry.version, registry.load, lambda n: registry.move_alias("champion", n)):
        with pytest.raises(
            UnknownModelVersion, match=r"lostark_dps .*Nothing was changed.*lostark model list"
        ):
            call(9)


@pytest.mark.parametrize(
    "address",
    ["http://127.0.0.1:9", "postgresql+psycopg2://me:secret@127.0.0.1:9/mlflow"],
)
def test_an_unreachable_registry_fails_within_seconds_and_hides_its_password(address, tmp_path):
    with pytest.raises(RegistryUnavailable, match=r"127\.0\.0\.1:9.*Nothing was registered") as caught:
        ModelRegistry(address, tmp_path).versions()

    assert "secret" not in str(caught.value)
    assert "secret" not in repr(ModelRegistry(address, tmp_path))


def test_a_submission_that_fails_is_a_failed_run_without_a_version(registry, fitted):
    model, frame = fitted
    broken = OtherModel(model.pipeline, OtherPart({"a": (float("nan"), 1.0)}), 1)

    with pytest.raises(ModelRefused):
        registry.submit(broken, SUBMISSION, model_input(frame).head(2))

    client = registry._client
    experiment = client.get_experiment_by_name("lostark_dps")
    assert [run.info.status for run in client.search_runs([experiment.experiment_id])] == ["FAILED"]
    assert registry.versions() == []


def test_models_are_found_after_the_whole_folder_has_moved(registry, fitted, mlflow_folder, tmp_path):
    model, frame = fitted
    submit(registry, fitted)
    registry._client.get_experiment_by_name("lostark_dps")
    elsewhere = tmp_path / "else where"
    shutil.copytree(mlflow_folder, elsewhere)
    shutil.rmtree(mlflow_folder)

    moved = ModelRegistry(f"sqlite:///{elsewhere / 'mlflow.db'}", elsewhere / "artifacts")

    pd.testing.assert_frame_equal(moved.load(1).predict(frame), model.predict(frame), check_exact=True)
    assert submit(moved, fitted).version == 2
    assert not mlflow_folder.exists()


def test_neither_the_working_folder_nor_mlflows_global_registry_is_touched(
    registry, fitted, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.iterdir())
    submit(registry, fitted)
    registry.load(1)

    assert set(tmp_path.iterdir()) == before


def test_importing_the_registry_does_not_import_mlflow():
    heavy = "{'mlflow', 'sklearn', 'dagster'}"
    code = f"import sys, lostark_ml.registry.aliases; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_a_document_is_plain_json(saved):
    document = msgspec.json.decode((saved / FIELDS_FILE).read_bytes())

    assert document["kind"] == "FittedModel"
    assert Path(saved / PIPELINE_FILE).stat().st_size < 5_000_000

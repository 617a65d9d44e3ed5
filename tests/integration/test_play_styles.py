"""Play styles in the registry and the lake: found, registered once, named alike, and placed for everybody."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from lostark_assets.contracts import expectations
from lostark_assets.contracts.expectations import Finding, examine
from lostark_assets.contracts.ml import ML_PLAYER_CLUSTERS
from lostark_assets.errors import ContractViolated
from lostark_assets.lake.tables import Lake
from lostark_ml.registry import model_file
from lostark_ml.registry.aliases import read_history, set_alias
from lostark_ml.registry.model_file import FIELDS_FILE, PIPELINE_FILE, ModelRefused
from lostark_ml.registry.names import STYLE_MODEL
from lostark_ml.styles import refresh as style_refresh
from lostark_ml.styles.clusters import FEATURES, StyleModel, StylePolicy, find_styles, model_input
from lostark_ml.styles.refresh import are_styles_current, refresh_styles, styles_are_not_specs
from tests.pure.ml.planted_styles import characters, write

QUICK = StylePolicy(styles=(2, 3), tries=2, resamples=2)


@pytest.fixture(scope="module")
def planted():
    return characters(240)


@pytest.fixture(scope="module")
def blob():
    return characters(240, planted=False)


@pytest.fixture(scope="module")
def model(planted):
    return find_styles(planted)


@pytest.fixture
def styles(registry):
    return registry.for_model(STYLE_MODEL)


@pytest.fixture
def lake(tmp_path, planted):
    lake = Lake(str(tmp_path / "lake"))
    write(lake, planted)
    return lake


def look(lake, styles):
    return refresh_styles(lake, styles, datetime.now(UTC), QUICK)


def a_week_later(frame, seed=9):
    """The same characters with other luck."""
    later = frame.copy()
    later[list(FEATURES)] += np.random.default_rng(seed).normal(0, 0.005, (len(frame), len(FEATURES)))
    return later


def list_files(styles, run, part):
    return {file.path for file in styles._client.list_artifacts(run.version.run_id, part)}


def test_planted_styles_are_registered_promoted_and_written(lake, styles, planted):
    run = look(lake, styles)
    loaded = styles.load(run.version, StyleModel)
    rows = lake.read("ml_player_clusters")

    assert (run.version.version, run.version.aliases, run.made.version) == (1, ("champion",), 1)
    (change,) = read_history(lake, STYLE_MODEL)
    assert (change.changed_by, change.action, change.reason) == (
        "play styles",
        "promote",
        "3 styles among 240 characters.",
    )
    assert json.loads(run.version.tags["data_snapshot"]) == {"stats_player_dps": 0, "ml_expected_dps": 0}
    assert loaded.names == run.model.names
    pd.testing.assert_frame_equal(
        loaded.probabilities(planted), run.model.probabilities(planted), check_exact=True
    )
    assert rows.equals(run.rows)
    assert set(rows["style"].to_pylist()) == set(loaded.names)
    assert set(rows["model_version"].to_pylist()) == {1}
    assert [str(f) for f in run.findings if not f.passed] == []
    assert are_styles_current(lake)


def test_a_version_describes_the_styles_and_names_no_player(lake, styles):
    run = look(lake, styles)
    description = run.version.description
    client = styles._client

    assert len(description) <= 5000
    assert [f"## {name}" in description for name in run.model.names] == [True] * 3
    assert "stability 0." in description
    assert list_files(styles, run, "pages") == {f"pages/style_{n}.md" for n in (1, 2, 3)}
    assert list_files(styles, run, "figures") == {"figures/map.png"}
    assert "tables/centroids.csv" in list_files(styles, run, "tables")
    assert styles.metrics(run.version)["stability"] > styles.metrics(run.version)["stability_limit"]
    logged = client.get_logged_model(client.get_run(run.version.run_id).outputs.model_outputs[0].model_id)
    folder = Path(client.download_artifacts(run.version.run_id, "pages"))
    assert logged.model_type == "StyleModel"
    assert "Player" not in description
    assert "Player" not in "".join(page.read_text() for page in folder.glob("*.md"))


def test_the_same_characters_make_no_second_version(lake, styles):
    first = look(lake, styles)
    lake.replace_all(ML_PLAYER_CLUSTERS, ML_PLAYER_CLUSTERS.empty())
    second = look(lake, styles)

    assert (len(styles.versions()), second.made, second.change) == (1, None, None)
    assert second.why == "the same characters as of version 1"
    assert second.pages == first.pages
    assert second.rows.drop(["computed_at"]).equals(first.rows.drop(["computed_at"]))
    assert lake.count("ml_player_clusters") == 240


def test_names_stay_with_their_styles_from_one_version_to_the_next(lake, styles, planted):
    first = look(lake, styles)
    write(lake, a_week_later(planted))
    assert not are_styles_current(lake)
    second = look(lake, styles)

    assert styles.aliases() == {"champion": 2}
    assert second.why == "3 styles among 240 characters; 3 are those of the version before."
    assert set(second.model.names) == set(first.model.names)
    key = ["player_name", "style"]
    both = first.rows.select(key).to_pandas().merge(second.rows.select(key).to_pandas(), on="player_name")
    assert (both["style_x"] == both["style_y"]).mean() > 0.9


def test_a_continuum_is_a_version_too_and_every_character_has_a_row(lake, styles, blob):
    write(lake, blob)
    run = look(lake, styles)

    assert run.version.aliases == ("champion",)
    assert styles.load(run.version, StyleModel).is_continuum
    assert run.why.startswith("a continuum: gain -0.")
    assert "A continuum · 연속체" in run.version.description
    assert list_files(styles, run, "pages") == {"pages/continuum.md"}
    assert run.rows["style"].null_count == 240
    assert run.rows["axis_2"].null_count == 0


def test_too_few_characters_register_nothing_and_are_listed(lake, styles):
    write(lake, characters(60, specs=2))
    run = look(lake, styles)

    assert (run.version, run.made, styles.versions()) == (None, None, [])
    assert "60 characters (expected 100)" in run.why
    assert run.rows["model_version"].null_count == run.rows.num_rows == 60


def test_without_any_statistics_the_table_is_empty(tmp_path, styles):
    assert look(Lake(str(tmp_path / "empty")), styles).rows.num_rows == 0


def test_a_version_that_a_person_chose_stays_until_the_newest_is_chosen(lake, styles, planted):
    look(lake, styles)
    write(lake, a_week_later(planted, 2))
    look(lake, styles)
    styles.move_alias("champion", 1)
    write(lake, a_week_later(planted, 3))
    third = look(lake, styles)

    assert styles.aliases() == {"champion": 1, "challenger": 3}
    assert (third.version.version, third.made.version, third.change.alias) == (1, 3, "challenger")
    assert third.why.endswith("version 1 stays active")
    assert set(third.rows["model_version"].to_pylist()) == {1}
    assert look(lake, styles).change is None

    set_alias(
        styles, lake, "champion", 3, by="reviewer", why="looks right", action="promote", now=datetime.now(UTC)
    )
    write(lake, a_week_later(planted, 4))
    assert look(lake, styles).version.version == 4


def test_a_refresh_interrupted_after_registering_is_completed_by_the_next(lake, styles, monkeypatch):
    def cut_off(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(style_refresh, "set_alias", cut_off)
        with pytest.raises(KeyboardInterrupt):
            look(lake, styles)
    assert (len(styles.versions()), styles.aliases()) == (1, {})

    assert look(lake, styles).made is None
    assert styles.aliases() == {"champion": 1}


def test_a_table_that_breaks_its_contract_registers_nothing(lake, styles, monkeypatch):
    look(lake, styles)
    before = lake.read("ml_player_clusters")
    write(lake, characters(240, seed=5))
    broken = Finding("fights at least 1", "error", 1, 1, [])
    monkeypatch.setattr(expectations, "examine", lambda *_: [broken])

    with pytest.raises(ContractViolated, match="fights at least 1"):
        look(lake, styles)
    assert len(styles.versions()) == 1
    assert lake.read("ml_player_clusters").equals(before)


def test_changed_files_are_refused_and_the_next_refresh_restarts_the_names(lake, styles, mlflow_folder):
    first = look(lake, styles)
    (fields,) = (mlflow_folder / "artifacts").rglob(FIELDS_FILE)
    fields.write_bytes(fields.read_bytes().replace(b"Burst", b"Worst"))
    with pytest.raises(ModelRefused, match="They were changed"):
        styles.load(first.version, StyleModel)

    again = look(lake, styles)

    assert (again.version.version, again.model.names) == (2, first.model.names)
    assert "Style names are reset" in again.why


# The files -----------------------------------------------------------------------------------------


@pytest.fixture
def files(model, planted, tmp_path):
    model_file.save(model, tmp_path / "files", model_input(planted).head(5))
    return tmp_path / "files"


def spoil(folder, change):
    document = json.loads((folder / FIELDS_FILE).read_bytes())
    change(document["fields"], document)
    (folder / FIELDS_FILE).write_text(json.dumps(document))


def test_a_model_of_plain_numbers_is_kept_as_json_alone(files, model, planted):
    loaded = model_file.load(files, StyleModel, digest=model_file.compute_digest(files))

    assert sorted(path.name for path in files.iterdir()) == ["MLmodel", FIELDS_FILE]
    assert "Player" not in (files / FIELDS_FILE).read_text()
    assert (loaded.names, loaded.evidence) == (model.names, model.evidence)
    np.testing.assert_array_equal(loaded.predict(planted), model.predict(planted))


def test_what_is_not_known_of_a_spec_comes_back_not_known(model, planted, tmp_path):
    middle = model.scale.middle.copy()
    middle[0, 0] = np.nan
    hole = replace(model, scale=replace(model.scale, middle=middle))
    model_file.save(hole, tmp_path / "files", model_input(planted).head(5))

    np.testing.assert_array_equal(model_file.load(tmp_path / "files", StyleModel).scale.middle, middle)


def test_an_array_that_json_can_not_hold_is_not_saved(model, planted, tmp_path):
    middle = np.full_like(model.scale.middle, np.inf)
    broken = replace(model, scale=replace(model.scale, middle=middle))

    with pytest.raises(ModelRefused):
        model_file.save(broken, tmp_path / "files", model_input(planted).head(5))


def test_a_pickle_is_not_read_in_place_of_the_numbers(files):
    (files / FIELDS_FILE).unlink()
    (files / "model.pkl").write_bytes(pickle.dumps({"anything": 1}))

    with pytest.raises(ModelRefused, match=r"expected fitted_model.json, found MLmodel, model.pkl.*never"):
        model_file.load(files, StyleModel)


def test_a_pipeline_file_next_to_the_numbers_is_refused(files):
    digest = model_file.compute_digest(files)
    (files / PIPELINE_FILE).write_bytes(b"anything")

    with pytest.raises(ModelRefused, match="They were changed"):
        model_file.load(files, StyleModel, digest=digest)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda fields, _: fields.update(axes=[[1.0], [1.0, 2.0]]), "inhomogeneous"),
        (lambda fields, _: fields.update(axes=[["a"]]), "could not convert"),
        (lambda fields, _: fields.update(axes=[[1.0]]), "predictions of its own example"),
        (lambda fields, _: fields["scale"].update(code="x"), "parts of scale that the code does not know"),
        (lambda fields, _: fields.pop("evidence"), r"missing \['evidence'\]"),
        (lambda fields, _: fields["mixture"]["means"][0].__setitem__(0, 9.0), "predictions of its own"),
        (lambda _, document: document.update(kind="FittedModel"), "found a FittedModel"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(files, change, message):
    spoil(files, change)

    with pytest.raises(ModelRefused, match=message):
        model_file.load(files, StyleModel)


# The check -----------------------------------------------------------------------------------------


def test_styles_that_are_specs_are_reported():
    specs = [f"Spec {n % 3}" for n in range(90)]
    mixed = [f"Style {n // 3 % 3}" for n in range(90)]

    def rows(styles):
        return pa.table({"spec_name": specs, "style": pa.array(styles, pa.string())})

    assert styles_are_not_specs(rows(mixed)).passed
    assert styles_are_not_specs(rows([None] * 90)).passed
    result = styles_are_not_specs(rows(specs))
    assert (result.passed, result.severity) == (False, "warn")
    assert result.worst[0]["agreement of style and spec (AMI)"] == pytest.approx(1.0)


def test_the_written_table_keeps_its_contract(lake, styles):
    assert all(finding.passed for finding in examine(ML_PLAYER_CLUSTERS, look(lake, styles).rows))

"""The images: each has the packages that its services import, and no versions of its own."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from lostark_assets.settings import project_root

DOCKER = project_root() / "deploy/docker"
_OURS = ("lostark", "lostark_api", "lostark_assets", "lostark_ml", "lostark_platform", "lostark_simulator")
_IMPORT = """
import importlib, importlib.metadata, re, sys
lock, *modules = sys.argv[1:]
names = re.findall(r"^([\\w.-]+)(?:\\[[^]]*])?==", open(lock).read(), re.M)
locked = {re.sub(r"[-_.]+", "-", name).lower() for name in names}
provided = importlib.metadata.packages_distributions()

class OnlyLocked:
    def find_spec(self, name, path=None, target=None):
        owners = {re.sub(r"[-_.]+", "-", one).lower() for one in provided.get(name.partition(".")[0], ())}
        if owners and not owners & (locked | {"lostark-analytics"}):
            raise ModuleNotFoundError(f"No module named {name!r}: no package of the image", name=name)

sys.meta_path.insert(0, OnlyLocked())
for module in modules:
    importlib.import_module(module)
from lostark_assets.observability.logs import configure_logs
from lostark_assets.settings import get_settings
configure_logs(get_settings(logs="stdout"), "test")
if "lostark_api.serve" in modules:
    from lostark_api.app import create_app
    create_app(get_settings(), url="postgresql://nobody@127.0.0.1:1/x", champions=None)
    import mlflow.artifacts, skops.io, vl_convert, altair
    from mlflow import MlflowClient
    import lostark_ml.registry.model_registry, lostark_ml.serving.build_predictor
for module in modules:
    definitions = getattr(sys.modules[module], "defs", None)
    if definitions is not None:
        definitions.get_repository_def()
"""


def read_locked(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)(?:\[[^]]*])?==(\S+)", path.read_text(), re.MULTILINE))


@pytest.mark.parametrize(
    ("image", "modules"),
    [
        ("api", ["lostark_api.serve", "lostark_platform.healthcheck"]),
        (
            "pipeline",
            ["lostark_platform.definitions", "lostark_platform.cli.app", "lostark_platform.services.warm_up",
             "lostark_platform.services.foreground", "lostark_platform.cli.serve_mock"],
        ),
        (
            "model",
            ["lostark_ml.definitions", "lostark_platform.cli.metrics", "lostark_platform.cli.model",
             "lostark_platform.services.migrations", "lostark_platform.services.mlflow", "mlflow.server",
             "lostark_platform.backup.make", "lostark_platform.backup.restore"],
        ),
    ],
)  # fmt: skip
def test_an_image_has_the_packages_that_its_services_import(image, modules, tmp_path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _IMPORT, str(DOCKER / f"{image}.lock"), *modules],
        env={"PATH": "/usr/bin:/bin", "LOSTARK_HOME": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True, text=True, check=False, timeout=180,
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]


def test_a_package_that_the_image_lacks_is_noticed(tmp_path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT, str(DOCKER / "api.lock"), "dagster"],
        env={"PATH": "/usr/bin:/bin", "LOSTARK_HOME": str(tmp_path)},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert "No module named 'dagster': no package of the image" in done.stderr


@pytest.mark.parametrize("image", ["api", "pipeline", "model"])
def test_images_have_the_versions_that_are_tested(image) -> None:
    tested = read_locked(project_root() / "requirements.lock")
    locked = read_locked(DOCKER / f"{image}.lock")
    assert locked.items() <= tested.items()


def test_no_image_has_what_only_tests_need() -> None:
    development = read_locked(project_root() / "requirements-dev.lock").keys()
    only_tests = development - read_locked(project_root() / "requirements.lock").keys()
    for image in ("api", "pipeline", "model"):
        assert not read_locked(DOCKER / f"{image}.lock").keys() & only_tests

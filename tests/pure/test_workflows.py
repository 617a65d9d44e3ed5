"""The GitHub workflows: each step is a make target, actions are pinned, permissions are the least."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from lostark_assets.settings import project_root

ROOT = project_root()
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
_TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
_PINNED = re.compile(r"^[\w-]+/[\w/-]+@[0-9a-f]{40}$")


def load(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def jobs() -> list[Any]:
    return [
        pytest.param(job, id=f"{path.stem}-{name}")
        for path in WORKFLOWS
        for name, job in load(path)["jobs"].items()
    ]


@pytest.mark.parametrize("job", jobs())
def test_a_job_is_made_of_pinned_actions_and_make_targets(job):
    for step in job["steps"]:
        if "uses" in step:
            assert _PINNED.match(step["uses"]), step["uses"]
        else:
            make, *words = step["run"].split()
            assert make == "make"
            assert {word for word in words if "=" not in word} <= _TARGETS, words


@pytest.mark.parametrize("job", jobs())
def test_a_job_ends_and_may_do_only_what_it_says(job):
    assert 0 < job["timeout-minutes"] <= 180
    writing = {name for name, right in job["permissions"].items() if right == "write"}
    # Only what a person has approved may write: an environment has reviewers.
    assert writing <= {"contents", "packages", "id-token", "attestations"}
    assert not writing or "environment" in job
    assert {name for name, right in job["permissions"].items() if right == "read"} <= {"contents"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_has_no_permission_by_default_and_runs_once_at_a_time(path):
    workflow = load(path)
    assert workflow["permissions"] == {}
    assert workflow["concurrency"]["group"]


@pytest.mark.parametrize(
    "command",
    [
        ("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *map(str, WORKFLOWS)),
        ("check-jsonschema", "--builtin-schema", "vendor.dependabot", str(ROOT / ".github/dependabot.yml")),
        ("zizmor", "--offline", "--no-progress", "--quiet", str(ROOT / ".github")),
    ],
    ids=["schema", "dependabot", "security"],
)
def test_the_linters_find_nothing(command):
    program = Path(sys.executable).with_name(command[0])
    done = subprocess.run([program, *command[1:]], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

"""Releases and rollouts: what is checked before anything is built or changed."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
from pathlib import Path

import pytest

from lostark_assets.settings import project_root

ROOT = project_root()
_CHANGELOG = """# Changelog

## [Unreleased]

* later

## [1.2.0] - 2026-12-01

* now

## [1.1.0]

* before
"""


def load_script() -> object:
    spec = importlib.util.spec_from_file_location("release_files", ROOT / ".ci/release_files.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


RELEASE = load_script()


def test_release_notes_are_the_versions_part_of_the_changelog() -> None:
    assert RELEASE.check_release("v1.2.0", "1.2.0", _CHANGELOG) == "* now"
    assert RELEASE.check_release("v1.1.0", "1.1.0", _CHANGELOG) == "* before"


@pytest.mark.parametrize(
    ("tag", "version", "says"),
    [
        ("v1.2.0", "1.2.1", "TAG: expected v1.2.1"),
        ("1.2.0", "1.2.0", "TAG: expected v1.2.0"),
        ("", "1.2.0", "found ''"),
        ("v9.0.0", "9.0.0", "expected a section"),
        ("v1.2", "1.2", "expected a section"),
    ],
)
def test_a_release_whose_parts_disagree_is_refused(tag, version, says) -> None:
    with pytest.raises(SystemExit, match=says):
        RELEASE.check_release(tag, version, _CHANGELOG)


def run_script(script: str, *arguments: object, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": f"{cwd}:{os.environ['PATH']}", **env}
    return subprocess.run(
        [str(ROOT / "deploy" / script), *map(str, arguments)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("text", ["API_IMAGE", "POSTGRES_PASSWORD=x", "API_IMAGE=a b", "$(touch hacked)"])
def test_a_rollout_takes_images_and_nothing_else(tmp_path, text) -> None:
    (tmp_path / "images").write_text(f"GATEWAY_IMAGE=a\n{text}\n")
    done = run_script("rollout", tmp_path / "images", cwd=tmp_path)
    assert done.returncode == 1
    assert "Nothing was changed" in done.stderr
    assert not (tmp_path / "hacked").exists()


_AWS = """#!/bin/sh
echo "$@" >> calls
case "$2" in
  send-command) echo the-id ;;
  get-command-invocation)
    case "$*" in
      *Status*) if [ -e asked ]; then echo "$STATE"; else touch asked; echo InProgress; fi ;;
      *) echo "what the machine said" ;;
    esac ;;
esac
"""
_DEPLOY = {
    "DEPLOY_INSTANCE": "i-1",
    "DEPLOY_REVISION": "abc",
    "IMAGES": "API_IMAGE=x@sha256:1\n$(touch hacked)",
    "POLL_S": "0",
}


@pytest.mark.parametrize(("state", "code"), [("Success", 0), ("Failed", 1), ("TimedOut", 1)])
def test_a_remote_rollout_ends_as_it_ended_there(tmp_path, state, code) -> None:
    (tmp_path / "aws").write_text(_AWS)
    (tmp_path / "aws").chmod(0o755)
    done = run_script("remote-rollout", cwd=tmp_path, STATE=state, **_DEPLOY)
    assert done.returncode == code, done.stderr
    assert "what the machine said" in done.stdout
    sent = (tmp_path / "calls").read_text().splitlines()[0]
    parameters = json.loads(sent[sent.index("{") : sent.rindex("}") + 1])
    assert "git checkout --quiet --detach abc" in parameters["commands"][0]
    assert "touch" not in sent
    assert not (tmp_path / "hacked").exists()


@pytest.mark.parametrize("missing", ["DEPLOY_INSTANCE", "DEPLOY_REVISION", "IMAGES"])
def test_a_remote_rollout_names_what_is_missing(tmp_path, missing) -> None:
    done = run_script("remote-rollout", cwd=tmp_path, **{k: v for k, v in _DEPLOY.items() if k != missing})
    assert done.returncode != 0
    assert missing in done.stderr
    assert "nothing was changed" in done.stderr


def test_a_revision_that_is_no_name_is_refused(tmp_path) -> None:
    done = run_script("remote-rollout", cwd=tmp_path, **_DEPLOY | {"DEPLOY_REVISION": "abc; reboot"})
    assert done.returncode == 1
    assert "Nothing was changed" in done.stderr

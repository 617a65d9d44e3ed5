"""The files of a release: the wheel of TAG, and its part of the changelog as notes.

The tag, the version in pyproject.toml and the changelog have to agree; otherwise nothing is written.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def find_notes(changelog: str, version: str) -> str:
    """The changelog's section about ``version``; empty if there is none."""
    pattern = rf"^## \[{re.escape(version)}\][^\n]*\n(.*?)(?=^## |\Z)"
    found = re.search(pattern, changelog, re.MULTILINE | re.DOTALL)
    return found[1].strip() if found else ""


def check_release(tag: str, version: str, changelog: str) -> str:
    """The release notes.

    Raises:
        SystemExit: tag, version and changelog don't agree; says what to change.
    """
    if tag != f"v{version}":
        raise SystemExit(
            f"TAG: expected v{version}, the version in pyproject.toml, found {tag!r}. Nothing was built."
        )
    notes = find_notes(changelog, version)
    if not notes:
        raise SystemExit(
            f"CHANGELOG.md: expected a section [{version}] with text, found none. Nothing was built. Move "
            "what stands under [Unreleased] there."
        )
    return notes


def main(tag: str) -> None:
    """Build the wheel into build/release/, and write notes.md beside it."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    notes = check_release(tag, version, (ROOT / "CHANGELOG.md").read_text())
    folder = ROOT / "build/release"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    build = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run([sys.executable, "-m", "pip", *build], check=True)
    (folder / "notes.md").write_text(notes + "\n")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")

"""The documentation says what the code does: names, settings, commands, tables, figures, links."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

from lostark_assets.contracts.reasons import REASONS
from lostark_assets.contracts.registry import CONTRACTS
from lostark_assets.core.validate import CROSS_RULES
from lostark_assets.settings import PREFIX, SECRETS_DIR_VARIABLE, Settings
from lostark_ml.registry.promotion import REASONS as PROMOTION_REASONS
from lostark_platform.alerts.problems import KINDS, get_anchor

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CHANGELOG.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "deploy/README.md",
        *(page for page in (ROOT / "docs").rglob("*.md") if "generated" not in page.parts),
    ]
)
GENERATED = "generated/"
"""Pages under it are written by ``make docs``; that build fails on a link to one that it does not write."""
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")


def read_page(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def get_code(page: str) -> set[str]:
    """Everything between single backticks."""
    return set(re.findall(r"`([^`\n]+)`", read_page(page)))


def command_lines(page: str) -> list[str]:
    """Lines of code blocks that call ``lostark``, without their comments."""
    blocks = re.findall(r"```sh\n(.*?)```", read_page(page), re.DOTALL)
    return [
        line.strip() for block in blocks for line in block.splitlines() if line.strip().startswith("lostark ")
    ]


def commands() -> dict[str, set[str]]:
    """The options of every command, by its name; a command of a group by both names."""
    import typer

    from lostark_platform.cli.app import app

    def under(group: typer.core.TyperGroup, before: str) -> dict[str, set[str]]:
        found = {}
        for name, command in group.commands.items():
            if isinstance(command, typer.core.TyperGroup):
                found |= under(command, f"{before}{name} ")
            else:
                found[before + name] = {
                    option
                    for parameter in command.params
                    for option in (*parameter.opts, *parameter.secondary_opts)
                }
        return found

    return under(typer.main.get_command(app), "")


def named(words: str, known: dict[str, set[str]]) -> str:
    """The command that begins ``words``: of a group, or alone."""
    first, second = (*words.split(), "", "")[:2]
    return f"{first} {second}" if f"{first} {second}" in known else first


def figures(table: str) -> list[str]:
    return [
        column.name
        for column in CONTRACTS[table].columns
        if pa.types.is_integer(column.dtype) or pa.types.is_floating(column.dtype)
    ]


def slugs(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_quarantine_page_explains_exactly_the_closed_list_of_reasons():
    explained = re.findall(r"^\| `(\w+)` \|", read_page("docs/quarantine.md"), re.MULTILINE)

    assert sorted(explained) == sorted(REASONS)


def test_the_page_of_figures_explains_exactly_the_reasons_of_a_promotion():
    section = read_page("docs/metrics.md").split("## When a model is replaced")[1].split("\n## ")[0]

    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(PROMOTION_REASONS)


def test_the_settings_page_lists_exactly_the_settings():
    listed = re.findall(rf"^\| `({PREFIX}\w+)` \|", read_page("docs/settings.md"), re.MULTILINE)

    assert sorted(listed) == sorted(PREFIX + field.upper() for field in Settings.model_fields)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_names_a_setting_that_is_not_there(page):
    named = set(re.findall(rf"\b{PREFIX}[A-Z_]+\b", page.read_text(encoding="utf-8")))

    assert named <= {PREFIX + field.upper() for field in Settings.model_fields} | {SECRETS_DIR_VARIABLE}


def test_the_commands_page_lists_exactly_the_commands():
    known = commands()
    rows = re.findall(r"^\| `lostark ([^`]+)`", read_page("docs/commands.md"), re.MULTILINE)

    assert sorted(named(row, known) for row in rows) == sorted(known)


def test_the_commands_page_lists_only_options_that_the_command_has():
    known = commands()
    rows = re.findall(r"^\| `lostark ([^`]+)`[^|]*\|([^|]*)\|", read_page("docs/commands.md"), re.MULTILINE)
    pairs = [(named(words, known), option) for words, row in rows for option in re.findall(r"--[\w-]+", row)]

    assert pairs
    assert [(name, option) for name, option in pairs if option not in known[name]] == []


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "docs/analysts.md",
        "docs/commands.md",
        "docs/deployment.md",
        "docs/mock-server.md",
        "docs/quarantine.md",
        "docs/reviewers.md",
    ],
)
def test_every_command_line_of_a_page_uses_a_command_and_options_that_are_there(page):
    known = commands()
    lines = command_lines(page)

    assert lines
    for line in lines:
        _, *words = shlex.split(line, comments=True)
        name = named(" ".join(words), known)
        assert name in known, line
        assert {word for word in words if word.startswith("--")} <= known[name], line


def test_every_make_target_of_the_readme_is_in_the_makefile():
    targets = set(re.findall(r"^([a-z-]+):", read_page("Makefile"), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", read_page("README.md"), re.MULTILINE))

    assert {"run", "test", "bench", "docs"} <= named <= targets


def test_the_readme_is_short():
    assert len(read_page("README.md").splitlines()) <= 120


def test_the_readme_names_every_package():
    packages = {path.parent.name for path in ROOT.glob("lostark*/__init__.py")}

    assert packages == set(re.findall(r"^(lostark\w*)/ ", read_page("README.md"), re.MULTILINE))


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_every_module_that_a_guide_names_exists(page):
    named = {name.rstrip("/") for name in get_code(page) if re.fullmatch(r"[\w./-]+(\.py|\.md|/)", name)}
    named -= {"lostark_assets/sources/your_format.py"}
    bases = [ROOT, *ROOT.glob("lostark_*"), ROOT / "lostark_platform/config"]

    assert len(named) > 10
    assert [name for name in sorted(named) if not any((base / name).exists() for base in bases)] == []


def test_every_decision_is_listed_under_its_title():
    listed = dict(re.findall(r"\[(.+)\]\((\d{4}-[\w-]+\.md)\)", read_page("docs/decisions/index.md")))
    pages = (ROOT / "docs/decisions").glob("0*.md")
    titles = {page.read_text(encoding="utf-8").splitlines()[0].split(". ", 1)[1]: page.name for page in pages}

    assert listed == titles


def test_every_page_is_in_the_navigation():
    config = read_page("mkdocs.yml")
    pages = {str(page.relative_to(ROOT / "docs")) for page in PAGES if (ROOT / "docs") in page.parents}
    in_navigation = set(re.findall(r": ([\w/-]+\.md)$", config, re.MULTILINE))

    assert {page for page in pages if not page.startswith("decisions/0")} <= in_navigation


def test_the_site_builds_strictly_and_requests_nothing_from_other_hosts():
    for command in ([".ci/generate_docs.py"], ["-m", "zensical", "build", "--strict"]):
        done = subprocess.run(
            [sys.executable, *command],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    site = ROOT / "site"
    for page in ("index.html", "settings.html", "changelog.html", "generated/reference/lostark.html"):
        html = (site / page).read_text(encoding="utf-8")
        assert not re.findall(r"<(?:script|img|iframe)[^>]+src=\"https?://[^\"]+", html), page
        assert not re.findall(r"<link[^>]+rel=\"(?:stylesheet|preconnect)\"[^>]+href=\"https?://", html), page
    assert "standardize" in (site / "generated/reference/lostark.html").read_text(encoding="utf-8")
    assert "core_hits" in (site / "generated/data-dictionary.html").read_text(encoding="utf-8")


def test_the_pre_commit_hooks_run_tools_that_are_installed():
    config = yaml.safe_load(read_page(".pre-commit-config.yaml"))
    hooks = [hook for repo in config["repos"] for hook in repo["hooks"]]

    assert {repo["repo"] for repo in config["repos"]} == {"local"}
    assert {hook["id"] for hook in hooks} == {"ruff-check", "ruff-format", "lint-imports", "mypy"}
    for hook in hooks:
        command = shlex.split(hook["entry"])[0]
        assert command.startswith(".venv/bin/"), hook["id"]
        assert (Path(sys.executable).parent / Path(command).name).exists(), hook["id"]


def test_the_architecture_page_lists_exactly_the_tables_of_the_lake():
    section = read_page("docs/architecture.md").split("\n## Tables\n")[1].split("\n## ")[0]

    assert sorted(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == sorted(CONTRACTS)


def test_the_architecture_page_names_every_rule_across_the_core_tables():
    assert set(CROSS_RULES) <= get_code("docs/architecture.md")


@pytest.mark.parametrize("table", [name for name in CONTRACTS if name.startswith("stats_")])
def test_every_figure_is_explained(table):
    assert [name for name in figures(table) if name not in get_code("docs/metrics.md")] == []


def test_the_runbook_has_a_paragraph_for_every_kind_of_alert_and_the_messages_lead_there():
    for kind in KINDS:
        page, anchor = get_anchor(kind).split("#")
        assert anchor in slugs(ROOT / page), kind
    assert set(KINDS) <= get_code("docs/architecture.md")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_somewhere(page):
    links = [
        link
        for link in _LINK.findall(page.read_text(encoding="utf-8"))
        if "://" not in link and GENERATED not in link
    ]
    for link in links:
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        assert target.exists(), f"{page.name}: {link}"
        assert not anchor or anchor in slugs(target), f"{page.name}: {link}"

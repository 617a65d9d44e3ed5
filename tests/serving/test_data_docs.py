"""Data Docs behind the API: one folder, read-only, with an origin of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lostark_api.app import create_app
from lostark_api.http.cache import SECURITY_HEADERS
from lostark_api.pages.translations import translate
from lostark_assets.settings import get_settings
from tests.serving.conftest import Client


@pytest.fixture
def home(tmp_path: Path) -> Path:
    site = tmp_path / "data_docs"
    (site / "validations" / "version 3, part 1").mkdir(parents=True)
    (site / "index.html").write_text("<h1>index</h1>")
    (site / "validations" / "version 3, part 1" / "page.html").write_text("<h1>page</h1>")
    (site / "styles.css").write_text("h1 {}")
    (tmp_path / "secret.txt").write_text("secret")
    return tmp_path


@pytest.fixture
def served(home: Path, url: str) -> Iterator[Client]:
    with Client(create_app(get_settings(home=home), url=url)) as client:
        yield client


def test_the_folder_is_served_with_content_types(served: Client) -> None:
    for path, text, media_type in [
        ("", "<h1>index</h1>", "text/html; charset=utf-8"),
        ("index.html", "<h1>index</h1>", "text/html; charset=utf-8"),
        ("validations/version%203,%20part%201/page.html", "<h1>page</h1>", "text/html; charset=utf-8"),
        ("styles.css", "h1 {}", "text/css; charset=utf-8"),
    ]:
        response = served.get(f"/data-docs/{path}")
        assert (response.status_code, response.text) == (200, text), path
        assert response.headers["content-type"] == media_type

    assert served.request("HEAD", "/data-docs/").content == b""
    assert served.get("/data-docs").headers["location"].endswith("/data-docs/")
    assert served.request("POST", "/data-docs/").status_code == 405
    etag = served.get("/data-docs/").headers["etag"]
    assert served.get("/data-docs/", headers={"If-None-Match": etag}).status_code == 304


@pytest.mark.parametrize(
    "path",
    [
        "../secret.txt", "..%2Fsecret.txt", "%2e%2e/secret.txt", "validations/..%2f..%2fsecret.txt",
        "%2Fetc%2Fpasswd", "/etc/passwd", "link/secret.txt", "%00", "a" * 300, "validations", "validations/",
        "missing.html",
    ],
)  # fmt: skip
def test_nothing_else_is_served(served: Client, home: Path, path: str) -> None:
    (home / "data_docs" / "link").symlink_to(home)
    response = served.get(f"/data-docs/{path}")
    assert response.status_code == 404
    assert "secret" not in response.text
    assert "page.html" not in response.text


def test_scripts_of_the_pages_get_no_access_to_the_api(served: Client) -> None:
    page, api = served.get("/data-docs/"), served.get("/healthz")
    [policy] = page.headers.get_list("content-security-policy")
    assert policy.startswith("sandbox allow-scripts allow-popups; default-src 'none'; connect-src 'none'")
    assert "allow-same-origin" not in policy
    assert (
        dict(SECURITY_HEADERS)[b"content-security-policy"].decode() == api.headers["content-security-policy"]
    )
    assert page.headers["x-content-type-options"] == "nosniff"


def test_the_status_page_links_to_data_docs_once_they_exist(served: Client, client: Client) -> None:
    for language in ("en", "ko"):
        link = f'<a href="/data-docs/">{translate(language, "status.data_docs")}</a>'
        assert link in served.get(f"/status?lang={language}").text
        assert link not in client.get(f"/status?lang={language}").text


def test_before_the_first_validation_a_sentence_says_how_to_get_them(client: Client) -> None:
    response = client.get("/data-docs/", headers={"Accept": "text/html"})
    assert response.status_code == 404
    assert "The job validate_tables writes them" in response.json()["detail"]

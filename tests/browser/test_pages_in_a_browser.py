"""Every page in a real browser: both languages, both widths, light and dark; what players do with them."""

from __future__ import annotations

import json
from urllib.parse import quote, urlsplit
from urllib.request import urlopen

import pytest

pytestmark = pytest.mark.browser
PHONE, DESK = 390, 1280


def requested(site: str, path: str) -> dict:
    with urlopen(site + path, timeout=20) as answer:
        return json.load(answer)


@pytest.fixture(scope="module")
def pages(site) -> list[str]:
    fights = requested(site, "/v1/fights?cleared=true&limit=50")["fights"]
    fight = next(f for f in fights if f["gate_id"])
    found = requested(site, "/v1/characters?limit=200")["characters"]
    character = max((c for c in found if not c["is_support"]), key=lambda c: c["fights"])
    who = f"{quote(character['region'])}/{quote(character['player_name'], safe='')}"
    return [
        "/", "/gates", f"/gates/{fight['gate_id']}", "/fights", f"/fights/{fight['fight_id']}",
        "/characters", "/characters?q=zzzzz", f"/characters/{who}", "/compare",
        f"/compare?a={fight['fight_id']}&b={fight['fight_id']}",
        f"/compare?a={who}&b={who}", "/model", "/status", "/upload", "/no/such/page",
    ]  # fmt: skip


@pytest.fixture
def opened(browser, site):
    """Opens pages and holds what the browser complained about, and whom else it asked."""
    contexts, complaints, others = [], [], []

    def open_page(width: int, language: str, scheme: str = "light", **more):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, locale=language, color_scheme=scheme, **more
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda r: None if r.url.startswith(site) else others.append(r.url))
        return page

    open_page.complaints, open_page.others = complaints, others
    yield open_page
    for context in contexts:
        context.close()


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("width", [PHONE, DESK])
def test_every_page_fits_the_screen_without_errors_or_other_hosts(opened, site, pages, width, language):
    page = opened(width, language)
    for path in pages:
        answer = page.goto(site + path)
        assert answer.status == (404 if path == "/no/such/page" else 200), path
        assert page.locator("html").get_attribute("lang") == language
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, (path, wide)
        assert page.locator("h1").count() == 1, path
    not_there = [text for text in opened.complaints if "404" in text]
    assert [text for text in opened.complaints if text not in not_there] == []
    assert len(not_there) <= 1
    assert opened.others == []


def test_charts_are_inlined_and_show_their_values(opened, site, pages):
    page = opened(DESK, "en")
    page.goto(site + next(p for p in pages if p.startswith("/fights/")))
    chart = page.locator("figure.chart").first
    chart.scroll_into_view_if_needed()
    chart.locator("svg").wait_for(timeout=60_000)
    mark = chart.locator("path[aria-label]").last
    mark.dispatch_event("pointermove", {"bubbles": True, "clientX": 300, "clientY": 300})
    assert page.locator(".tip").is_visible()
    assert page.locator(".tip").inner_text() == mark.get_attribute("aria-label")
    assert opened.complaints == []


def test_a_phone_gets_narrow_charts(opened, site, pages):
    page = opened(PHONE, "en")
    page.goto(site + next(p for p in pages if p.startswith("/fights/")))
    chart = page.locator("figure.chart").first
    chart.scroll_into_view_if_needed()
    chart.locator("svg").wait_for(timeout=60_000)
    assert chart.locator("svg").get_attribute("width") == "360"


def test_the_theme_follows_the_system_until_it_is_switched_and_stays_switched(opened, site):
    page = opened(DESK, "en", "dark")
    page.goto(site + "/status")
    colour = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(colour)
    page.locator("button.theme").click()
    light = page.evaluate(colour)
    assert dark != light
    page.goto(site + "/model")
    assert page.evaluate(colour) == light


def test_the_language_switch_keeps_the_filters(opened, site):
    page = opened(DESK, "en")
    page.goto(site + "/fights?outcome=lost")
    page.locator("a.lang").click()
    page.wait_for_url("**lang=ko**")
    assert page.locator("html").get_attribute("lang") == "ko"
    assert "outcome=lost" in urlsplit(page.url).query
    assert page.locator("select[name=outcome]").input_value() == "lost"


def test_a_click_on_a_header_sorts_by_value(opened, site, pages):
    page = opened(DESK, "ko")
    page.goto(site + next(p for p in pages if p.startswith("/fights/")))
    table = page.locator("table.meter")
    values = "rows => rows.map(row => Number(row.cells[1].dataset.value))"
    before = table.locator("tbody tr").evaluate_all(values)
    table.locator("thead th").nth(1).click()
    table.locator("thead th").nth(1).click()
    assert table.locator("tbody tr").evaluate_all(values) == sorted(before)


def test_without_scripts_pages_show_their_charts_too(opened, site, pages):
    page = opened(DESK, "en", "dark", java_script_enabled=False)
    page.goto(site + next(p for p in pages if p.startswith("/gates/")))
    assert page.locator("button.theme").is_hidden()
    page.goto(site + next(p for p in pages if p.startswith("/fights/")))
    page.locator("figure.chart img").first.scroll_into_view_if_needed()
    assert page.locator("figure.chart img").first.is_visible()
    assert opened.others == []

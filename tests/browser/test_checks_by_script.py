"""Accessibility and size audit by script, in both themes."""

from __future__ import annotations

import json
import statistics
from time import perf_counter
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest

pytestmark = pytest.mark.browser
MAX_BYTES = 300_000
MAX_FIRST_BYTE_MS = 100
MAX_SHIFT = 0.1
SMALLEST_TARGET = 24
AUDIT = """
() => {
  const found = [];
  const report = (what, element) => found.push(`${what}: ${element.outerHTML.slice(0, 120)}`);
  const visible = (element) => element.checkVisibility({ visibilityProperty: true }) && element.getClientRects().length;
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return { rgb: [r, g, b], a: a / 255 };
  };
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, n) => sum + v * [0.2126, 0.7152, 0.0722][n], 0);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const { rgb, a } = rgba(getComputedStyle(at).backgroundColor);
      if (a > 0.99) return rgb;
    }
    return [255, 255, 255];
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const seen = new Set();
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || seen.has(element) || !visible(element) || element.closest("svg, .skip")) continue;
    seen.add(element);
    const style = getComputedStyle(element);
    const size = parseFloat(style.fontSize);
    if (size < 12) report(`text of ${size} px`, element);
    if (element.closest("[aria-hidden=true]") || element.matches(".code")) continue;
    const [a, b] = [light(rgba(style.color).rgb), light(behind(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (isLarge ? 3 : 4.5)) report(`contrast ${ratio.toFixed(2)}`, element);
  }
  for (const image of document.images) {
    if (!image.hasAttribute("alt")) report("no alt", image);
    if (!image.getAttribute("width") || !image.getAttribute("height")) report("no size", image);
  }
  const name = (e) => (e.getAttribute("aria-label") ?? e.labels?.[0]?.textContent ?? e.textContent).trim() || e.title;
  for (const e of document.querySelectorAll("a[href], button, input:not([type=hidden]), select, summary")) {
    if (visible(e) && !name(e)) report("no name", e);
  }
  const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) found.push(`twice: #${id}`);
  for (const a of document.querySelectorAll("a[href*='#']")) {
    const to = new URL(a.href);
    if (to.pathname === location.pathname && to.search === location.search && !document.getElementById(to.hash.slice(1))) report("leads nowhere", a);
  }
  let level = 0;
  for (const head of document.querySelectorAll("h1, h2, h3, h4")) {
    const next = Number(head.tagName[1]);
    if (next > level + 1) report(`h${level} is followed by h${next}`, head);
    level = next;
  }
  for (const head of document.querySelectorAll("table thead th")) if (!head.scope) report("no scope", head);
  if (!document.title || !document.querySelector("meta[name=viewport]")) found.push("no title or viewport");
  if (!document.querySelector("meta[name=description]")?.content) found.push("no description");
  if (document.querySelectorAll("main").length !== 1) found.push("not one main");
  return found;
}
"""  # noqa: E501 - JavaScript
TARGETS = """
(smallest) => [...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, summary")]
  .filter((e) => e.checkVisibility() && !e.closest("p, li, td, th, footer, .skip"))
  .map((e) => [e, e.getBoundingClientRect()])
  .filter(([, r]) => r.width && Math.min(r.width, r.height) < smallest)
  .map(([e, r]) => `${r.width.toFixed()}×${r.height.toFixed()}: ${e.outerHTML.slice(0, 100)}`)
"""
SHIFT = """
() => new Promise((done) => {
  let sum = 0;
  const add = (entry) => { if (!entry.hadRecentInput) sum += entry.value; };
  new PerformanceObserver((list) => list.getEntries().forEach(add))
    .observe({ type: "layout-shift", buffered: true });
  setTimeout(() => done(sum), 300);
})
"""
WEIGHT = """
() => [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
  .filter((e) => !e.name.includes("/charts/")).reduce((sum, e) => sum + e.decodedBodySize, 0)
"""


@pytest.fixture(scope="module")
def addresses(site: str) -> list[str]:
    def requested(path: str) -> dict:
        with urlopen(site + path, timeout=20) as answer:
            return json.load(answer)

    fight = next(f for f in requested("/v1/fights?cleared=true&limit=50")["fights"] if f["gate_id"])
    character = max(requested("/v1/characters?limit=200")["characters"], key=lambda c: c["fights"])
    who = f"{quote(character['region'])}/{quote(character['player_name'], safe='')}"
    return [
        "/", "/gates", f"/gates/{fight['gate_id']}", "/fights", f"/fights/{fight['fight_id']}", "/characters",
        f"/characters/{who}", f"/compare?a={who}&b={who}", "/model", "/status", "/upload", "/no/such/page",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("language", "width", "scheme"),
    [("en", 1280, "light"), ("ko", 1280, "dark"), ("ko", 390, "light"), ("en", 390, "dark")],
)
def test_every_page_passes_the_accessibility_audit(browser, site, addresses, language, width, scheme):
    context = browser.new_context(
        viewport={"width": width, "height": 900}, locale=language, color_scheme=scheme
    )
    page = context.new_page()
    found = {}
    for path in addresses:
        page.goto(site + path)
        found[path] = page.evaluate(AUDIT)
        if width < 640:
            found[path] += page.evaluate(TARGETS, SMALLEST_TARGET)
        assert page.evaluate(SHIFT) < MAX_SHIFT, path
        assert page.evaluate(WEIGHT) < MAX_BYTES, path
    context.close()
    assert {path: problems for path, problems in found.items() if problems} == {}


def test_the_first_byte_of_a_warm_page_comes_within_a_tenth_of_a_second(site, addresses):
    for path in addresses[:-1]:
        times = []
        for _ in range(6):
            begun = perf_counter()
            with urlopen(Request(site + path, headers={"Accept": "text/html"}), timeout=20) as answer:
                answer.read(1)
            times.append((perf_counter() - begun) * 1000)
        assert statistics.median(times[1:]) < MAX_FIRST_BYTE_MS, (path, times)

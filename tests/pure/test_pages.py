"""What pages say and link to, without a server: words, figures, addresses, and the steps of a gap."""

from __future__ import annotations

import re
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lostark_api import pages
from lostark_api.pages import formats
from lostark_api.pages import translations as words
from lostark_api.pages.addresses import Addresses
from lostark_api.pages.chart_images import add_theme, get_style
from lostark_assets.charts import SERIES, gap_steps
from lostark_assets.contracts.core import CORE_QUARANTINE, DETAIL_LEVELS
from lostark_assets.contracts.ml import CONTEXT_PARTS, GAP_PARTS, REFUSALS
from lostark_assets.contracts.raw import LOG_FORMATS
from lostark_assets.contracts.reasons import REASONS
from lostark_ml.model.baselines import build_baselines
from lostark_ml.registry.aliases import ACTIONS, OUTSIDE
from lostark_ml.registry.names import ALIASES

FOLDER = Path(pages.__file__).parent
SOURCES = {p: p.read_text() for p in [*FOLDER.glob("*.py"), *FOLDER.glob("templates/*.html")]}
OPEN_ENDED = (
    "nav.",
    "home.what.",
    "refusal.",
    "error.t",
    "model.action.",
    "model.alias.",
    "model.predictor.",
    "model.by.",
    "model.part.",
    "status.scope.",
    "upload.",
    "quarantine.",
    "format.",
    "detail.",
)
NAMED_BY_DATA = {c.name for c in (*GAP_PARTS, *CONTEXT_PARTS)} | {"won", "lost"}


def used_words() -> set[str]:
    calls = re.compile(r"\bt\(\"([\w.]+)\"|\bt\('([\w.]+)'|words\(language, \"([\w.]+)\"|\"(model\.\w+)\"\)")
    return {
        next(filter(None, found))
        for p, text in SOURCES.items()
        if p.name != "words.py"
        for found in calls.findall(text)
    }


def test_every_word_that_a_page_says_is_there_and_none_is_left_over():
    known = set(words.list_translations())
    used = {key for key in used_words() if not key.endswith(".")}
    assert used <= known, used - known
    left = {k for k in known - used - NAMED_BY_DATA if not k.startswith(OPEN_ENDED)}
    assert left == set()


def test_every_refusal_and_every_part_of_a_gap_has_words_in_both_languages():
    for key in [*(f"refusal.{reason}" for reason in REFUSALS), *NAMED_BY_DATA]:
        assert words.translate("en", key) != words.translate("ko", key)


def test_every_code_that_a_page_names_has_words_in_both_languages():
    codes = {
        "quarantine": REASONS,
        "format": LOG_FORMATS,
        "detail": DETAIL_LEVELS,
        "status.scope": CORE_QUARANTINE.by_name["scope"].allowed,
        "model.action": (*ACTIONS, OUTSIDE),
        "model.alias": ALIASES,
        "model.by": ("promotion gate", "training", "unknown"),
        "model.predictor": ("challenger", "champion", *(baseline.name for baseline in build_baselines())),
    }
    for kind, known in codes.items():
        for code in known:
            assert words.translate("en", f"{kind}.{code}") != words.translate("ko", f"{kind}.{code}")


def test_both_languages_fill_in_the_same_values():
    def holes(text: str) -> set[str]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    for key, (english, korean) in words.list_translations().items():
        assert holes(english) == holes(korean), key


def test_words_that_there_are_not_are_an_error():
    with pytest.raises(KeyError):
        words.translate("en", "no.such.key")


@pytest.mark.parametrize(
    ("value", "english", "korean"),
    [
        (62_412_345, "62.4M", "6,241만"),
        (124_000_000, "124M", "1.24억"),
        (1_500, "1.50k", "1,500"),
        (0, "0", "0"),
        (2_730_000_000_000, "2.73T", "2.73조"),
        (None, "–", "–"),
        (float("nan"), "–", "–"),
    ],
)
def test_damage_reads_as_players_say_it(value, english, korean):
    assert (formats.damage(value, "en"), formats.damage(value, "ko")) == (english, korean)


def test_a_difference_has_its_sign():
    assert [formats.signed_damage(v, "en") for v in (1e6, -2e6, 0, None)] == ["+1.00M", "−2.00M", "±0", "–"]


def test_clocks_and_shares_round():
    assert [formats.clock(v) for v in (0, 59.6, 421, None)] == ["0:00", "1:00", "7:01", "–"]
    assert [formats.percent(v, 1) for v in (0.123, 1.0, None)] == ["12.3%", "100.0%", "–"]


def test_links_carry_the_language_that_was_chosen_and_quote_names():
    links = Addresses("/fights", {"lang": "ko", "outcome": "won", "after": "x"})
    assert links.to("characters", "EUC", "a b/ç") == "/characters/EUC/a%20b%2F%C3%A7?lang=ko"
    assert links.here(after=None, outcome="lost") == "/fights?lang=ko&outcome=lost"
    assert Addresses("/", {}).to("gates", role=None) == "/gates"


@given(
    start=st.integers(0, 10**10),
    changes=st.lists(st.one_of(st.none(), st.integers(-(10**9), 10**9)), max_size=6),
)
def test_steps_of_a_gap_lead_from_the_start_to_the_sum(start, changes):
    bars = gap_steps(("from", start), [(str(i), change) for i, change in enumerate(changes)], "to")
    assert bars[0]["high"] == start
    assert bars[-1]["high"] == start + sum(change or 0 for change in changes)
    assert len(bars) == 2 + sum(change is not None for change in changes)
    level = start
    for bar in bars[1:-1]:
        assert level in (bar["low"], bar["high"])
        assert bar["high"] - bar["low"] == abs(bar["change"])
        level += bar["change"]


def test_a_picture_takes_its_colours_from_variables():
    svg = add_theme(f'<svg width="1"><path fill="{SERIES[0]}" stroke="#123456"/></svg>')
    assert f'fill="var(--chart-1,{SERIES[0]})"' in svg
    assert 'stroke="#123456"' in svg
    assert svg.index("<style>") < svg.index("<path")
    assert "prefers-color-scheme:dark" in svg


def test_korean_axes_count_in_hundred_millions():
    assert (get_style(960, "ko").per, get_style(960, "en").per) == (1e8, 1e6)
    assert get_style(360, "en").is_narrow
    assert not get_style(960, "en").is_narrow

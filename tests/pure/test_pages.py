"""Texts, number formats, links and charts of the pages, without a server."""

from __future__ import annotations

import re
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lostark_api import pages
from lostark_api.http.language import get_label
from lostark_api.pages import formats, reasons, translations
from lostark_api.pages.addresses import Addresses
from lostark_api.pages.chart_images import add_theme, get_style
from lostark_assets.charts import SERIES, gap_steps
from lostark_assets.contracts.core import CORE_QUARANTINE, DETAIL_LEVELS
from lostark_assets.contracts.ml import CONTEXT_PARTS, GAP_PARTS, REFUSALS
from lostark_assets.contracts.raw import LOG_FORMATS
from lostark_assets.contracts.reasons import REASONS
from lostark_assets.game.classes import CLASSES
from lostark_assets.game.difficulties import DIFFICULTIES
from lostark_assets.game.raid_table import RAIDS
from lostark_assets.game.specs import SPECS
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


HANGUL = re.compile("[가-힣]")
SAME_BY_NATURE = {"home.what.dealer", "percentile.range"}
"""A technical term and a range of numbers: no Hangul in the Korean text."""
ONE_NAME_ONLY = {"Princess", "Matching", "Trial", "Challenge", "시간 관리자", "공간 검사"}
"""Game terms whose name in the other language is not known."""


def find_used_keys() -> set[str]:
    calls = re.compile(
        r"\bt\(\"([\w.]+)\"|\bt\('([\w.]+)'|translate\(language, \"([\w.]+)\"|\"(model\.\w+)\"\)"
    )
    return {
        next(filter(None, found))
        for p, text in SOURCES.items()
        if p.name != "translations.py"
        for found in calls.findall(text)
    }


def test_every_text_that_a_page_uses_exists_and_none_is_unused():
    known = set(translations.list_translations())
    used = {key for key in find_used_keys() if not key.endswith(".")}
    assert used <= known, used - known
    left = {k for k in known - used - NAMED_BY_DATA if not k.startswith(OPEN_ENDED)}
    assert left == set()


def test_every_refusal_and_every_part_of_a_gap_is_translated():
    for key in [*(f"refusal.{reason}" for reason in REFUSALS), *NAMED_BY_DATA]:
        assert translations.translate("en", key) != translations.translate("ko", key)


def test_every_code_that_a_page_shows_is_translated():
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
            assert translations.translate("en", f"{kind}.{code}") != translations.translate(
                "ko", f"{kind}.{code}"
            )


def test_both_languages_have_the_same_placeholders():
    def placeholders(text: str) -> set[str]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    for key, (english, korean) in translations.list_translations().items():
        assert placeholders(english) == placeholders(korean), key


def list_every_pair() -> dict[str, tuple[str, str]]:
    """All texts and game terms that a reader can see, in English and Korean."""
    terms = {
        "raid": [raid.name for raid in RAIDS],
        "gate": [gate.gate_name for raid in RAIDS for gate in raid.gates],
        "class": [class_.name for class_ in CLASSES],
        "spec": [spec.name for spec in SPECS],
        "difficulty": [difficulty.name for difficulty in DIFFICULTIES],
    }
    pairs = {
        f"{kind} {name}": (get_label(kind, name, "en"), get_label(kind, name, "ko"))
        for kind, names in terms.items()
        for name in names
        if name not in ONE_NAME_ONLY
    }
    pairs |= {f"reason {english}": (english, korean) for english, korean in reasons._SENTENCES.items()}
    pairs |= {f"rival {english}": (english, korean) for english, korean in reasons._RIVALS.items()}
    return pairs | translations.list_translations()


def test_no_text_lacks_its_translation():
    pairs = list_every_pair()
    assert len(pairs) > 450
    for key, (english, korean) in pairs.items():
        assert english.strip(), key
        assert korean.strip(), key
        if key == "nav.switch":  # each language offers the other one
            assert (english, korean) == ("한국어", "English")
            continue
        assert not HANGUL.search(english), key
        assert (key in SAME_BY_NATURE) != bool(HANGUL.search(korean)), key


def test_percentiles_count_from_the_top_in_korean():
    assert formats.rank_number(97.6, "en") == "98"
    assert [formats.rank_number(value, "ko") for value in (97.6, 50, 100)] == ["2", "50", "1"]


def test_raids_of_the_kazeros_story_are_called_by_their_act():
    names = ("Aegir", "Act 2: Brelshaza", "Act 3: Mordum", "Act 4: Armoche", "Final Act: Kazeros")
    assert [get_label("raid", name, "ko") for name in names] == [
        "1막 에기르", "2막 아브렐슈드", "3막 모르둠", "4막 아르모체", "종막 카제로스",
    ]  # fmt: skip


def test_an_unknown_key_is_an_error():
    with pytest.raises(KeyError):
        translations.translate("en", "no.such.key")


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
def test_damage_is_formatted_in_the_units_of_each_language(value, english, korean):
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


def test_a_chart_takes_its_colours_from_variables():
    svg = add_theme(f'<svg width="1"><path fill="{SERIES[0]}" stroke="#123456"/></svg>')
    assert f'fill="var(--chart-1,{SERIES[0]})"' in svg
    assert 'stroke="#123456"' in svg
    assert svg.index("<style>") < svg.index("<path")
    assert "prefers-color-scheme:dark" in svg


def test_korean_axes_count_in_hundred_millions():
    assert (get_style(960, "ko").per, get_style(960, "en").per) == (1e8, 1e6)
    assert get_style(360, "en").is_narrow
    assert not get_style(960, "en").is_narrow

"""The platform's own sentences on Korean pages: made by what makes them, so that neither changes alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from lostark_api.http.language import KOREAN
from lostark_api.pages.reasons import _LATE, translate_reason
from lostark_ml.model.baselines import build_baselines
from lostark_ml.monitoring import weekly as monitoring
from lostark_ml.monitoring.retraining import Patch, RetrainingInputs, decide_retraining
from lostark_ml.registry import aliases, lifecycle
from lostark_ml.registry.promotion import Comparison, PromotionPolicy, _build_positive_reason
from tests.pure.ml.test_retraining import NOW, QUIET

ROW = {"rows": 1234.0, "fights": 321.0, "mape": 0.181, "bias_log": 0.07, "coverage": 0.842}


def comparison(against: str) -> Comparison:
    return Comparison(against, 4000, 512, 0.1162, 0.1301, 0.0139, 0.0101)


def in_korean(sentence: str) -> str:
    found = translate_reason(KOREAN, sentence)
    assert any("가" <= letter <= "힣" for letter in found), sentence
    return found


def test_a_promotion_tells_its_figures_in_korean():
    policy = PromotionPolicy()
    better = _build_positive_reason((comparison("champion"),), policy, is_first=False).text
    assert in_korean(better) == (
        "더 나은 모델. 평균 오차 11.62%, 현재 모델 13.01%보다 1.39%p 낮음. "
        "확실한 차이는 최소 1.01%p(기준 0.15%p 초과, 전투 512회)"
    )
    for baseline in build_baselines():
        first = _build_positive_reason((comparison(baseline.name),), policy, is_first=True).text
        assert in_korean(first).startswith("첫 모델. 평균 오차 11.62%")
        assert baseline.name not in in_korean(first)
    in_korean(_build_positive_reason((), policy, is_first=True).text)


@pytest.mark.parametrize(
    "facts",
    [
        replace(QUIET, fights=1500, new_fights=1500, trained_fights=None),
        replace(QUIET, new_fights=1600),
        replace(QUIET, patches=(Patch("Balance patch", NOW - timedelta(hours=9), 2500),)),
    ],
)
def test_every_trigger_of_a_training_reads_korean(facts: RetrainingInputs):
    why = decide_retraining(facts).why
    korean = in_korean(why)
    assert [n for n in ("1,500", "1,600", "2,500") if n in why] == [
        n for n in ("1,500", "1,600", "2,500") if n in korean
    ]


def test_problems_of_a_model_that_are_reasons_to_train_read_korean(monkeypatch):
    monkeypatch.setattr(monitoring, "_margin_of_error", lambda *_: lambda _: 0.0)
    monkeypatch.setattr(monitoring, "_since", lambda _: NOW)
    policy = monitoring.MonitoringPolicy()
    promised = monitoring.EvaluatedChampion(7, 0.12)
    said = [
        *monitoring._find_degraded(ROW, promised, policy),
        *monitoring._find_biased(ROW, policy),
        *monitoring._find_biased({**ROW, "bias_log": -0.07}, policy),
        monitoring._build_coverage_problem("Reflux", ROW, 0.9, 0.02),
        monitoring._build_coverage_problem("overall", ROW, 0.85, 0.0),
    ]
    assert len(said) == 5
    for problem in said:
        korean = in_korean(problem.what)
        assert "1,234명" in korean
        assert "players" not in korean


def test_a_spec_that_drifts_is_called_by_its_korean_name():
    sentence = (
        "Reflux changed against what is expected of it and against the four weeks before: "
        "Aegir G1 Hard +9.1% (120 fights against 400, p 0.001)"
    )
    assert in_korean(sentence).startswith("환류: ")


def test_what_was_not_by_the_gate_reads_korean_too():
    assert aliases.RECORDED_LATE in _LATE
    source = "".join(Path(m.__file__).read_text() for m in (lifecycle, aliases))
    for sentence in ("trained by hand", "moved in the MLflow UI or by other software; noticed then"):
        assert sentence in source
        assert in_korean(sentence + _LATE) == in_korean(sentence) + " (나중에 기록됨)"


def test_what_a_person_wrote_and_every_english_reason_stay_as_they_are():
    for sentence in ("season 3 begins", "<b>100 fights</b>", "{fights}", "100 fights (expected"):
        assert translate_reason(KOREAN, sentence) == sentence
    assert translate_reason("en", "trained by hand") == "trained by hand"

"""Korean translations of the reasons why a model was trained or promoted.

The history stores English sentences. Those that ``lostark_ml`` generates are recognized by patterns and
translated with their figures; what a person wrote is shown unchanged.
"""

from __future__ import annotations

import re
from functools import lru_cache

from lostark_api.http.language import KOREAN, get_label

_LATE = " (written later: the process ended before it could write this)"
_FIGURE = r"-?\d[\d,]*(?:\.\d+)?"
_FIGURES = "mape other gain low margin fights players enough new known n promised most by held wanted".split()
_TEXTS = {
    "rival": ".+?",
    "name": ".+",
    "at": r"\d{4}-\d\d-\d\d \d\d:\d\d",
    "of": ".+",
    "spec": ".+",
    "gates": ".+",
}
_RIVALS = {
    "champion": "현재 모델",
    "constant": "상수 예측",
    "four-week median": "최근 4주 중앙값",
    "ridge": "릿지 회귀",
}
_PLAYERS, _PLAYERS_KOREAN = "{players} players in {fights} fights", "전투 {fights}회의 {players}명"
_PROMISED = "version {n} promised {promised}%, expected at most {most}%"
_GAIN = (
    "MAPE {mape} % against the {rival}'s {other} %: better by {gain} points, by at least {low} points where "
    "more than {margin} points is expected ({fights} fights)"
)
_GAIN_KOREAN = (
    "평균 오차 {mape}%, {rival} {other}%보다 {gain}%p 낮음. 확실한 차이는 최소 {low}%p"
    "(기준 {margin}%p 초과, 전투 {fights}회)"
)
_FIRST = "there is no champion, and every baseline is beaten"
_BETTER = "better than the champion, and no slice pays for it"
_SENTENCES = {
    "trained by hand": "직접 학습을 실행함",
    "moved in the MLflow UI or by other software; noticed then": (
        "MLflow 화면이나 다른 프로그램에서 변경됨. 이때 확인됨"
    ),
    "no model yet, and {fights} fights (expected {enough})": (
        "첫 학습. 전투 {fights}회가 모임(기준 {enough}회)"
    ),
    "{new} fights since the snapshot of the newest version, which knew {known} (expected {enough})": (
        "최신 버전 이후 새 전투 {new}회(당시 {known}회, 기준 {enough}회)"
    ),
    "{name} at {at} UTC, and {fights} fights after it": "패치 “{name}”({at} UTC) 이후 전투 {fights}회",
    f"the mean error is {{mape}}% of {_PLAYERS}; {_PROMISED}": (
        f"{_PLAYERS_KOREAN}에 대한 평균 오차 {{mape}}%. 버전 {{n}}의 시험 오차 {{promised}}%, 한도 {{most}}%"
    ),
    f"expected DPS lies {{by}}% above what {_PLAYERS} reached, expected at most {{most}}%": (
        f"기대 DPS가 {_PLAYERS_KOREAN}의 실제보다 {{by}}% 높음(한도 {{most}}%)"
    ),
    f"expected DPS lies {{by}}% below what {_PLAYERS} reached, expected at most {{most}}%": (
        f"기대 DPS가 {_PLAYERS_KOREAN}의 실제보다 {{by}}% 낮음(한도 {{most}}%)"
    ),
    f"the interval holds {{held}}% of {_PLAYERS} ({{of}}); expected {{wanted}}% ± {{margin}}%": (
        f"구간 적중률 {{held}}%({_PLAYERS_KOREAN}, {{of}}). 목표 {{wanted}}% ± {{margin}}%"
    ),
    f"the interval holds {{held}}% of {_PLAYERS} ({{of}}); expected at least {{wanted}}%": (
        f"구간 적중률 {{held}}%({_PLAYERS_KOREAN}, {{of}}). 최소 {{wanted}}%"
    ),
    "{spec} changed against what is expected of it and against the four weeks before: {gates}": (
        "{spec}: 기대치와 직전 4주에 비해 달라짐. {gates}"
    ),
    f"{_FIRST}: there is no champion and no baseline to beat": "첫 모델. 비교할 기준 예측이 없음",
    f"{_FIRST}: no champion yet; {_GAIN}": f"첫 모델. {_GAIN_KOREAN}",
    f"{_BETTER}: {_GAIN}": f"더 나은 모델. {_GAIN_KOREAN}",
}
"""Generated sentences with placeholders, and their Korean translations."""


def _pattern(sentence: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", sentence)
    shapes = {**dict.fromkeys(_FIGURES, _FIGURE), **_TEXTS}
    return re.compile(
        "".join(f"(?P<{part}>{shapes[part]})" if n % 2 else re.escape(part) for n, part in enumerate(parts))
    )


_PATTERNS = [(_pattern(english), korean) for english, korean in _SENTENCES.items()]


@lru_cache(maxsize=1024)
def translate_reason(language: str, reason: str) -> str:
    """``reason`` in ``language``; unchanged unless it is a generated sentence."""
    if language != KOREAN:
        return reason
    sentence = reason.removesuffix(_LATE)
    for pattern, korean in _PATTERNS:
        if found := pattern.fullmatch(sentence):
            values = found.groupdict()
            if "rival" in values:
                values["rival"] = _RIVALS.get(values["rival"], values["rival"])
            for name in {"spec", "of"} & values.keys():
                values[name] = get_label("spec", values[name], language)
            return korean.format(**values) + (" (나중에 기록됨)" if sentence != reason else "")
    return reason

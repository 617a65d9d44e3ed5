"""Boss names: which names mean the same boss, and their Korean names.

Which gate a boss stands in is in `raid_table`. Korean names are paired with English ones from public Korean
raid lists and the Open API notes, section 5; a boss without an entry has no Korean name that could be
confirmed.
"""

from __future__ import annotations

from lostark_assets.game.names import index_by_key, name_key

KOREAN_OF_BOSS: dict[str, str] = {
    "Dark Mountain Predator": "검은 산의 포식자",
    "Destroyer Lucas": "파괴자 루카스",
    "Leader Lugaru": "통솔자 루가루",
    "Ravaged Tyrant of Beasts": "찢겨진 마수의 군주",
    "Covetous Devourer Vykas": "욕망의 탐식자 비아키스",
    "Covetous Legion Commander Vykas": "욕망군단장 비아키스",
    "Saydon": "세이튼",
    "Kakul": "쿠크",
    "Kakul-Saydon": "쿠크세이튼",
    "Encore-Desiring Kakul-Saydon": "앵콜을 외친 쿠크세이튼",
    "Gehenna Helkasirs": "게헤나 헬카서스",
    "Ashtarot": "아슈타로테",
    "Primordial Nightmare": "태초의 악몽",
    "Phantom Legion Commander Brelshaza": "몽환군단장 아브렐슈드",
    "Tienis": "티엔",
    "Prunya": "프리우나",
    "Lauriel": "라우리엘",
    "Griefbringer Maurug": "비통의 지배자 마우르그",
    "Lord of Degradation Akkan": "쇠락의 군주 일리아칸",
    "Plague Legion Commander Akkan": "질병군단장 일리아칸",
    "Lord of Kartheon Akkan": "일리아칸, 카르테론의 군주",
    "Kaltaya, the Blooming Chaos": "피어나는 혼돈, 칼테이야",
    "Rakathus, the Lurking Arrogance": "웅크린 교만, 라카이서스",
    "Firehorn, Trampler of Earth": "대지를 짓밟는 파이어혼",
    "Lazaram, the Trailblazer": "길을 여는 자, 라자람",
    "Killineza the Dark Worshipper": "칠흑의 숭배자, 킬리네사",
    "Valinak, Knight of Darkness": "어둠의 기사, 발리나크",
    "Valinak, Taboo Usurper": "금기를 삼킨 자, 발리나크",
    "Valinak, Herald of the End": "종언을 고하는 자, 발리나크",
    "Thaemine the Lightqueller": "빛을 꺼트리는 자, 카멘",
    "Darkness Legion Commander Thaemine": "어둠군단장 카멘",
    "Thaemine, Conqueror of Stars": "별을 제패한 자, 카멘",
    "Echidna": "에키드나",
    "Covetous Master Echidna": "욕망의 주인, 에키드나",
    "Behemoth, the Storm Commander": "폭풍의 지휘관, 베히모스",
    "Behemoth, Cruel Storm Slayer": "잔혹한 폭풍의 처단자, 베히모스",
    "Act 4: Covetous Master Echidna": "욕망의 주인, 에키드나",
    "Armoche, Sentinel of the Abyss": "심연의 파수꾼, 아르모체",
    "Abyss Lord Kazeros": "심연의 군주, 카제로스",
    "Archdemon Kazeros": "대악마, 카제로스",
    "Witch of Agony, Serca": "고통의 마녀, 세르카",
    "Corvus Tul Rak": "코르부스 툴 라크",
    "Archbishop Arcenos": "대주교, 아르세노스",
    "Arcenos, Vanguard of Fanaticism": "광신의 인도자, 아르세노스",
    "Lumerus": "루메루스",
    "Icy Legoros": "빙결의 레기오로스",
    "Vertus": "베르투스",
    "Chromanium": "크로마니움",
    "Nacrasena": "나크라세나",
    "Flame Fox Yoho": "홍염의 요호",
    "Tytalos": "타이탈로스",
    "Dark Legoros": "어둠의 레기오로스",
    "Helgaia": "헬가이아",
    "Calventus": "칼벤투스",
    "Achates": "아카테스",
    "Frost Helgaia": "혹한의 헬가이아",
    "Lava Chromanium": "용암 크로마니움",
    "Levanos": "레바노스",
    "Alberhastic": "엘버하스틱",
    "Armored Nacrasena": "중갑 나크라세나",
    "Igrexion": "이그렉시온",
    "Night Fox Yoho": "흑야의 요호",
    "Velganos": "벨가누스",
    "Ur'nil": "우르닐",
    "Deskaluda": "데스칼루다",
    "Kungelanium": "쿤겔라니움",
    "Caliligos": "칼엘리고스",
    "Hanumatan": "하누마탄",
    "Sonavel": "소나벨",
    "Gargadeth": "가르가디스",
    "Veskal": "베스칼",
    "Argeos": "아게오로스",
    "Skolakia": "스콜라키아",
    "Drextalas": "드렉탈라스",
    "Krathios": "크라티오스",
    "Lumencaligo": "루멘칼리고",
}

# LOA Logs renames all but the tail itself: its own table spells Krathios wrong, so the tail reaches real
# logs.
MAIN_BOSS_OF: dict[str, str] = {
    "Chaos Lightning Dragon Jade": "Argeos",
    "Jade": "Argeos",
    "Despicable Skolakia": "Behemoth, the Storm Commander",
    "Untrue Crimson Yoho": "Behemoth, the Storm Commander",
    "Ruthless Lakadroff": "Behemoth, the Storm Commander",
    "Vicious Argeos": "Behemoth, the Storm Commander",
    "Krathios's Tail": "Krathios",
    "Krathoios": "Krathios",
    "Krathoios's Tail": "Krathios",
}

_MAIN_BOSS = index_by_key(MAIN_BOSS_OF.items())
_KOREAN = index_by_key(KOREAN_OF_BOSS.items()) | {name_key(k): k for k in KOREAN_OF_BOSS.values()}


def main_boss(name: str) -> str:
    """Give the boss that a part stands for (the dragon Jade, the tail of Krathios); else the name itself."""
    return _MAIN_BOSS.get(name_key(name), name)


def boss_korean(name: str | None) -> str | None:
    """Give the Korean name of a boss, in any spelling or for one of its parts; None where none is known."""
    return _KOREAN.get(name_key(main_boss(name))) if name else None

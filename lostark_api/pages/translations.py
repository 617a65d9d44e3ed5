"""Every word of the pages, English beside Korean; game terms come from the vocabulary.

A test holds templates and this table together: no key is missing, none is left over.
"""

from __future__ import annotations

from lostark_api.http.language import KOREAN

_WORDS: dict[str, tuple[str, str]] = {
    # frame
    "site": ("Lost Ark Battle Analytics", "로스트아크 전투 분석"),
    "skip": ("Skip to content", "본문으로 건너뛰기"),
    "nav.home": ("Home", "홈"),
    "nav.gates": ("Raids", "레이드"),
    "nav.fights": ("Fights", "전투"),
    "nav.characters": ("Characters", "캐릭터"),
    "nav.compare": ("Compare", "비교"),
    "nav.model": ("Model", "모델"),
    "nav.status": ("Status", "상태"),
    "nav.switch": ("한국어", "English"),
    "nav.theme": ("Dark or light", "어둡게 또는 밝게"),
    "nav.menu": ("Pages", "페이지"),
    "foot.publish": ("Publish {version} of {when}.", "게시 {version}번, {when}."),
    "foot.nothing": ("Nothing was published yet.", "아직 게시된 데이터가 없습니다."),
    "foot.api": ("Everything here is also an API", "이 페이지의 모든 내용은 API로도 제공됩니다"),
    "foot.fan": (
        "A fan project, not affiliated with Smilegate or Amazon Games.",
        "스마일게이트 및 아마존 게임즈와 무관한 팬 프로젝트입니다.",
    ),
    # common
    "dealers": ("Dealers", "딜러"),
    "supports": ("Supports", "서포터"),
    "weeks": ("{n} weeks", "최근 {n}주"),
    "weeks.label": ("Period", "기간"),
    "role": ("Role", "역할"),
    "gate": ("Gate", "관문"),
    "spec": ("Spec", "직업 각인"),
    "player": ("Player", "플레이어"),
    "players": ("{n} players", "{n}명"),
    "players.n": ("Players", "표본"),
    "median": ("Median", "중앙값"),
    "interval": ("95% interval", "95% 구간"),
    "outcome": ("Outcome", "결과"),
    "won": ("Clear", "클리어"),
    "lost": ("Wipe", "전멸"),
    "unknown": ("Unknown", "알 수 없음"),
    "all": ("All", "전체"),
    "length": ("Length", "전투 시간"),
    "when": ("When", "일시"),
    "item_level": ("Item level", "아이템 레벨"),
    "combat_power": ("Combat power", "전투력"),
    "damage": ("Damage", "피해량"),
    "deaths": ("Deaths", "사망"),
    "apply": ("Apply", "적용"),
    "reset": ("Reset", "초기화"),
    "next": ("Next page", "다음 페이지"),
    "first": ("First page", "첫 페이지"),
    "boss_left": ("{share} boss HP left", "보스 체력 {share} 남음"),
    "few": ("too few to describe", "표본이 부족합니다"),
    "few.why": (
        "Specs with fewer than five players are counted, not described.",
        "표본이 5명 미만인 직업은 수만 세고 수치는 표시하지 않습니다.",
    ),
    "pool": (
        "Living players of won fights, {weeks} weeks back from the newest fight.",
        "클리어한 전투에서 생존한 플레이어, 가장 최근 전투부터 {weeks}주간.",
    ),
    "mixed": (
        "Figures by different meter rules are in it; small differences may come from the meters.",
        "측정 규칙이 다른 미터기의 수치가 섞여 있어 작은 차이는 미터기 때문일 수 있습니다.",
    ),
    "see_all": ("See all", "모두 보기"),
    # empty
    "empty.title": ("Nothing here yet", "아직 데이터가 없습니다"),
    "empty.fights": ("No fight fits these filters.", "조건에 맞는 전투가 없습니다."),
    "empty.start": (
        "Fights appear here as soon as the first battle logs are collected and published.",
        "전투 기록이 수집되어 게시되면 여기에 표시됩니다.",
    ),
    "empty.specs": (
        "Nobody fits these filters. Try more weeks or a wider item level.",
        "조건에 맞는 플레이어가 없습니다. 기간이나 아이템 레벨 범위를 넓혀 보세요.",
    ),
    "empty.few": (
        "No spec has five players here. Try more weeks or a wider item level.",
        "표본이 5명 이상인 직업이 없습니다. 기간이나 아이템 레벨 범위를 넓혀 보세요.",
    ),
    "empty.progress": (
        "Progress appears with the next statistics across all fights.",
        "레이드 진행은 전체 통계가 계산된 뒤 표시됩니다.",
    ),
    "empty.characters": (
        "No character's name begins like this.",
        "이 이름으로 시작하는 캐릭터가 없습니다.",
    ),
    "empty.skills": ("The log holds no skills of this player.", "이 플레이어의 스킬 기록이 없습니다."),
    # home
    "home.title": ("What a build should do, and what it did", "내 세팅의 기대 딜, 그리고 실제 딜"),
    "home.lead": (
        "Battle logs become fair comparisons: against the same gate, the same weeks and the same company.",
        "전투 기록을 같은 관문, 같은 시기, 같은 파티 조건에서 공정하게 비교합니다.",
    ),
    "home.tiers": ("Tier list", "티어 리스트"),
    "home.tiers.lead": (
        (
            "Each player's {what} against the median of gate and week. Bars are the 95% interval of the "
            "median: where two overlap, the order is not certain."
        ),
        "관문과 주차별 중앙값 대비 {what}. 막대는 중앙값의 95% 구간이며, 겹치면 순위가 확실하지 않습니다.",
    ),
    "home.what.dealer": ("DPS", "DPS"),
    "home.what.support": ("contribution to the party's damage", "파티 피해 기여도"),
    "home.against": ("Against the usual", "중앙값 대비"),
    "home.rest": ("{n} more", "{n}개 더 보기"),
    "home.gates": ("Fought last", "최근 전투 관문"),
    "home.fights": ("New fights", "새 전투"),
    "home.fresh": ("Newest fight", "최근 전투"),
    "home.logs": ("Logs", "전투 기록"),
    "home.passed": ("Passed all checks", "검증 통과율"),
    "home.find": ("Find a character", "캐릭터 검색"),
    # gates
    "gates.title": ("Raids and gates", "레이드와 관문"),
    "gates.fights": ("{n} fights", "전투 {n}회"),
    "gates.clear_rate": ("Cleared pulls", "클리어율"),
    "gates.median_length": ("Usual clear", "클리어 시간 중앙값"),
    "gates.first_clear": ("Pulls to first clear", "첫 클리어까지 시도"),
    "gates.deaths": ("Deaths a pull", "시도당 사망"),
    "gates.last": ("Last fight", "최근 전투"),
    "gate.specs": ("DPS by spec", "직업별 DPS"),
    "gate.specs.support": ("Contribution by spec", "직업별 기여도"),
    "gate.boxes": (
        "Boxes hold the middle half of the players, lines 5% to 95%, the mark is the median; n in brackets.",
        "상자는 중간 50%, 선은 5~95%, 표시는 중앙값이며 괄호 안은 표본 수입니다.",
    ),
    "gate.level_from": ("Item level from", "아이템 레벨 이상"),
    "gate.level_to": ("to", "이하"),
    "gate.table": ("As a table", "표로 보기"),
    "gate.fights": ("Newest fights", "최근 전투"),
    # fights
    "fights.title": ("Fights", "전투 기록"),
    "fights.player": ("Character name", "캐릭터 이름"),
    "fights.team": ("Team DPS", "공대 DPS"),
    "fight.players": ("Players", "플레이어"),
    "fight.party": ("Party {n}", "{n}파티"),
    "fight.share": ("D%", "지분"),
    "fight.crit": ("Crit", "치명"),
    "fight.back": ("Back", "백"),
    "fight.front": ("Front", "헤드"),
    "fight.ap": ("AP", "공증"),
    "fight.brand": ("Brand", "낙인"),
    "fight.identity": ("Identity", "아덴"),
    "fight.hyper": ("Hyper", "초각성"),
    "fight.uptimes": (
        "AP, brand, identity and hyper: share of the damage that was dealt under supports' buffs.",
        "공증, 낙인, 아덴, 초각성: 서포터 버프를 받은 피해의 비율.",
    ),
    "fight.cpm": ("CPM", "분당 시전"),
    "fight.percentile": ("Percentile", "백분위"),
    "fight.expected": ("Expected", "기대 DPS"),
    "fight.against": ("vs expected", "기대 대비"),
    "fight.uploader": ("uploader", "기록자"),
    "fight.dead": ("died", "사망"),
    "fight.course": ("Course of the fight", "전투 흐름"),
    "fight.course.lead": ("10 s DPS of every player", "플레이어별 10초 DPS"),
    "fight.boss": ("Boss HP and deaths", "보스 체력과 사망"),
    "fight.boss.lead": (
        "Boss HP left over time; marks are deaths.",
        "시간별 남은 보스 체력. 표시는 사망 시점.",
    ),
    "fight.in_full": ("{name} in full", "{name} 상세"),
    "fight.choose": ("Choose a player", "플레이어 선택"),
    "fight.reached": ("Reached", "실제"),
    "fight.expected_range": ("Expected, 90% interval", "기대 DPS, 90% 구간"),
    "fight.better_than": ("better than {share} of such fights", "비슷한 조건의 {share}보다 높음"),
    "fight.gap": ("Where the difference comes from", "차이의 원인"),
    "fight.gap.lead": (
        "From what the model expected to what was reached; the parts sum exactly.",
        "기대 DPS에서 실제 DPS까지, 각 항목의 합은 정확히 일치합니다.",
    ),
    "fight.context": ("Why so much was expected", "기대 DPS의 근거"),
    "fight.seen": (
        "The model learnt from this fight, so it knows it a little too well.",
        "모델이 이 전투를 학습에 사용했으므로 실제보다 정확해 보일 수 있습니다.",
    ),
    "fight.not_scored": (
        "The model has not seen this fight yet.",
        "모델이 아직 이 전투를 평가하지 않았습니다.",
    ),
    "fight.refused": ("No expectation", "기대 DPS 없음"),
    "fight.skills": ("Skills", "스킬"),
    "skill": ("Skill", "스킬"),
    "skill.unnamed": ("Skill {id}", "스킬 {id}"),
    "skill.share": ("Share", "비중"),
    "skill.casts": ("Casts", "시전"),
    "skill.hits": ("Hits", "타격"),
    "skill.max": ("Largest hit", "최대 피해"),
    "fight.log": ("Log", "기록"),
    "fight.log.facts": ("{format}, {detail}, meter {meter}", "{format}, {detail}, 미터기 {meter}"),
    "format.loa_logs_db": ("LOA Logs database", "LOA Logs 데이터베이스"),
    "format.upload_json": ("LOA Logs upload", "LOA Logs 업로드"),
    "format.player_table": ("player table", "플레이어 표"),
    "detail.hits": ("every hit", "타격 단위"),
    "detail.skills": ("skills", "스킬 단위"),
    "detail.players": ("players only", "플레이어 단위"),
    "fight.log.counts": ("counts", "집계 대상"),
    "fight.compare": ("Compare with another fight", "다른 전투와 비교"),
    "gap.start": ("Expected", "기대"),
    "gap.end": ("Reached", "실제"),
    "gap_crit_dps": ("Crit rate", "치명타율"),
    "gap_positional_dps": ("Back and front attacks", "백·헤드 어택"),
    "gap_activity_dps": ("Casting more or less", "스킬 사용량"),
    "gap_dead_dps": ("Time spent dead", "사망 시간"),
    "gap_unexplained_dps": ("The rest", "나머지"),
    "typical": ("Usual for the spec", "직업 평균"),
    "context_item_level_dps": ("Item level, combat power", "아이템 레벨·전투력"),
    "context_support_dps": ("Supports", "서포터"),
    "context_party_dps": ("Other players", "파티 구성"),
    "context_history_dps": ("Earlier fights", "이전 기록"),
    "context_other_dps": ("Everything else", "기타"),
    "refusal.gate_unknown": ("The gate is not known.", "알려지지 않은 관문입니다."),
    "refusal.difficulty_unknown": ("The difficulty is not known.", "난이도를 알 수 없습니다."),
    "refusal.class_unknown": ("The class is not known.", "직업을 알 수 없습니다."),
    "refusal.spec_unknown": ("The spec is not known.", "직업 각인을 알 수 없습니다."),
    "refusal.support": (
        "Supports are not judged by DPS; see contribution and uptimes.",
        "서포터는 DPS로 평가하지 않습니다. 기여도와 버프 가동률을 참고하세요.",
    ),
    "refusal.no_dps": ("The log has no DPS of this player.", "이 플레이어의 DPS 기록이 없습니다."),
    "refusal.item_level_outside_training": (
        "The item level is outside of what the model has seen.",
        "모델이 학습한 아이템 레벨 범위를 벗어났습니다.",
    ),
    "refusal.combat_power_outside_training": (
        "The combat power is outside of what the model has seen.",
        "모델이 학습한 전투력 범위를 벗어났습니다.",
    ),
    "refusal.before_training": (
        "The fight is older than what the model has seen.",
        "모델의 학습 기간보다 이전 전투입니다.",
    ),
    "refusal.no_champion": ("There was no model yet.", "당시에는 모델이 없었습니다."),
    # characters
    "characters.title": ("Characters", "캐릭터"),
    "characters.find": ("Name begins with", "이름 앞부분"),
    "search": ("Search", "검색"),
    "region": ("Region", "서버 지역"),
    "character.fights": ("Fights", "전투"),
    "character.clears": ("Clears", "클리어"),
    "character.since": ("Seen since", "첫 기록"),
    "character.history": ("Against what was expected", "기대 대비 실제"),
    "character.history.lead": (
        (
            "Each mark is a fight. Marks above the line did more than the model expects of such a build and "
            "company; bars are its 90% interval."
        ),
        "점 하나가 전투 하나입니다. 선 위는 기대보다 높은 딜이며, 막대는 90% 구간입니다.",
    ),
    "character.not_scored": (
        "The model has not judged these fights yet.",
        "모델이 아직 이 전투들을 평가하지 않았습니다.",
    ),
    "character.progress": ("Progress", "레이드 진행"),
    "character.best": ("Best", "최고 기록"),
    "character.cleared": ("cleared", "클리어"),
    "character.best_try": ("Best try", "최고 시도"),
    "character.pulls": ("Pulls", "시도"),
    "character.styles": ("Play style", "플레이 스타일"),
    "character.styles.none": (
        "Players of this spec form no groups: there is no style to name.",
        "이 직업에서는 뚜렷한 스타일 구분이 나타나지 않습니다.",
    ),
    "character.style": ("{style} ({share} sure, {n} fights)", "{style} (확신도 {share}, 전투 {n}회)"),
    "character.fights.title": ("Newest fights", "최근 전투"),
    "character.more": ("Older fights are in the list of fights.", "더 오래된 전투는 전투 기록에 있습니다."),
    "percentile.help": (
        "Share of the same spec, gate and weeks that reached less; the range is its uncertainty.",
        "같은 직업, 관문, 시기에서 더 낮은 기록의 비율이며 범위는 불확실성입니다.",
    ),
    # compare
    "compare.title": ("Compare", "비교"),
    "compare.lead": (
        "Two characters as REGION/NAME, or two fights by the ids in their addresses.",
        "캐릭터는 지역/이름, 전투는 주소에 있는 ID를 입력하세요.",
    ),
    "compare.first": ("First", "첫 번째"),
    "compare.second": ("Second", "두 번째"),
    "compare.gates": ("Gates that both cleared", "둘 다 클리어한 관문"),
    "compare.gates.lead": (
        "Medians of clears that were survived. The ratio is the second's DPS over the first's.",
        "생존한 클리어의 중앙값. 비율은 첫 번째 대비 두 번째의 DPS입니다.",
    ),
    "compare.none": (
        "There is no gate that both cleared alive.",
        "둘 다 생존하여 클리어한 관문이 없습니다.",
    ),
    "compare.ratio": ("Ratio", "비율"),
    "compare.with": ("Compare with", "비교 대상"),
    # model
    "model.title": ("The model of expected DPS", "기대 DPS 모델"),
    "model.lead": (
        (
            "It knows build, gate and company before the fight, and nothing of how the fight went. "
            "It is retrained as the season moves on, and replaced only by one that is surely better."
        ),
        (
            "전투 전의 세팅, 관문, 파티만 알고 전투 과정은 모릅니다. "
            "시즌에 따라 다시 학습하며, 확실히 더 나은 모델로만 교체됩니다."
        ),
    ),
    "model.champion": ("Champion", "현재 모델"),
    "model.version": ("Version {n}", "버전 {n}"),
    "model.none": ("There is no model yet.", "아직 모델이 없습니다."),
    "model.error": ("Mean error", "평균 오차"),
    "model.coverage": ("Inside the interval", "구간 적중률"),
    "model.coverage.goal": ("the interval promises 90%", "목표 90%"),
    "model.bias": ("Bias", "편향"),
    "model.tested": ("Newest test", "최근 시험"),
    "model.tested.lead": (
        "All on the same fights, which none of them had seen.",
        "모두 학습하지 않은 같은 전투로 시험합니다.",
    ),
    "model.predictor": ("Predictor", "예측기"),
    "model.rows": ("Rows", "행"),
    "model.weeks": ("Week by week", "주간 성능"),
    "model.weeks.lead": (
        "Fights that came after training. The dashed line is the interval's promise of 90%.",
        "학습 이후의 전투. 점선은 구간의 목표치 90%입니다.",
    ),
    "model.week": ("Week", "주차"),
    "model.drifting": ("drifts", "변화 감지"),
    "model.history": ("Promotions", "교체 이력"),
    "model.action.submit": ("trained", "학습"),
    "model.action.promote": ("promoted", "승격"),
    "model.action.rollback": ("rolled back", "되돌림"),
    "model.action.outside": ("changed outside", "외부 변경"),
    "model.alias.champion": ("champion", "현재 모델"),
    "model.alias.challenger": ("challenger", "도전 모델"),
    "model.by": ("By", "주체"),
    "model.by.promotion gate": ("promotion gate", "승격 심사"),
    "model.by.training": ("training", "학습"),
    "model.by.unknown": ("unknown", "알 수 없음"),
    "model.part.uploader": ("uploaders", "기록자"),
    "model.part.other": ("others", "기록자 외"),
    "model.part.known": ("characters with earlier fights", "이전 기록이 있는 캐릭터"),
    "model.part.new": ("new characters", "새 캐릭터"),
    "model.part.no name": ("without a name", "이름 없음"),
    "model.predictor.challenger": ("challenger", "도전 모델"),
    "model.predictor.champion": ("champion", "현재 모델"),
    "model.predictor.constant": ("constant", "상수 예측"),
    "model.predictor.four-week median": ("four-week median", "최근 4주 중앙값"),
    "model.predictor.ridge": ("ridge", "릿지 회귀"),
    "model.slice": ("Part", "구분"),
    "model.slices": ("By gate, spec and item level", "관문·직업·아이템 레벨별"),
    # status
    "status.title": ("How good the data is", "데이터 상태"),
    "status.passed": ("Logs passed", "통과한 기록"),
    "status.refused": ("In quarantine", "격리된 기록"),
    "status.rows": ("Player rows refused", "거부된 플레이어 행"),
    "status.newest": ("Newest fight", "최근 전투"),
    "status.fetched": ("Last collected", "최근 수집"),
    "status.published": ("Published", "게시"),
    "status.reasons": ("Why rows were refused", "거부 사유"),
    "status.reason": ("Reason", "사유"),
    "status.what": ("What", "대상"),
    "status.scope.log": ("logs", "기록"),
    "status.scope.player": ("players", "플레이어"),
    "status.count": ("Number", "건수"),
    "status.newest_day": ("Newest day", "최근 날짜"),
    "status.none": ("Nothing was refused.", "거부된 데이터가 없습니다."),
    "status.days": ("By fight day", "일별"),
    "status.day": ("Day", "날짜"),
    "status.publications": ("Publishes", "게시 이력"),
    "status.version": ("Version", "버전"),
    "status.covers": ("Days", "날짜 범위"),
    # upload
    "upload.title": ("Send battle logs", "전투 기록 올리기"),
    "upload.lead": (
        "An encounters.db of LOA Logs, its upload JSON, or a player table. What becomes of it is told here.",
        "LOA Logs의 encounters.db, 업로드 JSON, 플레이어 표를 올릴 수 있으며 처리 결과를 바로 보여 줍니다.",
    ),
    "upload.file": ("File", "파일"),
    "upload.key": ("Key", "키"),
    "upload.key.needed": ("needed here", "필요함"),
    "upload.key.none": ("not needed here", "필요 없음"),
    "upload.send": ("Send", "올리기"),
    "upload.limit": ("At most {size} MiB.", "최대 {size}MiB."),
    "upload.once": (
        "Known fights count once; the same file can be sent again.",
        "이미 있는 전투는 한 번만 집계되므로 같은 파일을 다시 올려도 됩니다.",
    ),
    "upload.script": (
        "This page needs a script; POST /v1/battle-logs does not.",
        "이 페이지는 스크립트가 필요합니다. POST /v1/battle-logs는 필요하지 않습니다.",
    ),
    "upload.sending": ("Sending …", "올리는 중 …"),
    "upload.received": ("Received; waiting to be read.", "접수됨. 읽기를 기다리는 중."),
    "upload.collected": ("Read; being cleaned.", "읽음. 정리 중."),
    "upload.cleaned": ("Cleaned; being published.", "정리됨. 게시 중."),
    "upload.published": ("Published.", "게시되었습니다."),
    "upload.refused": ("Nothing of it could be used.", "사용할 수 있는 기록이 없습니다."),
    "upload.failed": ("It could not be sent.", "올리지 못했습니다."),
    "upload.large": ("The file is too large.", "파일이 너무 큽니다."),
    "upload.key_wrong": ("A key is needed, or this one does not fit.", "키가 필요하거나 키가 맞지 않습니다."),
    "upload.not_ours": (
        "This is no battle log that we know, or it is damaged.",
        "알 수 없는 형식이거나 손상된 파일입니다.",
    ),
    "upload.later": (
        "Too much is being sent right now. Try again in a minute.",
        "지금은 올리는 파일이 너무 많습니다. 잠시 후 다시 시도하세요.",
    ),
    "upload.slow": ("The connection was silent for too long.", "연결이 너무 오래 멈춰 있었습니다."),
    "upload.unknown": (
        "There is no such ticket. Tickets are kept for 30 days.",
        "이 접수 번호를 찾을 수 없습니다. 접수 번호는 30일 동안 보관됩니다.",
    ),
    "upload.logs": (
        "{found} logs: {new} new, {known} known before. {cleaned} became fights, {refused} were refused.",
        "기록 {found}개: 신규 {new}개, 기존 {known}개. 전투로 인식 {cleaned}개, 거부 {refused}개.",
    ),
    "upload.more": ("All {n} fights", "전투 {n}개 모두 보기"),
    "upload.keep": (
        "This address leads back here; it can be kept or shared for 30 days.",
        "이 주소로 30일 동안 다시 확인하거나 공유할 수 있습니다.",
    ),
    "upload.about": ("For a table that doesn't say its fight", "어느 전투인지 적혀 있지 않은 표일 때"),
    "upload.raid": ("Raid", "레이드"),
    "upload.boss": ("Boss", "보스"),
    "upload.difficulty": ("Difficulty", "난이도"),
    # why logs and players are refused, by the codes of the quarantine
    "quarantine.invalid_json": (
        "The log is damaged or of an unknown layout.",
        "손상되었거나 알 수 없는 구조의 기록입니다.",
    ),
    "quarantine.truncated_gzip": ("A part of the log is cut off.", "기록의 일부가 잘려 있습니다."),
    "quarantine.payload_too_large": ("The log is larger than is taken.", "기록이 허용 크기를 넘습니다."),
    "quarantine.missing_field": (
        "Start, end or figures of the fight are missing.",
        "전투의 시작, 종료 또는 수치가 빠져 있습니다.",
    ),
    "quarantine.no_players": ("The log holds no player.", "플레이어가 없는 기록입니다."),
    "quarantine.impossible_duration": (
        "The fight's length can't be.",
        "있을 수 없는 전투 시간입니다.",
    ),
    "quarantine.impossible_time": (
        "The fight's date can't be: a clock was wrong.",
        "있을 수 없는 날짜입니다. 시계가 잘못되었을 수 있습니다.",
    ),
    "quarantine.too_many_players": (
        "More players than the raid takes.",
        "레이드 정원보다 플레이어가 많습니다.",
    ),
    "quarantine.impossible_value": (
        "A figure that can't be, such as more crits than hits.",
        "있을 수 없는 수치입니다(예: 타격보다 많은 치명타).",
    ),
    "quarantine.broken_sums": (
        "Parts don't add up to their total: the meter lost or doubled something.",
        "항목의 합이 전체와 다릅니다. 미터기가 일부를 빠뜨리거나 중복 기록했습니다.",
    ),
    "quarantine.meter_dps_mismatch": (
        "The DPS is not what the meter itself stored.",
        "미터기에 저장된 DPS와 다릅니다.",
    ),
    "quarantine.duplicate_player": (
        "One player stands twice in one log.",
        "한 기록에 같은 플레이어가 두 번 있습니다.",
    ),
    # errors
    "error.title.404": ("There is no such page", "페이지를 찾을 수 없습니다"),
    "error.text.404": (
        "The fight, gate or character is not here: the address may be wrong, or nothing of it was published.",
        "주소가 잘못되었거나 아직 게시되지 않은 전투, 관문, 캐릭터입니다.",
    ),
    "error.title.422": ("This address makes no sense", "잘못된 주소입니다"),
    "error.text.422": (
        "One of the filters has a value that can't be. Begin again without it.",
        "필터 값이 올바르지 않습니다. 필터를 지우고 다시 시도하세요.",
    ),
    "error.title.503": ("The data can't be reached right now", "지금은 데이터를 불러올 수 없습니다"),
    "error.text.503": (
        "This usually passes within seconds. Try again soon.",
        "보통 몇 초 안에 복구됩니다. 잠시 후 다시 시도하세요.",
    ),
    "error.title.other": ("Something went wrong on our side", "서버에 문제가 발생했습니다"),
    "error.text.other": (
        "It has been written down. Trying again may help.",
        "문제가 기록되었습니다. 다시 시도해 보세요.",
    ),
    "error.again": ("Try again", "다시 시도"),
    "error.home": ("To the start", "처음으로"),
    # charts
    "chart.dps": ("DPS (million/s)", "DPS (억/초)"),
    "chart.contribution": ("contribution (%)", "기여도 (%)"),
    "chart.second": ("second of the fight", "전투 시간(초)"),
    "chart.hp": ("boss HP (%)", "보스 체력 (%)"),
    "chart.ratio": ("reached / expected", "실제 / 기대"),
    "chart.alt": ("Chart: {what}", "차트: {what}"),
}


def words(language: str, key: str, **values: object) -> str:
    """The words of ``key`` in ``language``, with ``values`` filled in.

    Raises:
        KeyError: there are no such words.
    """
    english, korean = _WORDS[key]
    text = korean if language == KOREAN else english
    return text.format(**values) if values else text


def has_words(key: str) -> bool:
    """Whether there are words of ``key``."""
    return key in _WORDS


def all_words() -> dict[str, tuple[str, str]]:
    """Key to English and Korean."""
    return dict(_WORDS)

"""Every text of the pages in English and Korean. Game terms come from ``lostark_assets.game``.

A test compares this table with the templates: no key is missing, none is unused.
"""

from __future__ import annotations

from lostark_api.http.language import KOREAN

_TRANSLATIONS: dict[str, tuple[str, str]] = {
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
    "nav.theme": ("Toggle dark mode", "다크 모드 전환"),
    "nav.menu": ("Pages", "페이지"),
    "foot.publish": (
        "Data version {version}, published {when}.",
        "데이터 버전 {version}, 마지막 갱신 {when}.",
    ),
    "foot.nothing": ("No data has been published yet.", "아직 게시된 데이터가 없습니다."),
    "foot.api": ("All data is also available as an API", "모든 데이터는 API로도 제공됩니다"),
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
    "players.n": ("Players", "표본 수"),
    "median": ("Median", "중앙값"),
    "interval": ("95% interval", "95% 신뢰구간"),
    "outcome": ("Outcome", "결과"),
    "won": ("Clear", "클리어"),
    "lost": ("Wipe", "전멸"),
    "unknown": ("Unknown", "미상"),
    "difficulty.unknown": ("Unknown difficulty", "난이도 미상"),
    "all": ("All", "전체"),
    "length": ("Duration", "전투 시간"),
    "when": ("When", "일시"),
    "item_level": ("Item level", "아이템 레벨"),
    "combat_power": ("Combat power", "전투력"),
    "damage": ("Damage", "피해량"),
    "deaths": ("Deaths", "사망"),
    "apply": ("Apply", "적용"),
    "reset": ("Reset", "초기화"),
    "next": ("Next page", "다음 페이지"),
    "first": ("First page", "첫 페이지"),
    "hp_left": ("{share} HP left", "잔혈 {share}"),
    "few": ("too few players", "표본 부족"),
    "few.why": (
        "Specs with fewer than five players are counted, but not described.",
        "표본이 5명 미만인 직업은 인원만 집계하고 수치는 표시하지 않습니다.",
    ),
    "pool": (
        "Surviving players of clears, in the {weeks} weeks before the newest fight.",
        "클리어한 전투의 생존자, 가장 최근 전투 기준 {weeks}주간.",
    ),
    "mixed": (
        "Includes figures by different measurement rules; small differences may come from the meters.",
        "측정 규칙이 다른 미터기의 수치가 섞여 있어 작은 차이는 미터기 때문일 수 있습니다.",
    ),
    "see_all": ("See all", "모두 보기"),
    # empty
    "empty.title": ("No data yet", "아직 데이터가 없습니다"),
    "empty.fights": ("No fights match these filters.", "조건에 맞는 전투가 없습니다."),
    "empty.start": (
        "Fights appear here as soon as the first battle logs are collected and published.",
        "로그가 수집되어 게시되면 전투가 여기에 표시됩니다.",
    ),
    "empty.specs": (
        "No players match these filters. Try more weeks or a wider item level range.",
        "조건에 맞는 플레이어가 없습니다. 기간이나 아이템 레벨 범위를 넓혀 보세요.",
    ),
    "empty.few": (
        "No spec has five or more players here. Try more weeks or a wider item level range.",
        "표본이 5명 이상인 직업이 없습니다. 기간이나 아이템 레벨 범위를 넓혀 보세요.",
    ),
    "empty.progress": (
        "Progress appears once the statistics across all fights are computed.",
        "레이드 클리어 현황은 전체 통계가 계산된 뒤 표시됩니다.",
    ),
    "empty.characters": ("No character name starts with this.", "이 이름으로 시작하는 캐릭터가 없습니다."),
    "empty.skills": ("The log has no skills for this player.", "이 플레이어의 스킬 정보가 로그에 없습니다."),
    # home
    "home.title": ("Expected DPS of a build, and its actual DPS", "내 세팅의 기대 딜, 그리고 실제 딜"),
    "home.lead": (
        "Fair comparisons of battle logs: the same gate, the same weeks, the same party.",
        "같은 관문, 같은 시기, 같은 파티 조건으로 공정하게 비교합니다.",
    ),
    "home.tiers": ("Tier list", "티어 리스트"),
    "home.tiers.lead": (
        (
            "Each player's {what} relative to the median of the gate and week. Bars are the median's "
            "95% interval: where two overlap, their order is not certain."
        ),
        "관문과 주차별 중앙값 대비 {what}. 막대는 중앙값의 95% 신뢰구간이며, 겹치면 순위는 불확실합니다.",
    ),
    "home.what.dealer": ("DPS", "DPS"),
    "home.what.support": ("contribution to the party's damage", "파티 딜 기여도"),
    "home.against": ("vs. median", "중앙값 대비"),
    "home.rest": ("{n} more", "{n}개 더 보기"),
    "home.gates": ("Recently fought", "최근 전투한 관문"),
    "home.fights": ("Newest fights", "최신 전투"),
    "home.fresh": ("Newest fight", "최신 전투 시각"),
    "home.logs": ("Logs", "로그"),
    "home.passed": ("Logs passing all checks", "로그 검증 통과율"),
    "home.find": ("Find a character", "캐릭터 검색"),
    # gates
    "gates.title": ("Raids and gates", "레이드와 관문"),
    "gates.fights": ("{n} fights", "전투 {n}회"),
    "gates.clear_rate": ("Clear rate", "클리어율"),
    "gates.median_length": ("Median clear time", "클리어 시간 중앙값"),
    "gates.first_clear": ("Pulls to first clear", "첫 클리어까지 트라이"),
    "gates.deaths": ("Deaths per pull", "트라이당 사망"),
    "gates.last": ("Last fought", "최근 전투"),
    "gate.specs": ("DPS by spec", "직업별 DPS"),
    "gate.specs.support": ("Contribution by spec", "직업별 기여도"),
    "gate.boxes": (
        (
            "Boxes span the middle half of the players, whiskers 5% to 95%; the mark is the median, n "
            "in brackets."
        ),
        "상자는 중간 50%, 선은 5~95%, 표시는 중앙값이며 괄호 안은 표본 수입니다.",
    ),
    "gate.level_from": ("Item level from", "아이템 레벨 이상"),
    "gate.level_to": ("to", "이하"),
    "gate.table": ("As a table", "표로 보기"),
    "gate.fights": ("Newest fights", "최근 전투"),
    # fights
    "fights.title": ("Fights", "전투 목록"),
    "fights.player": ("Character name", "캐릭터 이름"),
    "fights.team": ("Team DPS", "공대 DPS"),
    "fight.players": ("Players", "플레이어"),
    "fight.party": ("Party {n}", "{n}파티"),
    "fight.share": ("D%", "지분"),
    "fight.crit": ("Crit", "치적"),
    "fight.back": ("Back", "백"),
    "fight.front": ("Front", "헤드"),
    "fight.ap": ("AP", "공증"),
    "fight.brand": ("Brand", "낙인"),
    "fight.identity": ("Identity", "아덴"),
    "fight.hyper": ("Hyper", "초각성"),
    "fight.uptimes": (
        "AP, brand, identity and hyper: share of the damage dealt under supports' buffs.",
        "공증, 낙인, 아덴, 초각성: 서포터 버프를 받은 피해의 비율.",
    ),
    "fight.cpm": ("Casts/min", "분당 스킬 사용"),
    "fight.percentile": ("Percentile", "백분위"),
    "fight.expected": ("Expected", "기대 DPS"),
    "fight.against": ("vs. expected", "기대 대비"),
    "fight.uploader": ("uploader", "업로더"),
    "fight.dead": ("died", "사망"),
    "fight.course": ("Timeline", "타임라인"),
    "fight.course.lead": ("10 s DPS of every player", "플레이어별 10초 DPS"),
    "fight.boss": ("Boss HP and deaths", "보스 체력과 사망"),
    "fight.boss.lead": ("Boss HP over time; marks are deaths.", "시간별 보스 체력. 표시는 사망 시점."),
    "fight.in_full": ("Details: {name}", "{name} 상세"),
    "fight.choose": ("Choose a player", "플레이어 선택"),
    "fight.reached": ("Actual", "실제"),
    "fight.expected_range": ("Expected, 90% interval", "기대 DPS, 90% 구간"),
    "fight.better_than": ("better than {n}% of such fights", "비슷한 조건에서 상위 {n}%"),
    "fight.gap": ("Where the difference comes from", "차이의 원인"),
    "fight.gap.lead": (
        "From expected to actual DPS; the parts add up exactly.",
        "기대 DPS에서 실제 DPS까지, 각 항목의 합은 정확히 일치합니다.",
    ),
    "fight.context": ("What the expected DPS is based on", "기대 DPS의 근거"),
    "fight.seen": (
        "The model was trained on this fight, so its estimate is closer than usual.",
        "모델이 이 전투를 학습에 사용했으므로 실제보다 정확해 보일 수 있습니다.",
    ),
    "fight.not_scored": (
        "The model has not scored this fight yet.",
        "모델이 아직 이 전투를 평가하지 않았습니다.",
    ),
    "fight.refused": ("No expected DPS", "기대 DPS 없음"),
    "fight.skills": ("Skills", "스킬"),
    "skill": ("Skill", "스킬"),
    "skill.unnamed": ("Skill {id}", "스킬 {id}"),
    "skill.share": ("Share", "비중"),
    "skill.casts": ("Casts", "사용 횟수"),
    "skill.hits": ("Hits", "타격 횟수"),
    "skill.max": ("Max hit", "최대 피해"),
    "fight.log": ("Logs", "로그"),
    "fight.log.facts": ("{format}, {detail}, meter {meter}", "{format}, {detail}, 미터기 {meter}"),
    "format.loa_logs_db": ("LOA Logs database", "LOA Logs 데이터베이스"),
    "format.upload_json": ("LOA Logs upload", "LOA Logs 업로드"),
    "format.player_table": ("player table", "플레이어 표"),
    "detail.hits": ("hit by hit", "타격 단위"),
    "detail.skills": ("skills", "스킬 단위"),
    "detail.players": ("players only", "플레이어 단위"),
    "fight.log.counts": ("counted", "집계 대상"),
    "fight.compare": ("Compare with another fight", "다른 전투와 비교"),
    "gap.start": ("Expected", "기대"),
    "gap.end": ("Actual", "실제"),
    "gap_crit_dps": ("Crit rate", "치적"),
    "gap_positional_dps": ("Back and front attacks", "백·헤드 어택"),
    "gap_activity_dps": ("Skill usage", "스킬 사용량"),
    "gap_dead_dps": ("Time spent dead", "사망 시간"),
    "gap_unexplained_dps": ("Other", "나머지"),
    "typical": ("Spec median", "직업 중앙값"),
    "context_item_level_dps": ("Item level, combat power", "아이템 레벨·전투력"),
    "context_support_dps": ("Supports", "서포터"),
    "context_party_dps": ("Other party members", "파티 구성"),
    "context_history_dps": ("Earlier fights", "이전 전투"),
    "context_other_dps": ("Other", "기타"),
    "refusal.gate_unknown": ("Unknown gate.", "알려지지 않은 관문입니다."),
    "refusal.difficulty_unknown": ("Unknown difficulty.", "난이도 미상입니다."),
    "refusal.class_unknown": ("Unknown class.", "알려지지 않은 클래스입니다."),
    "refusal.spec_unknown": ("Unknown spec.", "알려지지 않은 직업 각인입니다."),
    "refusal.support": (
        "Supports are not rated by DPS; see contribution and uptimes.",
        "서포터는 DPS로 평가하지 않습니다. 기여도와 버프 가동률을 참고하세요.",
    ),
    "refusal.no_dps": ("The log has no DPS for this player.", "이 플레이어의 DPS가 로그에 없습니다."),
    "refusal.item_level_outside_training": (
        "The item level is outside the range of the training data.",
        "모델이 학습한 아이템 레벨 범위를 벗어났습니다.",
    ),
    "refusal.combat_power_outside_training": (
        "The combat power is outside the range of the training data.",
        "모델이 학습한 전투력 범위를 벗어났습니다.",
    ),
    "refusal.before_training": (
        "The fight is older than the training data.",
        "모델의 학습 기간보다 이전 전투입니다.",
    ),
    "refusal.no_champion": ("There was no model yet.", "당시에는 모델이 없었습니다."),
    # characters
    "characters.title": ("Characters", "캐릭터"),
    "characters.find": ("Name starts with", "이름 앞부분"),
    "search": ("Search", "검색"),
    "region": ("Region", "서버 지역"),
    "character.fights": ("Fights", "전투"),
    "character.clears": ("Clears", "클리어"),
    "character.since": ("First seen", "첫 전투"),
    "character.history": ("Actual vs. expected DPS", "기대 대비 실제 DPS"),
    "character.history.lead": (
        (
            "Each mark is a fight. Marks above the line beat the model's estimate for this build and "
            "party; bars are its 90% interval."
        ),
        "점 하나가 전투 하나입니다. 선 위는 기대보다 높은 딜이며, 막대는 90% 구간입니다.",
    ),
    "character.not_scored": (
        "The model has not scored these fights yet.",
        "모델이 아직 이 전투들을 평가하지 않았습니다.",
    ),
    "character.progress": ("Raid progress", "레이드 클리어 현황"),
    "character.best": ("Best", "최고 기록"),
    "character.cleared": ("cleared", "클리어"),
    "character.best_try": ("Best pull", "최고 트라이"),
    "character.pulls": ("Pulls", "트라이"),
    "character.styles": ("Play style", "플레이 스타일"),
    "character.styles.none": (
        "This spec has no distinct play styles.",
        "이 직업에서는 뚜렷한 스타일 구분이 나타나지 않습니다.",
    ),
    "character.style": ("{style} ({share} probability, {n} fights)", "{style} (확률 {share}, 전투 {n}회)"),
    "character.fights.title": ("Newest fights", "최신 전투"),
    "character.more": ("Older fights are in the list of fights.", "이전 전투는 전투 목록에 있습니다."),
    "percentile.help": (
        (
            "Share of players of the same spec, gate and weeks with a lower result; the range is its "
            "uncertainty."
        ),
        "같은 직업, 관문, 시기의 플레이어 중 순위이며 범위는 불확실성입니다.",
    ),
    "percentile.value": ("{n}", "상위 {n}%"),
    "percentile.range": ("{low}–{high}", "{low}–{high}%"),
    # compare
    "compare.title": ("Compare", "비교"),
    "compare.lead": (
        "Two characters as REGION/NAME, or two fights by the ids in their addresses.",
        "캐릭터는 지역/이름, 전투는 주소에 있는 ID를 입력하세요.",
    ),
    "compare.first": ("First", "첫 번째"),
    "compare.second": ("Second", "두 번째"),
    "compare.gates": ("Gates cleared by both", "둘 다 클리어한 관문"),
    "compare.gates.lead": (
        "Medians of clears without dying. The ratio is the second's DPS over the first's.",
        "생존한 클리어의 중앙값. 비율은 첫 번째 대비 두 번째의 DPS입니다.",
    ),
    "compare.none": (
        "No gate was cleared by both without dying.",
        "둘 다 생존하여 클리어한 관문이 없습니다.",
    ),
    "compare.ratio": ("Ratio", "비율"),
    "compare.with": ("Compare with", "비교 대상"),
    # model
    "model.title": ("Expected DPS model", "기대 DPS 모델"),
    "model.lead": (
        (
            "It knows the build, gate and party before the fight, and nothing about how the fight went. "
            "It is retrained during the season, and replaced only by a significantly better one."
        ),
        (
            "전투 전의 세팅, 관문, 파티만 알고 전투 과정은 모릅니다. "
            "시즌에 따라 다시 학습하며, 통계적으로 더 나은 모델로만 교체됩니다."
        ),
    ),
    "model.champion": ("Active version", "현재 모델"),
    "model.version": ("Version {n}", "버전 {n}"),
    "model.none": ("There is no model yet.", "아직 모델이 없습니다."),
    "model.error": ("Mean error", "평균 오차"),
    "model.coverage": ("Interval coverage", "구간 적중률"),
    "model.coverage.goal": ("target 90%", "목표 90%"),
    "model.bias": ("Bias", "편향"),
    "model.tested": ("Newest evaluation", "최근 평가"),
    "model.tested.lead": (
        "All on the same fights, which none of them was trained on.",
        "모두 학습에 쓰지 않은 같은 전투로 평가합니다.",
    ),
    "model.predictor": ("Predictor", "예측 모델"),
    "model.rows": ("Rows", "행"),
    "model.weeks": ("Weekly accuracy", "주간 성능"),
    "model.weeks.lead": (
        "Fights after training. The dashed line is the interval's target of 90%.",
        "학습 이후의 전투. 점선은 구간의 목표치 90%입니다.",
    ),
    "model.week": ("Week", "주차"),
    "model.drifting": ("drift", "변화 감지"),
    "model.history": ("Promotions", "교체 이력"),
    "model.action.submit": ("trained", "학습"),
    "model.action.promote": ("promoted", "승격"),
    "model.action.rollback": ("rolled back", "되돌림"),
    "model.action.outside": ("changed externally", "외부 변경"),
    "model.alias.champion": ("champion", "현재 모델"),
    "model.alias.challenger": ("challenger", "도전 모델"),
    "model.by": ("By", "주체"),
    "model.by.promotion gate": ("promotion gate", "승격 심사"),
    "model.by.training": ("training", "학습"),
    "model.by.unknown": ("unknown", "미상"),
    "model.part.uploader": ("uploaders", "업로더"),
    "model.part.other": ("others", "업로더 외"),
    "model.part.known": ("characters with earlier fights", "이전 전투가 있는 캐릭터"),
    "model.part.new": ("new characters", "새 캐릭터"),
    "model.part.no name": ("without a name", "이름 없음"),
    "model.predictor.challenger": ("challenger", "도전 모델"),
    "model.predictor.champion": ("champion", "현재 모델"),
    "model.predictor.constant": ("constant", "상수 예측"),
    "model.predictor.four-week median": ("four-week median", "최근 4주 중앙값"),
    "model.predictor.ridge": ("ridge", "릿지 회귀"),
    "model.slice": ("Slice", "구분"),
    "model.slices": ("By gate, spec and item level", "관문·직업·아이템 레벨별"),
    # status
    "status.title": ("Data quality", "데이터 품질"),
    "status.backlog": ("Waiting logs", "대기 중인 로그"),
    "status.uploads_waiting": ("Uploads waiting", "대기 중인 업로드"),
    "status.logs_waiting": ("Logs being processed", "처리 중인 로그"),
    "status.oldest_waits_s": ("Longest wait", "가장 오래 기다린 시간"),
    "status.logs_in_per_minute": ("Logs in per minute", "분당 들어온 로그"),
    "status.logs_out_per_minute": ("Logs published per minute", "분당 게시된 로그"),
    "status.runs_queued": ("Runs queued", "대기 중인 작업"),
    "status.observed_at": ("Observed", "확인 시각"),
    "status.passed": ("Logs passed", "통과한 로그"),
    "status.refused": ("Refused logs", "제외된 기록"),
    "status.rows": ("Refused player rows", "제외된 플레이어 행"),
    "status.newest": ("Newest fight", "최신 전투"),
    "status.fetched": ("Last collected", "마지막 수집"),
    "status.published": ("Last published", "마지막 갱신"),
    "status.published_at": ("Published", "게시 시각"),
    "status.reasons": ("Reasons for refusal", "제외 사유"),
    "status.reason": ("Reason", "사유"),
    "status.what": ("What", "대상"),
    "status.scope.log": ("logs", "로그"),
    "status.scope.player": ("players", "플레이어"),
    "status.count": ("Count", "건수"),
    "status.newest_day": ("Newest day", "최근 날짜"),
    "status.none": ("Nothing was refused.", "제외된 데이터가 없습니다."),
    "status.days": ("By fight day", "일별"),
    "status.day": ("Day", "날짜"),
    "status.publications": ("Publishes", "게시 이력"),
    "status.version": ("Version", "버전"),
    "status.covers": ("Days", "날짜 범위"),
    "status.data_docs": ("Data Docs: rules of the stored tables", "Data Docs: 저장된 테이블의 규칙"),
    # upload
    "upload.title": ("Upload", "로그 업로드"),
    "upload.lead": (
        "LOA Logs' encounters.db, its upload JSON, or a player table. The result is shown here.",
        "LOA Logs의 encounters.db, 업로드 JSON, 플레이어 표를 올릴 수 있으며 처리 결과를 바로 보여 줍니다.",
    ),
    "upload.file": ("File", "파일"),
    "upload.key": ("API key", "API 키"),
    "upload.key.needed": ("required", "필수"),
    "upload.key.none": ("not required", "필요 없음"),
    "upload.send": ("Upload file", "업로드"),
    "upload.limit": ("At most {size} MiB.", "최대 {size}MiB."),
    "upload.once": (
        "Known fights count once; the same file can be uploaded again.",
        "이미 있는 전투는 한 번만 집계되므로 같은 파일을 다시 올려도 됩니다.",
    ),
    "upload.script": (
        "This page needs JavaScript; POST /v1/battle-logs does not.",
        "이 페이지에는 JavaScript가 필요합니다. POST /v1/battle-logs에는 필요하지 않습니다.",
    ),
    "upload.sending": ("Uploading…", "업로드 중…"),
    "upload.received": ("Received, waiting…", "접수 완료, 대기 중…"),
    "upload.collected": ("File read. Processing fights…", "파일을 읽었습니다. 전투 정리 중…"),
    "upload.cleaned": ("Fights processed. Publishing…", "전투를 정리했습니다. 게시 중…"),
    "upload.published": ("Published.", "게시되었습니다."),
    "upload.refused": ("No usable logs in this file.", "사용할 수 있는 로그가 없습니다."),
    "upload.failed": ("The upload failed.", "업로드하지 못했습니다."),
    "upload.large": ("The file exceeds the size limit.", "파일이 허용 크기를 넘습니다."),
    "upload.key_wrong": ("Missing or invalid API key.", "API 키가 없거나 올바르지 않습니다."),
    "upload.not_ours": (
        "Unknown format, or the file is damaged.",
        "알 수 없는 형식이거나 손상된 파일입니다.",
    ),
    "upload.later": (
        "Too many uploads right now. Try again in a minute.",
        "지금은 업로드가 너무 많습니다. 잠시 후 다시 시도하세요.",
    ),
    "upload.slow": ("The connection timed out.", "연결 시간이 초과되었습니다."),
    "upload.unknown": (
        "Unknown ticket. Tickets are kept for 30 days.",
        "접수 번호를 찾을 수 없습니다. 접수 번호는 30일 동안 보관됩니다.",
    ),
    "upload.logs": (
        "{found} logs: {new} new, {known} already known. {cleaned} became fights, {refused} were refused.",
        "로그 {found}개: 신규 {new}개, 기존 {known}개. 전투로 인식 {cleaned}개, 제외 {refused}개.",
    ),
    "upload.before": ("{n} uploads before yours.", "앞에 업로드 {n}건이 있습니다."),
    "upload.expected": ("On its page: {when}.", "게시 예상: {when}."),
    "upload.platform": ("Platform: {state}.", "플랫폼: {state}."),
    "upload.more": ("All {n} fights", "전투 {n}개 모두 보기"),
    "upload.keep": (
        "Keep or share this page's address to come back within 30 days.",
        "이 주소로 30일 동안 다시 확인하거나 공유할 수 있습니다.",
    ),
    "upload.about": ("For a table without raid and gate", "레이드와 관문이 적혀 있지 않은 표일 때"),
    "upload.raid": ("Raid", "레이드"),
    "upload.boss": ("Boss", "보스"),
    "upload.difficulty": ("Difficulty", "난이도"),
    # why logs and players are refused, by the codes of the quarantine
    "quarantine.invalid_json": (
        "The log is damaged or has an unknown layout.",
        "손상되었거나 알 수 없는 구조의 로그입니다.",
    ),
    "quarantine.truncated_gzip": ("The log is truncated.", "로그의 일부가 잘려 있습니다."),
    "quarantine.payload_too_large": ("The log exceeds the size limit.", "로그가 허용 크기를 넘습니다."),
    "quarantine.missing_field": (
        "Start, end or figures of the fight are missing.",
        "전투의 시작, 종료 또는 수치가 빠져 있습니다.",
    ),
    "quarantine.no_players": ("The log has no players.", "플레이어가 없는 로그입니다."),
    "quarantine.impossible_duration": ("Implausible duration.", "있을 수 없는 전투 시간입니다."),
    "quarantine.impossible_time": (
        "Implausible date: a clock was wrong.",
        "있을 수 없는 날짜입니다. 시계가 잘못되었을 수 있습니다.",
    ),
    "quarantine.too_many_players": (
        "More players than the raid allows.",
        "레이드 정원보다 플레이어가 많습니다.",
    ),
    "quarantine.impossible_value": (
        "Implausible value, such as more crits than hits.",
        "있을 수 없는 수치입니다(예: 타격보다 많은 치명타).",
    ),
    "quarantine.broken_sums": (
        "The parts don't add up to the total: the meter lost or duplicated something.",
        "항목의 합이 전체와 다릅니다. 미터기가 일부를 빠뜨리거나 중복 기록했습니다.",
    ),
    "quarantine.meter_dps_mismatch": (
        "The DPS differs from the meter's own result.",
        "미터기에 저장된 DPS와 다릅니다.",
    ),
    "quarantine.duplicate_player": (
        "The same player appears twice in one log.",
        "한 로그에 같은 플레이어가 두 번 있습니다.",
    ),
    "quarantine.unexpected_error": (
        "The log raised an error that no rule foresees; it was reported to the operator.",
        "예상하지 못한 오류가 발생한 기록입니다. 운영자에게 보고되었습니다.",
    ),
    # errors
    "error.title.404": ("Page not found", "페이지를 찾을 수 없습니다"),
    "error.text.404": (
        "The address may be wrong, or this fight, gate or character has not been published.",
        "주소가 잘못되었거나 아직 게시되지 않은 전투, 관문, 캐릭터입니다.",
    ),
    "error.title.422": ("Invalid address", "잘못된 주소입니다"),
    "error.text.422": (
        "Invalid filter value. Remove the filter and try again.",
        "필터 값이 올바르지 않습니다. 필터를 지우고 다시 시도하세요.",
    ),
    "error.title.503": ("The data can't be reached right now", "지금은 데이터를 불러올 수 없습니다"),
    "error.text.503": (
        "This usually lasts only seconds. Try again soon.",
        "보통 몇 초 안에 복구됩니다. 잠시 후 다시 시도하세요.",
    ),
    "error.title.other": ("Internal error", "서버에 문제가 발생했습니다"),
    "error.text.other": (
        "The error has been logged. Try again.",
        "문제가 기록되었습니다. 다시 시도해 보세요.",
    ),
    "error.again": ("Try again", "다시 시도"),
    "error.home": ("To the home page", "처음으로"),
    # charts
    "chart.dps": ("DPS (million/s)", "DPS (억/초)"),
    "chart.contribution": ("contribution (%)", "기여도 (%)"),
    "chart.second": ("second of the fight", "전투 시간(초)"),
    "chart.hp": ("boss HP (%)", "보스 체력 (%)"),
    "chart.ratio": ("actual / expected", "실제 / 기대"),
    "chart.alt": ("Chart: {what}", "차트: {what}"),
}


def translate(language: str, key: str, **values: object) -> str:
    """The text of ``key`` in ``language``, with ``values`` filled in.

    Raises:
        KeyError: there is no such text.
    """
    english, korean = _TRANSLATIONS[key]
    text = korean if language == KOREAN else english
    return text.format(**values) if values else text


def has_translation(key: str) -> bool:
    """Whether ``key`` has a text."""
    return key in _TRANSLATIONS


def list_translations() -> dict[str, tuple[str, str]]:
    """Key to English and Korean."""
    return dict(_TRANSLATIONS)

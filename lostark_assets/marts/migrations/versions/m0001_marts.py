"""The marts and what was published of them.

Revision ID: m0001
"""

from __future__ import annotations

from alembic import op

revision = "m0001"
down_revision = None

_DDL = """
CREATE TABLE marts.encounters (
    encounter_id text NOT NULL,
    fight_date date NOT NULL,
    fight_id text,
    is_counted boolean,
    fight_started_at timestamptz,
    raid_name text,
    gate_name text,
    boss_name text,
    difficulty text,
    is_cleared boolean,
    duration_s bigint,
    meter_version text,
    measurement_rules text,
    region text,
    log_format text,
    detail_level text,
    is_superseded boolean,
    gate_resolution text,
    intermission_ms bigint,
    player_count integer,
    raid_size integer,
    damage bigint,
    dps bigint,
    boss_max_hp bigint,
    boss_hp_left double precision,
    boss_hp_at_s integer[],
    boss_hp double precision[],
    is_boss_only_damage boolean,
    is_rdps_valid boolean,
    completeness double precision,
    fetched_at timestamptz,
    gate_id text,
    week_started_at timestamptz,
    deaths bigint,
    PRIMARY KEY (encounter_id)
);

CREATE TABLE marts.players (
    encounter_id text NOT NULL,
    fight_date date NOT NULL,
    player_name text NOT NULL,
    fight_id text,
    is_counted boolean,
    fight_started_at timestamptz,
    raid_name text,
    gate_name text,
    boss_name text,
    difficulty text,
    is_cleared boolean,
    duration_s bigint,
    meter_version text,
    measurement_rules text,
    region text,
    week_started_at timestamptz,
    detail_level text,
    is_name_known boolean,
    class_name text,
    spec_name text,
    item_level double precision,
    combat_power double precision,
    is_support boolean,
    is_dead boolean,
    is_uploader boolean,
    party_number integer,
    item_level_bracket text,
    damage bigint,
    dps bigint,
    damage_share double precision,
    party_damage_share double precision,
    active_s double precision,
    active_dps bigint,
    crit_rate double precision,
    back_attack_rate double precision,
    front_attack_rate double precision,
    crit_damage_share double precision,
    back_attack_damage_share double precision,
    front_attack_damage_share double precision,
    casts_per_minute double precision,
    hits_per_minute double precision,
    max_hit_damage bigint,
    peak_10s_dps bigint,
    opener_dps bigint,
    deaths bigint,
    dead_s double precision,
    damage_taken bigint,
    stagger bigint,
    counters bigint,
    incapacitated_s double precision,
    support_ap double precision,
    support_brand double precision,
    support_identity double precision,
    support_hyper double precision,
    rdps bigint,
    ndps bigint,
    support_contribution double precision,
    spec_percentile double precision,
    spec_percentile_low double precision,
    spec_percentile_high double precision,
    spec_percentile_n bigint,
    item_level_percentile double precision,
    item_level_percentile_low double precision,
    item_level_percentile_high double precision,
    item_level_percentile_n bigint,
    contribution_percentile double precision,
    contribution_percentile_low double precision,
    contribution_percentile_high double precision,
    contribution_percentile_n bigint,
    uptime_percentile double precision,
    uptime_percentile_low double precision,
    uptime_percentile_high double precision,
    uptime_percentile_n bigint,
    died_at_s double precision,
    casts bigint,
    hits bigint,
    crits bigint,
    back_attacks bigint,
    front_attacks bigint,
    rdps_damage_received bigint,
    rdps_damage_given bigint,
    shields_given bigint,
    damage_absorbed_on_others bigint,
    is_ark_passive_active boolean,
    combat_power_source text,
    engravings text[],
    engraving_levels integer[],
    gem_levels integer[],
    ark_passive_evolution integer,
    ark_passive_enlightenment integer,
    ark_passive_leap integer,
    card_sets text[],
    gate_id text,
    PRIMARY KEY (encounter_id, player_name)
);

CREATE TABLE marts.skills (
    encounter_id text NOT NULL,
    fight_date date NOT NULL,
    player_name text NOT NULL,
    skill_id bigint NOT NULL,
    skill_name text,
    damage bigint,
    dps bigint,
    max_hit_damage bigint,
    max_cast_damage bigint,
    casts bigint,
    hits bigint,
    crits bigint,
    crit_rate double precision,
    adjusted_crit_rate double precision,
    back_attacks bigint,
    front_attacks bigint,
    crit_damage bigint,
    back_attack_damage bigint,
    front_attack_damage bigint,
    stagger bigint,
    damage_under_ap bigint,
    damage_under_brand bigint,
    damage_under_identity bigint,
    damage_under_hyper bigint,
    is_hyper_awakening boolean,
    is_special boolean,
    PRIMARY KEY (encounter_id, player_name, skill_id)
);

CREATE TABLE marts.timelines (
    encounter_id text NOT NULL,
    fight_date date NOT NULL,
    player_name text NOT NULL,
    measured_by text,
    dps bigint[],
    cumulative_damage bigint[],
    PRIMARY KEY (encounter_id, player_name)
);

CREATE TABLE marts.expected (
    encounter_id text NOT NULL,
    fight_id text,
    fight_date date NOT NULL,
    player_name text NOT NULL,
    fight_started_at timestamptz,
    week_started_at timestamptz,
    gate_difficulty text,
    class_name text,
    spec_name text,
    item_level_bracket text,
    is_uploader boolean,
    is_dead boolean,
    is_population boolean,
    model_version bigint,
    is_seen_in_training boolean,
    refusal_reason text,
    dps bigint,
    typical_dps bigint,
    expected_dps bigint,
    expected_dps_low bigint,
    expected_dps_high bigint,
    expected_percentile double precision,
    context_item_level_dps bigint,
    context_support_dps bigint,
    context_party_dps bigint,
    context_history_dps bigint,
    context_other_dps bigint,
    gap_dps bigint,
    gap_crit_dps bigint,
    gap_positional_dps bigint,
    gap_activity_dps bigint,
    gap_dead_dps bigint,
    gap_unexplained_dps bigint,
    scored_at timestamptz,
    PRIMARY KEY (encounter_id, player_name)
);

CREATE TABLE marts.day_quality (
    fight_date date NOT NULL,
    logs_passed bigint,
    logs_refused bigint,
    player_rows_passed bigint,
    player_rows_refused bigint,
    newest_fight_at timestamptz,
    newest_fetch_at timestamptz,
    PRIMARY KEY (fight_date)
);

CREATE TABLE marts.day_quarantine (
    fight_date date NOT NULL,
    scope text NOT NULL,
    reason_code text NOT NULL,
    row_count bigint,
    PRIMARY KEY (fight_date, scope, reason_code)
);

CREATE TABLE marts.distributions (
    raid_name text,
    gate_name text,
    difficulty text,
    class_name text,
    spec_name text,
    is_support boolean,
    item_level_bracket text,
    measurement_rules text,
    week_started_at timestamptz,
    player_count bigint,
    encounter_count bigint,
    mean_dps double precision,
    p1 double precision,
    p5 double precision,
    p10 double precision,
    p20 double precision,
    p25 double precision,
    p30 double precision,
    p40 double precision,
    p50 double precision,
    p60 double precision,
    p70 double precision,
    p75 double precision,
    p80 double precision,
    p90 double precision,
    p95 double precision,
    p99 double precision,
    median_low double precision,
    median_high double precision,
    trend double precision,
    gate_id text
);

CREATE TABLE marts.progression (
    player_name text,
    region text,
    raid_name text,
    gate_name text,
    difficulty text,
    class_name text,
    spec_name text,
    pulls bigint,
    clears bigint,
    wipes bigint,
    clear_rate double precision,
    best_boss_hp_left double precision,
    deaths bigint,
    best_dps bigint,
    pulls_to_first_clear bigint,
    time_spent_s bigint,
    first_fought_at timestamptz,
    first_cleared_at timestamptz,
    last_fought_at timestamptz,
    gate_id text
);

CREATE TABLE marts.model_evaluation (
    run_id text NOT NULL,
    model_version bigint,
    evaluated_at timestamptz,
    cutoff_at timestamptz,
    until_at timestamptz,
    predictor text NOT NULL,
    predictor_version bigint,
    slice text NOT NULL,
    value text NOT NULL,
    rows bigint,
    fights bigint,
    mape double precision,
    median_ape double precision,
    mae double precision,
    r2_log double precision,
    bias_log double precision,
    coverage double precision,
    width double precision
);

CREATE TABLE marts.champion_history (
    changed_at timestamptz NOT NULL,
    model_name text,
    alias text NOT NULL,
    from_version bigint,
    to_version bigint,
    action text,
    changed_by text,
    reason text,
    training_set_version bigint
);

CREATE TABLE marts.model_monitoring (
    week_started_at timestamptz NOT NULL,
    slice text NOT NULL,
    value text NOT NULL,
    rows bigint,
    fights bigint,
    mape double precision,
    median_ape double precision,
    mae double precision,
    r2_log double precision,
    bias_log double precision,
    coverage double precision,
    width double precision,
    mape_se double precision,
    bias_log_se double precision,
    coverage_se double precision,
    refused bigint,
    drift_log double precision,
    drift_p_value double precision,
    drift_fights bigint,
    is_drifting boolean
);

CREATE TABLE marts.play_styles (
    player_name text NOT NULL,
    region text NOT NULL,
    class_name text,
    spec_name text NOT NULL,
    fights bigint,
    style text,
    style_probability double precision,
    axis_1 double precision,
    axis_2 double precision,
    model_version bigint,
    computed_at timestamptz
);

CREATE TABLE marts.characters (
    region text NOT NULL,
    player_name text NOT NULL,
    class_name text,
    spec_name text,
    is_support boolean,
    item_level double precision,
    combat_power double precision,
    fights bigint NOT NULL,
    clears bigint NOT NULL,
    first_fought_at timestamptz NOT NULL,
    last_fought_at timestamptz NOT NULL,
    PRIMARY KEY (player_name, region)
);

CREATE TABLE marts.publications (
    version bigint PRIMARY KEY,
    published_at timestamptz NOT NULL,
    days date[] NOT NULL,
    tables text[] NOT NULL,
    row_counts jsonb NOT NULL,
    lake_versions jsonb NOT NULL
);

CREATE TABLE marts.day_states (
    fight_date date PRIMARY KEY,
    digest text NOT NULL,
    version bigint NOT NULL
);

CREATE TABLE marts.table_states (
    table_name text PRIMARY KEY,
    digest text NOT NULL,
    version bigint NOT NULL
);

CREATE INDEX encounters_by_day ON marts.encounters (fight_date);
CREATE INDEX encounters_by_fight ON marts.encounters (fight_id);
CREATE INDEX encounters_newest ON marts.encounters (fight_started_at DESC, encounter_id DESC)
    WHERE is_counted;
CREATE INDEX encounters_of_gate ON marts.encounters (gate_id, fight_started_at DESC, encounter_id DESC)
    WHERE is_counted;
CREATE INDEX players_by_day ON marts.players (fight_date);
CREATE INDEX players_of_character ON marts.players (player_name, fight_started_at DESC, encounter_id DESC);
CREATE INDEX players_of_spec ON marts.players (spec_name, fight_started_at DESC, encounter_id DESC)
    WHERE is_counted;
CREATE INDEX players_of_pool ON marts.players (gate_id, week_started_at)
    INCLUDE (class_name, spec_name, is_support, item_level, dps, measurement_rules)
    WHERE is_counted AND is_cleared AND is_dead IS NOT TRUE AND spec_name IS NOT NULL AND dps IS NOT NULL;
CREATE INDEX players_of_recent_weeks ON marts.players (week_started_at)
    INCLUDE (gate_id, class_name, spec_name, is_support, item_level, dps, measurement_rules)
    WHERE is_counted AND is_cleared AND is_dead IS NOT TRUE AND spec_name IS NOT NULL AND dps IS NOT NULL;
CREATE INDEX skills_by_day ON marts.skills (fight_date);
CREATE INDEX timelines_by_day ON marts.timelines (fight_date);
CREATE INDEX expected_by_day ON marts.expected (fight_date);
CREATE INDEX characters_by_prefix ON marts.characters (lower(player_name) text_pattern_ops, region);
CREATE INDEX characters_newest ON marts.characters (last_fought_at DESC, player_name, region);
CREATE INDEX distributions_of_gate ON marts.distributions (gate_id, week_started_at);
CREATE INDEX progression_of_character ON marts.progression (player_name);
CREATE INDEX progression_of_gate ON marts.progression (gate_id);
"""


def upgrade() -> None:
    """Create every mart."""
    op.execute(_DDL)


def downgrade() -> None:
    """Remove them; they can be published again from the lake."""
    tables = (
        "encounters players skills timelines expected day_quality day_quarantine distributions progression "
        "model_evaluation champion_history model_monitoring play_styles characters publications day_states "
        "table_states"
    )
    for name in tables.split():
        op.drop_table(name, schema="marts")

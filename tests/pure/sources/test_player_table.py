"""Player tables of every era, as Parquet and CSV, with the traps of each."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from lostark_assets.core.clean import clean_log
from lostark_assets.core.clean_meter import Rules
from lostark_assets.errors import LogRejected, UnknownFormat
from lostark_assets.sources.detect import ImportArguments, open_source
from lostark_assets.sources.player_table import PlayerTable, epoch_ms

START = 1_731_000_000_000
ERA_A = {
    "id": [7, 7, 3], "class": ["Mayhem", "Blessed Aura", "Igniter"], "gearScore": [1620.0, 1600.5, 0.0],
    "dps": [600, 30, 500], "percent": [95.2, 4.8, 100.0], "date": [START, START, START + 3_600_000],
    "duration": [100_999, 100_999, 60_000], "dead": [False, True, False], "weird": [True, True, True],
}  # fmt: skip
ERA_B = {
    "id": [11, 11], "name": ["Bob", None], "spec": ["Reflux", "Sorceress"], "gearscore": [1670.0, 1650.0],
    "dps": [1_000, 3_000], "percent": [0.25, 0.75], "timestamp": [START, START],
    "duration": [120_500, 120_500],
    "isDead": [False, False], "weird": [False, False], "arkPassiveActive": [True, False],
    "localPlayer": [True, False], "hasSpec": [True, False],
}  # fmt: skip
B_LONG = {
    "id": [21, 21], "uploadedAt": ["2025-03-01T10:00:00Z", "2025-03-01T10:00:00.123Z"],
    "boss": ["Aegir, the Oppressor"] * 2, "difficulty": ["Hard"] * 2, "timestamp": [START] * 2,
    "duration": [200_000] * 2, "version": ["1.17.2"] * 2, "localPlayer": ["Cid"] * 2, "region": ["EUC"] * 2,
    "totalDamageDealt": [400_000] * 2, "totalDps": [2_000] * 2, "minGearScore": [1660.0] * 2,
    "maxGearScore": [1680.0] * 2, "name": ["Cid", "Dee"], "class": ["Paladin", "Berserker"],
    "spec": ["Judgement", "Mayhem"], "dps": [1_500, 500], "percent": [0.75, 0.25],
    "gearScore": [1680.0, 1660.0],
    "isDead": [False, True], "deaths": [0, 2], "arkPassiveActive": [True, True], "weird": [False] * 2,
    "hasSpec": [True] * 2,
}  # fmt: skip


def write(path, columns):
    table = columns if isinstance(columns, pa.Table) else pa.table(columns)
    (pq.write_table if path.suffix == ".parquet" else pa_csv.write_csv)(table, path)
    return path


def get_logs(path, **arguments):
    """The cleaned logs of a table by id, with their refused rows."""
    source = open_source(path, ImportArguments(**arguments))
    assert isinstance(source, PlayerTable)
    fetched = source.fetch(list(source.list_logs()))
    return {log.source_log_id: clean_log("player_table", log.payload, Rules()) for log in fetched}


both = pytest.mark.parametrize("suffix", [".csv", ".parquet"])


@both
def test_the_oldest_era_holds_the_spec_under_class_and_percent_to_a_hundred(tmp_path, suffix):
    logs = get_logs(write(tmp_path / f"Aegir_G1_Hard{suffix}", ERA_A))

    assert list(logs) == ["3", "7"]
    log, refused = logs["7"]
    assert refused == []
    one, other = log.players
    assert (one["class_name"], one["spec_name"], one["is_support"]) == ("Berserker", "Mayhem", False)
    assert (other["class_name"], other["spec_name"], other["is_support"]) == ("Paladin", "Blessed Aura", True)
    assert (one["damage_share"], other["damage_share"]) == pytest.approx((0.952, 0.048))
    assert (other["is_dead"], other["item_level"], other["is_uploader"]) == (True, 1600.5, None)
    assert (one["dps"], one["meter_dps"], one["damage"]) == (600, 600, None)
    assert (one["player_name"], one["is_name_known"]) == ("Unknown #1", False)
    assert (log.encounter["duration_s"], log.encounter["duration_ms"]) == (100, 100_999)
    assert (log.encounter["raid_name"], log.encounter["gate_name"], log.encounter["difficulty"]) == (
        "Aegir", "G1", "Hard"
    )  # fmt: skip
    assert logs["3"][0].players[0]["item_level"] is None


@both
def test_the_second_era_holds_fractions_flags_and_a_class_where_the_spec_is_unknown(tmp_path, suffix):
    [(log, refused)] = get_logs(write(tmp_path / f"t{suffix}", ERA_B), raid="Behemoth", gate="G1").values()

    assert refused == []
    bob, stranger = log.players
    assert (bob["player_name"], bob["spec_name"], bob["is_uploader"]) == ("Bob", "Reflux", True)
    assert (stranger["player_name"], stranger["is_name_known"]) == ("Unknown #2", False)
    assert (stranger["class_name"], stranger["spec_name"], stranger["is_uploader"]) == (
        "Sorceress",
        None,
        False,
    )
    assert (bob["damage_share"], bob["is_ark_passive_active"]) == (0.25, True)
    assert log.encounter["local_player_name"] == "Bob"
    assert (log.encounter["raid_name"], log.encounter["gate_name"]) == ("Behemoth", "G1")
    assert log.encounter["gate_resolution"] == "import"
    assert (log.encounter["damage"], log.encounter["dps"], log.encounter["difficulty"]) == (None, None, None)


@both
def test_the_long_era_names_boss_totals_and_uploader(tmp_path, suffix):
    [(log, _)] = get_logs(write(tmp_path / f"t{suffix}", B_LONG)).values()

    cid, dee = log.players
    assert (cid["is_uploader"], dee["is_uploader"], dee["deaths"]) == (True, False, 2)
    assert (cid["spec_name"], cid["damage"], dee["damage"]) == ("Judgment", 300_000, 100_000)
    encounter = log.encounter
    assert (encounter["damage"], encounter["dps"], encounter["meter_dps"]) == (400_000, 2_000, 2_000)
    assert (encounter["region"], encounter["meter_version"], encounter["difficulty"]) == (
        "EUC",
        "1.17.2",
        "Hard",
    )
    assert (encounter["raid_name"], encounter["gate_name"]) == ("Aegir", "G2")
    assert encounter["fight_started_at"] == datetime.fromtimestamp(START / 1000, UTC)
    assert encounter["is_cleared"] is True


def test_columns_win_over_arguments_and_arguments_over_the_file_name(tmp_path):
    path = write(tmp_path / "Behemoth_G2_Normal.csv", B_LONG)
    [(by_columns, _)] = get_logs(path, boss="Narok the Butcher", difficulty="Normal").values()
    path = write(tmp_path / "Behemoth_G2_Normal.parquet", ERA_B)
    [(by_arguments, _)] = get_logs(path, boss="Narok the Butcher", difficulty="Hard").values()
    [(by_name, _)] = get_logs(path).values()

    found = [
        (log.encounter["raid_name"], log.encounter["gate_name"])
        for log in (by_columns, by_arguments, by_name)
    ]
    assert found == [("Aegir", "G2"), ("Act 2: Brelshaza", "G1"), ("Behemoth", "G2")]
    assert [log.encounter["difficulty"] for log in (by_columns, by_arguments, by_name)] == [
        "Hard",
        "Hard",
        "Normal",
    ]


def test_rows_of_one_encounter_are_found_wherever_they_lie(tmp_path):
    columns = {name: [*values, *values[:1]] for name, values in ERA_A.items()}
    columns["class"][-1] = "Igniter"

    logs = get_logs(write(tmp_path / "t.parquet", columns))

    assert {key: len(log.players) for key, (log, _) in logs.items()} == {"3": 1, "7": 3}


@both
def test_rows_without_an_id_are_a_problem_and_no_encounter(tmp_path, suffix):
    ids = pa.array([11.0, None] if suffix == ".csv" else [11.0, float("nan")])
    source = open_source(write(tmp_path / f"t{suffix}", pa.table(ERA_B | {"id": ids})))

    assert [one.source_log_id for one in source.list_logs()] == ["11"]
    assert [problem.reason for problem in source.problems] == ["1 rows without an encounter id"]


def test_ids_that_went_through_pandas_are_the_same_ids(tmp_path):
    whole = write(tmp_path / "whole.parquet", ERA_B)
    real = write(tmp_path / "real.parquet", ERA_B | {"id": [11.0, 11.0]})

    assert list(get_logs(whole)) == list(get_logs(real)) == ["11"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (START, START), (float(START), START), (str(START), START), (f"{START}.0", START), (" 17 ", 17),
        ("2024-11-07T17:20:00Z", START), ("2024-11-07 17:20:00+00:00", START),
        ("2024-11-07T18:20:00+01:00", START), ("2024-11-07T17:20:00", START),
        (datetime(2024, 11, 7, 17, 20, tzinfo=UTC), START),
        ("", None), ("soon", None), (None, None), (True, None), (float("nan"), None), ("inf", None),
        (1e300, None),
    ],
)  # fmt: skip
def test_a_fight_start_is_read_from_numbers_and_iso_times(value, expected):
    assert epoch_ms(value) == expected


def test_a_table_with_iso_dates_is_read(tmp_path):
    dates = pa.array([START * 1000] * 2, pa.timestamp("us", tz="UTC"))
    path = write(tmp_path / "t.parquet", pa.table(ERA_B | {"timestamp": dates}))

    [(log, _)] = get_logs(path).values()

    assert log.encounter["fight_started_at"] == datetime.fromtimestamp(START / 1000, UTC)


@both
def test_a_row_that_cannot_be_is_refused_alone(tmp_path, suffix):
    columns = {name: values * 2 for name, values in ERA_B.items()}
    columns |= {
        "name": ["Bob", "Bob", "Eve", "Fay"],
        "dps": [1_000, 3_000, -5, 20],
        "percent": [0.3, 0.5, 0.1, 0.1],
    }

    [(log, refused)] = get_logs(write(tmp_path / f"t{suffix}", columns)).values()

    assert [player["player_name"] for player in log.players] == ["Bob", "Fay"]
    assert [(name, error.reason_code) for name, error in refused] == [
        ("Bob", "duplicate_player"), ("Eve", "impossible_value")
    ]  # fmt: skip
    assert (log.encounter["player_rows_in"], log.encounter["player_count"]) == (4, 2)


def test_eighteen_players_in_a_raid_of_eight_are_too_many(tmp_path):
    columns = {name: values * 9 for name, values in ERA_B.items()} | {"name": [f"P{n}" for n in range(18)]}
    path = write(tmp_path / "Aegir_G1_Hard.parquet", columns)

    with pytest.raises(LogRejected, match=r"at most 8 players in Aegir G1, found 18") as refused:
        get_logs(path)
    assert refused.value.reason_code == "too_many_players"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"duration": [72_654_676] * 2}, "impossible_duration"),
        ({"duration": [None] * 2}, "missing_field"),
        ({"duration": ["x"] * 2}, "missing_field"),
        ({"timestamp": [5] * 2}, "impossible_time"),
        ({"timestamp": [None] * 2}, "missing_field"),
        ({"dps": [-1] * 2}, "no_players"),
    ],
)
def test_an_encounter_that_cannot_be_is_refused(tmp_path, changes, reason):
    with pytest.raises(LogRejected) as refused:
        get_logs(write(tmp_path / "t.csv", ERA_B | changes))
    assert refused.value.reason_code == reason


def test_totals_that_contradict_each_other_are_refused(tmp_path):
    with pytest.raises(LogRejected) as refused:
        get_logs(write(tmp_path / "t.parquet", B_LONG | {"totalDps": [2_001] * 2}))
    assert refused.value.reason_code == "meter_dps_mismatch"


def test_dps_zero_is_a_dps(tmp_path):
    [(log, refused)] = get_logs(write(tmp_path / "t.parquet", ERA_B | {"dps": [0, 3_000]})).values()

    assert (log.players[0]["dps"], refused) == (0, [])


@both
def test_a_table_without_the_needed_columns_says_which(tmp_path, suffix):
    path = write(tmp_path / f"t{suffix}", {"id": [1], "dps": [2], "name": ["x"]})

    with pytest.raises(UnknownFormat, match="a table of something else"):
        open_source(path)
    with pytest.raises(UnknownFormat, match="duration and date/timestamp and class/spec"):
        list(PlayerTable(path, "t", {}).list_logs())


def test_a_damaged_parquet_is_an_unknown_format(tmp_path):
    path = write(tmp_path / "t.parquet", ERA_B)
    path.write_bytes(path.read_bytes()[:-40])

    with pytest.raises(UnknownFormat, match="damage"):
        open_source(path)


def test_the_context_of_an_import_is_part_of_the_identity(tmp_path):
    path = write(tmp_path / "t.parquet", ERA_B)
    listings = [
        list(open_source(path, ImportArguments(difficulty=word)).list_logs())
        for word in ("Hard", "Hard", "Normal")
    ]

    one, again, other = (listing[0].fingerprint for listing in listings)
    assert one == again != other


def test_dictionary_columns_are_read_as_text(tmp_path):
    table = pa.table(ERA_B)
    for name in ("id", "spec"):
        place = table.column_names.index(name)
        table = table.set_column(place, name, table[name].cast(pa.string()).dictionary_encode())

    logs = get_logs(write(tmp_path / "aegir_g1.parquet", table), raid="Aegir", gate="G1")

    [(clean, refused)] = logs.values()
    assert ([player["player_name"] for player in clean.players][:1], refused) == (["Bob"], [])


def test_a_column_twice_is_refused(tmp_path):
    table = pa.table(ERA_B).append_column("id", pa.array([12, 12]))
    with pytest.raises(UnknownFormat, match="more than one column id"):
        list(PlayerTable(write(tmp_path / "t.parquet", table), "t", {}).list_logs())


def test_a_value_that_no_type_of_python_holds_leaves_out_its_encounter_alone(tmp_path):
    table = pa.table({**ERA_B, "id": [11, 12]})
    place = table.column_names.index("timestamp")
    starts = pa.array([2**62, START * 1000]).cast(pa.timestamp("us"))
    source = PlayerTable(write(tmp_path / "t.parquet", table.set_column(place, "timestamp", starts)), "t", {})

    assert [listed.source_log_id for listed in source.list_logs()] == ["12"]
    assert [problem.where for problem in source.problems] == ["encounter 11"]

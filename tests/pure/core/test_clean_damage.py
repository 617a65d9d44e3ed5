"""Damaged logs of any kind are refused, never an error that would stop the others of their day."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, date, datetime

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lostark_assets.contracts.reasons import REASONS
from lostark_assets.contracts.registry import CONTRACTS
from lostark_assets.contracts.rules import get_rules
from lostark_assets.core.clean import Stamp, clean_into, clean_log
from lostark_assets.core.clean_meter import Rules
from lostark_assets.core.rows import Cleaned
from lostark_assets.core.validate import _CHECKS, CROSS_RULES, build_tables
from lostark_assets.errors import LogRejected
from lostark_assets.sources.loa_logs_db import LoaLogsDb
from lostark_simulator.entities import encounter_json
from lostark_simulator.loa_logs_db import write_encounters_db
from lostark_simulator.season import SeasonConfig, generate_fight, generate_fights
from lostark_simulator.views import view_fight

NOW = datetime(2027, 1, 1, tzinfo=UTC)
RULES = Rules(now=NOW, max_part_bytes=1 << 20, max_log_bytes=4 << 20)
CONFIG = SeasonConfig(
    encounters=1, hits_per_player=3, dirt=False, duplicate_share=0.0, seed=2, raids=("Serca",)
)
MANY = settings(
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
TABLE = {
    "context": {"raid": "Aegir", "gate": "G1"},
    "columns": [
        "id",
        "name",
        "spec",
        "gearscore",
        "dps",
        "percent",
        "timestamp",
        "duration",
        "isDead",
        "localPlayer",
    ],
    "rows": [
        [1, "Bob", "Mayhem", 1670.0, 100, 0.5, 1_760_000_000_000, 60_000, False, True],
        [1, None, "Igniter", 1660.0, 90, 0.5, 1_760_000_000_000, 60_000, True, False],
    ],
}


@pytest.fixture(scope="module")
def payloads(tmp_path_factory):
    """A good log of each format."""
    path = tmp_path_factory.mktemp("one") / "encounters.db"
    write_encounters_db(path, generate_fights(CONFIG))
    source = LoaLogsDb(path)
    [log] = source.fetch(source.list_logs())
    fight = generate_fight(CONFIG, 0)
    document = msgspec.json.encode(encounter_json(view_fight(fight, fight.uploads[0])))
    return {
        "loa_logs_db": log.payload,
        "upload_json": document,
        "player_table": msgspec.msgpack.encode(TABLE),
    }


def outcome(log_format, payload):
    """The reason that a log is refused for, None if it is not."""
    try:
        clean_log(log_format, payload, RULES)
    except LogRejected as error:
        return error.reason_code
    return None


def raw_row(log_format, payload, place=0):
    return {
        "log_id": f"{place:016x}" * 2, "source": "s", "source_log_id": str(place), "log_format": log_format,
        "fight_date": date(2026, 9, 2), "fetched_at": NOW, "payload": payload,
    }  # fmt: skip


def check_accounted(rows):
    """Every raw row is an encounter or in quarantine, and the tables keep all blocking rules."""
    cleaned = Cleaned()
    for row in rows:
        clean_into(cleaned, row, RULES, Stamp("run", NOW))
    tables = build_tables(cleaned)
    for rule, (_, severity) in CROSS_RULES.items():
        if severity == "error":
            found = _CHECKS[rule](rule, severity, tables, len(rows))
            assert found.passed, str(found)
    for name, table in tables.items():
        for rule in get_rules(CONTRACTS[name]):
            if rule.severity == "error" and table.num_rows:
                assert not any(rule.broken_by(table).to_pylist()), (name, rule.name)


def test_the_good_logs_are_good(payloads):
    assert {
        log_format: outcome(log_format, payload) for log_format, payload in payloads.items()
    } == dict.fromkeys(payloads)
    check_accounted([raw_row(f, p, n) for n, (f, p) in enumerate(payloads.items())])


@pytest.mark.parametrize("log_format", ["loa_logs_db", "upload_json", "player_table"])
@pytest.mark.parametrize(
    "payload", [b"", b"\x00", b"{}", b"[]", b"null", b"\x80", b"\xc1", b"\x1f\x8b", b"\xff" * 99]
)
def test_what_is_no_log_is_refused(log_format, payload):
    assert outcome(log_format, payload) in REASONS


@given(st.data())
@MANY
def test_flipped_bytes_refuse_a_log_or_leave_it_whole(payloads, data):
    log_format = data.draw(st.sampled_from(sorted(payloads)))
    payload = bytearray(payloads[log_format])
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))

    check_accounted([raw_row(log_format, bytes(payload))])


@given(st.data())
@MANY
def test_a_cut_log_is_refused(payloads, data):
    log_format = data.draw(st.sampled_from(sorted(payloads)))
    whole = payloads[log_format]

    assert outcome(log_format, whole[: data.draw(st.integers(0, len(whole) - 1))]) in REASONS


def list_paths(value, path=()):
    """Every place in a document."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from list_paths(inner, (*path, key))


def replaced(value, path, new):
    """A copy of a document with another value at one place."""
    if not path:
        return new
    key, *rest = path
    if isinstance(value, dict):
        return {k: replaced(v, rest, new) if k == key else v for k, v in value.items()}
    return [replaced(v, rest, new) if n == key else v for n, v in enumerate(value)]


ODD = st.sampled_from(
    [
        None, True, False, 0, -1, 1, 2**31, 2**53, 2**62, 2**63, -(2**63) - 1, 10**40, 0.5, -0.5, 1e18, 1e300,
        "", "nan", "inf", "-inf", "1", "x" * 3000, "\x00", "null", [], {}, [[]], {"": None}, "2026-09-02",
        [1, "a"], "\ud7ff\ue000",
    ]
)  # fmt: skip


@pytest.fixture(scope="module")
def places(payloads):
    documents = {
        "upload_json": json.loads(payloads["upload_json"]),
        "player_table": msgspec.msgpack.decode(payloads["player_table"]),
    }
    return {name: (document, list(list_paths(document))) for name, document in documents.items()}


@given(st.data())
@MANY
def test_an_odd_value_anywhere_refuses_its_log_or_breaks_no_rule(places, data):
    log_format = data.draw(st.sampled_from(sorted(places)))
    document, paths = places[log_format]
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(paths))
        try:
            document = replaced(document, path, data.draw(ODD))
        except (TypeError, ValueError, AttributeError):
            continue
    try:
        encode = msgspec.msgpack.encode if log_format == "player_table" else msgspec.json.encode
        payload = encode(document)
    except (OverflowError, msgspec.MsgspecError):
        payload = json.dumps(document).encode()

    check_accounted([raw_row(log_format, payload)])


@given(column=st.data())
@MANY
def test_an_odd_value_in_any_column_of_a_database_refuses_its_log_or_breaks_no_rule(payloads, column):
    log = msgspec.msgpack.decode(payloads["loa_logs_db"])
    fitting = ODD.filter(lambda v: not isinstance(v, int) or abs(v) < 2**63)
    values = st.one_of(fitting, st.binary(max_size=40))
    for _ in range(column.draw(st.integers(1, 3))):
        table = column.draw(st.sampled_from(["encounter", "preview", "entities"]))
        if table == "entities":
            row = column.draw(st.sampled_from(log["entities"]))
            row[column.draw(st.integers(0, len(row) - 1))] = column.draw(values)
        else:
            log[table][column.draw(st.sampled_from(sorted(log[table])))] = column.draw(values)

    check_accounted([raw_row("loa_logs_db", msgspec.msgpack.encode(log))])


@pytest.mark.parametrize("part", ["skills", "damage_stats", "skill_stats"])
@pytest.mark.parametrize("make", [lambda text: text, lambda text: gzip.compress(text.encode()), str.encode])
def test_a_document_of_the_wrong_shape_is_named_by_its_place(payloads, part, make):
    log = msgspec.msgpack.decode(payloads["loa_logs_db"])
    at = log["entity_columns"].index(part)
    row = next(row for row in log["entities"] if "PLAYER" in row)
    row[at] = make('["not", "a", "document"]')

    with pytest.raises(LogRejected) as refused:
        clean_log("loa_logs_db", msgspec.msgpack.encode(log), RULES)
    assert (refused.value.reason_code, refused.value.locator) == (
        "invalid_json",
        f"entity {row[0]!r}, {part}",
    )

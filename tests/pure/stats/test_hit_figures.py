"""Figures from hits: exact values, edges of a fight, batches that end anywhere, and a slow reference."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lostark_assets.contracts.stats import STATS_DPS_TIMELINE
from lostark_assets.errors import NotFound
from lostark_assets.stats.hits import COLUMNS, hit_figures, stream_hit_figures

SCHEMA = pa.schema(
    [
        ("encounter_id", pa.string()),
        ("player_name", pa.string()),
        ("skill_id", pa.int64()),
        ("hit_at_ms", pa.int32()),
        ("damage", pa.int64()),
        ("is_crit", pa.bool_()),
        ("is_back_attack", pa.bool_()),
        ("is_front_attack", pa.bool_()),
    ]
)


def build_table(*hits: tuple) -> pa.Table:
    """(encounter, player, skill, at, damage) and up to three flags a hit."""
    rows = [(*hit, *([False] * (len(COLUMNS) - len(hit)))) for hit in hits]
    names = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    return pa.Table.from_pylist(names, schema=SCHEMA)


def one_player(*hits: tuple[int, int], length_ms: int) -> dict:
    """The player row of a fight with these (at, damage) of one skill."""
    figures = hit_figures(build_table(*(("e", "p", 1, at, damage) for at, damage in hits)), {"e": length_ms})
    return figures.players.to_pylist()[0]


def rolling(*hits: tuple[int, int], length_ms: int) -> list[int]:
    figures = hit_figures(build_table(*(("e", "p", 1, at, damage) for at, damage in hits)), {"e": length_ms})
    return figures.timeline["rolling_10s_dps"].to_pylist()


def test_sums_are_exact_by_player_and_by_skill():
    hits = build_table(
        ("e", "a", 10, 100, 7, True, True, False),
        ("e", "a", 10, 900, 5, False, True, False),
        ("e", "a", 20, 31_000, 100, True, False, True),
        ("e", "b", 10, 500, 1),
    )

    figures = hit_figures(hits, {"e": 40_000})

    first, second = figures.players.to_pylist()
    assert first == {
        "encounter_id": "e", "player_name": "a", "hits": 3, "crits": 2, "back_attacks": 2, "front_attacks": 1,
        "damage": 112, "crit_damage": 107, "back_attack_damage": 12, "front_attack_damage": 100,
        "max_hit_damage": 100, "first_hit_at_ms": 100, "last_hit_at_ms": 31_000, "active_s": 0.8,
        "peak_10s_dps": 10, "opener_damage": 12,
    }  # fmt: skip
    assert (second["player_name"], second["hits"], second["damage"]) == ("b", 1, 1)
    assert figures.skills.select(
        ["player_name", "skill_id", "hits", "damage", "max_hit_damage"]
    ).to_pylist() == [
        {"player_name": "a", "skill_id": 10, "hits": 2, "damage": 12, "max_hit_damage": 7},
        {"player_name": "a", "skill_id": 20, "hits": 1, "damage": 100, "max_hit_damage": 100},
        {"player_name": "b", "skill_id": 10, "hits": 1, "damage": 1, "max_hit_damage": 1},
    ]


def test_an_empty_chunk_gives_empty_tables_of_the_same_shape():
    figures = hit_figures(SCHEMA.empty_table(), {})

    full = hit_figures(build_table(("e", "p", 1, 0, 1)), {"e": 1000})
    assert [table.num_rows for table in figures] == [0, 0, 0]
    assert [table.column_names for table in figures] == [table.column_names for table in full]


def test_a_fight_of_one_hit_was_active_for_no_time():
    row = one_player((4_000, 50), length_ms=12_000)

    assert (row["active_s"], row["first_hit_at_ms"], row["last_hit_at_ms"], row["damage"]) == (
        0,
        4_000,
        4_000,
        50,
    )


@pytest.mark.parametrize(
    ("times", "active_s"),
    [
        ((0, 5_000), 5.0),
        ((0, 5_001), 0.0),
        ((0, 400, 5_900, 6_000), 0.5),
        ((-500, 4_500), 5.0),
        ((999, 6_000), 0.0),
    ],
)
def test_gaps_count_to_the_millisecond(times, active_s):
    assert one_player(*((at, 1) for at in times), length_ms=60_000)["active_s"] == active_s


def test_time_after_the_end_is_active_though_its_damage_falls_into_the_last_second():
    hits = build_table(("e", "p", 1, 1_000, 1), ("e", "p", 1, 4_000, 2), ("e", "p", 1, 20_000, 4))

    figures = hit_figures(hits, {"e": 3_000})

    assert figures.players["active_s"].to_pylist() == [3.0]
    assert figures.timeline["damage"].to_pylist() == [0, 1, 6]


def test_hits_before_the_start_fall_into_the_first_second():
    figures = hit_figures(build_table(("e", "p", 1, -700, 3), ("e", "p", 1, 10, 4)), {"e": 2_000})

    assert figures.timeline["damage"].to_pylist() == [7, 0]


def test_a_constant_rate_reads_the_same_at_the_ends():
    assert set(rolling(*((1000 * t + 500, 100) for t in range(60)), length_ms=60_000)) == {100}


def test_a_window_at_the_end_divides_by_the_part_of_a_second_that_was_fought():
    assert rolling((500, 100), (1_200, 50), length_ms=1_500) == [100, 100]


def test_the_window_spans_five_seconds_to_either_side():
    dps = rolling((15_000, 1_000), length_ms=40_000)

    assert [second for second, value in enumerate(dps) if value] == list(range(11, 21))


def test_cumulative_damage_ends_at_the_damage_dealt():
    figures = hit_figures(build_table(("e", "p", 1, 0, 3), ("e", "p", 2, 3_900, 4)), {"e": 4_200})

    assert figures.timeline["cumulative_damage"].to_pylist() == [3, 3, 3, 7, 7]
    assert figures.timeline["second"].to_pylist() == [0, 1, 2, 3, 4]


def test_a_peak_needs_ten_full_seconds():
    assert one_player((0, 100), length_ms=9_999)["peak_10s_dps"] is None
    assert one_player((0, 100), length_ms=10_000)["peak_10s_dps"] == 10
    # The last, partial second is in no full window.
    assert one_player((10_400, 500), length_ms=10_500)["peak_10s_dps"] == 0


def test_a_fight_lasts_at_least_a_second():
    assert rolling((0, 80), length_ms=-40) == [80]


def test_the_opener_ends_before_thirty_seconds():
    assert one_player((-10, 1), (29_999, 2), (30_000, 4), length_ms=60_000)["opener_damage"] == 3


def test_dictionary_ids_give_the_same_as_plain_strings():
    plain = build_table(("e", "a", 1, 0, 1, True), ("f", "a", 1, 0, 2), ("f", "b", 1, 5, 3))
    encoded = plain.set_column(0, "encounter_id", plain["encounter_id"].dictionary_encode())
    encoded = encoded.set_column(1, "player_name", plain["player_name"].dictionary_encode())

    for left, right in zip(hit_figures(plain, LENGTHS), hit_figures(encoded, LENGTHS), strict=True):
        assert left.to_pylist() == right.to_pylist()


def test_a_slice_reads_its_own_flags():
    hits = build_table(*(("e", "p", 1, at, 1, at % 3 == 0, at % 2 == 0, True) for at in range(30)))

    row = hit_figures(hits.slice(11, 10), {"e": 1000}).players.to_pylist()[0]

    assert (row["crits"], row["back_attacks"], row["front_attacks"]) == (3, 5, 10)


def test_the_timeline_fits_its_contract():
    timeline = hit_figures(build_table(("e", "p", 1, 0, 3)), {"e": 2000}).timeline

    assert STATS_DPS_TIMELINE.conform(timeline)["measured_by"].to_pylist() == ["hits", "hits"]
    assert hit_figures(build_table(("e", "p", 1, 0, 3)), {"e": 2000}, timeline=False).timeline is None


@pytest.mark.parametrize(
    "hits",
    [
        [("e", "a", 1, 0, 1), ("f", "a", 1, 0, 1), ("e", "a", 1, 5, 1)],
        [("e", "a", 1, 0, 1), ("e", "b", 1, 0, 1), ("e", "a", 2, 5, 1)],
        [("e", "a", 2, 0, 1), ("e", "a", 1, 0, 1)],
    ],
    ids=["encounter comes back", "player comes back", "skill descends"],
)
def test_hits_out_of_order_are_refused(hits):
    with pytest.raises(ValueError, match="not sorted"):
        hit_figures(build_table(*hits), LENGTHS)


def test_nulls_are_refused():
    hits = build_table(("e", "a", 1, 0, 1)).set_column(4, "damage", pa.array([None], pa.int64()))

    with pytest.raises(ValueError, match="damage holds 1 nulls"):
        hit_figures(hits, LENGTHS)


def test_an_encounter_without_a_length_is_named():
    with pytest.raises(NotFound, match="such as stray"):
        hit_figures(build_table(("stray", "a", 1, 0, 1)), LENGTHS)


LENGTHS = {"e": 9_000, "f": 2_500, "g": 31_000}
hit_keys = st.tuples(
    st.sampled_from("efg"), st.sampled_from("abc"), st.integers(0, 3), st.integers(-900, 33_000),
    st.integers(0, 10**12), st.booleans(), st.booleans(), st.booleans(),
)  # fmt: skip


@given(st.lists(hit_keys, max_size=60))
@settings(deadline=None, max_examples=100)
def test_every_figure_equals_a_slow_reference(hits):
    figures = hit_figures(build_table(*sorted(hits)), LENGTHS)

    assert figures.players.to_pylist() == slow_players(hits)
    assert figures.timeline.drop_columns(["measured_by"]).to_pylist() == slow_timeline(hits)
    assert sum(figures.skills["hits"].to_pylist()) == len(hits)


@given(st.lists(hit_keys, max_size=60), st.lists(st.integers(0, 60), max_size=8))
@settings(deadline=None, max_examples=50)
def test_where_batches_end_makes_no_difference(hits, cuts):
    hits = build_table(*sorted(hits))
    borders = sorted({0, len(hits), *(cut for cut in cuts if cut <= len(hits))})
    batches = [hits.slice(a, b - a) for a, b in pairwise(borders)]

    streamed = list(stream_hit_figures(batches, LENGTHS))

    whole = hit_figures(hits, LENGTHS)
    for place, table in enumerate(whole):
        assert [row for figures in streamed for row in figures[place].to_pylist()] == table.to_pylist()


def test_an_encounter_over_many_batches_comes_out_once():
    hits = build_table(*(("e", "p", 1, at, 1) for at in range(10)), ("f", "p", 1, 0, 5))

    streamed = list(stream_hit_figures((hits.slice(row, 1) for row in range(11)), LENGTHS))

    assert [figures.players["damage"].to_pylist() for figures in streamed] == [[10], [5]]


def test_a_stream_that_comes_back_to_an_encounter_is_refused():
    parts = [build_table((name, "p", 1, 0, 1)) for name in "efe"]

    with pytest.raises(ValueError, match="occur twice"):
        list(stream_hit_figures(parts, LENGTHS))


def by_player(hits: list[tuple]) -> dict[tuple[str, str], list[tuple]]:
    groups: dict[tuple[str, str], list[tuple]] = {}
    for hit in sorted(hits):
        groups.setdefault(hit[:2], []).append(hit[2:])
    return groups


def count_bins(hits: list[tuple], length: int) -> list[int]:
    bins = [0] * -(-length // 1000)
    for _, at, damage, *_ in hits:
        bins[min(max(at, 0) // 1000, len(bins) - 1)] += damage
    return bins


def slow_players(hits: list[tuple]) -> list[dict]:
    rows = []
    for (encounter, player), own in by_player(hits).items():
        length = LENGTHS[encounter]
        times = sorted(hit[1] for hit in own)
        gaps = [gap for gap in np.diff(times).tolist() if gap <= 5_000]
        whole = count_bins(own, length)[: length // 1000]
        windows = [sum(whole[t : t + 10]) // 10 for t in range(len(whole) - 9)]
        flags = ("crit", "back_attack", "front_attack")
        rows.append(
            {
                "encounter_id": encounter, "player_name": player, "hits": len(own),
                **{f"{flag}s": sum(hit[3 + i] for hit in own) for i, flag in enumerate(flags)},
                "damage": sum(hit[2] for hit in own),
                **{f"{flag}_damage": sum(hit[2] * hit[3 + i] for hit in own) for i, flag in enumerate(flags)},
                "max_hit_damage": max(hit[2] for hit in own), "first_hit_at_ms": times[0],
                "last_hit_at_ms": times[-1], "active_s": sum(gaps) / 1000,
                "peak_10s_dps": max(windows, default=None),
                "opener_damage": sum(hit[2] for hit in own if hit[1] < 30_000),
            }
        )  # fmt: skip
    return rows


def slow_timeline(hits: list[tuple]) -> list[dict]:
    rows = []
    for (encounter, player), own in by_player(hits).items():
        length = LENGTHS[encounter]
        bins = count_bins(own, length)
        for t, damage in enumerate(bins):
            covered = min(length, 1000 * t + 5_000) - max(0, 1000 * t - 5_000)
            window = sum(bins[max(0, t - 5) : t + 5])
            rows.append(
                {
                    "encounter_id": encounter, "player_name": player, "second": t, "damage": damage,
                    "rolling_10s_dps": window * 1000 // covered, "cumulative_damage": sum(bins[: t + 1]),
                }
            )  # fmt: skip
    return rows

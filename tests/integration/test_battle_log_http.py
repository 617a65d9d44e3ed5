"""Logs of a service end up in the raw table once, byte for byte, whatever fails on either side."""

from __future__ import annotations

import hashlib
import json
import urllib.request
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from lostark_assets.errors import CircuitOpen, SourceRefused, SourceUnavailable
from lostark_assets.gateway.client import Gateway
from lostark_assets.lake.tables import Lake
from lostark_assets.ledger import open_ledger
from lostark_assets.settings import get_settings
from lostark_assets.sources.collect import collect, collect_all
from lostark_assets.sources.collector import CollectOptions
from lostark_assets.sources.configured import configured_origins, service_at, service_source
from lostark_assets.sources.probe import probe_origin
from lostark_platform.cli.ingest import ingest_paths
from lostark_simulator.mock_server.config import FAULT_KINDS, MockServerConfig
from lostark_simulator.mock_server.running import running_season

SEASON = MockServerConfig(history=30, new_fight_every_s=0, hits_per_player=5, dirt=False, seed=7)
CONTENT = ["source_log_id", "content_sha256", "log_format", "fight_started_at", "fight_date", "payload"]
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def served():
    with running_season(SEASON) as (url, season):
        yield url, season


class Collector:
    """A platform that collects from one service."""

    def __init__(self, url, folder, **settings):
        self.settings = get_settings(home=folder, battle_log_urls=f"svc={url}", sources="", **settings)
        self.origin = next(o for o in configured_origins(self.settings) if o.where == url)
        self.lake = Lake(str(folder / "lake"))
        self.ledger = open_ledger(self.settings)

    def source(self, **changes):
        return replace(service_source(self.origin, self.settings), **changes)

    def collect(self, source=None, **options):
        self.last = source or self.source()
        results = []
        options = CollectOptions("r", date(2022, 1, 1), **options)
        collect_all([self.last], self.lake, self.ledger, lambda *result: results.append(result), options)
        [(_, done, error)] = results
        if error:
            raise error
        return done

    def probe(self):
        return probe_origin(self.origin, self.settings)

    def rows(self, columns=("source_log_id", "content_sha256", "payload")):
        return sorted(map(repr, self.lake.read("raw_battle_logs", columns=list(columns)).to_pylist()))

    def content_hash(self):
        return hashlib.sha256("\n".join(self.rows(CONTENT)).encode()).hexdigest()


@pytest.fixture
def collector(served, tmp_path):
    return Collector(served[0], tmp_path)


def get_entries(url):
    with urllib.request.urlopen(f"{url}/v1/battle-logs?limit=1000") as answer:
        return json.load(answer)["logs"]


def get_counts(url):
    with urllib.request.urlopen(f"{url}/mock-server/counts") as answer:
        return json.load(answer)


def test_every_log_comes_once_byte_for_byte_and_the_next_collection_asks_for_the_end_alone(served, collector):
    url, season = served

    first = collector.collect()
    second = collector.collect()

    assert (first.found, first.new, first.known) == (season.logs, season.logs, 0)
    assert (second.found, second.new, collector.last.counts.requests) == (0, 0, 1)
    rows = collector.lake.read("raw_battle_logs").to_pylist()
    assert {(r["source_log_id"], r["content_sha256"], r["payload_bytes"]) for r in rows} == {
        (e["id"], e["content_sha256"], e["size_bytes"]) for e in get_entries(url)
    }
    assert all(hashlib.sha256(r["payload"]).hexdigest() == r["content_sha256"] for r in rows)
    assert {(r["source"], r["source_path"], r["log_format"]) for r in rows} == {("svc", url, "upload_json")}
    assert all(r["fight_date"] == r["fight_started_at"].date() for r in rows)


def test_the_ledger_records_outcomes_of_collections(served, collector):
    collector.collect()
    collector.collect()

    [first, second] = collector.ledger.collections(LONG_AGO, "svc")
    logs = served[1].logs
    assert (first.kind, first.outcome, first.found, first.new) == ("battle_logs", "ok", logs, logs)
    assert (first.requests, first.failed_requests, first.error) == (logs + 2, 0, None)
    assert (second.requests, second.found) == (1, 0)


def test_new_late_and_edited_logs_are_found_and_only_they_are_fetched(served, collector):
    _, season = served
    collector.collect()
    assert collector.probe().has_new is False

    came = season.add_revisions(2) + season.grow(2) + season.grow(1, late_days=20.0)
    seen = collector.probe()
    done = collector.collect()

    assert (seen.has_new, seen.sources) == (True, ("svc",))
    assert (done.found, done.new) == (len(came), len(came))
    assert collector.last.counts.requests == len(came) + 2
    ids = collector.lake.read("raw_battle_logs", columns=["source_log_id"])["source_log_id"].to_pylist()
    assert len(ids) - len(set(ids)) == 2
    assert collector.probe().has_new is False


def test_a_forgotten_cursor_leads_to_a_listing_of_all_and_to_no_fetch(served, collector):
    url, season = served
    collector.collect()
    before = get_counts(url)["requests"]["battle_logs.fetch"]
    season.expire_cursors()
    season.grow(1)

    assert collector.probe().has_new is True
    done = collector.collect()

    assert (done.found, done.new, done.known) == (season.logs, 1, season.logs - 1)
    assert get_counts(url)["requests"]["battle_logs.fetch"] == before + 1
    assert collector.probe().has_new is False


def test_the_whole_listing_is_read_once_a_day(served, collector):
    collector.collect()
    tomorrow = datetime.now(UTC) + timedelta(hours=25)

    assert collector.source(clock=lambda: tomorrow).probe() == "the whole listing is due"
    done = collector.collect(collector.source(clock=lambda: tomorrow))

    assert (done.found, done.new) == (served[1].logs, 0)
    assert collector.source(clock=lambda: tomorrow).probe() is None


class Died(BaseException):
    """Simulates the death of the process: no error handler sees it."""


@pytest.mark.parametrize("commits", [1, 2, 4])
def test_the_cursor_never_passes_what_is_not_committed(served, collector, monkeypatch, commits):
    append, left = Lake.append, [commits]

    def dying(lake, contract, rows):
        left[0] -= 1
        if left[0] < 0:
            raise Died
        append(lake, contract, rows)

    monkeypatch.setattr(Lake, "append", dying)
    with pytest.raises(Died):
        collector.collect(collector.source(page_size=5), batch_bytes=20_000)
    monkeypatch.setattr(Lake, "append", append)
    stored = collector.lake.count("raw_battle_logs")

    done = collector.collect(collector.source(page_size=5), batch_bytes=20_000)

    logs = served[1].logs
    assert 0 < stored < logs
    assert done.new == logs - stored
    assert len(set(collector.rows())) == logs == collector.lake.count("raw_battle_logs")


def test_a_source_that_fails_in_the_middle_keeps_what_came_and_the_rest_comes_later(
    served, collector, monkeypatch
):
    get, left = Gateway.get, [17]

    async def failing(self, path, *args, **options):
        left[0] -= 1
        if left[0] < 0:
            raise CircuitOpen("svc: left alone")
        return await get(self, path, *args, **options)

    monkeypatch.setattr(Gateway, "get", failing)
    with pytest.raises(CircuitOpen):
        collector.collect(collector.source(page_size=10))
    monkeypatch.setattr(Gateway, "get", get)
    stored = collector.lake.count("raw_battle_logs")

    done = collector.collect()

    assert 10 <= stored < 17
    assert done.new == served[1].logs - stored
    [failed, ok] = collector.ledger.collections(LONG_AGO)
    assert (failed.outcome, failed.new, failed.error) == ("unavailable", stored, "svc: left alone")
    assert ok.outcome == "ok"


def without(monkeypatch, entry, error):
    """Let one log not be had."""
    get = Gateway.get

    async def getting(self, path, *args, **options):
        if path.endswith(entry["id"]):
            raise error
        return await get(self, path, *args, **options)

    monkeypatch.setattr(Gateway, "get", getting)
    return lambda: monkeypatch.setattr(Gateway, "get", get)


def test_a_log_that_can_not_be_fetched_stops_nothing_and_is_requested_again_soon(
    served, collector, monkeypatch
):
    url, season = served
    heal = without(monkeypatch, get_entries(url)[3], SourceUnavailable("500 for a minute"))

    done = collector.collect()

    assert (done.found, done.new) == (season.logs, season.logs - 1)
    assert [p.reason for p in done.problems] == ["500 for a minute"]
    assert collector.probe().has_new is False
    heal()
    soon = datetime.now(UTC) + timedelta(minutes=11)
    assert collector.source(clock=lambda: soon).probe() == "the whole listing is due"
    assert collector.collect(collector.source(clock=lambda: soon)).new == 1
    assert len(set(collector.rows())) == season.logs


def test_a_log_that_has_gone_since_the_listing_is_left_out(served, collector, monkeypatch):
    without(monkeypatch, get_entries(served[0])[3], SourceRefused("no", kind="not_found", status=404))

    done = collector.collect()

    assert (done.new, done.problems) == (served[1].logs - 1, [])


def test_a_log_uploaded_again_between_listing_and_fetching_is_kept_as_what_it_is(served, collector):
    url, season = served
    source = collector.source()
    pages = list(source.list_pages())
    [edited] = season.add_revisions(1)
    listed = [log for page in pages for log in page.logs if log.source_log_id == edited.entry()["id"]]

    fetched = list(source.fetch(listed))
    source.close()

    newest = next(e for e in get_entries(url) if e["id"] == edited.entry()["id"])
    assert [log.fingerprint for log in fetched] == [newest["content_sha256"]]
    assert newest["content_sha256"] != listed[0].fingerprint
    assert source.counts.failures == {"malformed": 1}


def test_logs_are_fetched_ahead_but_not_without_limit(served, collector):
    source = collector.source()
    listed = [log for page in source.list_pages() for log in page.logs] * 20
    pulled = 0

    def wanted():
        nonlocal pulled
        for log in listed:
            pulled += 1
            yield log

    fetching = source.fetch(wanted())
    next(fetching)
    assert pulled <= 4 * collector.settings.http_concurrency < len(listed)
    fetching.close()
    source.close()


def test_a_listing_that_goes_in_circles_ends_with_an_error(collector, monkeypatch):
    source = collector.source(page_size=5)
    page = source._page
    first = []

    async def circling(cursor, limit):
        found = await page(cursor, limit)
        first.append(found.next_cursor)
        return found.model_copy(update={"next_cursor": first[0]}) if len(first) == 3 else found

    monkeypatch.setattr(source, "_page", circling)
    with pytest.raises(SourceUnavailable, match="repeated cursor"):
        collector.collect(source)

    assert collector.lake.count("raw_battle_logs") == 15


def test_a_wrong_token_is_refused_once_and_named_nowhere(tmp_path):
    with running_season(replace(SEASON, battle_log_token="right-token-123")) as (url, season):
        wrong = Collector(url, tmp_path, battle_log_token="wrong-token-456")
        with pytest.raises(SourceRefused, match="Check the key or token") as caught:
            wrong.collect()
        with pytest.raises(SourceRefused):
            wrong.probe()
        assert get_counts(url)["requests"]["battle_logs.list"] == 2
        assert Collector(url, tmp_path, battle_log_token="right-token-123").collect().new == season.logs

    [refused, ok] = wrong.ledger.collections(LONG_AGO)
    assert (refused.outcome, ok.outcome) == ("refused", "ok")
    said = [str(caught.value), repr(wrong.source()), repr(wrong.settings), str(refused)]
    assert not any("token-456" in text for text in said)


def test_a_service_that_is_away_is_never_nothing_new(served, tmp_path):
    with running_season(SEASON) as (url, _):
        collector = Collector(url, tmp_path, http_total_timeout_s=1)
        collector.collect()
    with pytest.raises(SourceUnavailable):
        collector.probe()
    with pytest.raises(SourceUnavailable):
        collector.collect()

    assert [r.outcome for r in collector.ledger.collections(LONG_AGO)] == ["ok", "unavailable"]


def test_one_failing_service_never_stops_the_others(served, tmp_path):
    url, season = served
    settings = get_settings(home=tmp_path, sources="", http_total_timeout_s=1)

    files = ingest_paths(
        settings, ["http://127.0.0.1:9", url, tmp_path / "nowhere"], lambda _: None, run_id="r"
    )

    assert [(bool(f.error), f.new) for f in files] == [(True, 0), (False, season.logs), (True, 0)]
    assert "127.0.0.1:9" in files[0].error


def test_the_budget_of_settings_is_kept_to_the_request(served, tmp_path, monkeypatch):
    monkeypatch.setattr("lostark_assets.sources.configured.Budget", shortened)
    collector = Collector(served[0], tmp_path, battle_log_requests_per_minute=12)

    collector.collect()

    with urllib.request.urlopen(f"{served[0]}/mock-server/counts?window_s=1.5") as answer:
        assert json.load(answer)["busiest"]["battle_logs"] == 12
    assert collector.last.counts.requests == served[1].logs + 2


def shortened(name, requests):
    from lostark_assets.gateway.budget import Budget

    return Budget(name, requests, window_s=1.5)


def switch_faults(url, **values):
    data = json.dumps({"retry_after_s": 0, "slow_body_s": 0.02, **values}).encode()
    request = urllib.request.Request(f"{url}/mock-server/faults", data, {"content-type": "application/json"})
    urllib.request.urlopen(request).close()


PHASES = [
    {"share": 0.2},
    {"share": 0.2, "seed": 2},
    *({"share": 1.0, "kinds": [kind]} for kind in ("reordered_page", "duplicated_page", "clock_skew")),
    {"share": 0.5, "seed": 3},
]


def test_a_season_under_faults_of_every_kind_ends_with_the_same_raw_table(tmp_path):
    """The content of a growing season, collected in phases, is the same whatever goes wrong meanwhile."""
    hashes, kinds, now_s = [], {}, datetime.now(UTC).timestamp()
    for is_calm in (True, False):
        # The same fights twice need the same clock.
        season = replace(SEASON, history=60, clock=lambda: now_s)
        with running_season(season) as (url, served):
            collector = Collector(url, tmp_path / str(is_calm))
            for phase in PHASES:
                if not is_calm:
                    switch_faults(url, **phase)
                assert collector.collect(collector.source(page_size=3)).problems == []
                served.add_revisions(2)
                served.grow(3)
                served.grow(1, late_days=9.0)
            kinds = get_counts(url)["faults"]
            rows = collector.rows(("log_id",))
            assert len(rows) == len(set(rows)) > 60 + 5 * 6 - 1
            hashes.append(collector.content_hash())

    assert set(kinds) == set(FAULT_KINDS)
    assert hashes[0] == hashes[1]


def test_failures_that_retries_absorb_are_recorded_with_the_services_last_answer(served, collector):
    switch_faults(served[0], share=0.3, seed=5, kinds=["500"])
    collector.collect()

    [record] = collector.ledger.collections(LONG_AGO, "svc")
    assert record.outcome == "ok"
    assert record.failed_requests > 0
    assert record.error.startswith("a request failed before it succeeded: status 500")


def test_an_address_of_the_command_line_may_carry_a_name():
    assert service_at("guild=https://logs.example/").name == "guild"
    assert service_at("http://127.0.0.1:8750").name == "http:127.0.0.1:8750"
    assert service_at("https://logs.example/api").url == "https://logs.example/api"


def test_the_same_content_from_two_collections_at_once_is_stored_once(served, collector):
    import threading

    workers = [threading.Thread(target=lambda: collector.collect(collector.source())) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)

    assert len(collector.rows()) == len(set(collector.rows())) == served[1].logs


def test_collect_without_a_ledger_entry_works_the_same(served, collector):
    done = collect(collector.source(), collector.lake, run_id="r", earliest=date(2022, 1, 1))

    assert done.new == served[1].logs

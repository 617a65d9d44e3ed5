"""One platform collects from another: its raw upload JSON, by our own HTTP source over a real socket."""

from __future__ import annotations

import socket
import threading
import time
from datetime import UTC, date, datetime, timedelta

import pytest
import uvicorn

from lostark_api.app import create_app
from lostark_api.services.keys import create_key, revoke_key
from lostark_api.services.offered_logs import ForgottenCursor, OfferedLogs
from lostark_assets.contracts.battle_log_api import BattleLogPage
from lostark_assets.errors import NotFound, SourceRefused
from lostark_assets.lake.tables import Lake
from lostark_assets.settings import get_settings
from lostark_assets.sources.collect import collect
from lostark_assets.sources.configured import service_at, service_source
from lostark_assets.sources.detect import open_source
from lostark_simulator.season import SeasonConfig, generate_fights
from lostark_simulator.upload_json import write_upload_json

EARLIEST = date(2022, 1, 1)


def bring_in(lake: Lake, folder, *, seed: int, packed: bool = False) -> int:
    season = SeasonConfig(encounters=20, seed=seed, days=2, start=date(2026, 10, 5), hits_per_player=20)
    fights = [fight for fight in generate_fights(season) if fight.uploads][:6]
    suffix = ".json.gz" if packed else ".json"
    for number, fight in enumerate(fights):
        path = write_upload_json(folder / f"{seed}-{number}{suffix}", fight, packed)
        collect(open_source(path), lake, run_id="test", earliest=EARLIEST)
    return len(fights)


def raw(lake: Lake) -> set[tuple[str, bytes, datetime]]:
    rows = lake.read(
        "raw_battle_logs", columns=["content_sha256", "payload", "fight_started_at", "log_format"]
    )
    return set(zip(*(rows[c].to_pylist() for c in ("content_sha256", "payload", "log_format")), strict=True))


@pytest.fixture
def platform(tmp_path, url):
    """A served platform with a lake; its settings and address."""
    settings = get_settings(home=tmp_path / "first")
    api = create_app(settings, url=url)
    api.fastapi.state.offered.hold_back = timedelta(0)
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(api, log_level="warning", lifespan="on"))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        while not server.started:
            time.sleep(0.02)
        yield settings, f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


def collected(home, address: str, key: str | None) -> tuple[Lake, object]:
    settings = get_settings(home=home, battle_log_token=key)
    lake = Lake(settings.lake_url)
    source = service_source(service_at(f"first={address}"), settings)
    return lake, collect(source, lake, run_id="test", earliest=EARLIEST)


def test_a_second_platform_gets_every_upload_byte_for_byte_and_then_only_what_is_new(platform, tmp_path, url):
    settings, address = platform
    first = Lake(settings.lake_url)
    there = bring_in(first, tmp_path, seed=3) + bring_in(first, tmp_path, seed=4, packed=True)
    key = create_key(url, "feeding", ["logs:read"], 100_000)
    try:
        second, done = collected(tmp_path / "second", address, key)
        assert (done.found, done.new, done.problems) == (there, there, [])
        assert raw(second) == raw(first)

        more = bring_in(first, tmp_path, seed=5)
        _, done = collected(tmp_path / "second", address, key)
        assert (done.found, done.new) == (more, more)
        assert raw(second) == raw(first)
    finally:
        revoke_key(url, "feeding")


def test_without_a_key_of_the_scope_nothing_is_served(platform, tmp_path, url):
    _, address = platform
    wrong = create_key(url, "only uploads", ["upload"])
    for key in (None, "lak_nonsense", wrong):
        with pytest.raises(SourceRefused):
            collected(tmp_path / "second", address, key)


def test_pages_have_no_gaps_and_a_log_is_held_back_until_its_batch_is_committed(tmp_path):
    lake = Lake(str(tmp_path / "lake"))
    there = bring_in(lake, tmp_path, seed=3)
    offered, later = OfferedLogs(lake), datetime.now(UTC) + timedelta(seconds=91)
    assert offered.page(None, 100, datetime.now(UTC)) == ([], "0.0")

    seen, cursor = [], None
    while True:
        logs, cursor = offered.page(cursor, 4, later)
        BattleLogPage(logs=[log.model_dump() for log in logs], next_cursor=cursor)
        if not logs:
            break
        seen += logs
    assert len({log.id for log in seen}) == len(seen) == there
    assert [(s.updated_at, s.id) for s in seen] == sorted((s.updated_at, s.id) for s in seen)
    with pytest.raises(ForgottenCursor):
        offered.page("other-platform.1.2", 4, later)
    with pytest.raises(NotFound):
        offered.payload("0" * 32)

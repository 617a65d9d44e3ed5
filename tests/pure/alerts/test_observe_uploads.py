"""Uploads are no monitored source: what strangers send raises no alert."""

from datetime import UTC, datetime

from lostark_assets.ledger import CollectionRecord, open_ledger
from lostark_assets.settings import get_settings
from lostark_assets.sources.configured import configured_origins, open_landing
from lostark_assets.sources.landing import Ticket
from lostark_platform.alerts.observe import configured_places, read_collections

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


def test_a_pending_upload_and_failed_ones_before_it_are_not_monitored(tmp_path):
    (tmp_path / "mine.db").write_bytes(b"")
    settings = get_settings(home=tmp_path / "home", sources=[tmp_path / "mine.db"])
    landing = open_landing(settings)
    ticket, path = landing.begin("log.json")
    path.write_bytes(b"{}")
    landing.accept(Ticket(ticket, "log.json", "upload:json", "upload_json", 2, "", NOW))
    ledger = open_ledger(settings)
    for source in ("upload:json", "mine"):
        ledger.record_collection(CollectionRecord(source, "battle_logs", NOW, NOW, "failed"))

    assert len(configured_origins(settings)) == 2
    assert configured_places(settings) == [str(tmp_path / "mine.db")]
    assert [one.source for one in read_collections(ledger, settings, {"mine"}, NOW)] == ["mine"]

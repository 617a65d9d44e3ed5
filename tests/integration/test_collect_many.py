"""Many sources at once: they share commits, and each has its own result."""

import json
from datetime import UTC, date, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lostark_assets.errors import LakeBusy, SourceBusy, UnexpectedError
from lostark_assets.lake.tables import Lake, open_lake
from lostark_assets.ledger import open_ledger
from lostark_assets.settings import get_settings
from lostark_assets.sources.collect import collect_all
from lostark_assets.sources.collector import CollectOptions
from lostark_assets.sources.detect import find_sources
from lostark_assets.sources.protocol import FetchedLog, Listed

RAW = "raw_battle_logs"
STARTED_MS = 1_790_000_000_000
EARLIEST = date(2022, 1, 1)
BEHAVIOURS = ("fine", "fine", "fine", "busy", "surprise", "no name", "lone surrogate")


class Scripted:
    """A source with two logs; ``behaviour`` says what goes wrong after the first."""

    log_format = "upload_json"

    def __init__(self, number, behaviour, name="scripted"):
        self.name, self.behaviour = name, behaviour
        self.path = f"/logs/{number}" + ("\udcff" if behaviour == "no name" else "")
        self.problems = []

    def list_logs(self):
        for part in range(2):
            yield Listed(f"{self.path} {part}", "1", started_ms=STARTED_MS)

    def fetch(self, wanted):
        for number, listed in enumerate(wanted):
            if number and self.behaviour == "busy":
                raise SourceBusy(f"{self.path} is locked")
            if number and self.behaviour == "surprise":
                raise ZeroDivisionError("what no rule foresaw")
            odd = "\ud800" if number and self.behaviour == "lone surrogate" else ""
            yield FetchedLog(listed.source_log_id + odd, "1", listed.source_log_id.encode(), STARTED_MS)


class Results(dict):
    """Result and error of each source, by its path."""

    def __call__(self, source, done, error):
        assert source.path not in self, "reported twice"
        self[source.path] = (done, error)


class Collecting:
    """A lake, and collections into it."""

    def __init__(self, home):
        self.settings = get_settings(home=home)
        self.lake = open_lake(self.settings)

    def run(self, sources, **options):
        results = Results()
        collect_all(
            sources, self.lake, open_ledger(self.settings), results, CollectOptions("r", EARLIEST, **options)
        )
        return results

    def stored(self):
        return self.lake.read(RAW, columns=["source_log_id"])["source_log_id"].to_pylist()


@pytest.fixture
def collecting(tmp_path):
    return Collecting(tmp_path)


def write_log(path, start):
    path.write_text(json.dumps({"fightStart": start, "entities": {}, "currentBossName": "Saydon"}))


def test_many_files_share_a_commit_and_a_ledger_record(collecting, tmp_path):
    (tmp_path / "logs").mkdir()
    for number in range(300):
        write_log(tmp_path / f"logs/{number}.json", STARTED_MS + number)
    sources = [found.source for found in find_sources(tmp_path / "logs")]

    results = collecting.run(sources)

    assert len(results) == 300
    assert all((done.found, done.new, error) == (1, 1, None) for done, error in results.values())
    assert len(collecting.stored()) == len(set(collecting.stored())) == 300
    assert collecting.lake.version(RAW) == 0
    [record] = open_ledger(collecting.settings).collections(datetime(2020, 1, 1, tzinfo=UTC))
    assert (record.source, record.outcome, record.found, record.new) == ("upload_json", "ok", 300, 300)


def test_a_copy_in_the_same_batch_is_known_and_has_the_log(collecting, tmp_path):
    for name in ("one.json", "two.json"):
        write_log(tmp_path / name, STARTED_MS)
    sources = [found.source for name in ("one.json", "two.json") for found in find_sources(tmp_path / name)]

    (first, _), (copy, _) = collecting.run(sources).values()

    assert (first.new, copy.new, copy.known) == (1, 0, 1)
    assert copy.log_ids == first.log_ids != []
    assert copy.all_days == first.all_days != set()


@given(st.lists(st.sampled_from(BEHAVIOURS), min_size=1, max_size=12), st.integers(1, 60))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_one_source_raises_it_alone_fails(tmp_path_factory, behaviours, batch_bytes):
    collecting = Collecting(tmp_path_factory.mktemp("home"))
    sources = [Scripted(number, behaviour) for number, behaviour in enumerate(behaviours)]

    results = collecting.run(sources, batch_bytes=batch_bytes)

    stored = set(collecting.stored())
    for source in sources:
        done, error = results[source.path]
        ids = {f"{source.path} 0", f"{source.path} 1"}
        assert (error is None) == (source.behaviour == "fine")
        assert error is not None or ids <= stored
        if source.behaviour in ("busy", "surprise", "lone surrogate"):
            # What was fetched before is kept, and counted.
            assert ids & stored == {f"{source.path} 0"}
            assert done.new == 1
    [record] = open_ledger(collecting.settings).collections(datetime(2020, 1, 1, tzinfo=UTC))
    has_failed = {"surprise", "no name", "lone surrogate"} & set(behaviours)
    assert record.outcome == ("failed" if has_failed else "unavailable" if "busy" in behaviours else "ok")


@pytest.mark.parametrize("failing", [0, 1, 2])
@pytest.mark.parametrize("error", [LakeBusy("others write"), OSError(28, "no space"), RuntimeError("odd")])
def test_what_could_not_be_stored_is_never_reported_as_stored(collecting, monkeypatch, failing, error):
    sources = [Scripted(number, "fine") for number in range(8)]
    append, commits = Lake.append, []

    def fail_once(*arguments):
        commits.append(1)
        if len(commits) == failing + 1:
            raise error
        return append(*arguments)

    monkeypatch.setattr(Lake, "append", fail_once)
    batch_bytes = 3 * len("/logs/0 0")  # one and a half sources
    results = collecting.run(sources, batch_bytes=batch_bytes)

    stored = set(collecting.stored())
    for source in sources:
        done, raised = results[source.path]
        is_stored = {f"{source.path} 0", f"{source.path} 1"} <= stored
        assert (raised is None) == is_stored, source.path
        assert done.new == len({f"{source.path} 0", f"{source.path} 1"} & stored)
        if raised is not None:
            assert isinstance(raised, UnexpectedError if type(error) is RuntimeError else type(error))
    assert any(raised for _, raised in results.values())

    again = collecting.run(sources)

    assert all(raised is None for _, raised in again.values())
    assert len(collecting.stored()) == len(set(collecting.stored())) == 16


def test_sources_of_many_names_are_collected_in_groups(collecting):
    sources = [Scripted(number, "fine", name=f"name {number}") for number in range(230)]

    results = collecting.run(sources)

    assert len(collecting.stored()) == 460
    assert {error for _, error in results.values()} == {None}
    assert collecting.lake.version(RAW) == 2

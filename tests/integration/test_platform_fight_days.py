"""A command that computes fight days while the platform runs leaves the runs to it."""

from __future__ import annotations

import json
import threading
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from lostark_assets.errors import PermanentError
from lostark_assets.settings import get_settings
from lostark_platform.services import fight_days
from lostark_platform.services.dagster import DagsterUi
from lostark_platform.services.fight_days import find_running_platform, hold_home, process_on_platform

DAYS = {date(2026, 11, 30), date(2026, 11, 2)}
LAUNCHED = {"launchRun": {"__typename": "LaunchRunSuccess", "run": {"runId": "the-run"}}}


def run(status, materializations=(), events=()):
    entries = [
        {"metadataEntries": [{"label": "publish version", "intRepr": one}]} for one in materializations
    ]
    return {
        "runOrError": {
            "__typename": "Run",
            "status": status,
            "assetMaterializations": [{"metadataEntries": [{"label": "seconds"}]}, *entries],
            "eventConnection": {"events": list(events)},
        }
    }


def failure(*messages):
    return {"error": {"message": messages[0], "causes": [{"message": message} for message in messages[1:]]}}


def asks_for_events(request):
    return "eventConnection" in request["query"]


class Webserver:
    """Gives Dagster's answers in turn; None is an error of the server. The last one is repeated.

    Who asks for a run's events gets the run whose status was given last.
    """

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), []

    def __enter__(self):
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                outer.asked.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                if not asks_for_events(outer.asked[-1]):
                    outer.answer = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                answer = outer.answer
                self.send_response(500 if answer is None else 200)
                self.end_headers()
                self.wfile.write(json.dumps({"data": answer}).encode())

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    @property
    def ui(self):
        return DagsterUi("127.0.0.1", self.server.server_port)


def process(*answers):
    with Webserver(*answers) as server:
        said = []
        return process_on_platform(server.ui, DAYS, said.append), server.asked, said


def test_both_jobs_run_and_the_last_publication_is_told():
    done, asked, said = process(
        LAUNCHED, run("QUEUED"), run("STARTED"), run("SUCCESS", (4, 5)), LAUNCHED, run("SUCCESS", (6,))
    )

    assert (done.run_ids, done.failed, done.publish_version) == (["the-run", "the-run"], [], 6)
    launches = [one["variables"]["params"] for one in asked if "params" in one["variables"]]
    assert [one["selector"]["jobName"] for one in launches] == ["ingest", "across_days"]
    [config] = launches[0]["runConfigData"]["ops"].values()
    assert config == {"config": {"days": ["2026-11-02", "2026-11-30"]}}
    assert all("/runs/the-run" in line for line in said)
    # Once for each run, not at every poll.
    assert sum(map(asks_for_events, asked)) == 2


def test_a_failed_run_is_told_with_its_root_cause_and_the_other_job_still_runs():
    failed = run("FAILURE", events=[{}, failure("a step failed", "Failure", "no space left\nmore")])

    done, _, _ = process(LAUNCHED, failed, LAUNCHED, run("CANCELED"))

    assert done.failed == ["ingest: no space left", "across_days: the run ended as canceled"]
    assert not done.success


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (None, "no response"),
        ({"launchRun": {"__typename": "PythonError", "message": "no such job"}}, "PythonError no such job"),
        ({"launchRun": {"__typename": "RunConfigValidationInvalid"}}, "RunConfigValidationInvalid"),
    ],
)
def test_a_run_that_is_not_started_is_an_error_that_says_what_becomes_of_the_logs(answer, found):
    done, _, _ = process(answer, LAUNCHED, run("SUCCESS"))

    [error] = done.failed
    assert f"found {found}. Collected logs were kept" in error
    assert done.run_ids == ["the-run"]


def test_a_platform_that_stops_is_noticed(monkeypatch):
    monkeypatch.setattr(fight_days, "_MAX_SILENCE_S", 1.0)

    done, _, _ = process(LAUNCHED, run("STARTED"), None)

    assert ["stopped responding" in error for error in done.failed] == [True, False]


def test_only_a_platform_that_is_ready_and_alive_is_found(tmp_path):
    settings = get_settings(home=tmp_path / "home")
    assert find_running_platform(settings) is None

    with hold_home(settings) as address:
        assert find_running_platform(settings) is None
        address.write_text("127.0.0.1:3123")
        assert find_running_platform(settings) == DagsterUi("127.0.0.1", 3123)
        with pytest.raises(PermanentError, match="already running"), hold_home(settings):
            pass
    assert find_running_platform(settings) is None

    # As a platform leaves it that was killed.
    address.write_text("127.0.0.1:3123")
    assert find_running_platform(settings) is None
    with hold_home(settings):
        assert find_running_platform(settings) is None

"""Classification of responses: a table of cases."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from lostark_assets.gateway.classify import FAILURE_KINDS, classify, retry_after_s

JSON = ("application/json",)
NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "media", "decision", "kind"),
    [
        (200, "application/json", "take", ""),
        (200, "Application/JSON; charset=utf-8", "take", ""),
        (204, "application/json", "take", ""),
        (200, "text/html", "retry", "wrong_type"),
        (200, "", "retry", "wrong_type"),
        (429, "text/html", "retry", "rate_limited"),
        (500, "application/json", "retry", "server_error"),
        (502, "text/html", "retry", "server_error"),
        (503, "text/html", "retry", "maintenance"),
        (504, "", "retry", "server_error"),
        (520, "", "retry", "server_error"),
        (408, "", "retry", "timeout"),
        (425, "", "retry", "server_error"),
        (301, "", "permanent", "client_error"),
        (400, "application/json", "permanent", "client_error"),
        (401, "application/json", "permanent", "unauthorised"),
        (403, "application/json", "permanent", "unauthorised"),
        (404, "application/json", "permanent", "not_found"),
        (410, "application/problem+json", "permanent", "gone"),
        (415, "application/json", "permanent", "client_error"),
    ],
)
def test_status_and_content_type_decide(status, media, decision, kind):
    verdict = classify(status, {"content-type": media} if media else {}, b"", JSON, now=NOW)

    assert (verdict.decision, verdict.kind) == (decision, kind)
    assert kind == "" or kind in FAILURE_KINDS


def test_any_content_type_is_accepted_if_none_is_requested():
    assert classify(200, {}, b"", (), now=NOW).decision == "take"


def test_what_was_found_is_shown_short_and_on_one_line():
    verdict = classify(
        503, {"content-type": "text/html"}, b"<html>\n  <b>maintenance" + b"x" * 900, JSON, now=NOW
    )

    assert verdict.found.startswith("status 503 (text/html) that begins with '<html> <b>maintenance")
    assert len(verdict.found) < 140


@pytest.mark.parametrize(
    ("status", "headers", "expected_s"),
    [
        (503, {"retry-after": "7"}, 7.0),
        (429, {"retry-after": " 0 "}, 0.0),
        (429, {"retry-after": "Fri, 20 Nov 2026 12:00:30 GMT"}, 30.0),
        (429, {"retry-after": "Fri, 20 Nov 2026 11:00:00 GMT"}, 0.0),
        (
            429,
            {"retry-after": "Fri, 20 Nov 2026 15:00:30 GMT", "date": "Fri, 20 Nov 2026 15:00:10 GMT"},
            20.0,
        ),
        (429, {"retry-after": "soon"}, None),
        (429, {"retry-after": "-5"}, None),
        (429, {"x-ratelimit-reset": str(int(NOW.timestamp()) + 42)}, 42.0),
        (429, {"x-ratelimit-reset": str(int(NOW.timestamp()) - 42)}, 0.0),
        (429, {"x-ratelimit-reset": "later"}, None),
        (429, {"retry-after": "3", "x-ratelimit-reset": str(int(NOW.timestamp()) + 42)}, 3.0),
        (503, {"x-ratelimit-reset": str(int(NOW.timestamp()) + 42)}, None),
        (500, {}, None),
        (500, {"date": "yesterday"}, None),
    ],
)
def test_when_to_come_back(status, headers, expected_s):
    assert retry_after_s(status, headers, NOW) == expected_s

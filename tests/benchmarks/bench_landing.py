"""What the poll of a ticket costs while thousands of uploads wait, in milliseconds."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lostark_assets.sources.landing import Landing, Ticket

GOAL_MS = 20
ROUNDS = 20


def main() -> None:
    """Print the median of each call."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--uploads", type=int, default=5000)
    uploads = parser.parse_args().uploads
    with tempfile.TemporaryDirectory() as folder:
        landing, now = Landing(Path(folder) / "landing"), datetime.now(UTC)
        for number in range(uploads):
            ticket, path = landing.begin("fight.json")
            path.write_text("{}")
            received_at = now + timedelta(milliseconds=number)
            last = landing.accept(Ticket(ticket, path.name, "upload:json", "upload_json", 2, "", received_at))
        assert landing.count_before(last) == uploads - 1
        print(f"{uploads:,} uploads wait  (goal: below {GOAL_MS} ms)")
        print(f"place of the last one: {_median_ms(lambda: landing.count_before(last)):.1f} ms")
        print(f"finding its folder: {_median_ms(lambda: landing.find(last.ticket.ticket)):.1f} ms")
        print(f"bytes of all: {_median_ms(landing.waiting_bytes):.1f} ms")


def _median_ms(call: Callable[[], object]) -> float:
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return sorted(seconds)[ROUNDS // 2] * 1000


if __name__ == "__main__":
    main()

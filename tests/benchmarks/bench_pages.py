"""What a page costs its reader: first bytes warm and cold, and bytes with its assets, by a running server.

    python tests/benchmarks/bench_pages.py http://127.0.0.1:8000

Cold: the first answer of an address, which is computed. Warm: the median of the answers that follow. Pictures
are apart. Throughput is measured by ``bench_serving``.
"""

from __future__ import annotations

import argparse
import re
import statistics
import time

import httpx

GOAL_MS, GOAL_BYTES = 100, 300_000
HEADERS = {"Accept": "text/html", "Accept-Language": "ko"}


def main() -> None:
    """Print a row for each page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("site")
    parser.add_argument("--times", type=int, default=20)
    arguments = parser.parse_args()
    with httpx.Client(base_url=arguments.site, headers=HEADERS, timeout=60) as client:
        print(
            f"{'page':34}{'cold ms':>9}{'warm ms':>9}{'kB':>8}{'kB with assets':>16}{'charts':>10}{'kB':>8}"
        )
        for path in _pages(client):
            # Another query is another address: the answer has to be made.
            fresh = f"{path}{'&' if '?' in path else '?'}x={time.time_ns()}"
            cold, text, size = _first_byte(client, fresh)
            warm = statistics.median(_first_byte(client, fresh)[0] for _ in range(arguments.times))
            assets = sum(_size(client, a) for a in set(re.findall(r'"(/static/[^"]+)"', text)))
            charts = [p.replace("&amp;", "&") for p in re.findall(r'src="(/charts/[^"]+)"', text)]
            drawn = sum(_size(client, p) for p in charts)
            verdict = "" if warm < GOAL_MS and size + assets < GOAL_BYTES else "  MISSED"
            shown = path if len(path) < 33 else f"{path[:30]}..."
            print(
                f"{shown:34}{cold:9.1f}{warm:9.2f}{size / 1e3:8.1f}{(size + assets) / 1e3:16.1f}"
                f"{len(charts):10}{drawn / 1e3:8.1f}{verdict}"
            )


def _pages(client: httpx.Client) -> list[str]:
    fights = client.get("/v1/fights?cleared=true&limit=50").json()["fights"]
    fight = next(f for f in fights if f["gate_id"])
    found = client.get("/v1/characters?limit=200").json()["characters"]
    who = max(found, key=lambda c: c["fights"])
    character = httpx.URL("").copy_with(path=f"/characters/{who['region']}/{who['player_name']}")
    one = fight["fight_id"]
    return [
        "/", "/gates", f"/gates/{fight['gate_id']}", "/fights", f"/fights/{one}", "/characters",
        str(character), f"/compare?a={one}&b={one}", "/model", "/status",
    ]  # fmt: skip


def _first_byte(client: httpx.Client, path: str) -> tuple[float, str, int]:
    started = time.perf_counter()
    with client.stream("GET", path) as answer:
        first = (time.perf_counter() - started) * 1000
        body = answer.read()
        answer.raise_for_status()
    return first, body.decode(), len(body)


def _size(client: httpx.Client, path: str) -> int:
    return len(client.get(path).raise_for_status().content)


if __name__ == "__main__":
    main()

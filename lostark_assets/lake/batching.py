"""Splitting work into batches: fight days that fit into memory, and logs that fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date

from lostark_assets.lake.reading import LakeReader


def split_batches(days: Iterable[date], rows_by_day: Mapping[date, int], most_rows: int) -> list[set[date]]:
    """Ascending days in batches of at most ``most_rows``; a larger day is a batch of its own."""
    batches: list[set[date]] = []
    rows = 0
    for day in sorted(days):
        here = rows_by_day.get(day, 0)
        if not batches or rows + here > most_rows:
            batches.append(set())
            rows = 0
        batches[-1].add(day)
        rows += here
    return batches


def find_culprits(
    ids: Sequence[str], try_together: Callable[[list[str]], Exception | None]
) -> dict[str, Exception]:
    """The ids without which the others pass, each with what it raises beside those before it.

    Empty if no id is to blame: nothing passes at all, not even no ids, or everything does.

    Args:
        ids: in the order of trust; where two don't go together, the later one is the culprit.
        try_together: what these ids raise together, None if they pass.
    """
    culprits: dict[str, Exception] = {}
    accepted: list[str] = []

    def add(part: Sequence[str]) -> None:
        error = try_together([*accepted, *part])
        if error is None:
            accepted.extend(part)
        elif len(part) == 1:
            culprits[part[0]] = error
        else:
            add(part[: len(part) // 2])
            add(part[len(part) // 2 :])

    if not ids or try_together([]) is not None:
        return {}
    add(ids)
    # That every one of several logs is at fault alone is less likely than that the code is.
    return culprits if accepted or len(ids) == 1 else {}


def find_culprit_logs(
    lake: LakeReader,
    days: Iterable[date],
    try_encounters: Callable[[set[str]], object],
    is_of_the_machine: Callable[[Exception], bool],
) -> dict[str, Exception]:
    """What single logs of ``days`` make ``try_encounters`` raise, by log id; the machine's errors are raised.

    Args:
        lake: its ``core_encounters`` name the logs; those that were cleaned earlier are trusted more.
        days: fight days.
        try_encounters: works on these encounters alone, and stores nothing.
        is_of_the_machine: whether no log is to blame for an error.
    """
    logs = lake.read("core_encounters", columns=["log_id", "encounter_id", "cleaned_at"], days=days)
    logs = logs.sort_by([("cleaned_at", "ascending"), ("log_id", "ascending")])
    encounter_of = dict(zip(logs["log_id"].to_pylist(), logs["encounter_id"].to_pylist(), strict=True))

    def try_together(log_ids: list[str]) -> Exception | None:
        try:
            try_encounters({encounter_of[log_id] for log_id in log_ids})
        except Exception as error:
            if is_of_the_machine(error):
                raise
            return error
        return None

    return find_culprits(list(encounter_of), try_together)

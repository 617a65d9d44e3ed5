"""Whether to retrain now, and why. Pure.

Trainings are rate-limited: pauses double while challengers are refused or runs fail, the same data is not
decided twice, and failed data is retried a few times. The sensor makes sure that trainings never overlap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from lostark_ml.monitoring.weekly import ModelProblem

TriggerKind = Literal["first", "new_fights", "degraded", "coverage_lost", "patch"]
AttemptOutcome = Literal["promoted", "refused", "failed"]


@dataclass(frozen=True)
class RetrainingPolicy:
    """When it is worth it. Fights are those of the population; shares are of those trained on.

    ``fewest_new_fights`` is what any training after the first must have to learn from. Pauses begin at
    ``pause`` and double with each attempt in a row that did not lead to a promotion; a problem of the model
    is a reason only ``pause_for_problems`` after the newest training.
    """

    first_fights: int = 300
    new_fights: int = 500
    new_fights_share: float = 0.05
    fewest_new_fights: int = 50
    fights_after_patch: int = 200
    pause: timedelta = timedelta(hours=6)
    pause_for_problems: timedelta = timedelta(days=1)
    longest_pause: timedelta = timedelta(days=7)
    tries_of_failed: int = 3


@dataclass(frozen=True)
class Patch:
    """A named patch since the newest version's snapshot, with the fights that were fought after it."""

    name: str
    at: datetime
    fights_after: int


@dataclass(frozen=True)
class Attempt:
    """The newest training that ended. ``in_vain``: attempts in a row without a promotion, this one too.

    ``tries`` counts runs in a row on this very input.
    """

    ended_at: datetime
    input: str
    outcome: AttemptOutcome
    in_vain: int = 0
    tries: int = 1


@dataclass(frozen=True)
class RetrainingInputs:
    """What is known. ``input`` is a digest of the data and code that a training now would read.

    ``new_fights`` is counted since the snapshot of the newest version, champion or challenger;
    ``trained_fights`` is None while there is no version.
    """

    now: datetime
    input: str
    fights: int
    new_fights: int
    trained_fights: int | None
    problems: Sequence[ModelProblem] = ()
    patches: Sequence[Patch] = ()
    last: Attempt | None = None


@dataclass(frozen=True)
class Trigger:
    """Why to train now. ``others`` are further reasons that hold, in order of weight."""

    kind: TriggerKind
    why: str
    others: tuple[str, ...] = ()

    def tags(self) -> dict[str, str]:
        """For the run: what a reviewer reads first."""
        also = {"lostark/also_because": "; ".join(self.others)} if self.others else {}
        return {"lostark/trigger": self.kind, "lostark/because": self.why} | also


def decide_retraining(facts: RetrainingInputs, policy: RetrainingPolicy | None = None) -> Trigger | None:
    """The weightiest reason to train now; None without one, or while it is not the time."""
    policy = policy or RetrainingPolicy()
    if find_pause_reason(facts, policy) is not None:
        return None
    reasons = find_retraining_reasons(facts, policy)
    if not reasons:
        return None
    (kind, why), *others = reasons
    return Trigger(kind, why, tuple(words for _, words in others))


def find_pause_reason(facts: RetrainingInputs, policy: RetrainingPolicy | None = None) -> str | None:
    """Why nothing is trained now whatever the reasons; None if nothing stands against it."""
    policy, last = policy or RetrainingPolicy(), facts.last
    if facts.trained_fights is not None and facts.new_fights < policy.fewest_new_fights:
        return (
            f"{facts.new_fights:,} new fights since the newest version, expected {policy.fewest_new_fights:,}"
        )
    if last is None:
        return None
    if last.input == facts.input and last.outcome != "failed":
        return f"the newest training read the same data and code, and was {last.outcome}"
    if last.input == facts.input and last.tries >= policy.tries_of_failed:
        return f"training on the same data and code failed {last.tries} times"
    until = last.ended_at + compute_pause(last.in_vain, policy)
    return f"it pauses until {until:%Y-%m-%d %H:%M} UTC" if facts.now < until else None


def compute_pause(in_vain: int, policy: RetrainingPolicy) -> timedelta:
    """The pause after a training: the usual one, doubled for each attempt in a row in vain."""
    return min(policy.pause * 2 ** min(in_vain, 16), policy.longest_pause)


def find_retraining_reasons(
    facts: RetrainingInputs, policy: RetrainingPolicy
) -> list[tuple[TriggerKind, str]]:
    """Every reason that holds, with its words, the weightiest first."""
    if facts.trained_fights is None:
        words = f"no model yet, and {facts.fights:,} fights (expected {policy.first_fights:,})"
        return [("first", words)] if facts.fights >= policy.first_fights else []
    finders: tuple[Callable[[RetrainingInputs, RetrainingPolicy], list[tuple[TriggerKind, str]]], ...] = (
        _find_new_fights,
        _find_problems,
        _find_patches,
    )
    return [reason for find in finders for reason in find(facts, policy)]


def _find_new_fights(facts: RetrainingInputs, policy: RetrainingPolicy) -> list[tuple[TriggerKind, str]]:
    trained = facts.trained_fights or 0
    enough = max(policy.new_fights, round(policy.new_fights_share * trained))
    if facts.new_fights < enough:
        return []
    since = f"{facts.new_fights:,} fights since the snapshot of the newest version"
    return [("new_fights", f"{since}, which knew {trained:,} (expected {enough:,})")]


def _find_problems(facts: RetrainingInputs, policy: RetrainingPolicy) -> list[tuple[TriggerKind, str]]:
    """A wrong level and specs that drift are degradation; refusals are mended by new fights alone.

    Whatever the newest training changed has to show first.
    """
    if facts.last is not None and facts.now < facts.last.ended_at + policy.pause_for_problems:
        return []
    found: list[tuple[TriggerKind, str]] = []
    found += [("degraded", p.what) for p in facts.problems if p.kind in ("degraded", "bias", "drift")]
    found += [("coverage_lost", p.what) for p in facts.problems if p.kind == "coverage_lost"]
    return found


def _find_patches(facts: RetrainingInputs, policy: RetrainingPolicy) -> list[tuple[TriggerKind, str]]:
    ripe = [patch for patch in facts.patches if patch.fights_after >= policy.fights_after_patch]
    return [
        (
            "patch",
            f"{patch.name} at {patch.at:%Y-%m-%d %H:%M} UTC, and {patch.fights_after:,} fights after it",
        )
        for patch in sorted(ripe, key=lambda patch: patch.at, reverse=True)
    ]

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
    """When to retrain. Fights are those of the population; shares are of the fights trained on.

    ``min_new_fights`` is required for any training after the first. Pauses begin at
    ``pause`` and double with each attempt in a row that did not lead to a promotion; a problem of the model
    is a reason only ``pause_for_problems`` after the newest training.
    """

    first_fights: int = 300
    new_fights: int = 500
    new_fights_share: float = 0.05
    min_new_fights: int = 50
    fights_after_patch: int = 200
    pause: timedelta = timedelta(hours=6)
    pause_for_problems: timedelta = timedelta(days=1)
    max_pause: timedelta = timedelta(days=7)
    max_failed_tries: int = 3


@dataclass(frozen=True)
class Patch:
    """A named patch since the newest version's snapshot, with the fights that were fought after it."""

    name: str
    at: datetime
    fights_after: int


@dataclass(frozen=True)
class Attempt:
    """The newest finished training. ``unpromoted``: attempts in a row without a promotion, with this one.

    ``tries`` counts runs in a row on this very input.
    """

    ended_at: datetime
    input: str
    outcome: AttemptOutcome
    unpromoted: int = 0
    tries: int = 1


@dataclass(frozen=True)
class RetrainingInputs:
    """What the decision is based on. ``input``: digest of the data and code a training would read now.

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
    """Why to train now. ``others``: further reasons that apply, most important first."""

    kind: TriggerKind
    why: str
    others: tuple[str, ...] = ()

    def tags(self) -> dict[str, str]:
        """Tags of the Dagster run."""
        also = {"lostark/also_because": "; ".join(self.others)} if self.others else {}
        return {"lostark/trigger": self.kind, "lostark/because": self.why} | also


def decide_retraining(inputs: RetrainingInputs, policy: RetrainingPolicy | None = None) -> Trigger | None:
    """The most important reason to train now; None without one, or during a pause."""
    policy = policy or RetrainingPolicy()
    if find_pause_reason(inputs, policy) is not None:
        return None
    reasons = find_retraining_reasons(inputs, policy)
    if not reasons:
        return None
    (kind, why), *others = reasons
    return Trigger(kind, why, tuple(text for _, text in others))


def find_pause_reason(inputs: RetrainingInputs, policy: RetrainingPolicy | None = None) -> str | None:
    """Why no training may start now whatever the reasons; None if one may."""
    policy, last = policy or RetrainingPolicy(), inputs.last
    if inputs.trained_fights is not None and inputs.new_fights < policy.min_new_fights:
        return (
            f"{inputs.new_fights:,} new fights since the newest version, expected {policy.min_new_fights:,}"
        )
    if last is None:
        return None
    if last.input == inputs.input and last.outcome != "failed":
        return f"the newest training read the same data and code, and was {last.outcome}"
    if last.input == inputs.input and last.tries >= policy.max_failed_tries:
        return f"training on the same data and code failed {last.tries} times"
    until = last.ended_at + compute_pause(last.unpromoted, policy)
    return f"it pauses until {until:%Y-%m-%d %H:%M} UTC" if inputs.now < until else None


def compute_pause(unpromoted: int, policy: RetrainingPolicy) -> timedelta:
    """The pause after a training, doubled for each attempt in a row without a promotion."""
    return min(policy.pause * 2 ** min(unpromoted, 16), policy.max_pause)


def find_retraining_reasons(
    inputs: RetrainingInputs, policy: RetrainingPolicy
) -> list[tuple[TriggerKind, str]]:
    """All reasons that apply, with their texts, most important first."""
    if inputs.trained_fights is None:
        why = f"no model yet, and {inputs.fights:,} fights (expected {policy.first_fights:,})"
        return [("first", why)] if inputs.fights >= policy.first_fights else []
    finders: tuple[Callable[[RetrainingInputs, RetrainingPolicy], list[tuple[TriggerKind, str]]], ...] = (
        _find_new_fights,
        _find_problems,
        _find_patches,
    )
    return [reason for find in finders for reason in find(inputs, policy)]


def _find_new_fights(inputs: RetrainingInputs, policy: RetrainingPolicy) -> list[tuple[TriggerKind, str]]:
    trained = inputs.trained_fights or 0
    enough = max(policy.new_fights, round(policy.new_fights_share * trained))
    if inputs.new_fights < enough:
        return []
    since = f"{inputs.new_fights:,} fights since the snapshot of the newest version"
    return [("new_fights", f"{since}, which knew {trained:,} (expected {enough:,})")]


def _find_problems(inputs: RetrainingInputs, policy: RetrainingPolicy) -> list[tuple[TriggerKind, str]]:
    """A biased level and drifting specs count as degradation; only new fights reduce refusals.

    Empty during ``pause_for_problems``: the effect of the newest training has to show first.
    """
    if inputs.last is not None and inputs.now < inputs.last.ended_at + policy.pause_for_problems:
        return []
    found: list[tuple[TriggerKind, str]] = []
    found += [("degraded", p.what) for p in inputs.problems if p.kind in ("degraded", "bias", "drift")]
    found += [("coverage_lost", p.what) for p in inputs.problems if p.kind == "coverage_lost"]
    return found


def _find_patches(inputs: RetrainingInputs, policy: RetrainingPolicy) -> list[tuple[TriggerKind, str]]:
    ripe = [patch for patch in inputs.patches if patch.fights_after >= policy.fights_after_patch]
    return [
        (
            "patch",
            f"{patch.name} at {patch.at:%Y-%m-%d %H:%M} UTC, and {patch.fights_after:,} fights after it",
        )
        for patch in sorted(ripe, key=lambda patch: patch.at, reverse=True)
    ]

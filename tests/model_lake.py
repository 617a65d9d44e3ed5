"""A lake with the statistics of a simulated season, and a model registry.

Simulating hits would cost a hundred times as much: so the statistics of players are drawn directly from the
simulator's causal model. One test of the lifecycle takes real logs through the whole pipeline.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa

from lostark_assets.contracts.core import CORE_ENCOUNTERS, CORE_PLAYERS
from lostark_assets.contracts.stats import STATS_PLAYER_DPS
from lostark_assets.lake.tables import Lake
from lostark_ml.features.columns import CATEGORY_FEATURES
from lostark_ml.features.training_set import model_input
from lostark_ml.model.regressor import ModelConfig
from lostark_ml.model.training import FittedModel, TrainingConfig
from lostark_ml.registry.aliases import read_history, set_alias
from lostark_ml.registry.lifecycle import (
    AppliedDecision,
    ChallengerEvaluation,
    LifecyclePolicy,
    TrainingSetRun,
    apply_decision,
    evaluate_challenger,
    read_training_set,
    refresh_training_set,
    train_challenger,
)
from lostark_ml.registry.model_registry import ModelRegistry, ModelVersion, Submission
from lostark_ml.registry.promotion import PromotionPolicy
from lostark_simulator.population import Population
from lostark_simulator.raids import GATES
from lostark_simulator.season import build_population
from tests.pure.ml.simulated_season import RESET, simulated_players

WEEK = timedelta(weeks=1)
FIRST_WEEKS = 6
PLAYED = {
    (gate.boss, gate.difficulty): gate
    for gate in GATES
    if gate.raid == "Act 4: Armoche" and gate.difficulty == "Normal"
}
FIGHTS_A_WEEK = (80, 40)
SPECS = (
    "Igniter",
    "Remaining Energy",
    "Punisher",
    "Deathblow",
    "Lunar Voice",
    "Wind Fury",
    "Peacemaker",
    "Rage Hammer",
)
POLICY = LifecyclePolicy(
    training=TrainingConfig(
        model=ModelConfig(iterations=60, leaves=8, learning_rate=0.1), fewest_rows=200, calibration_weeks=2
    ),
    promotion=PromotionPolicy(slice_rows=40, slice_fights=20, min_fights=30),
    holdout_fights=100,
)
"""Small thresholds; the rest is as in production."""


def few_specs(seed: int = 3, size: int = 8000, names: tuple[str, ...] = SPECS) -> Population:
    """A population whose dealers play only eight specs, so that a few fights are enough for each."""
    population = build_population(seed, size)
    kept = [n for n, one in enumerate(population.characters) if one.spec.is_support or one.spec.name in names]
    small = object.__new__(Population)
    small.characters = [population.characters[n] for n in kept]
    small.base, small.growth, small.is_support = (
        values[kept] for values in (population.base, population.growth, population.is_support)
    )
    return small


def season_players(
    weeks: int, *, first_week: int = 0, fights: tuple[int, ...] = FIGHTS_A_WEEK
) -> pd.DataFrame:
    """Players of the gates that are played; a week is the same whatever was drawn before it."""
    population = few_specs()
    return pd.concat(
        [
            simulated_players(
                count, 1, seed=100 * week + place, gate=gate, first_week=week, population=population
            )
            for week in range(first_week, first_week + weeks)
            for place, (gate, count) in enumerate(zip(PLAYED.values(), fights, strict=False))
        ],
        ignore_index=True,
    )


def write_statistics(lake: Lake, players: pd.DataFrame, computed_at: datetime | None = None) -> None:
    """Replace the rows of the players' fight days."""
    days = sorted(set(players["fight_date"]))
    stats = players[[c for c in players if c in STATS_PLAYER_DPS.by_name]].assign(
        computed_at=pd.Timestamp(computed_at or datetime.now(UTC))
    )
    lake.replace_days(STATS_PLAYER_DPS, _conform(STATS_PLAYER_DPS, stats), days)
    own = players[["encounter_id", "player_name", "fight_date", "is_ark_passive_active"]]
    lake.replace_days(CORE_PLAYERS, _conform(CORE_PLAYERS, own), days)
    fights = players.drop_duplicates("encounter_id")[["encounter_id", "fight_date", "fight_started_at"]]
    lake.replace_days(CORE_ENCOUNTERS, _conform(CORE_ENCOUNTERS, fights), days)


def _conform(contract, rows: pd.DataFrame) -> pa.Table:
    instants = [c for c in rows if isinstance(rows[c].dtype, pd.DatetimeTZDtype)]
    plain = rows.assign(**{c: rows[c].dt.tz_convert(None) for c in instants})
    table = pa.Table.from_pandas(plain, preserve_index=False)
    for name in instants:
        at = table.column_names.index(name)
        values = table[name].cast(pa.timestamp("us")).cast(pa.timestamp("us", "UTC"))
        table = table.set_column(at, name, values)
    return contract.conform(table)


@dataclass
class World:
    """A lake, a registry and a policy for one test; the clock is the season's."""

    home: Path
    policy: LifecyclePolicy = POLICY
    now: datetime = RESET + FIRST_WEEKS * WEEK
    registry: ModelRegistry = field(init=False)
    lake: Lake = field(init=False)
    made: TrainingSetRun | None = None
    evaluated: ChallengerEvaluation | None = None
    outcome: AppliedDecision | None = None

    def __post_init__(self) -> None:
        self.lake = Lake(str(self.home / "lake"))
        self.registry = ModelRegistry(f"sqlite:///{self.home / 'mlflow.db'}", self.home / "artifacts")

    @contextlib.contextmanager
    def open(self, _model_name: str = "lostark_dps") -> Iterator[ModelRegistry]:
        """As ``resources.Registries`` does."""
        yield self.registry

    def copy(self, home: Path) -> World:
        """A copy in another folder, which a test may change."""
        shutil.copytree(self.home, home)
        return replace(self, home=home)

    def history(self) -> list[tuple[str, int | None, int | None, str]]:
        """Alias, from, to and action of each change."""
        rows = read_history(self.lake, "lostark_dps")
        return [(c.alias, c.from_version, c.to_version, c.action) for c in rows]

    def players(self) -> pd.DataFrame:
        """What was written of the statistics."""
        return self.lake.read("stats_player_dps").to_pandas()

    def play(self, weeks: int = 1) -> pd.DataFrame:
        """The season goes on; the players of the new weeks."""
        first = round((self.now - RESET) / WEEK)
        new = season_players(weeks, first_week=first)
        # The day of the reset began in the week before.
        before = season_players(1, first_week=first - 1)
        shared = before[before["fight_date"].isin(set(new["fight_date"]))]
        write_statistics(self.lake, pd.concat([shared, new], ignore_index=True))
        self.now += weeks * WEEK
        return new

    def train(self, **tags: str) -> ModelVersion:
        """Training set and challenger."""
        self.made = refresh_training_set(self.lake)
        return train_challenger(self.lake, self.registry, self.policy, tags, self.now)

    def submit(self, model: FittedModel, **metrics: float) -> ModelVersion:
        """Register a model made elsewhere as the challenger, on the newest training set."""
        version = self.lake.version("ml_training_set")
        example = model_input(read_training_set(self.lake, version).head(3))
        submission = Submission(metrics=metrics, snapshot={"ml_training_set": version})
        made = self.registry.submit(model, submission, example)
        set_alias(
            self.registry,
            self.lake,
            "challenger",
            made.version,
            by="test",
            why="planted",
            action="submit",
            now=self.now,
        )
        return made

    def decide(self) -> AppliedDecision:
        """Evaluate the challenger and apply the decision."""
        self.evaluated = evaluate_challenger(self.lake, self.registry, self.policy, self.now)
        return apply_decision(self.lake, self.registry, self.now)


def new_world(home: Path, registry_template: Path) -> World:
    """Six weeks of statistics and an empty registry."""
    shutil.copytree(registry_template, home)
    world = World(home)
    write_statistics(world.lake, season_players(FIRST_WEEKS), world.now)
    return world


def train_first_champion(world: World) -> World:
    """Train, evaluate and promote the first challenger; ``outcome`` keeps the result."""
    world.train(trigger="first", because="no model yet")
    world.outcome = world.decide()
    return world


def spoiled(model: FittedModel, *, by_log: float, spec: str | None = None) -> FittedModel:
    """A copy that expects ``exp(by_log)`` times as much, of one spec or of all."""
    changed = deepcopy(model)
    encode, regress = changed.pipeline[0], changed.pipeline[-1]
    if spec is None:
        regress.season_.levels = regress.season_.levels + by_log
        return changed
    specs = encode.named_transformers_["categories"].categories_[CATEGORY_FEATURES.index("spec_name")]
    effects = regress.season_.effects[1].copy()
    effects[list(specs).index(spec)] += by_log
    regress.season_.effects[1] = effects
    return changed

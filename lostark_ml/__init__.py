"""The expected-DPS model: features, training, evaluation. Phase 2 of the platform."""

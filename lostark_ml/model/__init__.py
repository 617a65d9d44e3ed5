"""The expected-DPS model: regressor, training, evaluation, leakage tests, explanations."""

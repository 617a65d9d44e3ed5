"""The expected-DPS model itself: pipeline, training, evaluation, leak tests, and the gap explained."""

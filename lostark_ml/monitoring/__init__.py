"""Scores against what happened: weekly error and coverage, drift, and the reasons to retrain."""

"""Monitoring of predictions: weekly error and coverage, drift, and when to retrain."""

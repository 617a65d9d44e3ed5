"""Alerts: problems are detected, reported once when they begin and once when they end.

``observe`` and ``dagster.run_observations`` gather observations, ``detect`` derives problems from them,
``reconcile`` decides which are new or over, ``deliver`` sends them to ``channels``.
"""

"""Noticing trouble and saying it once: detectors, what was said already, and the channels.

The way of an alert: ``observe`` and ``dagster_facts`` gather facts, ``detect`` makes problems of them,
``reconcile`` decides what is new or over, ``channels`` deliver. Only ``sensors`` and ``dagster_facts`` know
Dagster.
"""

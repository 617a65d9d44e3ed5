"""What runs the platform on one machine: embedded services, the Dagster home and the supervisor.

What does not belong here: data, assets, anything that a deployment with its own services still needs.
"""

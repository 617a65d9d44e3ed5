"""What the assets of all layers share: partitions, specs, check results. Wiring, so it may import Dagster."""

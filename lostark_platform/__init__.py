"""The platform as a whole: the `lostark` command, the services it runs, alerts and erasure."""

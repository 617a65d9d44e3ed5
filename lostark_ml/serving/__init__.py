"""Expected DPS of stored players and of builds that a request describes."""

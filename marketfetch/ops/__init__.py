"""What operators look at and act on: alerts, dead letters, keys, diagnosis, retention, saved replies."""

"""Benchmarks: the time from a reply to stored rows, against the floor of the same database, measured in the same run."""

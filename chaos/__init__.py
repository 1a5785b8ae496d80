"""Chaos: a real installation fetches from vendors that fail, while its processes, its Redis and its database are killed.

`python -m chaos` prints each promise beside its result, and writes both as JSON. Every random choice is drawn from one seed;
the exact moment at which a process dies depends on the machine, and differs from run to run.
"""

"""Chaos: a real installation fetches from vendors that fail, while its processes, its Redis and its database are killed.

`python -m chaos` prints what must hold beside what was found, and keeps it as JSON. Everything that is random is drawn from
one seed; when exactly a process dies in the middle of what is the machine's business, and differs from run to run.
"""

"""Fresh processes for the concurrency tests: forks of one server that has imported what they need, and nothing else."""

from __future__ import annotations

import multiprocessing

FRESH = multiprocessing.get_context("forkserver")
FRESH.set_forkserver_preload(
    ["marketfetch.storage.postgres.writing", "marketfetch.storage.sqlite.writing", "tests.storage.writers"]
)

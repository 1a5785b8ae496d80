"""A reply takes at most six times its own bytes to read: measured by the benchmark, which is run for one dataset."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_a_whole_market_is_read_within_six_times_its_bytes() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.replies_read", "--rounds", "1", "--only", "grouped"],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2], timeout=120,
    )  # fmt: skip
    *_, clean, bad = done.stdout.splitlines()[-1].split()
    assert 1 < float(clean) <= 6
    assert 1 < float(bad) <= 6

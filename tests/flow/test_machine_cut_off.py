"""Two workers on two machines, and one of them loses its network for a while: `make chaos` does it for 30 s.

The machines are network namespaces, which need root on Linux, and iproute2.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from chaos.machines import APART, refusal
from tests.waiting import LONG_S

ROOT = Path(__file__).parents[2]
WHY_NOT = refusal()
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=f"no network namespaces here: {WHY_NOT}")


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=2 * LONG_S)


def test_a_worker_that_is_cut_off_passes_no_limit_loses_nothing_and_returns_by_itself(tmp_path):
    done = run(sys.executable, "-m", "chaos.cut_off", "--short", "--cut", "12", "--keep", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["broken"] == []
    # The other one worked on meanwhile, and what it did was checked.
    assert found["over_meanwhile"] > 0
    assert found["books"]["rows"] > 1000
    assert found["calls"]["calls"] >= found["requests"] == found["over"]


def test_a_call_that_was_given_up_in_a_cut_network_does_not_reach_the_vendor_later():
    done = run(*APART, sys.executable, "-m", "chaos.late_call", "--inside")
    assert done.stdout == "1\n", done.stdout + done.stderr

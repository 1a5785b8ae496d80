"""A cut of `make chaos`: everything is killed, again and again, and nothing is lost, doubled, altered or left."""

from __future__ import annotations

import json

import pytest

from chaos import report, sizes
from chaos.run import run

SEED = 20240105


@pytest.mark.timeout(240)
def test_everything_is_killed_and_every_promise_holds(tmp_path):
    found = run(sizes.CUT, seed=SEED, folder=tmp_path, settings=sizes.CUT_SETTINGS, tell=print)
    missed = [line for line in report.lines(found) if not line.ok]
    assert missed == [], json.dumps(found.as_json(), indent=1)
    # It was no quiet day.
    assert found.chaos.calls.forced > 0
    assert sum(found.chaos.blows.values()) > 20
    assert 0 < found.emptied.over_before < found.emptied.requests

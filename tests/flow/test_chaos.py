"""A cut of `make chaos`: everything is killed, again and again, and nothing is lost, doubled, altered or left."""

from __future__ import annotations

import json

import pytest

from chaos import report, sizes
from chaos.audit import AuditResult, Bars, compare
from chaos.experiment import run

SEED = 20240105
SAID: dict[str, Bars] = {"raw": {1: (1.0, 2.0), 2: (3.0, 4.0), 3: (5.0, 6.0)}}


def test_everything_is_killed_and_every_promise_holds(tmp_path):
    found = run(sizes.CUT, seed=SEED, folder=tmp_path, settings=sizes.CUT_SETTINGS, log=print)
    missed = [line for line in report.lines(found) if not line.ok]
    assert missed == [], json.dumps(found.as_json(), indent=1)
    # It was no quiet day.
    assert found.chaos.calls.forced > 0
    assert sum(found.chaos.blows.values()) > 20
    assert 0 < found.emptied.over_before < found.emptied.requests


@pytest.mark.parametrize(
    ("kept", "rejected", "spoilt", "found"),
    [
        pytest.param(SAID, set(), {}, (0, 0, 0), id="all of it"),
        pytest.param({"raw": {1: (1.0, 2.0), 3: (5.0, 6.0)}}, set(), {}, (1, 0, 0), id="a row is missing"),
        pytest.param({"raw": SAID["raw"] | {2: (3.0, 4.5)}}, set(), {}, (0, 1, 0), id="a number is another"),
        pytest.param({"raw": SAID["raw"] | {9: (1.0, 1.0)}}, set(), {}, (0, 1, 0), id="a row that nobody said"),
        pytest.param({"raw": {1: (1.0, 2.0), 3: (5.0, 6.0)}}, {7}, {7: 2}, (0, 0, 0), id="a bad row, rejected"),
        pytest.param({"raw": {1: (1.0, 2.0)}}, {7}, {7: 2, 8: 3}, (0, 0, 1), id="two bad rows, one rejected"),
        pytest.param({"raw": {}}, {7}, {7: 2}, (2, 0, 0), id="good rows are missing beside the bad one"),
    ],
)
def test_the_books_see_each_kind_of_damage(kept, rejected, spoilt, found):
    books = AuditResult()
    compare(books, ("polygon", "AAA"), SAID, kept, rejected, spoilt)
    assert (books.missing, books.altered, books.bad_without_reject) == found
    assert bool(books.look_at) == any(found)

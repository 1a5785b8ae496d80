"""The check of instructions fails on a step that has grown by over 10 %, and on what it would otherwise not compare."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from benchmarks import instructions

STEPS = {"admit": 200_000, "park": 50_000}


@pytest.mark.parametrize(
    ("now", "sentences"),
    [
        (STEPS, []),
        (STEPS | {"admit": 219_000, "park": 20_000}, []),
        (STEPS | {"admit": 221_000}, ["admit: 221,000 instructions, 10.5 % more than the recorded 200,000"]),
        ({"admit": 200_000}, ["park: recorded, and not measured"]),
        (STEPS | {"settle": 1}, ["settle: not recorded"]),
    ],
)
def test_what_grew_by_a_tenth_is_a_regression(now, sentences):
    assert instructions.regressions(STEPS, now) == sentences


@pytest.fixture
def check(monkeypatch, tmp_path):
    """Runs the command with these counts, against what is recorded for Python and Valkey."""
    recorded = tmp_path / "instructions.json"
    recorded.write_text(json.dumps({"Valkey": STEPS, "Python": STEPS}))
    monkeypatch.setattr(instructions, "RECORDED", recorded)

    def run(counts, *options):
        monkeypatch.setattr(instructions, "measure", lambda: counts)
        return CliRunner().invoke(instructions.main, options)

    return run


def test_a_step_that_grew_fails_the_check_until_it_is_recorded(check):
    grown = {"Valkey": STEPS, "Python": STEPS | {"park": 60_000}}
    done = check(grown)
    assert done.exit_code == 1
    assert "Python: park: 60,000 instructions, 20.0 % more" in done.output
    assert check(grown, "--record").exit_code == 0
    assert check(grown).exit_code == 0
    assert check({"Valkey": STEPS, "Python": STEPS}).exit_code == 0


def test_a_python_without_a_record_is_said_to_be_not_compared(check):
    done = check({"Valkey": STEPS, "Another Python": {"park": 1}})
    assert done.exit_code == 0
    assert "nothing is recorded for it" in done.output
    assert check({"Another Valkey": STEPS, "Another Python": STEPS}).exit_code == 1

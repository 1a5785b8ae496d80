"""A failpoint crashes exactly where it is armed, and only the first process where a file names it."""

from __future__ import annotations

import os
import signal

import pytest

from marketfetch.quotas import failpoints


@pytest.fixture
def crashes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The signals that this process would have got."""
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append((pid, number)))
    monkeypatch.setattr(failpoints, "armed", None)
    return sent


def test_an_armed_point_is_passed_before_or_after_its_step(crashes, monkeypatch):
    steps: list[int] = []

    def finish() -> int:
        steps.append(len(crashes))
        return len(crashes)

    step = failpoints.around("finish", finish)
    assert step() == 0
    failpoints.arm("finish:before")
    assert step() == 1
    failpoints.arm("finish:after")
    assert (step(), len(crashes)) == (1, 2)
    failpoints.arm("settle:after")
    assert (step(), len(crashes)) == (2, 2)
    assert steps == [0, 1, 1, 2]
    assert set(crashes) == {(os.getpid(), signal.SIGKILL)}


def test_a_step_that_raises_does_not_pass_the_point_behind_it(crashes):
    failpoints.arm("send:after")
    with pytest.raises(ZeroDivisionError):
        failpoints.around("send", lambda: 1 / 0)()
    assert crashes == []


def test_only_the_first_process_crashes_where_a_file_is_named(crashes, tmp_path):
    failpoints.arm(f"store:before@{tmp_path / 'crashed'}")
    step = failpoints.around("store", lambda: None)
    step()
    step()
    assert len(crashes) == 1
    assert (tmp_path / "crashed").read_text() == str(os.getpid())


def test_a_script_of_an_armed_gate_passes_its_points(crashes, redis):
    failpoints.arm("admit:before")
    script = failpoints.around("admit", redis.register_script("return 5"))
    assert script(keys=[], args=[]) == 5
    assert len(crashes) == 1


def test_an_unknown_point_is_refused_with_the_nearest_one(crashes):
    with pytest.raises(ValueError, match=r"no failpoint 'finnish:before'\. Did you mean 'finish:before'"):
        failpoints.arm("finnish:before")
    assert failpoints.armed is None

"""A task that will run later is judged by the time at which it runs, whoever sends it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tasks.sending.checked_task import _runs_at

SOON = datetime(2024, 12, 2, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("options", "expected"),
    [({}, None), ({"eta": SOON}, SOON), ({"eta": "tomorrow"}, None), ({"countdown": None, "eta": SOON}, SOON)],
)
def test_an_eta_is_when_a_task_runs(options, expected):
    assert _runs_at(options) == expected


def test_a_countdown_is_counted_from_now():
    found = _runs_at({"countdown": 3_600})
    assert found is not None
    assert abs(found - datetime.now(UTC) - timedelta(hours=1)) < timedelta(seconds=30)

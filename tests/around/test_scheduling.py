"""How the tests of a run are dealt out, and how their durations are recorded."""

from __future__ import annotations

import json

import pytest

from tests import scheduling
from tests.scheduling import record, unit


@pytest.fixture
def file(tmp_path, monkeypatch):
    made = tmp_path / "durations.json"
    made.write_text(json.dumps({"a.py::one": 5.0, "a.py::gone": 7.0, "b.py::two": 3.0}))
    monkeypatch.setattr(scheduling, "FILE", made)
    return made


@pytest.mark.parametrize(("whole_files", "kept"), [(True, {}), (False, {"a.py::gone": 7.0})])
def test_a_record_replaces_what_was_run_and_forgets_what_is_gone(file, whole_files, kept):
    record({"a.py::one": 1.26, "a.py::short": 0.2, "c.py::new": 2.0}, whole_files=whole_files)
    assert json.loads(file.read_text()) == {"a.py::one": 1.3, "b.py::two": 3.0, "c.py::new": 2.0, **kept}
    assert [one.name for one in file.parent.iterdir()] == ["durations.json"]


def test_a_long_test_is_dealt_out_by_itself_and_short_ones_by_file():
    seconds = {"tests/a.py::long": 9.0, "tests/cli/test_up.py::long": 9.0}
    assert unit("tests/a.py::long", seconds) == "tests/a.py::long"
    assert unit("tests/a.py::short", seconds) == "tests/a.py"
    assert unit("tests/cli/test_up.py::long", seconds) == "tests/cli/test_up.py", "they share what one fixture has started"

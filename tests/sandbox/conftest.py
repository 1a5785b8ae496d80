"""One sandbox for all tests of a module, its log and faults emptied before each."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pytest

from marketfetch.local.sandbox_process import Sandbox, start_sandbox

#: The day of the recordings: what is asked for "the latest" is what was recorded.
TODAY = date(2026, 5, 15)


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with start_sandbox(today=TODAY) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox) -> Sandbox:
    running.control.reset(keys=True)
    return running

"""A test that fails while the machine stood still is run again, once, with everything that it had made anew.

Many tests are about seconds: a window of one, a lease of six. Where a busy host gives this machine no turn for that long
between two steps of a test, the test has not seen what it is about. A thread notes how late it is woken; a test that fails
without that has failed. What was run again is named at the end of the run, and a second failure is one.
"""

from __future__ import annotations

import threading
from time import monotonic

import pytest
from _pytest.runner import runtestprotocol

#: How often the thread is woken, and how late it must have been.
EVERY_S, LATE_S = 0.1, 0.5


class Watch:
    """A thread that notes how late it is woken."""

    def __init__(self) -> None:
        self._worst_s, self._slept = 0.0, monotonic()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, name="standstills", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._end.set()
        self._thread.join()

    def begin(self) -> None:
        """A test begins."""
        self._worst_s, self._slept = 0.0, monotonic()

    def worst_s(self) -> float:
        """How late the thread was woken at worst since then, or is now: the test may go on before it."""
        return max(self._worst_s, monotonic() - self._slept - EVERY_S)

    def _look(self) -> None:
        while not self._end.wait(EVERY_S):
            self._worst_s = self.worst_s()
            self._slept = monotonic()


class Standstills:
    """The plug-in."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        self.watch.begin()
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
        late_s = self.watch.worst_s()
        if late_s >= LATE_S and any(one.failed for one in reports):
            (failed, *_) = [one for one in reports if one.failed]
            failed.outcome = "rerun"  # type: ignore[assignment]  # a word of ours, which pytest_report_teststatus knows
            failed.sections.append(("Run again", f"The machine stood still for {late_s:.1f} s during this test."))
            # All of it, servers too: what has failed may be damaged.
            item.session._setupstate.teardown_exact(None)
            reports = [failed, *runtestprotocol(item, log=False, nextitem=nextitem)]
        for one in reports:
            item.ihook.pytest_runtest_logreport(report=one)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
    return ("rerun", "R", ("RERUN", {"yellow": True})) if report.outcome == "rerun" else None  # type: ignore[comparison-overlap]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for report in terminalreporter.stats.get("rerun", []):
        terminalreporter.section(f"run again: {report.nodeid}", sep="_")
        terminalreporter.line(report.longreprtext)
        terminalreporter.line(report.sections[-1][1])


def pytest_configure(config: pytest.Config) -> None:
    watch = Watch()
    watch.start()
    config.add_cleanup(watch.stop)
    config.pluginmanager.register(Standstills(watch))

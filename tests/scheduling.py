"""Which process of the test run runs what, and in which order: the longest first, so that no long test begins last.

With `-n`, each test that is known to take seconds is dealt out by itself, the longest first; the short ones of a file are dealt
out together. How long each takes stands in tests/durations.json; `--record-durations` writes it anew. A new test is short
until then. Without `-n` nothing changes.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from marketfetch.settings import environment
from tests import preloaded
from tests.preloaded import ROOT, Preloader

FILE = Path(__file__).with_name("durations.json")
#: The socket of the preloader that all processes of a run share.
LIBRARIES = pytest.StashKey[str]()
#: Below this a test is short, and is not in the file.
SHORT_S = 1.0
#: All tests of such a file, or with such a name, share what one fixture has started, which is dearer than they are.
TOGETHER = (
    "tests/around/test_compose.py",
    "tests/around/test_operations.py",
    "tests/cli/test_bad_input.py",
    "tests/cli/test_demo.py",
    "tests/cli/test_up.py",
    "tests/flow/test_examples.py",
    "tests/flow/test_flat_files.py",
    "tests/flow/test_secrets.py",
    "tests/install/test_public_face.py::test_a_strict_project",
    "tests/install/test_wheel.py",
    "tests/providers/test_hostile_vendors.py::test_a_call_",
    "tests/sandbox/",
    "tests/testing/test_archive_in_s3.py",
    "tests/vendors/test_a_fourth_vendor.py",
    "tests/web/test_pages_in_a_browser.py",
)


def known() -> dict[str, float]:
    """Seconds by the test's name."""
    return dict(json.loads(FILE.read_text(encoding="utf-8"))) if FILE.exists() else {}


class LongestFirst(LoadScopeScheduling):
    """xdist's dealing out by scope, in the order in which the tests were collected."""

    def __init__(self, config: pytest.Config, log: Any = None) -> None:
        super().__init__(config, log)
        self.seconds = known()
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        return unit(nodeid, self.seconds)


def unit(nodeid: str, seconds: dict[str, float]) -> str:
    """What a test is dealt out with: a file's name, or the test's own."""
    if together := next((one for one in TOGETHER if "::" in one and nodeid.startswith(one)), ""):
        return together
    file = nodeid.partition("::")[0]
    return nodeid if nodeid in seconds and not file.startswith(TOGETHER) else file


def pytest_xdist_setupnodes(config: pytest.Config, specs: list[Any]) -> None:
    """xdist's processes are forks of one that has imported all modules of tests; Python processes of tests, of one other.

    Not where branches are counted, as each process then counts from its start.
    """
    if any(name.startswith("COVERAGE_") for name in environment()):
        return
    folder = config.invocation_params.dir
    tests, libraries = Preloader("tests", *config.args, folder=folder), Preloader("libraries")
    for one in (tests, libraries):
        config.add_cleanup(one.stop)
    config.stash[LIBRARIES] = libraries.path
    client = ROOT / "tests" / "forked_worker.py"
    for spec in specs:
        spec.python = shlex.join([sys.executable, "-I", "-S", str(client), tests.path])


def pytest_configure_node(node: Any) -> None:
    node.workerinput["preloader"] = node.config.stash.get(LIBRARIES, "")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record-durations", action="store_true", help="write how long each test took into tests/durations.json")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LongestFirst | None:
    return LongestFirst(config, log) if config.getoption("dist") == "load" else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Sorts whole units, the longest first; within one the order stays."""
    if not hasattr(config, "workerinput"):
        return
    seconds, total = known(), defaultdict[str, float](float)
    for item in items:
        total[unit(item.nodeid, seconds)] += seconds.get(item.nodeid, 0.0)
    items.sort(key=lambda item: (-total[unit(item.nodeid, seconds)], unit(item.nodeid, seconds)))


class Recorder:
    """Adds up set-up, call and tear-down of each test, in the process that hears of all of them."""

    def __init__(self, *, whole_files: bool) -> None:
        self.whole_files = whole_files
        self.seconds = defaultdict[str, float](float)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.outcome in ("passed", "failed", "skipped"):  # not what tests/standstills.py has made again
            self.seconds[report.nodeid] += report.duration

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        if exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            record(self.seconds, whole_files=self.whole_files)


def record(seconds: Mapping[str, float], *, whole_files: bool) -> None:
    """Writes the file anew in one step: another run may read it at this moment.

    `whole_files`: every test of each file has run, so that what is known of others in these files is of tests that are gone.
    """
    files = {name.partition("::")[0] for name in seconds} if whole_files else set()
    merged = {name: found for name, found in known().items() if name.partition("::")[0] not in files} | dict(seconds)
    long = {name: round(merged[name], 1) for name in sorted(merged) if merged[name] >= SHORT_S}
    new = FILE.with_suffix(f".{os.getpid()}")
    new.write_text(json.dumps(long, indent=0, ensure_ascii=False) + "\n", encoding="utf-8")
    new.replace(FILE)


def pytest_configure(config: pytest.Config) -> None:
    if path := getattr(config, "workerinput", {}).get("preloader"):
        preloaded.shared[:] = [path]
    if config.getoption("record_durations") and not hasattr(config, "workerinput"):
        some = (
            config.option.keyword or config.option.markexpr or config.option.deselect or any("::" in one for one in config.args)
        )
        config.pluginmanager.register(Recorder(whole_files=not some))

"""Lines of the library in a process that has set up no log: they never reach stdout, which is a command's answer."""

from __future__ import annotations

import subprocess
import sys

import pytest

SAY = "log = logger('marketfetch.counters'); log.info('begun'); log.warning('not written', error='away')"


def said(*before: str) -> tuple[str, str]:
    code = "\n".join(("from marketfetch.lazy_logger import logger", *before, SAY))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout, done.stderr


def test_warnings_of_a_command_go_to_stderr():
    out, err = said()
    assert out == ""
    assert err.split() == ["not", "written", "error=away"]


@pytest.mark.parametrize("level", ["INFO", "ERROR"])
def test_an_app_gets_the_lines_in_its_own_log_at_its_own_level(level):
    out, err = said("import logging", f"logging.basicConfig(level='{level}', format='%(levelname)s %(name)s %(message)s')")
    lines = ["INFO marketfetch.counters begun", "WARNING marketfetch.counters not written error=away"]
    assert out == ""
    assert [" ".join(line.split()) for line in err.splitlines()] == (lines if level == "INFO" else [])


def test_an_app_that_has_set_up_structlog_gets_them_there():
    out, err = said("import structlog", "structlog.configure(processors=[structlog.processors.JSONRenderer()])")
    assert out.splitlines() == ['{"event": "begun"}', '{"error": "away", "event": "not written"}']
    assert err == ""

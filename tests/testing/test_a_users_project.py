"""The tests of a user's project run with the fixture, in a process of their own, as the user runs them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from marketfetch.settings import unrelated_environment

PROJECT = Path(__file__).parent / "user_project"
PLUGIN = "marketfetch.testing.pytest_plugin"


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # Named by hand, so that it runs with any version of our own metadata; the wheel's entry point is tested with the wheel.
    environment = unrelated_environment() | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(folder)}
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", PLUGIN, "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300)


def test_a_users_tests_pass_and_open_no_socket(tmp_path):
    for name, there in {"reports": "reports", "reports_tests": "test_reports", "no_sockets": "conftest"}.items():
        (tmp_path / f"{there}.py").write_text((PROJECT / f"{name}.py").read_text(encoding="utf-8"))
    (tmp_path / "test_catches.py").write_text(
        "import socket\n\ndef test_a_socket_is_seen():\n    socket.getaddrinfo('127.0.0.1', 9)\n"
    )
    # What a developer has in the folder must not get into the tests: it would be a call to a real vendor.
    (tmp_path / "marketfetch.toml").write_text('[providers.polygon]\napi_keys = []\nbase_url = "https://example.org"\n')
    done = run(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    # The one error shows that sockets are seen.
    assert "ERROR test_catches.py::test_a_socket_is_seen" in done.stdout
    assert re.fullmatch(r"2\d passed, 1 error in .*", done.stdout.splitlines()[-1]), done.stdout


def test_the_plug_in_loads_nothing_but_itself():
    """pytest imports it in every project where marketfetch is installed."""
    code = f"import sys, pytest\nbefore = set(sys.modules)\nimport {PLUGIN}\nprint(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout.split() == ["marketfetch", "marketfetch.testing", PLUGIN]


def test_a_project_with_an_archive_loses_no_reply(tmp_path):
    (tmp_path / "test_archive.py").write_text((PROJECT / "archive_tests.py").read_text(encoding="utf-8"))
    done = run(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr

"""The units of systemd: checked by systemd itself, and their commands by the commands that they run."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from marketfetch.sealing import master_keys_in

UNITS = Path(__file__).parents[2] / "deploy" / "systemd"
NAMES = sorted(one.name for one in UNITS.iterdir())
#: How exposed a service is, of 10 (systemd-analyze security). A unit without hardening has 9.6.
MOST_EXPOSED = 2.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The units with the path of our own environment in the place of /opt/marketfetch/bin."""
    made = tmp_path_factory.mktemp("units")
    for name in NAMES:
        text = (UNITS / name).read_text(encoding="utf-8")
        (made / name).write_text(text.replace("/opt/marketfetch/bin", f"{Path(sys.executable).parent}"), encoding="utf-8")
    return made


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    tool = shutil.which("systemd-analyze")
    assert tool, "systemd-analyze is missing: install Debian's package systemd"
    return subprocess.run([tool, *words], capture_output=True, text=True, check=False, timeout=300)


def test_systemd_finds_no_fault_in_the_units(folder):
    done = analyze("verify", *(f"{folder / name.replace('@', '@1')}" for name in NAMES))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", NAMES)
def test_a_unit_may_do_little_else_than_its_work(folder, name):
    done = analyze("security", "--offline=true", f"{folder / name}")
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    assert float(found[1]) <= MOST_EXPOSED


def test_the_master_key_is_a_credential_of_who_reads_the_database_and_may_be_missing():
    """systemd takes SetCredential where the file of LoadCredential is not there (systemd.exec(5)); a blank is no key."""
    for name in NAMES:
        lines = (UNITS / name).read_text(encoding="utf-8").splitlines()
        found = [line for line in lines if "master-key" in line]
        assert found == (
            [
                "LoadCredential=master-key:/etc/marketfetch/master-key",
                "SetCredential=master-key:\\x20",
                "Environment=MARKETFETCH_MASTER_KEY_FILE=%d/master-key",
            ]
            if "worker" in name or "serve" in name
            else []
        ), name
    assert master_keys_in(" ") == ()


@pytest.mark.parametrize("name", NAMES)
def test_a_unit_stops_softly_starts_again_and_names_no_secret(name):
    text = (UNITS / name).read_text(encoding="utf-8")
    assert "\nRestart=always\n" in text
    if "worker" in name:
        assert "\nKillMode=mixed\n" in text
        assert "\nTimeoutStopSec=45\n" in text
    assert ("worker" in name or "beat" in name) == ("\nEnvironment=REMAP_SIGTERM=SIGQUIT\n" in text)
    assert not re.search(r"(?i)password=|api_keys=", text)

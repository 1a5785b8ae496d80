"""Takes the picture of docs/flower.md: `python -m tests.around.flower_page`, with Chromium installed.

`marketfetch up --sandbox --flower` runs in a folder of its own, and Flower's list of tasks is photographed while some are
stored and others are parked, as their key is paused.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import requests

from marketfetch.settings import unrelated_environment
from tests.house.imports import ROOT
from tests.waiting import eventually

PICTURE: Final = ROOT / "docs" / "images" / "flower.png"
STORED: Final = ("AAPL", "MSFT")
WAITING: Final = ("NVDA", "AMZN", "GOOG", "TSLA")
_MARKETFETCH: Final = (sys.executable, "-m", "marketfetch")


def take(picture: Path, folder: Path) -> None:
    """Raises AssertionError when something does not come up in time."""
    # The list of tasks is asked for on loopback, by this script alone.
    variables = {"FLOWER_UNAUTHENTICATED_API": "true", "MARKETFETCH_WHOLE_MARKET_FROM": "0"}
    env = unrelated_environment() | variables | {"PYTHONPATH": str(ROOT)}
    log = folder / "up.log"
    with log.open("wb") as file:
        up = subprocess.Popen(
            [*_MARKETFETCH, "up", "--sandbox", "--flower"], cwd=folder, env=env, stdout=file, stderr=subprocess.STDOUT
        )
    try:
        found = eventually(
            lambda: re.search(r"flower +(http://[^;\s]+)", log.read_text(encoding="utf-8")),
            within_s=60,
            what=lambda: log.read_text(encoding="utf-8"),
        )
        assert found
        url = found[1]
        days = ("--start", "2024-01-02", "--end", "2024-06-28")
        for words in (
            ("fetch", "polygon", *STORED, *days, "--wait"),
            ("quotas", "pause", "sandbox", "--provider", "polygon", "--for", "10m"),
            ("fetch", "polygon", *WAITING, *days),
        ):
            subprocess.run([*_MARKETFETCH, *words], cwd=folder, env=env, check=True, capture_output=True, text=True)

        def shown() -> bool:
            try:
                tasks = requests.get(f"{url}/api/tasks", timeout=60).json()
            except requests.ConnectionError:
                return False
            states = [one["state"] for one in tasks.values()]
            return "SUCCESS" in states and states.count("PARKED") == len(WAITING)

        eventually(shown, within_s=60, what="stored and parked tasks")
        _photograph(f"{url}/tasks", picture, folder)
    finally:
        up.send_signal(signal.SIGINT)
        up.wait(60)


def _photograph(url: str, picture: Path, folder: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome") or ""
    assert browser, "Chromium is not installed"
    options = ["--headless", "--no-sandbox", "--hide-scrollbars", "--window-size=1500,720", "--virtual-time-budget=8000"]
    subprocess.run(
        [browser, *options, f"--user-data-dir={folder / 'browser'}", f"--screenshot={picture}", url],
        check=True,
        capture_output=True,
        timeout=300,
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        take(PICTURE, Path(scratch))

"""Two processes of beat are one: each due moment makes one job, whichever of them is killed, and a missed one is caught up.

The minutes of the schedules are stepped by the test: the workers read the time from a file. So the test waits for conditions
alone, and each due moment is one that it has named.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

from tests.waiting import eventually

#: A module of the setting `include`: beat sends its message often, and the schedules take the time from the file `now`.
STEPPED = """
from pathlib import Path
from tasks.app import app
from marketfetch.jobs import scheduling

app.conf.beat_schedule["marketfetch-schedules"]["schedule"] = 1.0

def now_ms():
    at_ms = int(Path("now").read_text())
    with open("looks", "a") as file:
        file.write(f"{at_ms}\\n")
    return at_ms

scheduling._now_ms = now_ms
"""
#: A user's own app, which knows us by name only.
THEIRS = """
from celery import Celery

app = Celery("mine", broker={broker!r}, set_as_current=False)
wish = {{"provider": "polygon", "symbols": ["IBM"], "last": "2d"}}
app.conf.beat_schedule = {{"evening": {{"task": "marketfetch.update", "schedule": 1.0, "kwargs": wish}}}}
"""
TOML = """
[[schedule]]
name = "often"
provider = "polygon"
symbols = ["{symbol}"]
when = "every 1m"
last = "2d"
"""
MINUTE_MS, FIRST_MS = 60_000, 1_700_000_040_000  # a whole minute


class Steps:
    """The place with a clock that stands still between its steps."""

    def __init__(self, place) -> None:
        self.place, self.folder, self.minute = place, Path(place.folder), 0
        place.env["MARKETFETCH_INCLUDE"] = json.dumps(["stepped"])
        (self.folder / "stepped.py").write_text(STEPPED)
        self.ask_for("AAPL")
        self.step()

    def ask_for(self, symbol: str) -> None:
        self._replace("marketfetch.toml", TOML.format(symbol=symbol))

    def step(self, minutes: int = 1) -> None:
        self.minute += minutes
        self._replace("now", str(self.now_ms))

    @property
    def now_ms(self) -> int:
        return FIRST_MS + self.minute * MINUTE_MS + 1_000

    def _replace(self, name: str, text: str) -> None:
        (self.folder / "new").write_text(text)
        (self.folder / "new").replace(self.folder / name)

    def beat(self, name: str) -> subprocess.Popen[bytes]:
        return self.place.celery("beat", "--schedule", name, log=f"{name}.log")

    def looks(self) -> int:
        """How often the schedules were looked at in this minute."""
        path = self.folder / "looks"
        return path.read_text().splitlines().count(str(self.now_ms)) if path.exists() else 0

    def jobs(self) -> list[tuple[str, bool]]:
        """The symbol of each run, in order, and whether it is over."""
        rows = self.place.rows("SELECT spec, done_at FROM jobs WHERE name = 'often' ORDER BY created_at, id")
        return [(json.loads(spec)["symbols"][0], done is not None) for spec, done in rows]

    def runs(self, many: int) -> list[str]:
        """Waits until so many runs are over, and then until the schedules were looked at twice more."""
        eventually(lambda: [over for _, over in self.jobs()] == [True] * many, within_s=30, what=lambda: f"{self.jobs()}")
        before = self.looks()
        eventually(lambda: self.looks() >= before + 2, within_s=30, what="two more looks")
        found = self.jobs()
        assert len(found) == many, found
        return [symbol for symbol, _ in found]


def test_each_due_moment_is_one_job_whichever_beat_is_killed(place):
    steps = Steps(place)
    place.worker(concurrency=1)
    first, second = steps.beat("one"), steps.beat("two")
    assert steps.runs(1) == ["AAPL"]
    kill(first)
    steps.step()
    steps.runs(2)
    # A pause, and another symbol in the file, without a restart.
    assert place.marketfetch("schedule", "pause", "often").returncode == 0
    steps.step()
    steps.runs(2)
    steps.ask_for("MSFT")
    assert place.marketfetch("schedule", "resume", "often").returncode == 0
    assert steps.runs(3) == ["AAPL", "AAPL", "MSFT"]
    # All are down for five minutes, but for an entry of a user's own.
    kill(second)
    steps.step(minutes=5)
    (steps.folder / "mine.py").write_text(THEIRS.format(broker=place.redis_url))
    theirs = place.celery("beat", "--schedule", "mine-state", log="mine.log", app="mine")
    done = "SELECT 1 FROM jobs WHERE name = '' AND done_at IS NOT NULL"
    eventually(lambda: place.rows(done), within_s=30, what="the update of a user's own entry is over")
    kill(theirs)
    assert place.rows("SELECT DISTINCT symbol FROM ledger WHERE symbol = 'IBM'") == [("IBM",)]
    # Both start again from the state that they left, and what was missed is caught up once.
    steps.beat("one")
    steps.beat("two")
    steps.runs(4)


def kill(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()

"""A process that submits a job, or asks for its state, waits for no library that only bars or another database need."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("numpy", "sqlalchemy", "psycopg", "pydantic")

SUBMITS = """
import sys
from marketfetch.storage import open_store
from marketfetch.storage.store import Job
store = open_store(sys.argv[1])
store.create()
assert store.save_job(Job("job", "{{}}", 1), ["a", "b"]) is True
assert store.tally("job").pending == 2
assert [one.root for one in store.unfinished("job")] == ["a", "b"]
assert store.over(["a"]) == set()
assert store.job("job").id == "job"
assert [one.id for one in store.open_jobs()] == ["job"]
assert "writable" in store.check()
print(*sorted(set({heavy}) & set(sys.modules)))
"""


def loaded(url: str) -> list[str]:
    code = SUBMITS.format(heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", code, url], capture_output=True, text=True, check=True, timeout=300)
    return done.stdout.split()


@pytest.mark.parametrize("url", ["sqlite", "postgres"], indirect=True)
def test_a_job_is_saved_and_read_without_what_bars_need(url: str) -> None:
    assert loaded(url) == (["psycopg"] if url.startswith("postgres") else [])

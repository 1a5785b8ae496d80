"""A fork while a thread holds a lock: the child finds it locked for good, unless the fork waits."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

#: 0: the child could take the lock; 1: it stays locked there.
FORK = """
import os, sys, threading
from contextlib import nullcontext
if sys.argv[1] == "ours":
    from tasks.hardening.fork_with_locks import at_work as guard
else:
    guard = nullcontext()
shared, inside = threading.Lock(), threading.Event()
def work():
    with guard, shared:
        inside.set()
        threading.Event().wait(0.3)
threading.Thread(target=work).start()
inside.wait()
child = os.fork()
if not child:
    os._exit(0 if shared.acquire(timeout=1) else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.parametrize(("whose", "exit_code"), [("python's", "1"), ("ours", "0")])
def test_a_lock_held_by_a_thread_stays_locked_in_a_child(whose, exit_code):
    command = [sys.executable, "-W", "ignore", "-c", FORK, whose]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert (done.stdout.strip(), done.stderr) == (exit_code, "")

"""The parent of the tests' Python processes: modules are loaded once here, and every process is a fork of this one.

A fresh interpreter spends 0.6 to 0.9 s of CPU on imports before it does anything; a fork spends 0.02 s. A fork is a process of
its own like any other: own pid, signals, session, environment, folder and files.

`preloader.py NUMBER libraries` loads what workers and commands import. What depends on the environment (the Celery app, the
settings) is not loaded here, so each process reads it anew. `preloader.py NUMBER tests PATH ...` imports all modules of tests,
for the processes of xdist: rewriting their asserts and importing them takes each of these processes 7 s of CPU otherwise.

NUMBER is that of a Unix socket on which this process listens: each connection is served by a fork of its own, which is the
parent of what it starts. This process ends when its stdin does. Protocol, one JSON object a message:
`{"arguments", "folder", "environment", "session"}` with three file descriptors → `{"pid"}`, sent once the process has its
session, folder and files; `{"exit": pid}` → `{"code": int | null}`, null while it runs, as `subprocess.Popen.poll` would say;
`{}` → `{"pid"}` of the fork that serves this connection.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import io
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, cast

MOST_BYTES = 1 << 20
ROOT = Path(__file__).parents[1]
#: What workers and commands import of others, beside all of `marketfetch`.
LIBRARIES = (
    "billiard.heap",
    "billiard.popen_fork",
    "billiard.sharedctypes",
    "celery.app.control",
    "celery.app.events",
    "celery.app.log",
    "celery.apps.beat",
    "celery.apps.worker",
    "celery.backends.redis",
    "celery.beat",
    "celery.bin.celery",
    "celery.concurrency.prefork",
    "celery.concurrency.solo",
    "celery.concurrency.thread",
    "celery.fixups.django",
    "celery.worker.autoscale",
    "celery.worker.consumer",
    "celery.worker.consumer.delayed_delivery",
    "celery.worker.strategy",
    "kombu.matcher",
    "kombu.pidbox",
    "kombu.transport.pyamqp",
    "kombu.transport.redis",
    "numpy",
    "psycopg",
    "requests",
    "rich.pretty",
    "rich.progress",
    "rich.traceback",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite",
    "structlog.dev",
    "structlog.stdlib",
)


def load() -> None:
    """Imports the libraries, the core and our vendors. Not the Celery app and not what runs when it is imported."""
    for name in LIBRARIES:
        importlib.import_module(name)
    core = importlib.import_module("marketfetch")
    for module in pkgutil.walk_packages(core.__path__, "marketfetch."):
        if not module.name.startswith("marketfetch.sandbox") and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    # By the names that the entry points give them, as a worker does when it reads its first reply.
    for module in pkgutil.walk_packages(importlib.import_module("marketfetch.providers").__path__, "marketfetch.providers."):
        importlib.import_module(module.name)
    # The classes of the settings depend on the installed vendors alone: building them is two thirds of a short command.
    importlib.import_module("marketfetch.settings").model()
    # Each connection of redis-py looks its version up in the files of the installation: 2 ms, a dozen times in a worker.
    utils: Any = importlib.import_module("redis.utils")
    utils.get_lib_version = functools.cache(utils.get_lib_version)
    utils.get_lib_version()
    # A new SQLite database has the moments at which clocks change: the same in each.
    for zone in ("America/New_York", "UTC"):
        importlib.import_module("marketfetch.storage.zone_offsets").zone_offsets(zone)


def collect() -> None:
    """Imports the modules of the tests that are asked for, as pytest does: with their asserts rewritten."""
    PATH.insert(0, str(ROOT))
    importlib.import_module("numpy")
    before = threads_of_libraries()
    importlib.import_module("pytest").main(["--collect-only", "-q", "-p", "no:cacheprovider", *sys.argv[3:]])
    if len(found := threads_of_libraries()) > len(before):
        raise RuntimeError(f"a module of tests imports what starts threads, see tests/imported_later.py: {found}")


def threads_of_libraries() -> list[str]:
    """Names of this process's threads. OpenBLAS (numpy) and jemalloc (pyarrow) stop theirs before a fork and go on after."""
    names = [(one / "comm").read_text().strip() for one in Path("/proc/self/task").iterdir()]
    return [one for one in names if one != "jemalloc_bg_thd"]


def forget_vendors() -> None:
    """For a process that has another release on its path, or another set of vendors."""
    for name in [one for one in sys.modules if f"{one}.".startswith("marketfetch.providers.")]:
        del sys.modules[name]
    vendors, settings = sys.modules["marketfetch.vendors"], sys.modules["marketfetch.settings"]
    for cached in (vendors._installed, vendors.vendor, settings.model):
        cached.cache_clear()


def listen(listening: socket.socket) -> Callable[[], None] | None:
    """Serves each connection in a fork until stdin ends: None. In each process that they start it returns what to run."""
    while True:
        ready, _, _ = select.select([listening, sys.stdin], [], [])
        if sys.stdin in ready:
            return None
        wire, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            return serve(wire)
        wire.close()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass


def serve(wire: socket.socket) -> Callable[[], None] | None:
    """Starts processes until the tests are over: None. In each process that it starts it returns what that one is to run."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(wire, MOST_BYTES, 3)
        if not message:
            return None
        answer: dict[str, int | None]
        asked = json.loads(message)
        if "exit" not in asked and "arguments" not in asked:
            answer = {"pid": os.getpid()}
        elif "exit" in asked:
            pid, status = os.waitpid(asked["exit"], os.WNOHANG)
            answer = {"code": os.waitstatus_to_exitcode(status) if pid else None}
        else:
            is_set_up, tell = os.pipe()
            pid = os.fork()
            if pid == 0:
                wire.close()
                os.close(is_set_up)
                become(asked, descriptors)
                os.close(tell)
                return lambda: run(asked["arguments"])
            for one in (tell, *descriptors):
                os.close(one)
            os.read(is_set_up, 1)
            os.close(is_set_up)
            answer = {"pid": pid}
        wire.sendall(json.dumps(answer).encode())


def become(asked: dict, descriptors: list[int]) -> None:
    """Session, files, folder and environment, as `subprocess.Popen` sets them."""
    if asked["session"]:
        os.setsid()
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
    for descriptor in descriptors:
        os.close(descriptor)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    if os.environ.get("PYTHONUNBUFFERED"):
        # Read when an interpreter starts, and this one has started: what a server says would stay in its buffer.
        cast("io.TextIOWrapper", sys.stdout).reconfigure(line_buffering=True)
    for action in filter(None, asked["environment"].get("PYTHONWARNINGS", "").split(",")):
        warnings.simplefilter(action)


def run(arguments: list[str]) -> None:
    """`python [-P] (-c code | -m module | file) ...`"""
    safe = arguments[0] == "-P"
    kind, *rest = arguments[safe:]
    first = {"-c": "", "-m": str(Path.cwd())}.get(kind, str(Path(kind).resolve().parent))
    sys.path[:] = [*([] if safe else [first]), *os.environ.get("PYTHONPATH", "").split(os.pathsep), *PATH]
    sys.path_importer_cache.clear()
    if str(ROOT) not in sys.path:
        forget_vendors()
    if kind == "-c":
        code, *rest = rest
        sys.argv = ["-c", *rest]
        main = sys.modules["__main__"] = type(sys)("__main__")
        exec(compile(code, "<string>", "exec"), main.__dict__)
    elif kind == "-m":
        module, *rest = rest
        sys.argv = [module, *rest]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    else:
        sys.argv = [kind, *rest]
        runpy.run_path(kind, run_name="__main__")


def to_its_end(child: Callable[[], None]) -> NoReturn:
    """Runs a process and ends it as an interpreter does: threads, exit functions, output, exit code.

    Then `os._exit`: an interpreter would release every object that was loaded before the fork, one by one, and so copy nearly
    all memory first. That was 0.1 s of CPU, two thirds of what most commands take.
    """
    code, interrupted = 0, False
    try:
        child()
    except SystemExit as asked:
        if isinstance(asked.code, int) or asked.code is None:
            code = asked.code or 0
        else:
            code = 1
            print(asked.code, file=sys.stderr)
    except BaseException as error:
        code, interrupted = 1, isinstance(error, KeyboardInterrupt)
        sys.excepthook(*sys.exc_info())
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in filter(None, (sys.stdout, sys.stderr)):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    if interrupted:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(code & 0xFF)


#: The installation's folders: sys.path without the first, which is this file's.
PATH = sys.path[1:]

if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    {"libraries": load, "tests": collect}[sys.argv[2]]()
    gc.collect()
    gc.freeze()
    with contextlib.suppress(KeyboardInterrupt):
        if child := listen(socket.socket(fileno=int(sys.argv[1]))):
            to_its_end(child)

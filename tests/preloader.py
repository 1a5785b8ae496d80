"""The parent of the tests' Python processes: libraries are loaded once here, and every process is a fork of this one.

A fresh interpreter spends 0.6 to 0.9 s of CPU on imports before it does anything; a fork spends 0.02 s. A fork is a process of
its own like any other: own pid, signals, session, environment, folder and files. What depends on the environment (the Celery
app, the settings) is not loaded here, so each process reads it anew.

Protocol, on the Unix socket whose number is the only argument, one JSON object a message:
`{"arguments", "folder", "environment", "session"}` with three file descriptors → `{"pid"}`, sent once the process has its
session, folder and files; `{"exit": pid}` → `{"code": int | null}`, null while it runs, as `subprocess.Popen.poll` would say.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import runpy
import socket
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

MOST_BYTES = 1 << 20
#: What workers and commands import of others, beside all of `marketfetch`.
LIBRARIES = (
    "celery.apps.worker",
    "celery.backends.redis",
    "celery.bin.celery",
    "celery.concurrency.prefork",
    "celery.worker.autoscale",
    "celery.worker.consumer",
    "kombu.transport.redis",
    "numpy",
    "psycopg",
    "requests",
    "rich.progress",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite",
)


def load() -> None:
    """Imports the libraries and the core. Not the Celery app and not what runs when it is imported."""
    for name in LIBRARIES:
        importlib.import_module(name)
    core = importlib.import_module("marketfetch")
    for module in pkgutil.walk_packages(core.__path__, "marketfetch."):
        if not module.name.startswith("marketfetch.sandbox") and not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def serve(wire: socket.socket) -> Callable[[], None] | None:
    """Starts processes until the tests are over: None. In each process that it starts it returns what that one is to run."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(wire, MOST_BYTES, 3)
        if not message:
            return None
        asked = json.loads(message)
        if "exit" in asked:
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
    for action in filter(None, asked["environment"].get("PYTHONWARNINGS", "").split(",")):
        warnings.simplefilter(action)


def run(arguments: list[str]) -> None:
    """`python [-P] (-c code | -m module | file) ...`"""
    safe = arguments[0] == "-P"
    kind, *rest = arguments[safe:]
    first = {"-c": "", "-m": str(Path.cwd())}.get(kind, str(Path(kind).resolve().parent))
    sys.path[:] = [*([] if safe else [first]), *os.environ.get("PYTHONPATH", "").split(os.pathsep), *PATH]
    sys.path_importer_cache.clear()
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


#: The installation's folders: sys.path without the first, which is this file's.
PATH = sys.path[1:]

if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))
    load()
    gc.collect()
    gc.freeze()
    if child := serve(socket.socket(fileno=int(sys.argv[1]))):
        child()

"""Modules of libraries that start threads when they are imported: polars its pool, Helm's library the runtime of Go.

The processes of a test run are forks of one that has imported all modules of tests, and a fork has none of its parent's
threads: such a library would wait for them for ever. So tests import it at its first use.
"""

from __future__ import annotations

import importlib
from typing import Any


class Later:
    """Stands for a module."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # pytest looks for marks of its own while it collects
            raise AttributeError(name)
        return getattr(importlib.import_module(self._name), name)

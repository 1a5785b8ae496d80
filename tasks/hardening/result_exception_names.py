"""An exception in a result is named by the module of its class: after a move, two releases do not know each other's errors.

What fails without it: Celery writes `exc_module` and looks the class up in sys.modules. A result of the release before names
`providers.errors`; this release would return a made-up class of the same name, which no `except NoData` catches, and the other
way round. Shown on Celery's own backend by
tests/hardening/test_result_names.py::test_celery_makes_up_a_class_for_a_module_that_has_moved.
Upstream: https://github.com/celery/celery/pull/4836 introduced the made-up class; no upstream issue found that asks for stable
names.
Delete when: no worker or app of a release before `marketfetch.*` shares a Redis with this one, and results of it have expired
(a day): then WIRE_MODULES may go, in two releases: first write today's names, then stop reading the old ones.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any, Final

from celery.backends.base import Backend

#: The module of a class today -> the module that a result names. Never change a value; a class that moves gets a new key.
WIRE_MODULES: Final = {
    "marketfetch.exceptions": "tasks.errors",
    "marketfetch.jobs.batches": "tasks.batches",
    "marketfetch.local.valkey_server": "sandbox.servers",
    "marketfetch.ops.dead_letters": "tasks.dead",
    "marketfetch.ops.writes_refused": "tasks.refusals",
    "marketfetch.quotas.limits": "quotas.limits",
    "marketfetch.settings": "settings",
    "marketfetch.storage.postgres.watched": "storage.postgres_waiting",
    "marketfetch.storage.store_errors": "storage.store",
    "marketfetch.vendors": "providers",
    "marketfetch.vendors.errors": "providers.errors",
    "marketfetch.vendors.wire": "providers.wire",
}
#: Classes that results name otherwise than they are named today.
WIRE_CLASSES: Final = {"MarketfetchError": "UserError"}
#: Classes of a listed module that the release before does not have: it reads the base class that it has. This release
#: finds the exact class in a field that Celery ignores.
EXACT: Final = "exc_exact"
_UNKNOWN_BEFORE: Final = frozenset({"UnknownJob", "BadRequestError", "UnavailableError", "WrongValueError"})

_MODULES: Final = {wire: here for here, wire in WIRE_MODULES.items()}
_CLASSES: Final = {wire: here for here, wire in WIRE_CLASSES.items()}
#: `tasks` and `providers` are top-level packages in a checkout and parts of marketfetch where they are installed.
_INSTALLED: Final = "marketfetch."
_PLUGINS: Final = ("tasks", "providers")


class ResultExceptionNames(Backend):  # type: ignore[misc]  # Celery is untyped
    """Writes the names of the table above, and reads them as today's classes."""

    def prepare_exception(self, exc: BaseException, serializer: str | None = None) -> Any:
        written = super().prepare_exception(exc, serializer)
        return _to_wire(written, type(exc)) if isinstance(written, dict) else written

    def exception_to_python(self, exc: Any) -> Any:
        return super().exception_to_python(_from_wire(exc) if isinstance(exc, dict) else exc)


def _to_wire(written: dict[str, Any], kind: type) -> dict[str, Any]:
    known = next((one for one in kind.__mro__ if one.__qualname__ not in _UNKNOWN_BEFORE), kind)
    if kind.__module__ in WIRE_MODULES and known is not kind:
        named = {"exc_type": WIRE_CLASSES.get(known.__qualname__, known.__qualname__), EXACT: kind.__qualname__}
    else:
        named = (
            {"exc_type": WIRE_CLASSES.get(written["exc_type"], written["exc_type"])} if kind.__module__ in WIRE_MODULES else {}
        )
    return {**written, **named, "exc_module": WIRE_MODULES.get(kind.__module__, _without_prefix(kind.__module__))}


def _module(name: str) -> Any:
    """The module, None where what it needs is not installed: then Celery makes up a class, as for a stranger's error."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _from_wire(written: dict[str, Any]) -> dict[str, Any]:
    module, name = written.get("exc_module"), written.get("exc_type")
    if not isinstance(module, str) or not isinstance(name, str):
        return written
    if here := _MODULES.get(module):
        found = written.get(EXACT) or _CLASSES.get(name, name)
        # Celery looks into sys.modules only, and an app that only waits has not imported it.
        if hasattr(_module(here), str(found)):
            return {**written, "exc_module": here, "exc_type": found}
    if _is_plugin(module) and module not in sys.modules:
        return {**written, "exc_module": _INSTALLED + module}
    return written


def _without_prefix(module: str) -> str:
    short = module.removeprefix(_INSTALLED)
    return short if _is_plugin(short) else module


def _is_plugin(module: str) -> bool:
    return module.partition(".")[0] in _PLUGINS

"""Results across releases: the release before reads ours as its own classes, and we read its results as ours."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery.backends.redis import RedisBackend

from marketfetch import exceptions
from marketfetch.ops.dead_letters import UnreadableMessage
from marketfetch.vendors.errors import NoData, RateLimited
from tasks.app import app
from tasks.hardening.result_exception_names import EXACT, WIRE_CLASSES, WIRE_MODULES
from tasks.outcomes import __name__ as package_of_tasks
from tasks.sending.result_backend import HardenedBackend

#: Celery 5.7 calls it when it writes a result.
pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated setex:DeprecationWarning")

#: Raw bytes of results, as the release before wrote them through its own backend: one of each error, and other kinds.
RECORDED = json.loads((Path(__file__).parents[1] / "recordings" / "results" / "before_marketfetch.json").read_text())
OTHERS = ("SUCCESS of a fetch task", "PARKED", "REVOKED")
ERRORS = sorted(RECORDED.keys() - set(OTHERS))


@pytest.fixture
def backend(redis, valkey_url):
    return HardenedBackend(app=app, url=valkey_url)


@pytest.fixture
def stock(redis, valkey_url):
    return RedisBackend(app=app, url=valkey_url)


def put(redis, name: str) -> str:
    """Writes the recorded bytes where the backend of the release before left them."""
    task_id: str = RECORDED[name]["task_id"]
    redis.set(f"celery-task-meta-{task_id}", json.dumps(RECORDED[name]))
    return task_id


def todays_class(name: str) -> type[Exception]:
    module, _, kind = name.rpartition(".")
    (here,) = [here for here, wire in WIRE_MODULES.items() if wire == module]
    renamed = {old: new for new, old in WIRE_CLASSES.items()}
    found: type[Exception] = getattr(importlib.import_module(here), renamed.get(kind, kind))
    return found


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_of_the_release_before_is_todays_class(redis, backend, name):
    meta = backend.get_task_meta(put(redis, name), cache=False)
    expected = todays_class(name)
    if expected is RateLimited:  # it takes arguments that no result has, in either release
        assert str(meta["result"]).startswith(f"{RateLimited}")
    else:
        assert type(meta["result"]) is expected
        assert list(meta["result"].args) == RECORDED[name]["result"]["exc_message"]
    assert meta["status"] == "FAILURE"


@pytest.mark.parametrize("name", ERRORS)
def test_the_same_error_is_written_in_the_same_bytes(redis, backend, name):
    kind, (message,) = todays_class(name), RECORDED[name]["result"]["exc_message"]
    backend.mark_as_failure("1", RateLimited(message, scope="minute") if kind is RateLimited else kind(message))
    written = json.loads(redis.get("celery-task-meta-1"))
    assert json.dumps(written["result"], sort_keys=True) == json.dumps(RECORDED[name]["result"], sort_keys=True)


def test_celery_makes_up_a_class_for_a_module_that_has_moved(redis, stock, backend):
    task_id = put(redis, "providers.errors.NoData")
    made_up = stock.get_task_meta(task_id, cache=False)["result"]
    assert (type(made_up).__name__, isinstance(made_up, NoData)) == ("NoData", False)
    assert isinstance(backend.get_task_meta(task_id, cache=False)["result"], NoData)
    stock.mark_as_failure("1", NoData("AAPL: nothing"))
    assert json.loads(redis.get("celery-task-meta-1"))["result"]["exc_module"] == "marketfetch.vendors.errors"


@pytest.mark.parametrize("kind", ["UnknownJob", "BadRequestError", "UnavailableError", "WrongValueError"])
def test_an_error_that_is_new_is_the_nearest_one_to_the_release_before(redis, backend, kind):
    backend.mark_as_failure("1", getattr(exceptions, kind)("a sentence"))
    written = json.loads(redis.get("celery-task-meta-1"))["result"]
    assert written == {"exc_type": "UserError", "exc_message": ["a sentence"], "exc_module": "tasks.errors", EXACT: kind}
    assert type(backend.get_task_meta("1", cache=False)["result"]) is getattr(exceptions, kind)


@pytest.mark.parametrize("module", ["marketfetch.tasks.somewhere", "tasks.somewhere"])
def test_where_the_package_is_installed_is_no_part_of_a_name(redis, backend, monkeypatch, module):
    odd = type("Odd", (Exception,), {"__module__": module})
    package: Any = SimpleNamespace(Odd=odd)
    backend.mark_as_failure("1", odd("x"))
    assert json.loads(redis.get("celery-task-meta-1"))["result"]["exc_module"] == "tasks.somewhere"
    monkeypatch.setitem(sys.modules, module, package)
    assert type(backend.get_task_meta("1", cache=False)["result"]) is odd
    assert package_of_tasks.partition(".")[0] == "tasks", "in a checkout; `marketfetch` where it is installed"


def test_a_users_own_errors_are_celerys_business(redis, backend, stock):
    for error in (ValueError("x"), UnicodeError("y")):
        for one in (backend, stock):
            one.mark_as_failure("1", error)
            assert json.loads(redis.get("celery-task-meta-1"))["result"]["exc_module"] == "builtins"
            assert type(backend.get_task_meta("1", cache=False)["result"]) is type(error)


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_error_is_read_as_it_was_written(redis, backend, stock, name):
    task_id = put(redis, name)
    ours, theirs = (one.get_task_meta(task_id, cache=False) for one in (backend, stock))
    assert repr(ours) == repr(theirs)
    assert ours["status"] == RECORDED[name]["status"]
    if name != "REVOKED":
        assert ours["result"] == RECORDED[name]["result"]


def test_an_app_that_has_not_imported_the_class_gets_it(redis, backend, monkeypatch):
    monkeypatch.delitem(sys.modules, "marketfetch.ops.dead_letters")
    found = backend.get_task_meta(put(redis, "tasks.dead.UnreadableMessage"), cache=False)["result"]
    assert (type(found).__module__, type(found).__name__) == (UnreadableMessage.__module__, "UnreadableMessage")


def test_every_module_of_the_table_exists():
    for here in WIRE_MODULES:
        importlib.import_module(here)
    assert len(set(WIRE_MODULES.values())) == len(WIRE_MODULES)

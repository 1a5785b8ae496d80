"""What `marketfetch check` tries of Celery and of a user's project, each in this process."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery

from tasks import celery_trials, project_trial
from tasks.included_modules import UnimportableModule, load, load_app


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of a user's, from which modules are imported; they are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    for name in [one for one in sys.modules if one.startswith("their_")]:
        del sys.modules[name]


def test_what_is_no_app_is_named(project: Path) -> None:
    (project / "their_shop.py").write_text(
        "from celery import Celery\nmine = Celery('mine', set_as_current=False)\nother = 7\n"
    )
    assert isinstance(load_app("their_shop:mine"), Celery)
    for name in ("their_shop:other", "their_shop:missing"):
        with pytest.raises(UnimportableModule, match=f"There is no Celery app at '{name}'"):
            load_app(name)


def test_a_module_that_is_missing_and_one_that_misses_another_are_told_apart(project: Path) -> None:
    (project / "their_tasks.py").write_text("import a_library_of_theirs\n")
    with pytest.raises(UnimportableModule, match=r"There is no module 'their_task', which include names"):
        load("their_task")
    with pytest.raises(
        UnimportableModule, match=r"'their_tasks', .* can't be imported: ModuleNotFoundError: No module named 'a_l"
    ):
        load("their_tasks")


def test_what_a_library_raises_before_the_modules_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    signal = SimpleNamespace(
        disconnect=lambda _: None, send=lambda sender: [(None, "fine"), (None, KeyError("DJANGO_SETTINGS_MODULE"))]
    )
    monkeypatch.setattr(project_trial, "import_modules", signal)
    monkeypatch.setattr(project_trial, "get_settings", lambda: SimpleNamespace(include=(), app=""))
    assert list(project_trial.findings()) == [
        ("error", "include", "What comes before the modules fails: KeyError: 'DJANGO_SETTINGS_MODULE'.")
    ]


@pytest.mark.parametrize("state", ["SUCCESS", "PENDING"])
def test_a_result_that_does_not_arrive_is_found_and_nothing_is_left(monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    stored: dict[str, str] = {}
    backend: Any = SimpleNamespace(
        client=SimpleNamespace(ping=lambda: None),
        store_result=lambda task_id, _result, name: stored.update({task_id: name}),
        get_state=lambda _: state,
        forget=stored.pop,
    )
    monkeypatch.setattr(celery_trials, "app", SimpleNamespace(backend=backend))
    if state == "SUCCESS":
        celery_trials.try_results()
    else:
        with pytest.raises(LookupError, match="a result that was written is not there"):
            celery_trials.try_results()
    assert stored == {}

"""A user's own modules: those with tasks for our workers (the setting `include`), and the one of the user's app (`app`).

Whatever decorates a task in an included module, Celery's `shared_task` or an app of the user's, gives our app a copy of it
before the worker starts, with our settings, our broker and our results. A module that can't be imported ends the worker with a
sentence.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import Any

import click
from celery import Celery
from celery.app.utils import find_app
from celery.utils.imports import import_from_cwd

from marketfetch.settings import origin


class UnimportableModule(click.ClickException):
    """A module that the settings name can't be imported; `celery worker` prints the sentence and exits with 1."""


def load(name: str) -> Any:
    """Imports a module of `include`, from the current folder first. Raises UnimportableModule with a sentence.

    The folder stays on the path, behind all others: a task may import from it while it runs.
    """
    with _explained(name, setting="include"):
        found = import_from_cwd(name)
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
    return found


def load_app(name: str) -> Celery:
    """The user's app, as `celery -A` finds it. Raises UnimportableModule with a sentence."""
    with _explained(name.partition(":")[0], setting="app"):
        import_from_cwd(name.partition(":")[0])
    with suppress(Exception), redirect_stdout(sys.stderr):
        found = find_app(name)
        if isinstance(found, Celery):
            return found
    raise UnimportableModule(
        f"There is no Celery app at {name!r}, which app names ({origin('app')}). Write module:attribute, as shop.celery:app"
    )


@contextmanager
def _explained(module: str, *, setting: str) -> Iterator[None]:
    where = f"which {setting} names ({origin(setting)})"
    try:
        with redirect_stdout(sys.stderr):
            yield
    except ModuleNotFoundError as error:
        if not (error.name and f"{module}.".startswith(f"{error.name}.")):
            raise UnimportableModule(_broken(module, where, error)) from error
        missing = f"{module!r}" if error.name == module else f"{error.name!r}, and so no {module!r}"
        raise UnimportableModule(
            f"There is no module {missing}, {where}. It is looked for in {Path.cwd()} and where Python finds packages. Correct "
            f"the name, or start marketfetch in the folder of your project"
        ) from None
    except (Exception, SystemExit) as error:
        raise UnimportableModule(_broken(module, where, error)) from error


def _broken(module: str, where: str, error: BaseException) -> str:
    why = " ".join(str(error).split()).rstrip(".") or "it says nothing more"
    return f"The module {module!r}, {where}, can't be imported: {type(error).__name__}: {why}"
